//! The report that the server printed at its start, from a command and from the daemon.

use super::document::{Shell, wait_until};
use super::omr_document::{assert_cleaned, site};
use crate::common::Daemon;

#[test]
fn the_report_of_the_start_is_as_in_the_document() {
    let site = site();
    Shell::install(&site, "omr");
    let said = site.said(&["run", "omr_startup"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "Running OMR job cleanup on startup...",
            "  Removed 0 job(s) from memory",
            "  Cleaned 4 job directory(ies)",
            "  Removed 75 temporary file(s)",
            "  Freed 7.63 MB",
        ]
    );
    assert_cleaned(&site);
}

#[test]
fn the_daemon_prints_the_report_of_its_start() {
    let mut site = site();
    Shell::install(&site, "omr");
    site.said(&["takeover", "--yes"]);
    site.set("OMR_CLEANUP_ON_START", "true");
    let program = site.lapsed();
    let mut command = std::process::Command::new("/bin/sh");
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = site.place.path("printed");
    let line = format!(
        "exec {} serve > {}",
        program.get_program().display(),
        output.display()
    );
    command.current_dir(site.place.path("")).args(["-c", &line]);
    let daemon = Daemon::start(command, site.place.socket());
    daemon.wait_until_up();
    let printed = || std::fs::read_to_string(&output).unwrap_or_default();
    wait_until("the report of the start", || printed().contains("Freed"));
    assert!(printed().starts_with("Running OMR job cleanup on startup...\n  Removed 0 job(s) from memory\n  Cleaned 4 job directory(ies)\n"), "{}", printed());
    assert_cleaned(&site);
}

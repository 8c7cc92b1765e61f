//! eemt: the log while a run works.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::document::Shell;
use super::eemt_document::{assert_cleaned, texts, world};
use crate::common::sources::wait_for_source;

#[test]
fn lines_are_told_while_the_run_works_and_each_once() {
    for has_daemon in [false, true] {
        let eemt = world();
        let mut shell = Shell::install(&eemt.site, "eemt");
        let daemon = has_daemon.then(|| shell.serve());
        if let Some(daemon) = &daemon {
            wait_for_source(daemon, "eemt", "ready");
            wait_for_source(daemon, "working", "ready");
        }
        // Rows can be read and not be written: the run cannot end well before that ends.
        eemt.db.run("BEGIN IMMEDIATE");
        let mut command = shell.command("", "python cleanup_jobs.py --verbose");
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        while !log.contains("Deleted uploaded DEM") {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {log}"));
            log += &(line.unwrap() + "\n");
        }
        eemt.db.run("COMMIT");
        for line in lines {
            log += &(line.unwrap() + "\n");
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "{log}");
        assert_cleaned(&eemt);
        let lines = texts(&log);
        let of = |begin: &str| lines.iter().filter(|line| line.contains(begin)).count();
        for (begin, wanted) in [
            ("SQL (eemt): ", 1),
            ("Found 3 successful jobs", 1),
            ("Found 2 failed jobs", 1),
            ("Processing job ", 5),
            ("Deleted results directory: ", 5),
            ("Deleted uploaded DEM: ", 5),
            ("CLEANUP SUMMARY", 1),
            ("Job configs deleted: 2", 1),
            ("[DRY RUN]", 0),
        ] {
            assert_eq!(of(begin), wanted, "{begin}: {log}");
        }
        let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
        assert!(
            at("Starting EEMT") < at("SQL (eemt)") && at("SQL (eemt)") < at("Found 3"),
            "{log}"
        );
        assert!(at("Found 2") < at("Processing job "), "{log}");
        assert_eq!(
            lines.last().unwrap(),
            "INFO - Cleanup completed successfully"
        );
        // The lines of a job stand together.
        for (number, line) in lines.iter().enumerate() {
            let Some(rest) = line.split_once("Processing job ") else {
                continue;
            };
            let id = rest.1.split(' ').next().unwrap();
            let deleted = lines[number + 1..]
                .iter()
                .filter(|line| line.contains("Deleted "));
            for line in deleted.take(2) {
                assert!(line.contains(id), "{line}: {log}");
            }
        }
    }
}

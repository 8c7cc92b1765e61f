//! From a script that is called to a daemon that removes what is due by itself.

use crate::common::trees::set_age;
use crate::common::{Place, errors};

const CONFIG: &str = r#"
automatic = false # until `lapsed takeover`: "${AUTO:-true}"
[[root]]
name = "jobs"
path = "jobs"
[[rule]]
name = "old jobs"
since = "mtime"
expire = "1h"
skip_open = "if-known"
"#;

fn place() -> Place {
    let place = Place::new();
    place.config(CONFIG);
    let age = std::time::Duration::from_hours(2);
    set_age(&place.write("jobs/old"), age).unwrap();
    place
}

#[test]
fn the_daemon_removes_by_itself_from_the_takeover_on() {
    let place = place();
    let config = place.config_path();
    let daemon = place.serve_again();
    daemon.sync();
    assert!(place.exists("jobs/old"), "nothing is removed before");
    let said = place.said(&["--config", &config, "takeover", "--yes"]);
    assert!(said.contains("automatic = \"${AUTO:-true}\""), "{said}");
    place.wait_until_gone(&daemon, "jobs/old");
    let text = std::fs::read_to_string(&config).unwrap();
    let wanted = "automatic = \"${AUTO:-true}\"";
    assert_eq!(
        text,
        CONFIG.replace(
            "automatic = false # until `lapsed takeover`: \"${AUTO:-true}\"",
            wanted
        )
    );
    let again = place.run(&["--config", &config, "takeover", "--yes"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        errors(&again).contains("is removed automatically already"),
        "{}",
        errors(&again)
    );
}

#[test]
fn a_run_that_kept_files_for_longer_is_shown_first() {
    let place = place();
    let config = place.config_path();
    // As a crontab does that has a longer time than the configuration.
    let longer = [
        "--config",
        &config,
        "clean",
        "--yes",
        "--retention",
        "old jobs=2d",
    ];
    place.said(&longer);
    assert!(place.exists("jobs/old"));
    let refused = place.run(&["--config", &config, "takeover", "--yes"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("rule \"old jobs\" keeps 1h, but run 1 of") && said.contains("asked for 2d"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(&config).unwrap(),
        CONFIG,
        "nothing was changed"
    );
    let said = place.said(&["--config", &config, "takeover", "--yes", "--shorten"]);
    assert!(said.contains("no daemon runs"), "{said}");
    let daemon = place.serve_again();
    place.wait_until_gone(&daemon, "jobs/old");
}

#[test]
fn a_preset_with_scripts_waits_for_the_takeover() {
    let place = Place::new();
    let app = place.make_dir("app");
    let (app, file) = (app.to_str().unwrap(), place.config_path());
    for more in [&["--shims", app][..], &[]] {
        let init = [
            "init",
            "--preset",
            "omr",
            "--base-dir",
            app,
            "--output",
            &file,
            "--force",
        ];
        place.said(&[&init[..], more].concat());
        let text = std::fs::read_to_string(&file).unwrap();
        let is_held = text.contains("automatic = false # until `lapsed takeover`: true");
        assert_eq!(is_held, !more.is_empty(), "{text}");
    }
}

//! What a run tells of itself: its report, its exit status, and that both are the same with and without a daemon.

mod dry;
mod interrupts;
mod orders;
mod records;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::common::machine::{NOBODY, has_other_users, is_root};
use crate::common::others::unprivileged;
use crate::common::trees::write;
use crate::common::{Daemon, Place, errors, lines, path_of, walk};

/// A root and a rule by the files' own times.
const DATA: &str = "[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nroot = \"data\"\n\
                    since = \"mtime\"\nexpire = \"1d\"\nschedule = \"manual\"\n";

/// A file that was last written two days ago.
fn write_due(path: &Path) {
    write(path, 10);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let two_days_ago = SystemTime::now() - Duration::from_hours(48);
    file.set_modified(two_days_ago).unwrap();
}

fn fill(root: &Path, files: usize) {
    for number in 0..files {
        write_due(&root.join(format!("due-{number:05}")));
    }
}

/// A run with `arguments`: its exit status and its report.
#[track_caller]
fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = place.run(&[&["clean", "--json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), report)
}

/// Carries `check` out with a daemon that has read everything, and without one. It is given the arguments that a run needs.
fn with_and_without_daemon(config: &str, check: impl Fn(&Place, &[&str], Option<&Daemon>)) {
    for with_daemon in [false, true] {
        let place = Place::new();
        let config = place.config(config);
        let config = config.to_str().unwrap();
        let daemon = with_daemon.then(|| {
            place.make_dir("data");
            let daemon = place.serve(&["--config", config]);
            daemon.sync();
            daemon
        });
        check(&place, &["--config", config], daemon.as_ref());
    }
}

fn kinds(report: &Value) -> Vec<(&str, &str)> {
    let errors = report["errors"].as_array().unwrap().iter();
    errors
        .map(|one| (one["kind"].as_str().unwrap(), one["why"].as_str().unwrap()))
        .collect()
}

fn removed(report: &Value) -> Vec<PathBuf> {
    let mut removed: Vec<_> = report["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(path_of)
        .collect();
    removed.sort();
    removed
}

#[test]
fn roots_that_are_missing_are_errors_and_without_any_nothing_could_run() {
    let more = "[[root]]\nname = \"other\"\npath = \"other\"\n";
    with_and_without_daemon(&[DATA, more].concat(), |place, arguments, daemon| {
        write_due(&place.path("data/due"));
        if let Some(daemon) = daemon {
            daemon.sync();
        }
        let (code, report) = run(place, arguments);
        assert_eq!(
            (code, &report["status"]),
            (Some(1), &json!("errors")),
            "{report}"
        );
        assert_eq!(report["files"], 1, "what is there is cleaned: {report}");
        let errors = kinds(&report);
        assert_eq!(errors.len(), 1, "{report}");
        assert!(
            errors[0].0 == "root" && errors[0].1.contains("no such file"),
            "{report}"
        );
        assert_eq!(report["errors"][0]["root"], "other");

        std::fs::rename(place.path("data"), place.path("aside")).unwrap();
        if let Some(daemon) = daemon {
            daemon.sync();
        }
        let (code, report) = run(place, arguments);
        assert_eq!(
            (code, &report["status"]),
            (Some(2), &json!("failed")),
            "{report}"
        );
        assert_eq!(kinds(&report).len(), 2, "{report}");
        let told = place.run(&[&["clean"], arguments].concat());
        assert_eq!(told.status.code(), Some(2));
        let told = lines(&told).join("\n");
        assert!(
            told.contains("error: root data: ") && told.contains("nothing could be judged"),
            "{told}"
        );
    });
}

#[test]
fn an_optional_root_may_be_missing() {
    let config = DATA.replace("path = \"data\"", "path = \"data\"\noptional = true");
    let place = Place::new();
    let config = place.config(&config);
    let (code, report) = run(&place, &["--config", config.to_str().unwrap()]);
    assert_eq!(
        (code, &report["status"]),
        (Some(0), &json!("done")),
        "{report}"
    );
    assert_eq!(report["errors"], json!([]));
    assert_eq!(report["notes"][0]["kind"], "root-missing");
    let args = ["clean", "--config", config.to_str().unwrap()];
    let told = place.said(&args);
    assert!(
        told.contains("note: root data: "),
        "it removed nothing: {told}"
    );
    let more = "[[root]]\nname = \"more\"\npath = \"more\"\n[[rule]]\nname = \"more\"\nroot = \"more\"\nexpire = \"0s\"\n";
    place.config(&[&std::fs::read_to_string(&config).unwrap(), more].concat());
    place.write("more/file");
    let told = place.said(&args);
    assert!(
        told.contains("removed 1 file") && !told.contains("note"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_read_is_an_error() {
    if is_root() && !has_other_users() {
        return;
    }
    let place = Place::new();
    let config = place.config(DATA);
    let closed = place.path("data/closed");
    write_due(&closed.join("due"));
    write_due(&place.path("data/due"));
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = unprivileged(&place);
    if is_root() {
        for path in ["data", "data/due", "data/closed"] {
            chown(place.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    command.args(["clean", "--json", "--config", config.to_str().unwrap()]);
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["files"], 1, "{report}");
    assert_eq!(report["errors"][0]["kind"], "directory", "{report}");
    assert_eq!(path_of(&report["errors"][0]), closed);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_breaker_stops_a_run_and_release_goes_on() {
    let config = ["breaker.entries = 20\n", DATA].concat();
    let config = config.replace("schedule = \"manual\"\n", "");
    for with_daemon in [false, true] {
        let place = Place::new();
        fill(&place.path("data"), 30);
        let config = place.config(&config);
        let arguments = ["--config", config.to_str().unwrap()];
        let _daemon = with_daemon.then(|| place.serve_ready(&arguments));
        for dry in [&["--dry-run"][..], &[]] {
            let (code, report) = run(&place, &[&arguments, dry].concat());
            let status = (code, &report["status"]);
            assert_eq!(status, (Some(1), &json!("errors")), "{report}");
            let trip = &report["breaker"]["tripped"][0];
            assert_eq!(
                (&trip["root"], &trip["due"], &trip["of"]),
                (&json!("data"), &json!(30), &json!(30)),
                "{report}"
            );
            assert_eq!(report["holds"][0]["count"], 30, "{report}");
        }
        let told = place.run(&[&["clean"], &arguments[..]].concat());
        let told = lines(&told).join("\n");
        assert!(told.contains("clean --release"), "{told}");
        assert_eq!(walk(&place.path("data")).len(), 30);
        let (code, report) = run(&place, &[&arguments[..], &["--release"]].concat());
        assert_eq!((code, &report["files"]), (Some(0), &json!(30)), "{report}");
        assert_eq!(report["breaker"]["tripped"], json!([]));
        let (code, report) = run(&place, &arguments);
        assert_eq!((code, &report["files"]), (Some(0), &json!(0)), "{report}");
    }
    let refused = Place::new().run(&["clean", "--dry-run", "--release"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn where_the_configuration_removes_nothing_what_would_go_is_listed() {
    let config = ["dry_run = true\n", DATA].concat();
    with_and_without_daemon(&config, |place, arguments, daemon| {
        fill(&place.path("data"), 3);
        if let Some(daemon) = daemon {
            daemon.sync();
        }
        for dry in [&["--dry-run"][..], &[]] {
            let (code, report) = run(place, &[arguments, dry].concat());
            assert_eq!(
                (code, &report["dry_run"]),
                (Some(0), &json!(true)),
                "{report}"
            );
            assert_eq!(report["files"], 3, "{report}");
            assert_eq!(removed(&report).len(), 3, "{report}");
        }
        let told = place.run(&[&["clean"], arguments].concat());
        assert!(
            lines(&told).join("\n").contains("would remove 3 files"),
            "{told:?}"
        );
        assert_eq!(walk(&place.path("data")).len(), 3);
    });
}

#[test]
fn long_lists_are_cut_and_repeated_reasons_are_counted() {
    let place = Place::new();
    fill(&place.path("data"), 25);
    let config = place.config(DATA);
    let config = config.to_str().unwrap();
    let told = |more: &[&str]| lines(&place.run(&[&["clean", "--config", config], more].concat()));
    let short = told(&["--dry-run"]);
    assert!(
        short.contains(&"and 5 more; --all lists them".to_owned()),
        "{short:?}"
    );
    assert_eq!(
        short.iter().filter(|line| line.contains("due-")).count(),
        20
    );
    let long = told(&["--dry-run", "--all"]);
    assert_eq!(long.iter().filter(|line| line.contains("due-")).count(), 25);

    let open: Vec<_> = walk(&place.path("data"))
        .into_keys()
        .map(|path| std::fs::File::open(path).unwrap())
        .collect();
    let held = told(&[]).join("\n");
    assert!(
        held.contains("held: 25 × somebody has it open (such as "),
        "{held}"
    );
    drop(open);
    // In the place of the quarantine stands something else: every removal fails for the same reason.
    std::fs::remove_dir(place.path("data/.lapsed")).unwrap();
    std::fs::write(place.path("data/.lapsed"), b"").unwrap();
    let output = place.run(&["clean", "--config", config]);
    let failed = lines(&output).join("\n");
    assert_eq!(output.status.code(), Some(1), "{failed}");
    assert!(failed.contains("error: 25 × cannot use"), "{failed}");
}

#[test]
fn the_totals_are_told_by_rule() {
    let place = Place::new();
    fill(&place.path("data"), 3);
    write_due(&place.path("units/one/a"));
    write_due(&place.path("units/one/b/c"));
    let units = "[[root]]\npath = \"units\"\n[[rule]]\nname = \"whole\"\nroot = \"units\"\nunit = \"dir\"\nexpire = \"0s\"\n";
    let config = place.config(&[DATA, units].concat());
    let (code, report) = run(&place, &["--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(
        report["rules"],
        json!([
            {"rule": "old", "files": 3, "directories": 0, "units": 3, "jobs": 0, "bytes": 30},
            {"rule": "whole", "files": 2, "directories": 1, "units": 1, "jobs": 0, "bytes": 20},
        ])
    );
    assert_eq!(
        report["roots"],
        json!([
            {"root": "data", "files": 3, "directories": 0, "units": 3, "jobs": 0, "bytes": 30},
            {"root": "units", "files": 2, "directories": 1, "units": 1, "jobs": 0, "bytes": 20},
        ])
    );
}

#[test]
fn unknown_names_are_refused_and_nothing_is_removed() {
    with_and_without_daemon(DATA, |place, arguments, daemon| {
        fill(&place.path("data"), 1);
        if let Some(daemon) = daemon {
            daemon.sync();
        }
        for (option, allowed) in [
            ("--job", "lapsed job ls"),
            ("--root", "data"),
            ("--rule", "old"),
        ] {
            let all = [&["clean", option, "nope"], arguments].concat();
            let refused = place.run(&all);
            let told = errors(&refused);
            assert_eq!(refused.status.code(), Some(2), "{told}");
            assert!(
                told.contains("\"nope\"") && told.contains(allowed),
                "{told}"
            );
        }
        assert_eq!(walk(&place.path("data")).len(), 1);
    });
}

#[test]
fn options_that_a_daemon_does_not_heed_are_refused_beside_it() {
    let place = Place::new();
    let root = place.make_dir("data");
    fill(&root, 1);
    let _daemon = place.serve_ready(&["--watch", "data=7d"]);
    for arguments in [
        &["plan", "--watch", "data=0s"][..],
        &["clean", "--watch", "data=0s"],
        &["clean", "--base-dir", "/"],
    ] {
        let refused = place.run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let told = errors(&refused);
        assert!(
            told.contains(arguments[1]) && told.contains("--socket"),
            "{told}"
        );
    }
    assert_eq!(walk(&root).len(), 1);
}

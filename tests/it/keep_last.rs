//! Rules that keep the newest of each group, whatever their age.

use std::time::Duration;

use crate::common::commands::said;
use crate::common::trees::{configured, set_age};
use crate::common::{Daemon, Place, errors, wait_for};

/// Backups go after an hour, but for the last two of each name; builds likewise, as whole directories.
fn config(count: u32) -> String {
    format!(
        r#"
[[root]]
path = "backups"
[[root]]
path = "builds"
[[rule]]
name = "backups"
root = "backups"
since = "mtime"
expire = "1h"
keep_last = {count}
per = "{{name}}-20*.tar"
[[rule]]
name = "builds"
root = "builds"
unit = "dir"
since = "newest_mtime"
expire = "1h"
keep_last = {count}
per = "{{name}}-*"
"#
    )
}

/// Writes a file that was last changed so many hours ago.
fn write(place: &Place, path: &str, hours: u64) {
    // It comes into the root with the age that it has.
    let staged = place.write("staged");
    set_age(&staged, Duration::from_hours(hours)).unwrap();
    let path = place.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::rename(staged, path).unwrap();
}

/// A place with backups and builds, of which the oldest are not among the last two.
fn begin() -> Place {
    let place = Place::new();
    for root in ["backups", "builds"] {
        place.make_dir(root);
    }
    for (name, hours) in [
        ("app-2001", 5),
        ("app-2002", 4),
        ("app-2003", 3),
        ("web-2001", 9),
    ] {
        write(&place, &format!("backups/{name}.tar"), hours);
        let dir = format!("builds/{name}");
        write(&place, &format!("{dir}/out"), hours);
        set_age(&place.path(&dir), Duration::from_hours(hours)).unwrap();
    }
    place
}

const LEFT: [&str; 6] = [
    "backups/app-2002.tar",
    "backups/app-2003.tar",
    "backups/web-2001.tar",
    "builds/app-2002",
    "builds/app-2003",
    "builds/web-2001",
];

#[track_caller]
fn assert_left(place: &Place, left: &[&str]) {
    for path in left {
        assert!(place.exists(path), "{path} is gone");
    }
}

/// Waits until everything that is due is removed, or held.
fn settle(daemon: &Daemon) {
    daemon.sync();
    wait_for("nothing is under way", || {
        let (_, status) = daemon.get("/v1/status");
        (status["queues"]["claims"] == 0).then_some(())
    });
}

#[test]
fn the_newest_stay_and_the_one_that_falls_out_goes_at_once() {
    let place = begin();
    let mut daemon = configured(&place, &config(2));
    place.wait_until_gone(&daemon, "backups/app-2001.tar");
    place.wait_until_gone(&daemon, "builds/app-2001");
    settle(&daemon);
    assert_left(&place, &LEFT);
    let why = said(&place, &["explain", "backups/app-2002.tar"]).join("\n");
    assert!(
        why.contains(
            "keeps the last 2 of \"app\", and it is number 2 of them; newer: app-2003.tar"
        ),
        "{why}"
    );
    let plan = said(&place, &["plan"]).join("\n");
    assert!(
        plan.contains("6 files (42 B) stay as the newest (keep_last)"),
        "{plan}"
    );
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["due"]["files"], 0, "{status}");
    let listed = said(&place, &["ls", "--hold", "kept-last"]).join("\n");
    assert!(listed.contains("web-2001.tar"), "{listed}");
    // No other time to live covers it, and no dry run says otherwise.
    for more in [
        &["--dry-run"][..],
        &["--retention", "*=0s"],
        &["--retention", "backups=0s"],
    ] {
        let output = place.run(&[&["clean", "--yes", "--root", "backups"], more].concat());
        assert!(output.status.success(), "{}", errors(&output));
        assert_left(&place, &LEFT);
    }

    // It is known after a crash, and to a run without a daemon.
    daemon.kill();
    let file = place.config_path();
    let output = place.run(&["clean", "--yes", "--config", &file]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_left(&place, &LEFT);
    daemon = place.serve_again();
    settle(&daemon);
    assert_left(&place, &LEFT);

    place.write("backups/app-2004.tar");
    place.wait_until_gone(&daemon, "backups/app-2002.tar");
    place.write("builds/app-2004/out");
    place.wait_until_gone(&daemon, "builds/app-2002");
    // What is removed by hand makes the next ones newest.
    std::fs::remove_file(place.path("backups/app-2004.tar")).unwrap();
    write(&place, "backups/app-2000.tar", 8);
    settle(&daemon);
    assert_left(
        &place,
        &[
            "backups/app-2003.tar",
            "backups/app-2000.tar",
            "backups/web-2001.tar",
        ],
    );
    let (_, health) = daemon.get("/v1/health");
    assert_eq!(health["status"], "ready");
}

#[test]
fn what_others_remove_while_no_daemon_runs_is_not_counted() {
    let place = begin();
    let mut daemon = configured(&place, &config(2));
    place.wait_until_gone(&daemon, "backups/app-2001.tar");
    write(&place, "backups/app-2004.tar", 0);
    place.wait_until_gone(&daemon, "backups/app-2002.tar");
    daemon.wait_until_saved();
    daemon.kill();
    for name in ["2003", "2004"] {
        std::fs::remove_file(place.path(&format!("backups/app-{name}.tar"))).unwrap();
    }
    for (name, hours) in [("2000", 9), ("1999", 10)] {
        // Named so that it is of the group, and older than all that was known.
        write(&place, &format!("backups/app-20{name}.tar"), hours);
    }
    let daemon = place.serve_again();
    settle(&daemon);
    assert_left(
        &place,
        &["backups/app-202000.tar", "backups/app-201999.tar"],
    );
}

#[test]
fn a_smaller_number_takes_effect_with_a_reload() {
    let place = begin();
    let daemon = configured(&place, &config(3));
    settle(&daemon);
    assert_left(&place, &LEFT);
    assert_left(&place, &["backups/app-2001.tar"]);
    place.config(&config(1));
    for gone in ["app-2001", "app-2002"] {
        place.wait_until_gone(&daemon, &format!("backups/{gone}.tar"));
        place.wait_until_gone(&daemon, &format!("builds/{gone}"));
    }
    settle(&daemon);
    assert_left(
        &place,
        &[
            "backups/app-2003.tar",
            "backups/web-2001.tar",
            "builds/app-2003",
        ],
    );
}

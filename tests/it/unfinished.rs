//! Removals that are recorded and cannot be finished at once: they are finished later, and nothing of them is displaced.

use std::fs;
use std::path::Path;

use crate::common::evidence::{ledger, quarantine};
use crate::common::immutable::Immutable;
use crate::common::strace::{end_traced, traced};
use crate::common::trees::{configured, write, write_old};
use crate::common::{Daemon, Place, wait_for};

const CONFIG: &str = r#"
[[root]]
path = "root"
[[rule]]
name = "units"
root = "root"
unit = "dir"
expire = "200ms"
"#;

/// Lets a directory lapse one file of which cannot be removed, and waits until the rest of it is gone.
fn stick(place: &Place, daemon: &Daemon, name: &str) -> Immutable {
    let unit = place.path("stage").join(name);
    for file in ["a", "stuck", "sub/b"] {
        write_old(&unit.join(file), 7);
    }
    let stuck = Immutable::set(&place.path(""), &unit.join("stuck"));
    lapse(place, name);
    wait_for("all but one file is removed", || {
        is_all_but_stuck(&place.path("root")).then_some(())
    });
    daemon.wait_until_said("cannot be finished yet; it is tried again");
    stuck
}

/// Moves a directory from the stage into the root, and waits until it has lapsed.
fn lapse(place: &Place, name: &str) {
    let path = place.path("root").join(name);
    fs::rename(place.path("stage").join(name), &path).unwrap();
    wait_for("the directory lapses", || (!path.exists()).then_some(()));
}

fn lapse_another(place: &Place, name: &str) {
    write(&place.path("stage").join(name).join("file"), 7);
    lapse(place, name);
}

/// Whether of each unit in the quarantine only the file `stuck` is left.
fn is_all_but_stuck(root: &Path) -> bool {
    let units = quarantine(root);
    let left = |unit: &String| -> Vec<String> {
        let entries = fs::read_dir(root.join(".lapsed").join(unit)).into_iter();
        let entries = entries.flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    !units.is_empty() && units.iter().all(|unit| left(unit) == ["stuck"])
}

#[track_caller]
fn wait_until_empty(dir: &Path) {
    wait_for(&format!("{} is empty", dir.display()), || {
        fs::read_dir(dir).ok()?.next().is_none().then_some(())
    });
}

#[track_caller]
fn assert_nothing_was_displaced(place: &Place) {
    let lines = ledger(place);
    assert!(!lines.is_empty());
    for line in lines {
        assert_eq!(line["result"], "removed", "{line}");
    }
}

fn place() -> Place {
    let place = Place::new();
    place.make_dir("root");
    place
}

#[test]
fn what_an_error_stops_is_tried_again_also_over_a_kill_and_never_displaced() {
    let place = place();
    let mut daemon = configured(&place, CONFIG);
    let stuck = stick(&place, &daemon, "unit");
    lapse_another(&place, "other");
    daemon.kill();

    let mut daemon = configured(&place, CONFIG);
    daemon.wait_until_said("cannot be finished yet; it is tried again");
    assert!(is_all_but_stuck(&place.path("root")));
    stuck.lift();
    wait_until_empty(&place.path("root/.lapsed"));
    assert!(daemon.stop().success());
    assert_nothing_was_displaced(&place);
}

#[test]
fn what_the_file_system_fails_to_remove_is_removed_by_another_try_or_the_next_start() {
    for restarts in [false, true] {
        let place = place();
        // One name in three, of files and of directories; for the second round all of them.
        let every = if restarts { "1+1" } else { "1+3" };
        let failing = format!("inject=unlinkat:error=EIO:when={every}");
        let config = place.config(CONFIG);
        let arguments = ["-o", "/dev/null", "-e", "trace=unlinkat", "-e", &failing];
        let mut daemon = traced(&place, &arguments, &config);
        for unit in ["one", "two", "three"] {
            for number in 0..30 {
                // Old files are moved over one another.
                let write = if number % 5 == 0 { write } else { write_old };
                write(
                    &place.path("stage").join(unit).join(format!("d/{number}")),
                    7,
                );
            }
            lapse(&place, unit);
        }
        daemon.wait_until_said("cannot be finished yet; it is tried again");
        if restarts {
            end_traced(&mut daemon);
            daemon = configured(&place, CONFIG);
        }
        wait_until_empty(&place.path("root/.lapsed"));
        if restarts {
            assert!(daemon.stop().success());
        } else {
            end_traced(&mut daemon);
        }
        assert_nothing_was_displaced(&place);
    }
}

#[test]
fn a_quarantine_that_a_neighbour_renames_is_emptied_where_it_is() {
    let place = place();
    let mut daemon = configured(&place, CONFIG);
    let stuck = stick(&place, &daemon, "unit");
    let (own, away) = (place.path("root/.lapsed"), place.path("away"));
    fs::rename(&own, &away).unwrap();
    lapse_another(&place, "other");
    wait_until_empty(&own);
    stuck.lift();
    wait_until_empty(&away);
    assert!(daemon.stop().success());
    assert_nothing_was_displaced(&place);
}

#[test]
fn a_quarantine_that_was_renamed_before_a_kill_is_emptied_once_it_is_back() {
    let place = place();
    let mut daemon = configured(&place, CONFIG);
    let stuck = stick(&place, &daemon, "unit");
    let (own, away) = (place.path("root/.lapsed"), place.path("away"));
    fs::rename(&own, &away).unwrap();
    daemon.kill();

    let mut daemon = configured(&place, CONFIG);
    daemon.wait_until_said("removals cannot be finished: the directory .lapsed");
    lapse_another(&place, "other");
    wait_until_empty(&own);
    assert!(fs::read_dir(&away).unwrap().next().is_some());
    daemon.kill();

    fs::rename(&own, place.path("fresh")).unwrap();
    fs::rename(&away, &own).unwrap();
    let mut daemon = configured(&place, CONFIG);
    daemon.wait_until_said("cannot be finished yet; it is tried again");
    stuck.lift();
    wait_until_empty(&own);
    assert!(daemon.stop().success());
    assert_nothing_was_displaced(&place);
}

//! What goes to the trash, on the real binary: it stays through restarts and kills, and is deleted when its window ends.

use std::fs;

use crate::common::evidence::ledger;
use crate::common::trees::configured;
use crate::common::{Place, wait_for};

const CONFIG: &str = r#"
[[root]]
path = "root"
[[rule]]
name = "files"
expire = "200ms"
undo = "WINDOW"
"#;

fn place() -> Place {
    let place = Place::new();
    place.make_dir("root");
    place
}

fn results(place: &Place) -> Vec<String> {
    let lines = ledger(place);
    let results = lines
        .iter()
        .map(|line| line["result"].as_str().unwrap().to_owned());
    results.collect()
}

fn in_trash(place: &Place) -> usize {
    fs::read_dir(place.path("root/.lapsed/trash")).map_or(0, Iterator::count)
}

#[test]
fn what_lapsed_is_in_the_trash_until_its_window_ends() {
    let place = place();
    let daemon = configured(&place, &CONFIG.replace("WINDOW", "3s"));
    fs::write(place.path("root/file"), "1").unwrap();
    wait_for("it lapses", || {
        (!place.path("root/file").exists()).then_some(())
    });
    wait_for("it is in the trash", || {
        (in_trash(&place) == 2).then_some(())
    });
    assert_eq!(results(&place), ["trashed"]);
    wait_for("its window ends", || (in_trash(&place) == 0).then_some(()));
    wait_for("it is recorded", || {
        (results(&place) == ["trashed", "purged"]).then_some(())
    });
    drop(daemon);
}

#[test]
fn a_killed_daemon_leaves_a_whole_trash_and_a_run_empties_it() {
    let place = place();
    let mut daemon = configured(&place, &CONFIG.replace("WINDOW", "1s"));
    fs::write(place.path("root/file"), "1").unwrap();
    wait_for("it is in the trash", || {
        (in_trash(&place) == 2).then_some(())
    });
    daemon.kill();
    wait_for("its window ends", || {
        let age = place
            .path("root/.lapsed/trash")
            .metadata()
            .unwrap()
            .modified()
            .unwrap()
            .elapsed();
        age.is_ok_and(|age| age.as_millis() > 1_500).then_some(())
    });
    if in_trash(&place) > 0 {
        let output = place.run(&["clean", "--config", &place.config_path()]);
        assert!(
            output.status.success(),
            "{}",
            crate::common::errors(&output)
        );
    }
    assert_eq!(in_trash(&place), 0);
    assert_eq!(results(&place), ["trashed", "purged"]);
}

//! A daemon in shadow mode beside an application that removes its own jobs.

use serde_json::Value;

use super::world::{ROOTS, SOURCE, World};
use crate::common::sources::wait_for_source;
use crate::common::{path_of, wait_for};

#[test]
fn records_of_jobs_are_foretold_and_left_alone() {
    let world = World::new();
    let rules = r#"
[[rule]]
name = "done"
source = "eemt"
job = "completed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "forget"
skip_open = "if-known"
"#;
    for id in ["ours", "theirs"] {
        world.insert(id, "completed", Some(7200));
        world.write(&format!("results/{id}/a.txt"));
    }
    world.place.config(&[ROOTS, SOURCE, rules].concat());
    let config = world.place.config_path();
    let daemon = world.place.serve_ready(&["--shadow", "--config", &config]);
    wait_for_source(&daemon, "eemt", "ready");
    let find = |is: &dyn Fn(&Value) -> bool| {
        let (_, answer) = daemon.get("/v1/shadow");
        answer["things"]
            .as_array()
            .unwrap()
            .iter()
            .find(|thing| is(thing))
            .cloned()
    };
    let record = |id: &str| find(&|thing| thing["kind"] == "record" && thing["path"] == id);
    let is_file = |thing: &Value| path_of(thing).ends_with("theirs/a.txt");
    for id in ["ours", "theirs"] {
        let record = wait_for("the record is foretold", || record(id));
        assert_eq!(
            (&record["record"], &record["list"]),
            (&"forgotten".into(), &"only-lapsed".into())
        );
    }
    world.db.run("DELETE FROM jobs WHERE id = 'theirs'");
    std::fs::remove_dir_all(world.place.path("results/theirs")).unwrap();
    wait_for("the row is gone", || {
        (record("theirs")?["list"] == "both").then_some(())
    });
    wait_for("its file is gone", || {
        (find(&is_file)?["list"] == "both").then_some(())
    });
    assert_eq!(record("ours").unwrap()["list"], "only-lapsed");
    assert_eq!(world.db.value("SELECT count(*) FROM jobs"), 1);
    assert!(world.place.exists("results/ours/a.txt"));
}

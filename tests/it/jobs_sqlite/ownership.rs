//! A job is judged when everything that it owns is known: also by the first look, while its table is still being read.

use serde_json::Value;

use super::world::{World, ended};
use crate::common::sources::{tell_of, uuid};
use crate::common::wait_or_tell;

/// Uploads belong to the jobs whose rows name them; until a row is read, each of them looks like an orphan.
const CONFIG: &str = r#"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
orphans = "{uuid}/**"
[[root]]
path = "uploads"
owner = "{job}_{name}"
source = "eemt"
orphans = "{uuid}_{name}"
[[source]]
name = "eemt"
kind = "sqlite"
path = "jobs.db"
select = "SELECT id, status, completed_at, files FROM jobs"
forget = "DELETE FROM jobs WHERE id = :job"
files_root = "uploads"
[[rule]]
name = "done"
job = "completed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "forget"
[[rule]]
name = "orphans"
root = "uploads"
job = "none"
since = "mtime"
expire = "24h"
"#;

/// Rows that take longer to be read than a few files.
const OTHERS: u32 = 20_000;

/// So many jobs that are due, each with a result in a directory and an upload under another name, in a table with many others.
fn prepared(due: u32) -> World {
    let world = World::new();
    let rows = (0..due).map(|number| {
        let (id, upload) = (uuid(number), upload(number));
        world.write(&format!("results/{id}/out.tif"));
        world.write(&upload);
        let name = upload.trim_start_matches("uploads/");
        format!("('{id}', 'completed', {}, '{name}')", ended(7200))
    });
    let rows: Vec<String> = rows.collect();
    world.db.run(&format!(
        "INSERT INTO jobs(id, status, completed_at, files) VALUES {}; \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OTHERS}) \
         INSERT INTO jobs(id, status) SELECT 'other-' || i, 'running' FROM n",
        rows.join(", ")
    ));
    world.place.config(CONFIG);
    world
}

fn upload(number: u32) -> String {
    format!("uploads/{}_in.tif", uuid(1_000_000 + number))
}

/// What is left of the jobs: uploads, directories, and rows.
fn left(world: &World, due: u32) -> (usize, usize, i64) {
    let count = |path: &dyn Fn(u32) -> String| (0..due).filter(|&n| world.exists(&path(n))).count();
    let rows = world
        .db
        .value("SELECT count(*) FROM jobs WHERE status = 'completed'");
    (
        count(&upload),
        count(&|number| format!("results/{}", uuid(number))),
        rows.as_i64().unwrap(),
    )
}

#[test]
fn a_run_without_a_daemon_takes_jobs_whole_or_not_at_all() {
    for round in 0..4 {
        let world = prepared(1);
        let config = world.place.path("lapsed.toml");
        let config = config.to_str().unwrap();
        let said = |arguments: &[&str]| -> Value {
            let text = world.said(&[arguments, &["--json", "--config", config]].concat());
            serde_json::from_str(&text).unwrap()
        };
        let dry = said(&["clean", "--dry-run"]);
        assert_eq!(dry["files"], 2, "round {round}: {dry}");
        let report = said(&["clean"]);
        assert_eq!(report["files"], 2, "round {round}: {report}");
        assert_eq!(left(&world, 1), (0, 0, 0), "round {round}: {report}");
    }
}

#[test]
fn a_daemon_that_starts_takes_jobs_whole_or_not_at_all() {
    const DUE: u32 = 200;
    for round in 0..2 {
        let world = prepared(DUE);
        let daemon = world.serve_again();
        wait_or_tell(
            "all rows go",
            || (left(&world, DUE).2 == 0).then_some(()),
            || tell_of(&daemon),
        );
        assert_eq!(left(&world, DUE), (0, 0, 0), "round {round}");
    }
}

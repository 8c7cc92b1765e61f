//! Rows whose id nobody can use: what they may own stays.

use super::world::{SOURCE, World};
use crate::common::sources::{source, tell_of, uuid};
use crate::common::wait_or_tell;

const CONFIG: &str = r#"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
orphans = "{uuid}/**"
[[root]]
path = "uploads"
source = "eemt"
orphans = "{uuid}_{name}"
[[rule]]
name = "orphans"
job = "none"
expire = "1s"
"#;

#[test]
fn what_a_row_without_an_id_names_is_no_orphan() {
    for id in ["NULL", "''"] {
        let world = World::new();
        let [named, other] = [1, 2].map(|no| format!("uploads/{}_in.wav", uuid(no)));
        world.write(&named);
        world.write(&other);
        world.insert("a", "running", None);
        let file = world.place.path(&named);
        let file = file.to_str().unwrap();
        world.db.run(&format!(
            "INSERT INTO jobs(id, status, files) VALUES({id}, 'completed', '{file}')"
        ));
        let daemon = world.serve_config(&[CONFIG, SOURCE].concat());
        world.wait_until_gone(&daemon, &other);
        assert!(world.place.path(&named).exists(), "{}", tell_of(&daemon));
        let why = world.said(&["explain", file]);
        assert!(why.contains("neither text nor an integer"), "{why}");
        assert_eq!(source(&daemon, "eemt")["jobs"], 1);
        world.db.run("DELETE FROM jobs WHERE id IS NOT 'a'");
        world.wait_until_gone(&daemon, &named);
    }
}

#[test]
fn a_row_whose_id_cannot_be_read_makes_nothing_an_orphan() {
    for id in ["x'00112233'", "CAST(x'ff' AS TEXT)"] {
        let world = World::new();
        let paths = [
            format!("uploads/{}_in.wav", uuid(1)),
            format!("results/{}/out", uuid(2)),
        ];
        for path in &paths {
            world.write(path);
        }
        world.insert("a", "running", None);
        world.db.run(&format!(
            "INSERT INTO jobs(id, status) VALUES({id}, 'completed')"
        ));
        let daemon = world.serve_config(&[CONFIG, SOURCE].concat());
        wait_or_tell(
            "both are held",
            || {
                let held = daemon.files("?hold=claim-refused");
                (held.len() == 2).then_some(())
            },
            || tell_of(&daemon),
        );
        for said in [
            world.said(&["status"]),
            world.said(&["explain", world.place.path(&paths[0]).to_str().unwrap()]),
        ] {
            assert!(
                said.contains("neither text nor an integer") && said.contains("out of select"),
                "{said}"
            );
        }
        world.db.run(&format!("DELETE FROM jobs WHERE id = {id}"));
        for path in &paths {
            world.wait_until_gone(&daemon, path);
        }
    }
}

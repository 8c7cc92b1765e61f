//! Rows that name their files in a way that cannot be understood: as a container sees them, through links, with `..`.

use super::world::{SOURCE, World, ended, wait_for_hold};
use crate::common::Daemon;
use crate::common::sources::{tell_of, uuid};
use crate::common::wait_or_tell;

const ROOTS: &str = r#"
[[root]]
path = "uploads"
owner = "{job}_{name}"
source = "eemt"
orphans = "{uuid}_{name}"
[[root]]
path = "exports"
source = "eemt"
[[rule]]
name = "orphans"
job = "none"
expire = "1s"
"#;

/// All that a job owned goes at its end; then its row is marked, or goes as well.
fn of_jobs(record: &str) -> String {
    format!(
        "[[rule]]\nname = \"ended\"\nsource = \"eemt\"\njob = [\"completed\", \"failed\"]\nunit = \"job\"\nsince = \"completed_at\"\nexpire = \"0s\"\nrecord = \"{record}\"\n"
    )
}

fn claim(world: &World, id: &str, status: &str, file: &str) {
    let ended = if status == "running" {
        "NULL".to_owned()
    } else {
        ended(60)
    };
    world.db.run(&format!(
        "INSERT INTO jobs(id, status, completed_at, files) VALUES('{id}', '{status}', {ended}, '{file}')"
    ));
}

/// Waits until the entry at `path` is held as one that a refused claim may mean.
#[track_caller]
fn wait_until_held(world: &World, daemon: &Daemon, path: &str) {
    let wanted = world.place.path(path);
    wait_or_tell(
        &format!("{path} is held"),
        || {
            assert!(wanted.exists(), "{path} was removed: {}", tell_of(daemon));
            let held = daemon.files("?hold=claim-refused");
            held.iter().any(|(path, _)| *path == wanted).then_some(())
        },
        || tell_of(daemon),
    );
}

#[test]
fn an_upload_whose_running_job_names_it_otherwise_is_no_orphan() {
    let name = format!("{}_in.wav", uuid(1));
    let spellings = |world: &World| {
        let at = |path: &str| world.place.path(path).to_str().unwrap().to_owned();
        [
            format!("/data/uploads/{name}"),
            format!("{}/{name}", at("linked")),
            format!("{}/../uploads/{name}", at("exports")),
            format!("uploads/../uploads/{name}"),
        ]
    };
    for way in 0..4 {
        let world = World::new();
        world.place.make_dir("exports");
        std::os::unix::fs::symlink(world.place.path("uploads"), world.place.path("linked"))
            .unwrap();
        let file = spellings(&world)[way].clone();
        let upload = format!("uploads/{name}");
        world.write(&upload);
        claim(&world, "live", "running", &file);
        claim(&world, "another", "running", "uploads/another.wav");
        let daemon = world.serve_config(&[ROOTS, SOURCE].concat());
        wait_until_held(&world, &daemon, &upload);
        // So is every other orphan, while the job has not ended.
        let other = format!("uploads/{}_other", uuid(2));
        world.write(&other);
        wait_until_held(&world, &daemon, &other);
        let path = world.place.path(&upload);
        let why = world.said(&["explain", path.to_str().unwrap()]);
        for word in ["live", &*file, "path_map", "files_root"] {
            assert!(why.contains(word), "{word}: {why}");
        }
        world.complete("live", 60);
        world.wait_until_gone(&daemon, &other);
        wait_until_held(&world, &daemon, &upload);
        // The row says it as we understand it, and then lets it go.
        world.db.run(&format!(
            "UPDATE jobs SET files = 'uploads/{name}' WHERE id = 'live'"
        ));
        world.wait_for_job(&daemon, "live", |job| job["status"] == "completed");
        world.db.run("DELETE FROM jobs WHERE id = 'live'");
        world.wait_until_gone(&daemon, &upload);
    }
}

#[test]
fn path_map_says_what_a_container_means() {
    let world = World::new();
    world.place.make_dir("exports");
    let upload = format!("uploads/{}_in.wav", uuid(1));
    world.write(&upload);
    world.write("exports/a.zip");
    claim(&world, "live", "running", &format!("/data/{upload}"));
    claim(&world, "over", "completed", "/data/out/a.zip");
    let map = "path_map = { \"/data\" = \".\", \"/data/out\" = \"exports\" }\n";
    let rules = of_jobs("mark");
    let config = [ROOTS, SOURCE, &rules].concat();
    // Without it, `check` and `status` say that there is something to be mended.
    world.place.config(&config);
    let path = world.place.path("lapsed.toml");
    let path = path.to_str().unwrap();
    let refused = "2 claims of 2 jobs are refused, such as \"/data/uploads";
    let check = world.said(&["check", "--config", path]);
    assert!(
        check.contains(refused) && check.contains("path_map"),
        "{check}"
    );
    let daemon = world.serve_config(&config);
    let status = world.said(&["status"]);
    assert!(
        status.contains(refused) && status.contains("path_map"),
        "{status}"
    );
    let told = crate::common::sources::source(&daemon, "eemt")["refused_claims"].clone();
    assert_eq!(
        (&told["claims"], &told["job"]),
        (&2.into(), &"live".into()),
        "{told}"
    );
    drop(daemon);

    let daemon = world.serve_config(&[ROOTS, SOURCE, map, &rules].concat());
    let orphan = format!("uploads/{}_other", uuid(2));
    world.write(&orphan);
    world.wait_until_gone(&daemon, "exports/a.zip");
    world.wait_until_marked(&daemon, "over");
    world.wait_until_gone(&daemon, &orphan);
    assert!(world.exists(&upload));
    let check = world.said(&["check", "--json", "--config", path]);
    let check: serde_json::Value = serde_json::from_str(&check).unwrap();
    let source = &check["sources"][0];
    assert!(source["refused_claims"].is_null(), "{source}");
    let exports = world.place.path("exports");
    assert_eq!(
        source["path_map"]["/data/out"],
        exports.to_str().unwrap(),
        "{source}"
    );
}

#[test]
fn a_claim_of_a_file_in_a_root_behind_a_link_is_of_that_file() {
    let world = World::new();
    let place = |path: &str| world.place.path(path);
    world.place.make_dir("disk");
    std::fs::remove_dir(place("uploads")).unwrap();
    std::os::unix::fs::symlink(place("disk"), place("uploads")).unwrap();
    world.place.make_dir("exports");
    let [relative, absolute, other] = [1, 2, 3].map(|number| format!("uploads/{}_x", uuid(number)));
    for path in [&relative, &absolute, &other] {
        world.write(path);
    }
    claim(&world, "relative", "running", &relative);
    claim(
        &world,
        "absolute",
        "running",
        place(&absolute).to_str().unwrap(),
    );
    let daemon = world.serve_config(&[ROOTS, SOURCE].concat());
    world.wait_until_gone(&daemon, &other);
    assert!(world.exists(&relative) && world.exists(&absolute));
}

#[test]
fn a_claim_through_a_link_within_a_root_holds_the_file_and_the_row() {
    let world = World::new();
    world.place.make_dir("exports");
    let at = |path: &str| world.place.path(path);
    std::os::unix::fs::symlink(at("uploads"), at("uploads/current")).unwrap();
    let upload = format!("uploads/{}_in.wav", uuid(1));
    let other = format!("uploads/{}_other", uuid(2));
    world.write(&upload);
    world.write(&other);
    let through = format!("uploads/current/{}_in.wav", uuid(1));
    claim(&world, "live", "running", &through);
    // A file that is not there yet holds none of another name.
    claim(&world, "waits", "running", "exports/deep/later.zip");
    let daemon = world.serve_config(&[ROOTS, SOURCE, &of_jobs("forget")].concat());
    world.wait_until_gone(&daemon, &other);
    let why = wait_for_hold(&daemon, "claim-refused");
    assert!(why.contains("through a symbolic link"), "{why}");
    assert!(world.exists(&upload), "{}", tell_of(&daemon));
    // Its row stays as long as it says so, too.
    world.complete("live", 60);
    wait_or_tell(
        "the job is held",
        || {
            let (_, status) = daemon.get("/v1/status");
            let held = status["jobs"]["completed"] == 1 && status["jobs"]["running"] == 1;
            held.then_some(())
        },
        || tell_of(&daemon),
    );
    // A job that ended later is through with, so this one was looked at.
    claim(&world, "canary", "completed", "exports/canary.zip");
    let gone = "SELECT count(*) FROM jobs WHERE id = 'canary'";
    wait_or_tell(
        "another row goes",
        || (world.db.value(gone) == 0).then_some(()),
        || tell_of(&daemon),
    );
    let left = "SELECT count(*) FROM jobs WHERE id = 'live'";
    assert_eq!(world.db.value(left), 1, "{}", tell_of(&daemon));
}

#[test]
fn a_row_is_neither_marked_nor_deleted_while_its_file_is_not_known() {
    for record in ["mark", "forget"] {
        let world = World::new();
        world.place.make_dir("exports");
        let exports = ["a.zip", "b.zip"].map(|name| format!("exports/{name}"));
        for export in &exports {
            world.write(export);
        }
        claim(&world, "known", "completed", "exports/a.zip");
        claim(&world, "unknown", "completed", "/data/exports/b.zip");
        let config = [ROOTS, SOURCE, &of_jobs(record)].concat();
        let daemon = world.serve_config(&config);
        world.wait_until_gone(&daemon, &exports[0]);
        let why = wait_for_hold(&daemon, "claim-refused");
        for word in ["\"unknown\"", "\"/data/exports/b.zip\"", "path_map"] {
            assert!(why.contains(word), "{record}: {why}");
        }
        let job = world.said(&["job", "get", "unknown"]);
        assert!(job.contains("refused"), "{record}: {job}");
        let left = "SELECT count(*) FROM jobs WHERE cleaned_at IS NULL";
        wait_or_tell(
            "the other row is through with",
            || (world.db.value(left) == 1).then_some(()),
            || tell_of(&daemon),
        );
        assert!(world.exists(&exports[1]), "{record}");
        // Once it is known which file it is, that goes first, then the row.
        world
            .db
            .run("UPDATE jobs SET files = 'exports/b.zip' WHERE id = 'unknown'");
        world.wait_until_gone(&daemon, &exports[1]);
        wait_or_tell(
            "its row is through with",
            || (world.db.value(left) == 0).then_some(()),
            || tell_of(&daemon),
        );
    }
}

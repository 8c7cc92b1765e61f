//! Rows are data from outside: whatever they say, nothing goes that is not a job's own.

use super::world::{COMPLETED, ROOTS, SOURCE, World, wait_for_hold};
use crate::common::sources::source;
use crate::common::trees::{snapshot, write};
use crate::common::wait_for;

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn insert(world: &World, id: &str, files: &str) {
    world.db.run(&format!(
        "INSERT INTO jobs(id, status, completed_at, files) VALUES({}, 'completed', '2001-02-03 04:05:06', {})",
        quoted(id),
        quoted(files)
    ));
}

#[test]
fn claims_that_lead_elsewhere_are_refused_and_said() {
    let world = World::new();
    let outside = world.place.make_dir("outside");
    write(&outside.join("passwd"), 9);
    write(&outside.join("sub/deep"), 9);
    world.place.make_dir("audio");
    std::os::unix::fs::symlink(&outside, world.place.path("audio/link")).unwrap();
    let before = snapshot(&outside);
    let daemon = world.serve(COMPLETED);
    let own = world.write("audio/own.wav");
    let kept = world.write("audio/kept.wav");
    world.write("results/other/file");
    let at = |name: &str| world.place.path(name).display().to_string();
    let claims = [
        "../../etc/passwd".to_owned(),
        "../outside/passwd".to_owned(),
        "audio/../outside/passwd".to_owned(),
        at("outside/passwd"),
        at("outside"),
        at("jobs.db"),
        at("audio"),
        "audio".to_owned(),
        "audio/".to_owned(),
        "/".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "x".repeat(10_000),
        "audio/link/passwd".to_owned(),
        at("audio/.lapsed"),
        "nul\u{0}byte".to_owned(),
    ];
    let mut all: Vec<String> = claims.to_vec();
    all.push("own.wav".to_owned());
    daemon.sync();
    insert(&world, "hostile", &serde_json::to_string(&all).unwrap());
    wait_for_hold(&daemon, "claim-refused");
    world.canary(&daemon, "canary");
    assert!(own.exists() && kept.exists());
    assert!(
        snapshot(&outside) == before,
        "something outside was touched"
    );
    assert!(
        world.exists("audio/link") && world.exists("results/other/file") && world.exists("jobs.db")
    );

    let (status, job) = daemon.get("/v1/jobs/hostile");
    assert_eq!(status, 200, "{job}");
    let states: Vec<(&str, &str)> = job["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| {
            (
                claim["file"].as_str().unwrap(),
                claim["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states.len(), all.len(), "{states:?}");
    for (claim, (file, state)) in claims.iter().zip(&states) {
        assert_eq!(file, claim);
        // A quarantine belongs to no job.
        let leads_into_a_root = claim == "audio" || claim.contains("link/");
        assert_eq!(*state == "ok", leads_into_a_root, "{claim}: {state}");
    }
    let told = world.said(&["job", "get", "hostile"]);
    for part in [
        "it holds \"..\"",
        "lies beneath no root",
        "is a root itself",
        "longer than 4096 bytes",
        "NUL",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let said = daemon.said();
    for part in [
        "a claim is refused: it holds \\\"..\\\"",
        "is a root itself",
        "longer than 4096 bytes",
    ] {
        assert!(
            said.contains(part) || said.contains(&part.replace('\\', "")),
            "{part}: {said}"
        );
    }
    world
        .db
        .run("UPDATE jobs SET files = 'own.wav' WHERE id = 'hostile'");
    world.wait_until_gone(&daemon, "audio/own.wav");
    assert!(kept.exists());
}

#[test]
fn ids_are_keys_and_never_paths() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let kept = [
        "results/a/b/file",
        "results/plain/file",
        "uploads/x_y",
        "audio/z",
    ]
    .map(|path| world.write(path));
    let outside = world.write("outside/file");
    let long = "i".repeat(10_000);
    let ids = [
        "a/b",
        "..",
        ".",
        "../outside",
        "results",
        "/",
        "*",
        "{job}",
        "new\nline",
        "tab\t",
        "nul\u{1}",
        "é\u{202e}",
        &long,
    ];
    daemon.sync();
    for id in ids {
        insert(&world, id, "");
    }
    for id in ids {
        let sql = format!("SELECT marks FROM jobs WHERE id = {}", quoted(id));
        wait_for(
            &format!("job {:?} is through", &id[..id.len().min(20)]),
            || (world.db.value(&sql) == 1).then_some(()),
        );
    }
    world.canary(&daemon, "canary");
    for path in kept.iter().chain([&outside]) {
        assert!(path.exists(), "{}", path.display());
    }
    let listed = world.said(&["job", "ls"]);
    assert!(
        !listed.contains('\t') && !listed.contains('\u{202e}') && !listed.contains('\u{1}'),
        "{listed:?}"
    );
    let (status, job) = daemon.get("/v1/jobs/new%0Aline");
    assert_eq!(
        (status, job["id"].as_str()),
        (200, Some("new\nline")),
        "{job}"
    );
    assert!(
        daemon.said().lines().all(|line| !line.starts_with("line")),
        "{}",
        daemon.said()
    );
}

#[test]
fn what_two_jobs_claim_stays_while_one_of_them_runs() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let shared = world.write("audio/shared.wav");
    let derived = world.write("audio/shared_processed.mp3");
    let theirs = world.write("results/theirs/file");
    daemon.sync();
    world.insert("theirs", "running", None);
    world
        .db
        .run("UPDATE jobs SET files = 'shared.wav' WHERE id = 'theirs'");
    // The other one claims all of it.
    insert(
        &world,
        "greedy",
        "[\"shared.wav\", \"results/theirs/file\", \"results/theirs\"]",
    );
    world.canary(&daemon, "canary");
    for path in [&shared, &derived, &theirs] {
        assert!(path.exists(), "{}", path.display());
    }
    let why = crate::common::evidence::explained(&world.place, &shared);
    assert!(why.contains("theirs"), "{why}");
    // Whether it goes at all once both have let go is not asked here: the other one's row may have been marked before.
    world.complete("theirs", 7200);
    world.wait_until_marked(&daemon, "theirs");
}

#[test]
fn a_status_nobody_explained_counts_as_running_and_is_said_once() {
    let world = World::new();
    let source_text = SOURCE.replace(
        "files_root",
        "statuses = { fertig = \"completed\" }\nfiles_root",
    );
    let daemon = world.serve_config(&[ROOTS, &source_text, COMPLETED].concat());
    let odd: Vec<_> = (0..3)
        .map(|number| world.write(&format!("results/odd{number}/file")))
        .collect();
    world.write("results/done/file");
    daemon.sync();
    for number in 0..3 {
        world.insert(&format!("odd{number}"), "half-baked", Some(7200));
    }
    world.insert("done", "fertig", Some(7200));
    world.wait_until_gone(&daemon, "results/done");
    world.canary(&daemon, "canary");
    assert!(odd.iter().all(|path| path.exists()));
    let said = daemon.said();
    assert_eq!(said.matches("half-baked").count(), 1, "{said}");
    let told = world.said(&["job", "get", "odd1"]);
    assert!(
        told.contains("running")
            && told.contains("half-baked")
            && told.contains("counts as running"),
        "{told}"
    );
    assert_eq!(source(&daemon, "eemt")["jobs"], 5);
}

#[test]
fn a_value_that_cannot_be_read_holds_its_job_and_is_said() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let file = world.write("results/odd/file");
    daemon.sync();
    world.insert("odd", "completed", Some(7200));
    let _ = &file;
    world.write("results/odd2/file");
    daemon.sync();
    world.db.run("INSERT INTO jobs(id, status, created_at, completed_at) VALUES('odd2', 'completed', 'the day before', '2001-01-01 00:00:00')");
    world.canary(&daemon, "canary");
    assert!(world.exists("results/odd2/file"));
    assert_eq!(world.marks("odd2"), 0);
    let told = world.said(&["job", "get", "odd2"]);
    assert!(
        told.contains("nothing of it goes") && told.contains("the day before"),
        "{told}"
    );
    assert!(
        daemon.said().contains("the day before"),
        "{}",
        daemon.said()
    );
    world
        .db
        .run("UPDATE jobs SET created_at = NULL WHERE id = 'odd2'");
    world.wait_until_gone(&daemon, "results/odd2");
}

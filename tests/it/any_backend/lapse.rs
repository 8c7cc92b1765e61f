//! From creation to lapse, on the real binary: each file and directory goes when its rule says, and nothing else does.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Place, lines, wait_for, walk};
use serde_json::Value;

fn history(place: &Place) -> Vec<Value> {
    let output = place.run(&["history", "--json"]);
    assert!(
        output.status.success(),
        "{}",
        crate::common::errors(&output)
    );
    lines(&output)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The newest of a file's own timestamps, in milliseconds.
fn newest_ms(path: &Path) -> i128 {
    let meta = path.metadata().unwrap();
    let born = meta
        .created()
        .unwrap()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let of = |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    let newest = of(meta.mtime(), meta.mtime_nsec()).max(of(meta.ctime(), meta.ctime_nsec()));
    newest
        .max(i128::try_from(born).unwrap())
        .div_euclid(1_000_000)
}

fn set_mtime(path: &Path, back: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - back).unwrap();
}

#[test]
fn a_file_lives_exactly_its_time() {
    let place = Place::new();
    let daemon = place.serve_ready(&[
        "--watch",
        &format!("{}=1500ms", place.path("scratch").display()),
    ]);
    daemon.wait_until_said("created");
    let file = place.path("scratch/a/b/hello");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, b"hello").unwrap();
    let newest = newest_ms(&file);

    daemon.sync();
    let entry = daemon.files("")[&file].clone();
    assert_eq!(
        (entry["size"].as_u64(), entry["root"].as_str()),
        (Some(5), Some("scratch"))
    );
    assert_eq!(
        (&entry["hold"], &entry["job"], &entry["status"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    wait_for("the file lapses", || (!file.exists()).then_some(()));
    let gone = i128::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap();
    assert!(
        gone >= newest + 1500,
        "gone {} ms after its newest timestamp",
        gone - newest
    );

    let line = wait_for("the ledger tells", || history(&place).pop());
    assert_eq!(line["path"].as_str(), file.to_str());
    assert_eq!(
        (line["files"].as_u64(), line["bytes"].as_u64()),
        (Some(1), Some(5))
    );
    assert!(line["late_ms"].as_i64().unwrap() >= 0, "{line}");
    wait_for("the index forgets it", || {
        daemon.files("").is_empty().then_some(())
    });
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["lateness"]["count"].as_u64(), Some(1));
    assert!(status["lateness"]["min_ms"].as_i64().unwrap() >= 0);
    assert!(
        file.parent().unwrap().exists(),
        "directories stay, unless they are asked to go"
    );
    assert_eq!(
        std::fs::read_dir(place.path("scratch/.lapsed"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn all_names_of_a_file_go_at_its_time() {
    let place = Place::new();
    let daemon = place.serve_ready(&[
        "--watch",
        &format!("{}=2s", place.path("scratch").display()),
    ]);
    for dir in ["scratch/a", "scratch/b"] {
        std::fs::create_dir_all(place.path(dir)).unwrap();
    }
    let first = place.path("scratch/a/0");
    std::fs::write(&first, b"hello").unwrap();
    let mut names = vec![first.clone()];
    for number in 1..20 {
        let dir = if number % 2 == 0 { "a" } else { "b" };
        let name = place.path(&format!("scratch/{dir}/{number}"));
        std::fs::hard_link(&first, &name).unwrap();
        names.push(name);
    }
    daemon.sync();
    let newest = newest_ms(&first);
    wait_for("all names are gone", || {
        names.iter().all(|name| !name.exists()).then_some(())
    });
    let lines = wait_for("the ledger tells of all", || {
        Some(history(&place)).filter(|lines| lines.len() == names.len())
    });
    // Each removal moves the change time of the file: none of the other names lives longer for that.
    for line in &lines {
        let basis = humantime::parse_rfc3339(line["basis"].as_str().unwrap()).unwrap();
        let basis = basis.duration_since(UNIX_EPOCH).unwrap().as_millis();
        let basis = i128::try_from(basis).unwrap();
        assert!((newest..=newest + 1).contains(&basis), "{newest}: {line}");
    }
}

#[test]
fn a_file_that_changes_gets_a_new_deadline() {
    let place = Place::new();
    let daemon = place.serve_ready(&[
        "--watch",
        &format!("{}=2s", place.path("scratch").display()),
    ]);
    let file = place.path("scratch/log");
    std::fs::write(&file, b"1").unwrap();
    daemon.sync();
    let deadline = |daemon: &crate::common::Daemon| {
        daemon.files("")[&file]["deadline"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = deadline(&daemon);
    wait_for("the file is written again in a later millisecond", || {
        std::fs::write(&file, b"22").unwrap();
        daemon.sync();
        (deadline(&daemon) > first).then_some(())
    });
    let newest = newest_ms(&file);
    wait_for("the file lapses", || (!file.exists()).then_some(()));
    let gone = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    assert!(i128::try_from(gone).unwrap() >= newest + 2000);
}

#[test]
fn rules_match_in_order_and_what_none_matches_is_kept_for_ever() {
    let place = Place::new();
    let root = place.make_dir("data");
    for dir in ["sub", "inbox", "sub/kept"] {
        place.make_dir(&format!("data/{dir}"));
    }
    let names = [
        "a.tmp",
        "sub/b.tmp",
        "inbox/c.tmp",
        "sub/kept/d.tmp",
        "e.dat",
        "sub/f.old",
    ];
    for name in names {
        std::fs::write(root.join(name), b"x").unwrap();
        set_mtime(&root.join(name), Duration::from_hours(2));
    }
    let config = place.config(
        r#"
        [[root]]
        name = "data"
        path = "data"
        [[rule]]
        name = "tmp"
        glob = "**/*.tmp"
        exclude = "inbox"
        keep = ["**/kept"]
        since = "mtime"
        expire = "1h"
        [[rule]]
        name = "old, but not yet"
        glob = "**/*.old"
        since = "mtime"
        expire = "3h"
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    wait_for("both go", || {
        (!root.join("a.tmp").exists() && !root.join("sub/b.tmp").exists()).then_some(())
    });
    daemon.sync();
    let left = walk(&root);
    let expected: Vec<_> = ["e.dat", "inbox/c.tmp", "sub/f.old", "sub/kept/d.tmp"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    assert_eq!(left.keys().cloned().collect::<Vec<_>>(), expected);
    let unruled: Vec<_> = daemon.files("?rule=none").into_keys().collect();
    assert_eq!(unruled, [root.join("e.dat"), root.join("inbox/c.tmp")]);
    assert_eq!(
        daemon.files("")[&root.join("sub/kept/d.tmp")]["deadline"],
        Value::Null
    );
    assert_eq!(
        daemon.files("")[&root.join("sub/f.old")]["rule"],
        "old, but not yet"
    );
}

#[test]
fn a_directory_lapses_as_a_whole_when_its_newest_thing_is_old_enough() {
    let place = Place::new();
    let root = place.make_dir("jobs");
    let config = place.config(
        r#"
        [[root]]
        name = "jobs"
        path = "jobs"
        owner = "{job}/**"
        [[rule]]
        name = "jobs"
        unit = "dir"
        expire = "2s"
        keep = ["**/*.log"]
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    for dir in ["one/deep/er", "two", "three"] {
        place.make_dir(&format!("jobs/{dir}"));
    }
    for file in ["one/deep/er/x", "one/y", "two/z", "two/run.log"] {
        std::fs::write(root.join(file), b"12345").unwrap();
    }
    std::fs::write(root.join("not-in-a-directory"), b"").unwrap();
    daemon.sync();
    assert_eq!(daemon.files("?job=one").len(), 2);
    let x = &daemon.files("")[&root.join("one/deep/er/x")];
    assert!(x["deadline"].is_string() && x["job"] == "one", "{x}");

    // A job that still writes deep inside keeps all of it.
    let newest = wait_for("the others lapse", || {
        std::fs::write(root.join("one/deep/er/x"), b"67890").unwrap();
        let newest = newest_ms(&root.join("one/deep/er/x"));
        (!root.join("two/z").exists() && !root.join("three").exists()).then_some(newest)
    });
    assert!(
        root.join("one/y").exists(),
        "a directory went while something in it was young"
    );
    assert!(
        root.join("two/run.log").exists(),
        "what `keep` names survives"
    );
    wait_for("the directory goes", || {
        (!root.join("one").exists()).then_some(())
    });
    let gone = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    assert!(i128::try_from(gone).unwrap() >= newest + 2000);
    assert!(root.join("not-in-a-directory").exists());
    let line = wait_for("the ledger tells", || {
        history(&place)
            .into_iter()
            .find(|line| line["path"].as_str() == root.join("one").to_str())
    });
    assert_eq!(
        (
            line["unit"].as_str(),
            line["files"].as_u64(),
            line["bytes"].as_u64()
        ),
        (Some("dir"), Some(2), Some(10))
    );
}

#[test]
fn directories_that_were_emptied_go_when_asked_and_others_stay() {
    let place = Place::new();
    place.make_dir("data/emptied/by/us");
    place.make_dir("data/empty/before");
    std::fs::write(place.path("data/emptied/by/us/x"), b"").unwrap();
    let config = place.config(
        r#"
        [[root]]
        path = "data"
        prune_empty_dirs = true
        [[rule]]
        expire = "100ms"
        "#,
    );
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    wait_for("the emptied directories go", || {
        (!place.path("data/emptied").exists()).then_some(())
    });
    assert!(place.path("data/empty/before").exists());
    assert!(place.path("data").exists());
}

#[test]
fn a_dry_run_tells_and_removes_nothing() {
    let place = Place::new();
    let root = place.make_dir("data");
    std::fs::write(root.join("old"), b"").unwrap();
    let daemon = place.serve_ready(&["--dry-run", "--watch", &format!("{}=0s", root.display())]);
    daemon.wait_until_said("would lapse");
    daemon.sync();
    assert_eq!(daemon.files("")[&root.join("old")]["hold"], "dry-run");
    assert!(root.join("old").exists());
    assert!(!root.join(".lapsed").exists(), "a dry run leaves no trace");
}

#[test]
fn an_open_file_is_held_until_it_is_closed() {
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", &format!("{}=200ms", root.display())]);
    let open = std::fs::File::create(root.join("open")).unwrap();
    wait_for("it is held", || {
        let files = daemon.files("");
        files
            .get(&root.join("open"))
            .is_some_and(|entry| entry["hold"] == "open")
            .then_some(())
    });
    let explained = place.run(&["explain", root.join("open").to_str().unwrap()]);
    assert!(
        lines(&explained).join("\n").contains("open"),
        "{explained:?}"
    );
    assert!(root.join("open").exists());
    drop(open);
    wait_for("it goes", || (!root.join("open").exists()).then_some(()));
}

#[test]
fn what_comes_with_a_directory_that_is_moved_in_has_just_arrived() {
    let place = Place::new();
    let root = place.make_dir("data");
    place.make_dir("outside/old");
    std::fs::write(place.path("outside/old/x"), b"").unwrap();
    let born = newest_ms(&place.path("outside/old/x"));
    // Older than the time to live before it arrives, and its change time does not tell when it came.
    wait_for("it is old", || {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis();
        (i128::try_from(now).unwrap() > born + 3500).then_some(())
    });
    let daemon = place.serve_ready(&["--watch", &format!("{}=3s", root.display())]);
    let arrived = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    std::fs::rename(place.path("outside/old"), root.join("old")).unwrap();
    daemon.sync();
    assert!(root.join("old/x").exists());
    wait_for("it lapses", || (!root.join("old/x").exists()).then_some(()));
    let gone = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    assert!(
        gone >= arrived + 3000,
        "gone {} ms after it arrived",
        gone - arrived
    );
}

//! Limits on the real binary: what is too much goes in order, down to the low mark and not further.

mod volumes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::common::evidence::ledger;
use crate::common::{Daemon, Place, errors, wait_for, walk};

/// Bytes of a file that takes so many blocks of 4 KiB.
fn content(blocks: usize) -> Vec<u8> {
    vec![b'x'; blocks * 4096]
}

/// Writes a file whose times are all later than those of the one before.
fn write(path: &Path, blocks: usize) {
    std::thread::sleep(Duration::from_millis(15));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content(blocks)).unwrap();
}

fn names(root: &Path) -> Vec<String> {
    let found = walk(root).into_keys();
    found
        .map(|path| {
            path.strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string()
        })
        .collect()
}

/// A place with a root, and a daemon with these limits of its one rule.
fn begin(limit: &str, more: &str) -> (Place, PathBuf, Daemon) {
    let place = Place::new();
    let root = place.make_dir("cache");
    let root_path = root.display();
    let config = place.config(&format!(
        "[[root]]\npath = \"{root_path}\"\n{more}\n[[rule]]\nname = \"cache\"\nexpire = \"never\"\n{limit}\n"
    ));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    (place, root, daemon)
}

#[track_caller]
fn wait_until_left(daemon: &Daemon, root: &Path, expected: &[&str]) {
    crate::common::wait_or_tell(
        "the limit has removed what is too much",
        || {
            let left = names(root);
            assert!(
                expected
                    .iter()
                    .all(|name| left.iter().any(|one| one == name)),
                "{left:?}"
            );
            (left == expected).then_some(())
        },
        || format!("{:?} are left; {}", names(root), daemon.said()),
    );
}

#[test]
fn the_oldest_files_go_until_the_low_mark_and_the_ledger_names_the_limit() {
    let limit = "limit = { max_size = \"40KiB\", down_to = \"28KiB\" }";
    let (place, root, daemon) = begin(limit, "");
    for number in 0..10 {
        write(&root.join(format!("f{number}")), 1);
    }
    daemon.sync();
    assert_eq!(names(&root).len(), 10);
    write(&root.join("g"), 1);
    wait_until_left(&daemon, &root, &["f4", "f5", "f6", "f7", "f8", "f9", "g"]);
    let lines = wait_for("the ledger tells", || {
        let lines = ledger(&place);
        (lines.len() == 4).then_some(lines)
    });
    assert!(
        lines
            .iter()
            .all(|line| line["limit"] == "max_size" && line["rule"] == "cache"),
        "{lines:?}"
    );
    // The ledger has it before the answer has come back.
    wait_for("the limit is met", || {
        let (status, limits) = daemon.get("/v1/limits");
        let of = &limits["limits"][0];
        assert_eq!((status, &of["rule"]), (200, &Value::from("cache")));
        let sums = (of["bytes"].as_u64(), of["files"].as_u64());
        (of["state"] == "met" && sums == (Some(7 * 4096), Some(7))).then_some(())
    });
    let told = place.said(&["status"]);
    assert!(
        told.contains("limit    cache: ") && told.contains("28 KiB of 40 KiB"),
        "{told}"
    );
    // It stays there, and fills up again before anything goes.
    for number in 0..3 {
        write(&root.join(format!("h{number}")), 1);
    }
    daemon.sync();
    assert_eq!(names(&root).len(), 10);
}

#[test]
fn the_largest_go_first_where_that_is_the_order() {
    let limit = "limit = { max_size = \"100KiB\", order = \"largest\" }";
    let (_place, root, daemon) = begin(limit, "");
    for (name, blocks) in [("small", 1), ("huge", 14), ("large", 8), ("some", 3)] {
        write(&root.join(name), blocks);
    }
    wait_until_left(&daemon, &root, &["large", "small", "some"]);
}

#[test]
fn a_pinned_file_and_those_of_a_job_that_runs_are_passed_over() {
    let limit = "limit = { max_files = 2 }";
    let (place, root, daemon) = begin(limit, "owner = \"{job}/**\"");
    let output = place.run(&["job", "put", "busy", "--status", "running"]);
    assert!(output.status.success(), "{}", errors(&output));
    for id in ["done", "kept"] {
        let output = place.run(&["job", "put", id, "--status", "completed"]);
        assert!(output.status.success(), "{}", errors(&output));
    }
    write(&root.join("busy/one"), 1);
    write(&root.join("kept/one"), 1);
    let kept = root.join("kept");
    let output = place.run(&[
        "pin",
        "add",
        kept.to_str().unwrap(),
        "--for",
        "1h",
        "--why",
        "mine",
    ]);
    assert!(output.status.success(), "{}", errors(&output));
    for number in 0..3 {
        write(&root.join(format!("done/{number}")), 1);
    }
    wait_until_left(&daemon, &root, &["busy/one", "kept/one"]);
}

#[test]
fn an_explanation_tells_the_place_in_the_order_of_a_limit() {
    let (place, root, daemon) = begin("limit = { max_files = 4, min_age = \"1h\" }", "");
    for name in ["f1", "f2", "f3"] {
        write(&root.join(name), 1);
    }
    daemon.sync();
    let why = place.said(&["explain", root.join("f3").to_str().unwrap()]);
    let before = root.join("f2");
    let expected = format!(
        "the limit of rule \"cache\" is not exceeded now; it removes the oldest first: 2 things go before it, last \"{}\"; it is too \
         young for that until ",
        before.display()
    );
    assert!(why.contains(&expected), "{why}");
    let (_, explanation) = daemon.get(&format!("/v1/explain?path={}", root.join("f1").display()));
    let limit = &explanation["limits"][0];
    assert_eq!(
        (&limit["ahead"], &limit["next_ahead"]),
        (&Value::from(0), &Value::Null),
        "{limit}"
    );
    assert_eq!(
        (&limit["order"], &limit["max_files"]),
        (&Value::from("oldest"), &Value::from(4))
    );
}

#[test]
fn a_check_and_a_plan_tell_what_a_limit_would_remove() {
    let place = Place::new();
    let root = place.make_dir("cache");
    let config = place.config(
        "[[root]]\npath = \"cache\"\nlimit = { max_size = \"1GiB\" }\n[[rule]]\nname = \"cache\"\nexpire = \"1d\"\n\
         keep_last = 1\nlimit = { max_files = 2, min_free_inodes = \"1%\", keep_at_least = 1, min_age = \"0s\" }\n",
    );
    for name in ["f1", "f2", "f3", "f4", "f5"] {
        write(&root.join(name), 1);
    }
    let config = config.to_str().unwrap();
    let told = place.said(&["check", "--config", config]);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "; at most 1.0 GiB, else the oldest go first",
        "; the newest 1 of all of them stay; at most 2 files and 1 % of its inodes free, else the oldest go first",
        "limit of cache: 3 files go now; `lapsed clean --dry-run` lists them",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let told = place.said(&["plan", "--config", config]);
    assert!(told.contains("limit of cache: 3 files go now"), "{told}");
    assert_eq!(names(&root).len(), 5);
}

#[test]
fn each_owner_has_a_quota() {
    let limit = "limit = { max_size = \"8KiB\", per = \"owner\" }";
    let (place, root, daemon) = begin(limit, "owner = \"{job}/**\"");
    for id in ["ann", "bob"] {
        let output = place.run(&["job", "put", id, "--status", "completed"]);
        assert!(output.status.success(), "{}", errors(&output));
    }
    for number in 0..4 {
        write(&root.join(format!("ann/{number}")), 1);
    }
    write(&root.join("bob/0"), 1);
    write(&root.join("bob/1"), 1);
    wait_until_left(&daemon, &root, &["ann/2", "ann/3", "bob/0", "bob/1"]);
}

#[test]
fn a_run_without_a_daemon_removes_what_its_dry_run_foretells() {
    let place = Place::new();
    let root = place.make_dir("cache");
    let config = place.config(&format!(
        "[[root]]\npath = \"{}\"\nlimit = {{ max_files = 3 }}\n[[rule]]\nname = \"all\"\nexpire = \"30d\"\n",
        root.display()
    ));
    let config = config.to_str().unwrap();
    for number in 0..8 {
        write(&root.join(format!("f{number}")), 1);
    }
    let paths = |output: &std::process::Output| -> Vec<String> {
        assert!(output.status.success(), "{}", errors(output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let removed = report["removed"].as_array().unwrap();
        assert!(
            removed.iter().all(|one| one["limit"] == "root.max_files"),
            "{report:#}"
        );
        let mut paths: Vec<String> = removed
            .iter()
            .map(|one| one["path"].as_str().unwrap().to_owned())
            .collect();
        paths.sort();
        paths
    };
    let foretold = paths(&place.run(&["--config", config, "clean", "--dry-run", "--json"]));
    assert_eq!(foretold.len(), 5);
    assert_eq!(names(&root).len(), 8);
    let removed = paths(&place.run(&["--config", config, "clean", "--json"]));
    assert_eq!(removed, foretold);
    assert_eq!(names(&root), ["f5", "f6", "f7"]);
}

/// A daemon whose root `cache` has a rule with these keys.
fn begin_with_rule(keys: &str) -> (Place, PathBuf, Daemon) {
    let place = Place::new();
    let root = place.make_dir("cache");
    place.config(&format!(
        "[[root]]\npath = \"cache\"\n[[rule]]\nname = \"cache\"\nexpire = \"30d\"\n{keys}\n"
    ));
    let daemon = place.serve_again();
    (place, root, daemon)
}

#[test]
fn a_limit_passes_over_the_newest_that_a_rule_keeps() {
    let (_place, root, daemon) = begin_with_rule("keep_last = 2\nlimit = { max_files = 1 }");
    for name in ["f1", "f2", "f3", "f4", "f5"] {
        write(&root.join(name), 1);
    }
    wait_until_left(&daemon, &root, &["f4", "f5"]);
    daemon.sync();
    assert_eq!(names(&root), ["f4", "f5"]);
}

#[test]
fn what_a_limit_removes_can_be_restored() {
    let (place, root, daemon) = begin_with_rule("undo = \"1h\"\nlimit = { max_files = 2 }");
    for name in ["f1", "f2", "f3"] {
        write(&root.join(name), 1);
    }
    wait_until_left(&daemon, &root, &["f2", "f3"]);
    wait_for("it is in the trash", || {
        std::fs::read_dir(root.join(".lapsed/trash"))
            .is_ok_and(|names| names.count() == 2)
            .then_some(())
    });
    place.said(&["undo", "--last"]);
    assert!(root.join("f1").exists());
}

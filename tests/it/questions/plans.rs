//! Plans and explanations.

use std::time::Duration;

use serde_json::{Value, json};

use super::{HOUR, file, history, library, me};
use crate::common::{Place, lines, wait_for, walk};

#[test]
fn a_plan_counts_exactly() {
    let place = Place::new();
    let root = place.make_dir("data");
    // Of one hour: ten files that have 20 minutes left, ten that have 40, one that is overdue and open.
    for number in 0..10 {
        file(&root.join(format!("a{number}")), 10, HOUR * 40 / 60);
        file(&root.join(format!("b{number}")), 100, HOUR * 20 / 60);
    }
    let config = place.config(
        "[[root]]\npath = \"data\"\n[[rule]]\nname = \"hour\"\nsince = \"mtime\"\nexpire = \"1h\"\n",
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let counts = |within: &str| {
        let (status, plan) = daemon.get(&format!("/v1/plan?within={within}"));
        assert_eq!(status, 200, "{plan}");
        let groups = plan["groups"].as_array().unwrap();
        let sum = |what: &str| {
            groups
                .iter()
                .map(|group| group[what].as_u64().unwrap())
                .sum()
        };
        assert_eq!(plan["files"].as_u64(), Some(sum("files")));
        assert_eq!(plan["bytes"].as_u64(), Some(sum("bytes")));
        (
            plan["files"].as_u64().unwrap(),
            plan["bytes"].as_u64().unwrap(),
        )
    };
    assert_eq!(counts("5m"), (0, 0));
    assert_eq!(counts("30m"), (10, 100));
    assert_eq!(counts("45m"), (20, 1100));
    assert_eq!(counts("24h"), (20, 1100));
    let (_, plan) = daemon.get("/v1/plan");
    assert_eq!(plan["hours"].as_array().unwrap().len(), 24);
    assert_eq!(plan["hours"][0]["files"], 20, "both within the first hour");
    let (_, plan) = daemon.get("/v1/plan?within=30m");
    assert_eq!(
        plan["hours"],
        json!([]),
        "no hour tells more than was asked"
    );
    let (_, plan) = daemon.get("/v1/plan");
    assert_eq!(
        (&plan["groups"][0]["root"], &plan["groups"][0]["rule"]),
        (&json!("data"), &json!("hour"))
    );
    assert_eq!(
        plan["groups"][0]["overdue"],
        json!({"files": 0, "bytes": 0})
    );

    let told = lines(&place.run(&["plan", "--within", "30m"])).join("\n");
    assert!(
        told.starts_with("10 files (100 B) lapse within 30 min"),
        "{told}"
    );
    let told = lines(&place.run(&["plan", "--within", "1m"])).join("\n");
    assert!(told.starts_with("nothing lapses within "), "{told}");
}

#[test]
fn explanations_name_rule_timestamp_owner_and_holds() {
    let (place, daemon) = library();
    let why = |name: &str| {
        let path = place.path(name);
        let (status, why) = daemon.get(&format!("/v1/explain?path={}", path.display()));
        assert_eq!(status, 200, "{why}");
        why
    };
    let one = why("results/job-1/1.dat");
    assert_eq!(
        [
            &one["rule"],
            &one["job"]["id"],
            &one["since"],
            &one["unit"],
            &one["found"]
        ],
        ["data", "job-1", "mtime", "file", "file"]
    );
    assert_eq!(one["basis"], one["mtime"]);
    assert_eq!(one["expire_ms"], 48 * 3_600_000);
    assert_eq!(one["holds"], json!([]));
    let kept = why("results/kept.txt");
    assert_eq!(
        (&kept["rule"], &kept["deadline"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(why("results/nothing")["found"], Value::Null);
    assert_eq!(why("results/job-1")["found"], "dir");

    // As a person asks: relative, from within.
    let output = place
        .lapsed()
        .current_dir(place.path("results/job-1"))
        .args(["explain", "1.dat"])
        .output()
        .unwrap();
    let told = lines(&output).join("\n");
    for part in [
        "is a file of 200 bytes in root \"results\"",
        "it would belong to job \"job-1\"",
        "rule \"data\" lets it lapse after 2 days",
        "the last change of its content (mtime)",
        "it lapses at ",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let manual = lines(&place.run(&["explain", "uploads/sub/b.part"])).join("\n");
    assert!(
        manual.contains("only when somebody asks for it"),
        "{manual}"
    );
    let unruled = lines(&place.run(&["explain", "results/kept.txt"])).join("\n");
    assert!(
        unruled.contains("no rule matches it: it is kept for ever"),
        "{unruled}"
    );
}

#[test]
fn plan_and_clean_do_without_a_daemon() {
    let place = Place::new();
    let root = place.make_dir("data");
    file(&root.join("old"), 10, HOUR * 2);
    file(&root.join("sub/old"), 10, HOUR * 2);
    file(&root.join("young"), 10, Duration::ZERO);
    let config = place.config(
        "[[root]]\npath = \"data\"\n[[rule]]\nname = \"hour\"\nsince = \"mtime\"\nexpire = \"1h\"\n",
    );
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = place.run(&[&["--config", config], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        lines(&output).join("\n")
    };
    let plan: Value = serde_json::from_str(&run(&["--json", "plan", "--within", "30m"])).unwrap();
    assert_eq!(
        (&plan["files"], &plan["groups"][0]["overdue"]["files"]),
        (&json!(2), &json!(2))
    );
    let told = run(&["clean", "--dry-run"]);
    assert!(told.contains("would remove 2 files"), "{told}");
    assert_eq!(walk(&root).len(), 3);
    assert!(!root.join(".lapsed").exists(), "asking leaves no trace");

    let told = run(&["clean"]);
    assert!(told.contains("removed 2 files (20 B)"), "{told}");
    assert_eq!(
        walk(&root).into_keys().collect::<Vec<_>>(),
        [root.join("young")]
    );

    // A daemon that comes later knows what was done, and by whom.
    let daemon = place.serve_ready(&["--config", config]);
    let ledger = history(&place, &[]);
    assert_eq!(ledger.len(), 2);
    assert!(ledger.iter().all(|line| line["by"] == json!({"uid": me()})));
    drop(daemon);

    // By the command line alone.
    let watch = format!("{}=0s", root.display());
    let told = lines(&place.run(&["clean", "--watch", &watch])).join("\n");
    assert!(told.contains("removed 1 file"), "{told}");
}

#[test]
fn explanations_know_links_and_what_was_removed() {
    let place = Place::new();
    let root = place.make_dir("data");
    std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
    std::fs::write(root.join("gone"), b"x").unwrap();
    let daemon = place.serve_ready(&["--watch", "data=0s"]);
    wait_for("the file goes", || {
        (!root.join("gone").exists()).then_some(())
    });
    daemon.sync();
    let explained = |path: &str| lines(&place.run(&["explain", path])).join("\n");
    let link = explained("data/link");
    assert!(
        link.contains("is a symbolic link: no rule is for it"),
        "{link}"
    );
    assert!(!link.contains("nothing is there"), "{link}");
    let own = explained("data/.lapsed");
    assert!(own.contains("belongs to lapsed"), "{own}");
    let gone = wait_for("the removal is recorded", || {
        let gone = explained("data/gone");
        gone.contains("it was removed ").then_some(gone)
    });
    assert!(gone.contains("by rule \"data after 0s\"."), "{gone}");
    assert!(gone.contains("for a file there: rule"), "{gone}");
    let explained = |path: &str| -> Value {
        let line = &lines(&place.run(&["explain", "--json", path]))[0];
        serde_json::from_str(line).unwrap()
    };
    let link = explained("data/link");
    assert_eq!(
        (&link["found"], &link["rule"]),
        (&json!("symlink"), &Value::Null)
    );
    assert_eq!(explained("data/.lapsed")["found"], "quarantine");
    let gone = explained("data/gone");
    assert_eq!(gone["removed"]["rule"], "data after 0s", "{gone}");
    assert!(gone["removed"]["at"].is_string(), "{gone}");
}

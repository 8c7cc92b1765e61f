//! `lapsed check`: what it finds in real trees and a real database, and that it leaves no trace.

mod words;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::Place;
use crate::common::commands::{refused, said};
use crate::common::trees::{snapshot, write};

const CONFIG: &str = r#"
[[source]]
name = "eemt"
kind = "sqlite"
path = "jobs.db"
select = "SELECT id, status, completed_at, cleaned_at FROM jobs"
mark = "UPDATE jobs SET cleaned_at = :now WHERE id = :job"
[[root]]
path = "results"
owner = "{job}/**"
[[root]]
path = "cache"
[[rule]]
name = "results of successful jobs"
root = "results"
job = "completed"
since = "completed_at"
expire = "7d"
unit = "job"
keep = "**/*.log"
record = "mark"
[[rule]]
name = "partial"
root = "cache"
glob = "**/*.part"
expire = "0s"
since = "mtime"
schedule = "manual"
[[rule]]
name = "whole"
root = "cache"
unit = "dir"
since = "mtime"
expire = "36500d"
"#;

/// An application with jobs of every kind and files of theirs.
fn prepared() -> Place {
    let place = Place::new();
    let db = database(&place);
    for (id, status, completed) in [
        ("old", "completed", Some("2001-02-03T04:05:06Z")),
        ("older", "completed", Some("2000-02-03T04:05:06Z")),
        ("late", "completed", Some("2199-01-01T00:00:00Z")),
        ("run", "running", None),
        ("done", "completed", Some("2000-01-01T00:00:00Z")),
    ] {
        insert(&db, id, status, completed);
    }
    db.execute(
        "UPDATE jobs SET cleaned_at = '2002-01-01T00:00:00Z' WHERE id = 'done'",
        [],
    )
    .unwrap();
    for name in [
        "results/old/a.tif",
        "results/old/run.log",
        "results/older/b.tif",
        "results/older/c/d.tif",
        "results/late/e.tif",
        "results/run/f.tif",
        "results/done/run.log",
        "results/ghost/g.tif",
        "cache/x.part",
        "cache/dir/y",
        "cache/z",
    ] {
        write(&place.path(name), 1000);
    }
    place.config(CONFIG);
    place
}

fn database(place: &Place) -> Connection {
    let db = Connection::open(place.path("jobs.db")).unwrap();
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS jobs(id TEXT PRIMARY KEY, status TEXT, completed_at TEXT, cleaned_at TEXT)",
    )
    .unwrap();
    db
}

fn insert(db: &Connection, id: &str, status: &str, completed: Option<&str>) {
    db.execute(
        "INSERT INTO jobs(id, status, completed_at) VALUES(?1, ?2, ?3)",
        (id, status, completed),
    )
    .unwrap();
}

fn checked(place: &Place, arguments: &[&str]) -> Value {
    let all = [&["check", "--json", "--config", "lapsed.toml"], arguments].concat();
    serde_json::from_str(&said(place, &all).join("\n")).unwrap()
}

fn text(place: &Place) -> String {
    let text = said(place, &["check", "--config", "lapsed.toml"]).join("\n");
    let dir = place.path("");
    text.replace(dir.to_str().unwrap(), "PLACE/")
}

#[test]
fn people_read_what_would_go_what_stays_and_why() {
    let place = prepared();
    let mut text = text(&place);
    for rule in ["late", "whole"] {
        // When it is depends on the zone, and how long that is on the day.
        let at = text
            .find("  - the next at ")
            .unwrap_or_else(|| panic!("{rule}: {text}"));
        let end = at + text[at..].find('\n').unwrap();
        text.replace_range(at..end, "  - NEXT");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn programs_read_the_same_and_it_agrees_with_a_plan() {
    let place = prepared();
    let told = checked(&place, &[]);
    let first = &told["rules"][0];
    assert_eq!(first["now"]["files"], 3, "{told:#}");
    assert_eq!(first["now"]["bytes"], 3000);
    assert_eq!(first["now"]["jobs"], 2);
    let examples = first["now"]["examples"].as_array().unwrap();
    let paths: Vec<_> = examples
        .iter()
        .map(|example| example["path"].as_str().unwrap())
        .collect();
    let wanted = [
        "results/older/b.tif",
        "results/older/c/d.tif",
        "results/old/a.tif",
    ];
    assert_eq!(
        paths,
        wanted.map(|name| place.path(name).to_str().unwrap().to_owned())
    );
    assert_eq!(examples[0]["at"], "2000-02-10T04:05:06.000Z");
    assert_eq!(first["next"]["at"], "2199-01-08T00:00:00.000Z");
    let root = &told["roots"][0];
    assert_eq!((&root["files"], &root["bytes"]), (&json!(8), &json!(8000)));
    assert_eq!(root["unmatched"]["files"], 1, "{root:#}");
    assert_eq!(root["kept"]["files"], 1);
    assert_eq!(root["left"]["files"], 1);
    assert_eq!(root["held"][0]["code"], "running");
    assert_eq!(root["owners"], json!({"known": 5, "unknown": 1}));
    assert_eq!(told["sources"][0]["running"], 1);
    let plan = said(
        &place,
        &[
            "plan",
            "--json",
            "--within",
            "0s",
            "--config",
            "lapsed.toml",
        ],
    );
    let plan: Value = serde_json::from_str(&plan.join("\n")).unwrap();
    for rule in told["rules"].as_array().unwrap() {
        let groups = plan["groups"].as_array().unwrap().iter();
        let files = groups.filter(|group| group["rule"] == rule["name"]);
        let due = |group: &Value| {
            group["files"].as_u64().unwrap() + group["waits"]["files"].as_u64().unwrap()
        };
        let files: u64 = files.map(due).sum();
        assert_eq!(rule["now"]["files"], files, "{rule:#}\n{plan:#}");
    }
}

#[test]
fn it_leaves_no_trace() {
    let place = prepared();
    let before = snapshot(&place.path(""));
    for arguments in [&[][..], &["--quick"], &["--watch", "made=1d"]] {
        checked(&place, arguments);
    }
    assert_eq!(snapshot(&place.path("")), before);
}

#[test]
fn a_daemon_that_runs_is_not_disturbed_and_what_it_was_told_counts() {
    let place = Place::new();
    for name in ["results/run/a", "results/fixed/b", "results/over/c"] {
        write(&place.path(name), 10);
    }
    place.config(
        "[[root]]\npath = \"results\"\nowner = \"{job}/**\"\n\
         [[rule]]\nname = \"over\"\njob = [\"completed\"]\nsince = \"completed_at\"\nexpire = \"1h\"\nschedule = \"manual\"\n",
    );
    let daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    said(&place, &["job", "put", "run", "--status", "running"]);
    for id in ["fixed", "over"] {
        let at = "2001-01-01T00:00:00Z";
        said(
            &place,
            &[
                "job",
                "put",
                id,
                "--status",
                "completed",
                "--completed-at",
                at,
            ],
        );
    }
    said(
        &place,
        &[
            "pin",
            "add",
            "results/fixed/b",
            "--for",
            "1d",
            "--why",
            "the audit",
        ],
    );
    let told = checked(&place, &[]);
    assert_eq!(told["rules"][0]["now"]["files"], 2, "{told:#}");
    assert_eq!(told["rules"][0]["now"]["held"], 1, "{told:#}");
    let held = told["roots"][0]["held"].as_array().unwrap();
    let held: Vec<_> = held
        .iter()
        .map(|held| (&held["code"], &held["files"]))
        .collect();
    assert_eq!(
        held,
        [
            (&json!("pinned"), &json!(1)),
            (&json!("running"), &json!(1))
        ]
    );
    let text = text(&place);
    for line in [
        "2 files (20 B) are due, and would go when asked, but 1 of them stays for now",
        "1 file that would be due waits, pinned: ",
        "1 file belongs to job \"run\", which has not ended, and stays until then",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    let (status, _) = daemon.get("/v1/health");
    assert_eq!(status, 200);
    assert!(place.path("results/over/c").exists());
}

#[test]
fn a_start_that_would_ask_a_person_first_says_so() {
    let place = Place::new();
    for number in 0..30 {
        write(&place.path(&format!("scratch/{number}")), 1);
    }
    let config = |entries: u32| {
        place.config(&format!(
            "[breaker]\nentries = {entries}\n[[root]]\npath = \"scratch\"\n[[rule]]\nname = \"all\"\nexpire = \"0s\"\n"
        ));
        (text(&place), checked(&place, &[]))
    };
    let asks = "a person is asked first: 30 of 30 files would be due at once";
    let (text, told) = config(20);
    assert!(text.contains(asks), "{text}");
    assert!(
        text.contains("30 files (30 B) are due, but all of them stay for now"),
        "{text}"
    );
    assert_eq!(
        told["roots"][0]["breaker"],
        json!({"due": 30, "of": 30, "what": "files"})
    );
    let (text, told) = config(40);
    assert!(
        !text.contains(asks) && text.contains("30 files (30 B) would lapse now"),
        "{text}"
    );
    assert_eq!(told["roots"][0]["breaker"], Value::Null);
}

#[test]
fn a_table_without_jobs_or_with_few_of_them_asks_before_orphans_go() {
    let place = Place::new();
    for number in 0..30 {
        write(&place.path(&format!("results/{number}/file")), 1);
    }
    let db = database(&place);
    let orphans = "[breaker]\norphan_entries = 20\n[[source]]\nname = \"eemt\"\nkind = \"sqlite\"\npath = \"jobs.db\"\n\
        select = \"SELECT id, status FROM jobs\"\n[[root]]\npath = \"results\"\nowner = \"{job}/**\"\norphans = \"{digits}/**\"\n\
        [[rule]]\nname = \"orphans\"\njob = \"none\"\nexpire = \"0s\"\n";
    place.config(orphans);
    let empty = text(&place);
    assert!(
        empty.contains("a person is asked before anything counts as nobody's"),
        "{empty}"
    );
    insert(&db, "x", "running", None);
    let few = text(&place);
    assert!(
        few.contains("a person is asked first: 30 files (30 B) would go that belong to nobody"),
        "{few}"
    );
    assert!(
        few.contains(
            "none of the 30 jobs that the paths name (such as \"0\") is known to source \"eemt\""
        ),
        "{few}"
    );
}

#[test]
fn a_database_that_cannot_be_read_is_said_and_one_that_does_not_fit_is_refused() {
    let place = prepared();
    let db = place.path("jobs.db");
    let sound = std::fs::read(&db).unwrap();
    std::fs::remove_file(&db).unwrap();
    for broken in [
        None,
        Some(&b"this is no database, whatever its name says"[..]),
    ] {
        if let Some(content) = broken {
            std::fs::write(&db, content).unwrap();
        }
        let told = checked(&place, &[]);
        assert_eq!(told["sources"][0]["state"], "down", "{told:#}");
        assert_eq!(told["rules"][0]["now"]["files"], 0);
        assert_eq!(
            told["warnings"],
            json!([]),
            "what is not known is no mistake"
        );
        let root = &told["roots"][0];
        assert_eq!(root["held"][0]["code"], "source-down");
        assert_eq!(
            (&root["held"][0]["files"], &root["unmatched"]["files"]),
            (&json!(8), &json!(0))
        );
        let text = text(&place);
        assert!(
            text.contains("what depends on it stays until then"),
            "{text}"
        );
        assert!(
            text.contains("8 files wait until source \"eemt\" can tell whose"),
            "{text}"
        );
        assert_eq!(db.exists(), broken.is_some());
    }
    std::fs::write(&db, sound).unwrap();
    database(&place)
        .execute("ALTER TABLE jobs DROP COLUMN completed_at", [])
        .unwrap();
    let told = refused(&place, &["check", "--config", "lapsed.toml"]);
    assert!(told.contains("completed_at"), "{told}");
}

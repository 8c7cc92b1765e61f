//! Questions and orders, over the socket and by the commands.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::follow::Follows;
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::{Daemon, Place, errors, lines, path_of, wait_for, walk};
use serde_json::{Value, json};

/// A user and a group that no host knows.
const STRANGER: u32 = 64_999;

/// A file of `bytes` bytes, last changed `ago`.
fn file(path: &Path, bytes: usize, ago: Duration) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![b'x'; bytes]).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

const HOUR: Duration = Duration::from_hours(1);

/// Two roots, three rules; sizes and ages in steps.
fn library() -> (Place, Daemon) {
    let place = Place::new();
    for number in 0..5_u32 {
        let name = format!("results/job-{}/{number}.dat", number % 2);
        let bytes = 100 * (number as usize + 1);
        file(&place.path(&name), bytes, HOUR * (number + 1));
    }
    file(&place.path("results/kept.txt"), 7, HOUR * 100);
    file(&place.path("uploads/a.part"), 50, HOUR * 10);
    file(&place.path("uploads/sub/b.part"), 60, HOUR * 20);
    let config = place.config(
        r#"
        [[root]]
        name = "results"
        path = "results"
        owner = "{job}/**"
        [[root]]
        name = "uploads"
        path = "uploads"
        [[rule]]
        name = "data"
        root = "results"
        glob = "**/*.dat"
        since = "mtime"
        expire = "48h"
        [[rule]]
        name = "parts"
        root = "uploads"
        since = "mtime"
        schedule = "manual"
        expire = "15h"
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    (place, daemon)
}

/// Names of the files that a query gives, in its order.
#[track_caller]
fn names(daemon: &Daemon, query: &str) -> Vec<String> {
    let (status, answer) = daemon.get(&format!("/v1/files?{query}"));
    assert_eq!(status, 200, "{query}: {answer}");
    answer["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let path = path_of(entry);
            path.file_name().unwrap().to_string_lossy().into_owned()
        })
        .collect()
}

#[track_caller]
fn history(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let output = place.run(&[&["history", "--json", "--limit", "0"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    lines(&output)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn files_are_filtered() {
    let (_place, daemon) = library();
    let found = |query: &str| {
        let mut names = names(&daemon, query);
        names.sort();
        names.join(" ")
    };
    assert_eq!(
        found(""),
        "0.dat 1.dat 2.dat 3.dat 4.dat a.part b.part kept.txt"
    );
    assert_eq!(found("root=uploads"), "a.part b.part");
    assert_eq!(found("job=job-1"), "1.dat 3.dat");
    assert_eq!(found("rule=data&job=job-0"), "0.dat 2.dat 4.dat");
    assert_eq!(found("rule=none"), "kept.txt");
    assert_eq!(found("glob=*.part"), "a.part", "`*` does not cross `/`");
    assert_eq!(found("glob=**/*.part"), "a.part b.part");
    assert_eq!(found("min_size=400"), "3.dat 4.dat");
    assert_eq!(found("min_size=0.4kB"), "3.dat 4.dat");
    assert_eq!(found("older_than=4h30m"), "4.dat a.part b.part kept.txt");
    assert_eq!(
        found("expiring_within=45h30m&root=results"),
        "2.dat 3.dat 4.dat"
    );
    assert_eq!(found("hold=open"), "");
    assert_eq!(found("older_than=4h30m&min_size=100"), "4.dat");
    assert_eq!(found("glob=nothing"), "");
}

#[test]
fn files_come_in_order_and_in_parts() {
    let (_place, daemon) = library();
    let sizes = "4.dat 3.dat 2.dat 1.dat 0.dat b.part a.part kept.txt";
    assert_eq!(names(&daemon, "sort=size").join(" "), sizes);
    let reversed: Vec<&str> = sizes.split(' ').rev().collect();
    assert_eq!(names(&daemon, "sort=size&order=asc"), reversed);
    assert_eq!(
        names(&daemon, "sort=age").join(" "),
        "kept.txt b.part a.part 4.dat 3.dat 2.dat 1.dat 0.dat"
    );
    assert_eq!(
        names(&daemon, "sort=deadline&root=results").join(" "),
        "4.dat 3.dat 2.dat 1.dat 0.dat kept.txt",
        "what never lapses stands last"
    );
    assert_eq!(
        names(&daemon, "sort=path").join(" "),
        "0.dat 2.dat 4.dat 1.dat 3.dat kept.txt a.part b.part"
    );

    // Page by page the same, also when the page's last file goes and another one comes.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let (status, answer) = daemon.get(&format!("/v1/files?sort=size&limit=3{cursor}"));
        assert_eq!(status, 200, "{answer}");
        let files = answer["files"].as_array().unwrap();
        assert!(files.len() <= 3);
        seen.extend(files.iter().map(path_of));
        let Some(next) = answer["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
        let last = seen.last().unwrap();
        if last.exists() {
            std::fs::remove_file(last).unwrap();
            daemon.sync();
        }
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(seen.join(" "), sizes);
}

#[test]
fn lines_tell_the_same_as_one_object() {
    let (place, daemon) = library();
    let (_, whole) = daemon.get("/v1/files?sort=path");
    let whole: Vec<Value> = whole["files"].as_array().unwrap().clone();
    let by_path: Vec<Value> = daemon.files("").into_values().collect();
    let as_paths = |entries: &[Value]| entries.iter().map(path_of).collect::<BTreeSet<_>>();
    assert_eq!(as_paths(&whole), as_paths(&by_path));
    let sorted = place.run(&["ls", "--json", "--sort", "path"]);
    let sorted: Vec<Value> = lines(&sorted)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(sorted, whole);
    let fields: Vec<&String> = whole[0].as_object().unwrap().keys().collect();
    assert_eq!(
        fields.into_iter().collect::<BTreeSet<_>>(),
        [
            "path",
            "root",
            "size",
            "mtime",
            "job",
            "source",
            "status",
            "rule",
            "deadline",
            "lapses_at",
            "reason",
            "hold",
            "pin"
        ]
        .map(str::to_owned)
        .iter()
        .collect()
    );
    let limited = place.run(&["ls", "--json", "-n", "2"]);
    assert_eq!(lines(&limited).len(), 2);
}

#[test]
fn a_question_with_sync_knows_everything_before_it() {
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    for round in 0..50 {
        let path = root.join(format!("{round}/deep/er/file"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"x").unwrap();
        assert_eq!(names(&daemon, "sync=true").len(), round + 1);
    }
    let synced = place.run(&["sync"]);
    assert!(
        lines(&synced)[0].starts_with("in sync after "),
        "{synced:?}"
    );
    let listed = place.run(&["ls", "--sync", "--json"]);
    assert_eq!(lines(&listed).len(), 50);
}

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
fn clean_removes_what_is_asked_for_and_the_ledger_says_who() {
    let (place, daemon) = library();
    let all = walk(&place.path("results")).len() + walk(&place.path("uploads")).len();
    let left = || walk(&place.path("results")).len() + walk(&place.path("uploads")).len();
    let clean = |order: &str| {
        let (status, report) = daemon.post("/v1/clean", order);
        assert_eq!(status, 200, "{report}");
        report
    };
    let paths = |report: &Value| {
        let removed = report["removed"].as_array().unwrap();
        let mut paths: Vec<PathBuf> = removed.iter().map(path_of).collect();
        paths.sort();
        paths
    };
    let b_part = place.path("uploads/sub/b.part");

    // Only the manual rule has something that is due; nothing of it goes by itself, nor by a dry run.
    let report = clean(r#"{"dry_run": true}"#);
    assert_eq!(paths(&report), std::slice::from_ref(&b_part));
    assert_eq!(
        (&report["files"], &report["bytes"], &report["dry_run"]),
        (&json!(1), &json!(60), &json!(true))
    );
    let report = clean(r#"{"dry_run": true, "retention": {"data": "3h30m"}, "rules": ["data"]}"#);
    assert_eq!(
        paths(&report),
        [
            place.path("results/job-0/4.dat"),
            place.path("results/job-1/3.dat")
        ]
    );
    assert_eq!(left(), all, "a dry run removes nothing");
    assert!(history(&place, &[]).is_empty());

    // A retention may also be longer than the rule's.
    let report = clean(r#"{"retention": {"parts": "30h"}}"#);
    assert_eq!(paths(&report), Vec::<PathBuf>::new());
    let report = clean(r#"{"roots": ["results"]}"#);
    assert_eq!(
        paths(&report),
        Vec::<PathBuf>::new(),
        "nothing is due there"
    );
    let report = clean(r#"{"jobs": ["job-1"], "retention": {"data": "3h30m"}}"#);
    assert_eq!(paths(&report), [place.path("results/job-1/3.dat")]);
    let report = clean(r#"{"rules": ["parts"], "roots": ["uploads"]}"#);
    assert_eq!(paths(&report), std::slice::from_ref(&b_part));
    assert!(!b_part.exists());
    for field in ["started", "finished"] {
        assert!(report[field].is_string(), "{report}");
    }
    for field in ["held", "holds", "errors", "notes", "jobs"] {
        assert_eq!(report[field], json!([]), "{report}");
    }
    assert_eq!(report["breaker"], json!({"tripped": [], "orphans": []}));
    assert_eq!(report["status"], "done");
    assert_eq!(left(), all - 2);

    let ledger = history(&place, &[]);
    assert_eq!(ledger.len(), 2);
    for line in &ledger {
        assert_eq!(line["by"], json!({"uid": me()}), "{line}");
        assert_eq!(line["result"], "removed");
    }
    assert_eq!(path_of(&ledger[0]), b_part, "newest first");
    assert_eq!(history(&place, &["--rule", "parts"]).len(), 1);

    // The same as a command.
    let output = place.run(&[
        "clean",
        "--rule",
        "data",
        "--retention",
        "data=90m",
        "--job",
        "job-0",
    ]);
    assert!(output.status.success(), "{output:?}");
    let told = lines(&output).join("\n");
    assert!(told.contains("removed 2 files (800 B)"), "{told}");
    assert_eq!(left(), all - 4);
}

#[test]
fn clean_holds_what_is_open_and_takes_whole_directories() {
    let place = Place::new();
    let root = place.make_dir("jobs");
    for job in ["one", "two"] {
        for name in ["a", "b/c"] {
            file(&root.join(job).join(name), 10, Duration::ZERO);
        }
    }
    let config = place.config(
        "[[root]]\npath = \"jobs\"\n[[rule]]\nname = \"jobs\"\nunit = \"dir\"\nschedule = \"manual\"\nexpire = \"0s\"\n",
    );
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let open = File::open(root.join("two/b/c")).unwrap();
    let output = place.run(&["clean", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let removed = report["removed"].as_array().unwrap();
    assert_eq!(removed.len(), 1, "{report}");
    assert_eq!(
        (
            &removed[0]["unit"],
            &removed[0]["files"],
            &removed[0]["bytes"]
        ),
        (&json!("dir"), &json!(2), &json!(20))
    );
    assert_eq!(path_of(&removed[0]), root.join("one"));
    assert_eq!(report["held"][0]["hold"], "open", "{report}");
    assert!(!root.join("one").exists() && root.join("two/b/c").exists());
    drop(open);
    let output = place.run(&["clean"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!root.join("two").exists());
}

#[test]
fn history_is_filtered_and_goes_on_where_it_ended() {
    let place = Place::new();
    let root = place.make_dir("data");
    let other = place.make_dir("other");
    for number in 0..7 {
        file(
            &root.join(format!("{}/{number}", number % 2)),
            10,
            Duration::ZERO,
        );
    }
    file(&other.join("x"), 10, Duration::ZERO);
    let daemon = place.serve_ready(&["--watch", "data=0s", "--watch", "other=0s"]);
    let all = wait_for("all is in the ledger", || {
        Some(history(&place, &[])).filter(|lines| lines.len() == 8)
    });
    // Two reapers write down what they did as they are done with it: numbers differ, but need not fall.
    let ids: BTreeSet<u64> = all
        .iter()
        .map(|line| line["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), 8);

    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let (status, page) = daemon.get(&format!("/v1/history?limit=3{cursor}"));
        assert_eq!(status, 200, "{page}");
        let removals = page["removals"].as_array().unwrap();
        assert!(removals.len() <= 3);
        seen.extend(removals.iter().cloned());
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    assert_eq!(history(&place, &["--root", "other"]).len(), 1);
    let below = root.join("1");
    assert_eq!(
        history(&place, &["--path", below.to_str().unwrap()]).len(),
        3
    );
    assert_eq!(history(&place, &["--since", "1h"]).len(), 8);
    assert_eq!(
        history(&place, &["--since", "2999-01-01T00:00:00Z"]).len(),
        0
    );
    let told = lines(&place.run(&["history", "--rule", "other after 0s", "-n", "1"])).join("\n");
    assert!(told.contains(other.join("x").to_str().unwrap()), "{told}");
}

#[test]
fn events_have_numbers_and_go_on_after_the_last_one_heard() {
    let place = Place::new();
    let root = place.make_dir("data");
    let _daemon = place.serve_ready(&["--watch", "data=100ms"]);
    let first = Follows::begin(&place.socket(), "", None);
    let lapse = |follows: &Follows, name: &str| {
        std::fs::write(root.join(name), b"x").unwrap();
        let path = root.join(name);
        follows.wait(&format!("{name} lapses"), |heard| {
            heard.event == "lapsed" && path_of(&heard.data) == path
        })
    };
    let one = lapse(&first, "one");
    for field in [
        "rule",
        "deadline",
        "removed_at",
        "files",
        "bytes",
        "ledger_id",
        "at",
    ] {
        assert!(!one.data[field].is_null(), "{field} in {}", one.data);
    }
    assert_eq!(one.data["id"].as_u64(), one.id);
    let two = lapse(&first, "two");
    assert!(two.id > one.id);
    drop(first);

    // What happens meanwhile is not lost for who comes back.
    let silent = Follows::begin(&place.socket(), "", None);
    let three = lapse(&silent, "three");
    for (query, last_id) in [
        (String::new(), one.id),
        (format!("?after={}", one.id.unwrap()), None),
    ] {
        let again = Follows::begin(&place.socket(), &query, last_id);
        again.wait("the third", |heard| heard.id == three.id);
        let ids: Vec<_> = again.heard().iter().filter_map(|heard| heard.id).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert!(ids.contains(&two.id.unwrap()) && !ids.contains(&one.id.unwrap()));
    }
    assert!(
        silent.heard().iter().all(|heard| heard.id >= three.id),
        "who names no number hears what comes"
    );

    // From before the daemon's start: what is gone is said.
    let stale = Follows::begin(&place.socket(), "", Some(1));
    let missing = stale.wait("the gap", |heard| heard.event == "missing");
    assert_eq!((missing.id, &missing.data["after"]), (None, &json!(1)));
    stale.wait("and what there is", |heard| heard.id == three.id);
}

#[test]
fn who_reads_too_slowly_is_dropped_with_a_word_and_slows_nobody() {
    use std::io::{Read, Write};
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    let mut slow = std::os::unix::net::UnixStream::connect(place.socket()).unwrap();
    slow.set_read_timeout(Some(crate::common::patience()))
        .unwrap();
    slow.write_all(b"GET /v1/events?observed=true HTTP/1.1\r\nhost: lapsed\r\n\r\n")
        .unwrap();
    let quick = Follows::begin(&place.socket(), "?observed=true", None);
    // So much more than socket and ring hold that nothing of it can wait for this reader.
    let mut made = 0;
    wait_for("the reader is behind", || {
        for _ in 0..2000 {
            std::fs::write(root.join(made.to_string()), b"x").unwrap();
            made += 1;
        }
        // The daemon itself is never behind for that.
        daemon.sync();
        assert_eq!(daemon.files("").len(), made);
        (made >= 20_000).then_some(())
    });
    let mut text = String::new();
    slow.read_to_string(&mut text).unwrap();
    let last = text.rfind("event: ").map(|at| &text[at..]).unwrap();
    assert!(last.starts_with("event: dropped\n"), "{last}");
    assert!(last.contains("reads too slowly"), "{last}");
    assert!(
        text.matches("event: observed\n").count() < made,
        "it got all of them"
    );
    // Whoever keeps up is told of gaps in its own reading only.
    std::fs::write(root.join("last"), b"x").unwrap();
    let is_last = |heard: &crate::common::follow::Heard| {
        heard.event == "dropped"
            || heard.data["path"]
                .as_str()
                .is_some_and(|path| path.ends_with("/last"))
    };
    quick.wait("the last file, or a word", is_last);
}

#[test]
fn changes_are_told_to_those_who_ask_for_them() {
    let place = Place::new();
    let root = place.make_dir("data");
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let quiet = Follows::begin(&place.socket(), "", None);
    let follows = Follows::begin(&place.socket(), "?observed=true", None);
    let path = root.join("file");
    wait_for("a change is told", || {
        std::fs::write(&path, b"12345").unwrap();
        follows
            .heard()
            .iter()
            .any(|heard| {
                heard.event == "observed" && path_of(&heard.data) == path && heard.data["size"] == 5
            })
            .then_some(())
    });
    std::fs::remove_file(&path).unwrap();
    follows.wait("it is gone", |heard| {
        heard.event == "observed" && path_of(&heard.data) == path && heard.data["size"].is_null()
    });
    assert!(quiet.heard().iter().all(|heard| heard.event != "observed"));
}

#[test]
fn the_configured_group_may_act_and_others_may_not() {
    if !has_other_users() {
        return;
    }
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(65_534))
        .unwrap()
        .expect("group 65534 has a name on every host");
    let place = Place::new();
    let root = place.make_dir("data");
    file(&root.join("old"), 10, HOUR * 2);
    let config = place.config(&format!(
        "group = \"{}\"\nsocket_mode = \"0666\"\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"r\"\nsince = \"mtime\"\nexpire = \"1h\"\nschedule = \"manual\"\n",
        group.name
    ));
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let clean_as = |uid: u32, gid: u32| run_as(&place, Some((uid, gid)), &["clean"]);
    let refused = clean_as(STRANGER, STRANGER);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(
        errors(&refused),
        format!(
            "error: permission denied: uid {STRANGER} is not an operator\n  \
             become root or uid 0, or a member of group \"{}\"\n",
            group.name
        )
    );
    assert!(root.join("old").exists());
    let done = clean_as(STRANGER, 65_534);
    assert!(done.status.success(), "{done:?}");
    assert!(!root.join("old").exists());
    assert_eq!(history(&place, &[])[0]["by"], json!({"uid": STRANGER}));
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
fn clean_does_not_run_beside_a_daemon_that_holds_the_state_and_questions_do() {
    let place = Place::new();
    let root = place.make_dir("data");
    file(&root.join("old"), 10, HOUR * 2);
    let daemon = place.serve_ready(&["--watch", "data=24h"]);
    let elsewhere = place.path("elsewhere.sock");
    let watch = format!("{}=0s", root.display());
    let run = |arguments: &[&str]| {
        let socket = ["--socket", elsewhere.to_str().unwrap()];
        place.run(&[&socket, arguments, &["--watch", &watch]].concat())
    };
    let refused = run(&["clean"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = errors(&refused);
    assert!(
        told.contains(&format!("in use by process {}", daemon.child.id()))
            && told.contains("--socket"),
        "{told}"
    );
    // A plan tells what the rules let lapse.
    let plan = run(&["plan"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    assert!(lines(&plan).join("\n").contains("1 file"), "{plan:?}");
    // A dry run tells what a run of this moment would do: it would find the root locked by the daemon.
    let dry = run(&["clean", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1), "{dry:?}");
    let told = [lines(&dry).join("\n"), errors(&dry)].concat();
    let owner = format!("process {}", daemon.child.id());
    assert!(
        told.contains("would remove 0 files") && told.contains(&owner),
        "{dry:?}"
    );
    assert!(root.join("old").exists());
    assert_eq!(daemon.files("").len(), 1);
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

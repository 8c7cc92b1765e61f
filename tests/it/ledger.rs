//! The ledger on the real binary: lines of any length, segments that somebody moves, questions about the past.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::common::commands::said;
use crate::common::evidence::ledger;
use crate::common::trees::{configured, write};
use crate::common::{Daemon, Place, errors, lines, wait_for, wait_or_tell};
use serde_json::{Value, json};

/// The ledger's segments, oldest first.
fn segments(place: &Place) -> Vec<PathBuf> {
    let dir = std::fs::read_dir(place.path("state/ledger")).unwrap();
    let mut segments: Vec<PathBuf> = dir.map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    segments.sort();
    segments
}

/// A line about the removal of `path`, with further paths of `length` bytes together.
fn line(id: u64, path: &str, length: usize) -> String {
    let paths = vec!["p".repeat(1000); length / 1000];
    format!(
        "{{\"id\":{id},\"at\":\"2023-11-14T22:13:20.000Z\",\"root\":\"data\",\"path\":\"{path}\",\"unit\":\"job\",\
         \"owner\":\"j\",\"rule\":\"old\",\"since\":\"newest\",\"basis\":\"2023-11-14T21:13:20.000Z\",\
         \"deadline\":\"2023-11-14T22:13:20.000Z\",\"late_ms\":0,\"files\":1,\"bytes\":1,\"result\":\"removed\",\
         \"by\":\"rule\",\"paths\":{}}}\n",
        json!(paths)
    )
}

fn removed_paths(output: &std::process::Output) -> Vec<String> {
    let of = |line: &String| serde_json::from_str::<Value>(line).unwrap()["path"].clone();
    let paths = lines(output);
    paths
        .iter()
        .map(|line| of(line).as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_ledger_with_lines_of_any_length_is_read_and_gone_on_with() {
    let place = Place::new();
    let root = place.make_dir("data");
    let dir = place.make_dir("state/ledger");
    let segment = dir.join(format!("{:020}.jsonl", 1));
    let long = line(1, "/old/a", 0) + &line(2, "/old/b", 4_505_000);
    std::fs::write(&segment, long.clone() + &line(3, "/old/c", 20_000_000)).unwrap();
    let mut daemon = place.serve_ready(&["--watch", "data=1s"]);
    let output = place.run(&["history", "--json"]);
    assert_eq!(removed_paths(&output), ["/old/b", "/old/a"]);
    assert_eq!(output.status.code(), Some(1), "not all was read");
    let told = errors(&output);
    let place_of = format!("{}\" has a line at byte {}", segment.display(), long.len());
    assert!(told.contains(&place_of), "{told}");

    write(&root.join("new"), 1);
    wait_for("it lapses", || (ledger(&place).len() == 4).then_some(()));
    assert!(daemon.stop().success());
    let _daemon = place.serve_ready(&["--watch", "data=1s"]);
    let paths = removed_paths(&place.run(&["history", "--json"]));
    assert_eq!(
        paths,
        [root.join("new").to_str().unwrap(), "/old/b", "/old/a"]
    );
}

#[test]
fn each_path_of_a_large_job_is_on_record_in_lines_of_bounded_length() {
    const FILES: usize = 900;
    let place = Place::new();
    // A byte of a name that takes six in JSON: few files make a long line.
    let deep = [
        "\u{1}".repeat(250),
        "\u{2}".repeat(250),
        "\u{3}".repeat(250),
    ]
    .join("/");
    let root = place.make_dir(&format!("data/{deep}"));
    let name = |at: usize| format!("j_{}{at}", "\u{4}".repeat(200));
    let paths: BTreeSet<String> = (0..FILES)
        .map(|at| root.join(name(at)).to_str().unwrap().to_owned())
        .collect();
    for path in &paths {
        std::fs::write(path, "x").unwrap();
    }
    let config = format!(
        "[[root]]\nname = \"data\"\npath = {}\nowner = \"{{job}}_*\"\n\
         [[rule]]\nname = \"ended\"\njob = \"completed\"\nunit = \"job\"\nsince = \"completed_at\"\nexpire = \"0s\"\n",
        json!(root)
    );
    let mut daemon: Daemon = configured(&place, &config);
    said(&place, &["job", "put", "j", "--status", "completed"]);
    wait_or_tell(
        "the job's files are gone and on record",
        || {
            let is_gone = std::fs::read_dir(&root).unwrap().count() == 1;
            (is_gone && !ledger(&place).is_empty()).then_some(())
        },
        || daemon.said(),
    );
    let record = ledger(&place);
    let deciding: Vec<&Value> = record
        .iter()
        .filter(|line| line["part"].is_null())
        .collect();
    assert_eq!(deciding.len(), 1);
    assert_eq!(deciding[0]["files"], FILES);
    let on_record: BTreeSet<String> = record
        .iter()
        .flat_map(|line| line["paths"].as_array().unwrap())
        .map(|path| path.as_str().unwrap().to_owned())
        .collect();
    assert!(on_record == paths, "each path is on record");
    let longest = segments(&place)
        .iter()
        .flat_map(|path| {
            std::fs::read(path)
                .unwrap()
                .split(|&b| b == b'\n')
                .map(<[u8]>::len)
                .collect::<Vec<_>>()
        })
        .max();
    assert!(longest < Some(1 << 20), "{longest:?}");
    let first = paths.first().unwrap();
    let asked = place.run(&["history", "--json", "--path", first]);
    assert!(!lines(&asked).is_empty(), "{}", errors(&asked));
    assert!(daemon.stop().success());
    let _daemon: Daemon = configured(&place, &config);
}

#[test]
fn what_lapses_after_the_newest_segment_was_moved_is_on_record() {
    let place = Place::new();
    let root = place.make_dir("data");
    let mut daemon = place.serve_ready(&["--watch", "data=1s"]);
    let lapses = |name: &str, count: usize| {
        write(&root.join(name), 1);
        wait_for("it lapses, and is on record", || {
            (ledger(&place).len() == count).then_some(())
        });
    };
    lapses("first", 1);
    let moved = place.path("moved");
    std::fs::rename(&segments(&place)[0], &moved).unwrap();
    lapses("second", 1);
    daemon.wait_until_said("the ledger's newest segment was changed while it is in use");
    std::fs::remove_file(&segments(&place)[0]).unwrap();
    lapses("third", 1);
    lapses("fourth", 2);
    let expected = ["fourth", "third"].map(|name| root.join(name).to_str().unwrap().to_owned());
    assert_eq!(removed_paths(&place.run(&["history", "--json"])), expected);
    let text = std::fs::read_to_string(&moved).unwrap();
    assert_eq!(text.lines().count(), 1, "what was moved is left alone");
    assert!(daemon.stop().success());
    let _daemon = place.serve_ready(&["--watch", "data=1s"]);
    assert_eq!(removed_paths(&place.run(&["history", "--json"])), expected);
}

#[test]
fn history_finds_paths_as_they_are_typed_and_tells_a_misspelled_name() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let root = place.make_dir("data");
    // Of a rule that is no more, but has removed something.
    let segment = place
        .make_dir("state/ledger")
        .join(format!("{:020}.jsonl", 1));
    std::fs::write(&segment, line(1, "/old/a", 0)).unwrap();
    let _daemon = place.serve_ready(&["--watch", "data=1s"]);
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff");
    write(&root.join("plain"), 1);
    write(&root.join(odd), 1);
    wait_for("both lapse", || (ledger(&place).len() == 3).then_some(()));
    for path in ["data/plain", "./data/plain", "data/../data/plain"] {
        let output = place.run(&["history", "--json", "--path", path]);
        assert_eq!(
            removed_paths(&output),
            [root.join("plain").to_str().unwrap()]
        );
    }
    let mut command = place.lapsed();
    command
        .args(["history", "--json", "--path"])
        .arg(std::path::Path::new("data").join(odd));
    assert_eq!(lines(&command.output().unwrap()).len(), 1);
    for nothing in [
        ["--path", "data/other"],
        ["--since", "2999-01-01T00:00:00Z"],
    ] {
        let told = said(&place, &[&["history"][..], &nothing].concat());
        assert_eq!(told, ["no removals match"]);
    }
    assert_eq!(
        said(&place, &["history", "--rule", "data after 1s"]).len(),
        3
    );
    for (filter, expected) in [
        (["--rule", "nope"], "there is no rule \"nope\""),
        (["--root", "nope"], "there is no root \"nope\""),
        (
            ["--job", "nope"],
            "no source has a job \"nope\", and nothing of one was removed",
        ),
    ] {
        // What is old has to be known to tell.
        for more in [&[][..], &["--since", "1d"]] {
            let output = place.run(&[&["history"][..], &filter, more].concat());
            assert_eq!(output.status.code(), Some(2), "{filter:?} {more:?}");
            assert!(errors(&output).contains(expected), "{}", errors(&output));
        }
    }
    let output = place.run(&["ls", "--job", "nope"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "no source has a job \"nope\", and no file is of one";
    assert!(errors(&output).contains(expected), "{}", errors(&output));
    let output = place.run(&["history", "--json", "--rule", "old", "--job", "j"]);
    assert_eq!(removed_paths(&output), ["/old/a"]);
    for old in [["--rule", "old"], ["--job", "j"]] {
        assert_eq!(
            said(&place, &[&["history", "--since", "1d"][..], &old].concat()),
            ["no removals match"]
        );
    }
}

#[test]
fn history_prints_lines_as_the_ledger_has_them() {
    let place = Place::new();
    place.make_dir("data");
    // A later version may write more, and people may write differently.
    let odd = line(2, "/old/b", 0);
    let odd = odd.replacen("{\"id\":2,", "{ \"id\": 2, \"more\": [1.50],", 1);
    let text = line(1, "/old/a", 0) + &odd;
    let segment = place
        .make_dir("state/ledger")
        .join(format!("{:020}.jsonl", 1));
    std::fs::write(&segment, &text).unwrap();
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let printed = lines(&place.run(&["history", "--json"]));
    let newest_first: Vec<&str> = text.lines().rev().collect();
    assert_eq!(printed, newest_first);
    let table = said(&place, &["history"]);
    assert!(
        table[1].ends_with("/old/b") && table[2].ends_with("/old/a"),
        "{table:?}"
    );
}

#[test]
fn the_facts_of_a_forgotten_job_are_answered_with_for_ever() {
    let place = Place::new();
    let root = place.make_dir("data");
    let config = "[[root]]\nname = \"data\"\npath = \"data\"\nowner = \"{job}/**\"\n\
         [[rule]]\nname = \"failed\"\njob = \"failed\"\nunit = \"job\"\nsince = \"completed_at\"\n\
         expire = \"0s\"\nrecord = \"forget\"\n";
    let mut daemon = configured(&place, config);
    write(&root.join("j1/dem.tif"), 7);
    write(&root.join("j1/log"), 3);
    daemon.sync();
    let put = [
        "job",
        "put",
        "j1",
        "--status",
        "failed",
        "--kind",
        "sol",
        "--error",
        "no convergence",
        "--attribute",
        "dem=a.tif",
        "--completed-at",
        "1700000100",
    ];
    said(&place, &put);
    let facts = |daemon: &Daemon| {
        let (status, job) = daemon.get("/v1/jobs/j1");
        (status == 200 && job["forgotten"] == true).then_some(job)
    };
    let check = |job: &Value| {
        assert_eq!(job["source"], "api");
        assert_eq!(
            (&job["status"], &job["kind"]),
            (&json!("failed"), &json!("sol"))
        );
        assert_eq!(job["error"], "no convergence");
        assert_eq!(job["completed_at"], "2023-11-14T22:15:00.000Z");
        assert_eq!(job["attributes"], json!({"dem": "a.tif"}));
        let removal = &job["removal"];
        assert_eq!(
            (&removal["files"], &removal["bytes"]),
            (&json!(2), &json!(10))
        );
        assert_eq!(removal["rule"], "failed");
        let id = &removal["ledger_id"];
        let line = ledger(&place).into_iter().find(|line| line["id"] == *id);
        assert_eq!(line.unwrap()["at"], removal["at"]);
    };
    let job = wait_for("it is forgotten", || facts(&daemon));
    check(&job);
    assert!(daemon.stop().success());
    let daemon = configured(&place, config);
    check(&facts(&daemon).unwrap());
    let told = said(&place, &["job", "get", "j1"]).join("\n");
    for part in [
        "job j1 of source api: failed",
        "no convergence",
        "2 files (10 B) removed at ",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert_eq!(daemon.get("/v1/jobs/j2").0, 404);
    // The id is used again: that job is what is asked for.
    said(&place, &["job", "put", "j1", "--status", "running"]);
    assert_eq!(daemon.get("/v1/jobs/j1").1["forgotten"], Value::Null);
}

#[test]
fn each_removal_is_in_the_totals_once_whatever_ends_the_daemon() {
    let place = Place::new();
    let root = place.make_dir("data");
    // What an earlier version has recorded.
    let dir = place.make_dir("state/ledger");
    let old = line(1, "/old/a", 0) + &line(2, "/old/b", 0);
    std::fs::write(dir.join(format!("{:020}.jsonl", 1)), old).unwrap();
    let mut names = 0..;
    let mut expected = 0;
    for _ in 0..3 {
        let mut daemon = place.serve_ready(&["--watch", "data=1s"]);
        for name in names.by_ref().take(5) {
            write(&root.join(format!("f{name}")), 10);
            expected += 1;
        }
        let count = expected + 2;
        wait_for("they lapse", || {
            (ledger(&place).len() == count).then_some(())
        });
        let (status, body) = daemon.get("/v1/stats?by=day");
        assert_eq!(status, 200, "{body}");
        let days = body["totals"].as_array().unwrap();
        assert_eq!(
            days[0],
            json!({"day": "2023-11-14", "root": "data", "rule": "old", "units": 2, "jobs": 2, "files": 2, "bytes": 2, "displaced": 0})
        );
        let sum = |name: &str| {
            days[1..]
                .iter()
                .map(|day| day[name].as_i64().unwrap())
                .sum::<i64>()
        };
        let files = i64::try_from(expected).unwrap();
        assert_eq!(
            (sum("units"), sum("files"), sum("bytes")),
            (files, files, files * 10)
        );
        daemon.kill();
    }
    let _daemon = place.serve_ready(&["--watch", "data=1s"]);
    let told = said(&place, &["stats", "--by", "day"]);
    assert!(
        told[1].starts_with("2023-11-14") && told.len() >= 3,
        "{told:?}"
    );
    let recent = said(&place, &["stats", "--by", "day", "--since", "30d"]);
    assert!(recent.len() < told.len(), "{recent:?}");
}

#[test]
fn segments_older_than_is_to_be_kept_are_dropped_and_stay_in_the_totals() {
    let place = Place::new();
    let root = place.make_dir("data");
    let dir = place.make_dir("state/ledger");
    for id in 1..=3 {
        let segment = dir.join(format!("{id:020}.jsonl"));
        std::fs::write(segment, line(id, &format!("/old/{id}"), 0)).unwrap();
    }
    let config = "[ledger]\nkeep = \"400d, 1GiB\"\n\
         [[root]]\nname = \"data\"\npath = \"data\"\n[[rule]]\nname = \"all\"\nexpire = \"1s\"\n";
    let mut daemon = configured(&place, config);
    let told = said(&place, &["check", "--quick", "--config", "lapsed.toml"]).join("\n");
    assert!(
        told.contains("closed segments of the ledger are dropped"),
        "{told}"
    );
    // Nothing is old before there is something newer: the clock alone says nothing.
    assert_eq!(segments(&place).len(), 3);
    write(&root.join("new"), 1);
    wait_for("it lapses", || (ledger(&place).len() == 4).then_some(()));
    assert!(daemon.stop().success());
    let daemon = configured(&place, config);
    wait_for("old segments are dropped", || {
        (ledger(&place).len() == 1).then_some(())
    });
    daemon.wait_until_said("a segment of the ledger was dropped");
    let paths = removed_paths(&place.run(&["history", "--json"]));
    assert_eq!(paths, [root.join("new").to_str().unwrap()]);
    let (_, body) = daemon.get("/v1/stats?by=day");
    assert_eq!(body["totals"][0]["files"], 3, "{body}");
}

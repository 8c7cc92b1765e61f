//! Orders that narrow a run, or give rules another time to live.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{removed, run, with_and_without_daemon};
use crate::common::trees::write;
use crate::common::{Daemon, Place, lines, wait_for, walk};

const FILES: &str = "[breaker]\nentries = 20\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nroot = \"data\"\n\
                     since = \"mtime\"\nexpire = \"30d\"\nschedule = \"manual\"\n";

/// A file that was last written so many hours ago.
fn write_aged(place: &Place, name: &str, hours: u64) {
    let path = place.path(name);
    write(&path, 10);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let at = SystemTime::now() - Duration::from_hours(hours);
    file.set_modified(at).unwrap();
}

fn paths(place: &Place, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| place.path(name)).collect()
}

fn sync(daemon: Option<&Daemon>) {
    daemon.into_iter().for_each(Daemon::sync);
}

/// Both report the same, and the real one has done it.
#[track_caller]
fn dry_and_real(place: &Place, arguments: &[&str]) -> (Option<i32>, Value) {
    let before = walk(&place.path("data"));
    let (dry_code, dry) = run(place, &[arguments, &["--dry-run"]].concat());
    assert_eq!(walk(&place.path("data")), before);
    let (code, real) = run(place, arguments);
    assert_eq!(
        (dry_code, removed(&dry)),
        (code, removed(&real)),
        "{dry}\n{real}"
    );
    for part in ["roots", "rules", "holds"] {
        assert_eq!(dry[part], real[part], "{dry}\n{real}");
    }
    let gone = before.len() - walk(&place.path("data")).len();
    assert_eq!(real["files"], json!(gone), "{real}");
    (code, real)
}

#[test]
fn an_empty_list_names_nothing() {
    let place = Place::new();
    let config = place.config(FILES);
    write_aged(&place, "data/due", 24 * 40);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    for list in ["roots", "rules", "jobs", "paths"] {
        for dry in [true, false] {
            let order = format!(r#"{{"dry_run": {dry}, "{list}": []}}"#);
            let (status, report) = daemon.post("/v1/clean", &order);
            assert_eq!(status, 200, "{report}");
            assert_eq!(
                (&report["files"], &report["status"]),
                (&json!(0), &json!("done")),
                "{list}"
            );
        }
    }
    let (_, runs) = daemon.get("/v1/runs?limit=2");
    assert_eq!(runs["runs"][0]["order"]["paths"], json!([]));
    assert_eq!(runs["runs"][1]["order"]["jobs"], json!([]));
    assert!(place.exists("data/due"));
    let (_, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!(report["files"], 1, "a list that is left out means all");
}

#[test]
fn a_limit_removes_exactly_so_many_and_the_oldest_of_those_that_may_go() {
    with_and_without_daemon(FILES, |place, arguments, daemon| {
        for (name, days) in [
            ("b/3", 43),
            ("a/1", 41),
            ("a/5", 45),
            ("b/4", 44),
            ("c/2", 42),
            ("c/9", 1),
        ] {
            write_aged(place, &format!("data/{name}"), 24 * days);
        }
        sync(daemon);
        let limited = |limit: &'static str| [arguments, &["--limit", limit]].concat();
        let (code, report) = dry_and_real(place, &limited("0"));
        assert_eq!((code, removed(&report)), (Some(0), Vec::new()));
        // The second oldest is open: it is passed over.
        let open = std::fs::File::open(place.path("data/b/4")).unwrap();
        let (_, report) = dry_and_real(place, &limited("2"));
        assert_eq!(removed(&report), paths(place, &["data/a/5", "data/b/3"]));
        assert_eq!(report["held"][0]["hold"], "open", "{report}");
        drop(open);
        sync(daemon);
        let (_, report) = dry_and_real(place, &limited("2"));
        assert_eq!(removed(&report), paths(place, &["data/b/4", "data/c/2"]));
        let (_, report) = dry_and_real(place, &limited("99"));
        assert_eq!(removed(&report), paths(place, &["data/a/1"]));
        assert!(place.exists("data/c/9"));
    });
}

#[test]
fn paths_narrow_a_run_to_what_they_match_as_a_whole() {
    let config = "[[root]]\npath = \"data\"\n\
                  [[rule]]\nname = \"whole\"\nroot = \"data\"\nglob = \"w*\"\nunit = \"dir\"\nsince = \"mtime\"\nexpire = \"0s\"\nschedule = \"manual\"\n\
                  [[rule]]\nname = \"files\"\nroot = \"data\"\nsince = \"mtime\"\nexpire = \"0s\"\nschedule = \"manual\"\n";
    with_and_without_daemon(config, |place, arguments, daemon| {
        let all = [
            "a/1.tmp",
            "a/deep/2.tmp",
            "a/3.dat",
            "b/4.tmp",
            "w1/x",
            "w2/y",
        ];
        for name in all {
            place.write(&format!("data/{name}"));
        }
        sync(daemon);
        let with = |globs: &[&'static str]| {
            let globs = globs.iter().flat_map(|glob| ["--path", glob]);
            [arguments, &globs.collect::<Vec<_>>()].concat()
        };
        let (_, report) = dry_and_real(place, &with(&["a/*.tmp", "x", "w2/y"]));
        assert_eq!(removed(&report), paths(place, &["data/a/1.tmp"]));
        let (_, report) = dry_and_real(place, &with(&["a/**/*.tmp", "w1"]));
        assert_eq!(
            removed(&report),
            paths(place, &["data/a/deep/2.tmp", "data/w1"])
        );
        let (_, report) = dry_and_real(place, &with(&["w2/**"]));
        assert_eq!(removed(&report), paths(place, &["data/w2"]));
        for wrong in ["", "/a/1", "a/[", "{job}/**"] {
            let output = place.run(&[&["clean"], &with(&[])[..], &["--path", wrong]].concat());
            assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        }
        let (_, report) = dry_and_real(place, &with(&[]));
        assert_eq!(
            removed(&report),
            paths(place, &["data/a/3.dat", "data/b/4.tmp"])
        );
    });
}

#[test]
fn an_order_removes_the_things_that_it_names_and_no_others() {
    let place = Place::new();
    let config = "[[root]]\npath = \"data\"\n\
                  [[rule]]\nname = \"whole\"\nroot = \"data\"\nglob = \"w*\"\nunit = \"dir\"\nsince = \"mtime\"\nexpire = \"0s\"\nschedule = \"manual\"\n\
                  [[rule]]\nname = \"files\"\nroot = \"data\"\nsince = \"mtime\"\nexpire = \"0s\"\nschedule = \"manual\"\n";
    let config = place.config(config);
    let odd = OsStr::from_bytes(b"data/\xff[*]");
    for name in ["a", "ab", "w1/x", "w2/y", "x[*]"] {
        place.write(&format!("data/{name}"));
    }
    write(&place.dir.path().join(odd), 3);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let (_, dry) = daemon.post("/v1/clean", r#"{"dry_run": true}"#);
    let thing = |item: &Value| match item["path_b64"].as_str() {
        Some(coded) => json!({"path_b64": coded, "unit": item["unit"]}),
        None => json!({"path": item["path"], "unit": item["unit"]}),
    };
    let listed = dry["removed"].as_array().unwrap();
    assert_eq!(listed.len(), 6);
    let is_wanted = |item: &&Value| {
        let path = item["path"].as_str().unwrap();
        ["/a", "/w1", "[*]"].iter().any(|end| path.ends_with(end))
    };
    let mut things: Vec<Value> = listed.iter().filter(is_wanted).map(thing).collect();
    assert_eq!(things.len(), 4);
    // A directory as a file, and a file that is not there.
    things.push(json!({"path": place.path("data/w2"), "unit": "file"}));
    things.push(json!({"path": place.path("data/w2/y"), "unit": "file"}));
    things.push(json!({"path": place.path("data/none"), "unit": "file"}));
    let mut real = json!({"dry_run": true, "things": things});
    let (_, narrowed) = daemon.post("/v1/clean", &real.to_string());
    real["dry_run"] = json!(false);
    let (status, report) = daemon.post("/v1/clean", &real.to_string());
    assert_eq!(status, 200, "{report}");
    assert_eq!(removed(&report), removed(&narrowed));
    assert_eq!(report["files"], 4);
    let left: Vec<PathBuf> = walk(&place.path("data")).into_keys().collect();
    assert_eq!(left, paths(&place, &["data/ab", "data/w2/y"]));
    let (status, _) = daemon.post("/v1/clean", r#"{"dry_run": false, "things": []}"#);
    assert_eq!(
        (status, walk(&place.path("data")).len()),
        (200, 2),
        "nothing is named"
    );
    for (wrong, why) in [
        (
            json!({"path": "/etc/passwd", "unit": "file"}),
            "lies in no root",
        ),
        (json!({"path": "data/ab", "unit": "file"}), "absolute path"),
        (json!({"unit": "file"}), "is missing"),
    ] {
        let order = json!({"dry_run": false, "things": [wrong]});
        let (status, problem) = daemon.post("/v1/clean", &order.to_string());
        assert!(status == 400 || status == 404, "{problem}");
        assert!(problem.to_string().contains(why), "{problem}");
    }
    let many = vec![json!({"path": place.path("data/ab"), "unit": "file"}); 10_001];
    let order = json!({"dry_run": false, "things": many});
    let (status, problem) = daemon.post("/v1/clean", &order.to_string());
    assert!(status == 400 || status == 413, "{problem}");
    assert!(place.exists("data/ab"));
    let _open = std::fs::File::open(place.path("data/ab")).unwrap();
    for (limit, listed) in [("", 1), (r#", "held_limit": 0"#, 0)] {
        let order = format!(r#"{{"dry_run": true{limit}}}"#);
        let (_, report) = daemon.post("/v1/clean", &order);
        assert_eq!(report["held"].as_array().unwrap().len(), listed, "{report}");
        assert_eq!(report["holds"][0]["count"], 1, "all are counted");
    }
}

#[test]
fn what_another_time_to_live_makes_due_at_once_asks_first() {
    with_and_without_daemon(FILES, |place, arguments, daemon| {
        for number in 0..30 {
            write_aged(place, &format!("data/young-{number}"), 48);
        }
        write_aged(place, "data/due", 24 * 40);
        sync(daemon);
        for retention in ["old=1d", "*=1d"] {
            let overridden = [arguments, &["--retention", retention]].concat();
            // What is due by itself goes all the same.
            let (code, report) = dry_and_real(place, &overridden);
            assert_eq!(code, Some(1), "{report}");
            assert_eq!(report["files"], json!(u32::from(retention == "old=1d")));
            assert_eq!(report["holds"][0]["code"], "breaker");
            let trip = &report["breaker"]["tripped"][0];
            assert_eq!(
                (&trip["root"], &trip["due"], &trip["what"]),
                (&json!("data"), &json!(30), &json!("files"))
            );
            let told = lines(&place.run(&[&["clean"], &overridden[..]].concat())).join("\n");
            assert!(
                told.contains("30 of ") && told.contains("--release"),
                "{told}"
            );
        }
        // It stopped that run alone.
        if let Some(daemon) = daemon {
            assert_eq!(daemon.get("/v1/status").1["breaker"]["tripped"], json!([]));
        }
        write_aged(place, "data/due", 24 * 40);
        sync(daemon);
        let (code, report) = run(place, arguments);
        assert_eq!((code, &report["files"]), (Some(0), &json!(1)));
        // A few of them are no change to ask about.
        let (code, report) = dry_and_real(
            place,
            &[arguments, &["--retention=old=1d", "--path=young-1*"]].concat(),
        );
        assert_eq!((code, &report["files"]), (Some(0), &json!(11)), "{report}");
        write_aged(place, "data/young-100", 48);
        write_aged(place, "data/young-101", 48);
        sync(daemon);
        let (code, report) = run(
            place,
            &[arguments, &["--retention=*=1d", "--release"]].concat(),
        );
        assert_eq!((code, &report["files"]), (Some(0), &json!(21)), "{report}");
    });
}

/// A client that follows a run sees how far it is.
#[test]
fn progress_counts_what_a_limit_lets_go() {
    let place = Place::new();
    let config = place.config(FILES);
    for number in 0..40 {
        write_aged(&place, &format!("data/{number}"), 24 * 40);
    }
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let (_, report) = daemon.post(
        "/v1/clean",
        r#"{"dry_run": false, "limit": 7, "key": "mine"}"#,
    );
    assert_eq!(report["files"], 7, "{report}");
    let run = wait_for("the run is recorded", || {
        let (_, runs) = daemon.get("/v1/runs?key=mine");
        let run = runs["runs"][0].clone();
        (run["status"] == "done").then_some(run)
    });
    assert_eq!(
        (&run["files"], &run["order"]["limit"]),
        (&json!(7), &json!(7))
    );
    assert_eq!(walk(&place.path("data")).len(), 33);
}

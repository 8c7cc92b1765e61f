//! Removals on request, and who may order them.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{HOUR, STRANGER, file, history, library, me};
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::{Place, errors, lines, path_of, walk};

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
    let report = clean(r#"{"dry_run": false, "retention": {"parts": "30h"}}"#);
    assert_eq!(paths(&report), Vec::<PathBuf>::new());
    let report = clean(r#"{"dry_run": false, "roots": ["results"]}"#);
    assert_eq!(
        paths(&report),
        Vec::<PathBuf>::new(),
        "nothing is due there"
    );
    let report = clean(r#"{"dry_run": false, "jobs": ["job-1"], "retention": {"data": "3h30m"}}"#);
    assert_eq!(paths(&report), [place.path("results/job-1/3.dat")]);
    let report = clean(r#"{"dry_run": false, "rules": ["parts"], "roots": ["uploads"]}"#);
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

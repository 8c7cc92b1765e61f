//! The command line's reference, and how commands behave towards terminals, pipes and interrupts.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::common::{Place, errors, lines, wait_for};
use rustix::process::Signal;
use serde_json::Value;

/// The help of a command.
fn help(place: &Place, command: &[String]) -> Vec<String> {
    let output = place
        .lapsed()
        .args(command)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(errors(&output), "");
    lines(&output)
}

/// The commands that a help names.
fn commands(help: &[String]) -> Vec<String> {
    let commands = help
        .iter()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    commands.map(str::to_owned).collect()
}

/// Writes the help of `command`, and of the commands in its group.
fn write_reference(place: &Place, command: &[String], all: &mut String) {
    let help = help(place, command);
    let name = [&["lapsed".to_owned()], command].concat().join(" ");
    write!(all, "$ {name} --help\n\n{}\n\n", help.join("\n")).unwrap();
    for next in commands(&help) {
        write_reference(place, &[command, &[next]].concat(), all);
    }
}

#[test]
fn the_reference() {
    let mut all = String::new();
    write_reference(&Place::new(), &[], &mut all);
    insta::assert_snapshot!("reference", all);
}

#[test]
fn the_readme_names_every_command() {
    let place = Place::new();
    let readme = include_str!("../../README.md");
    let commands = commands(&help(&place, &[]));
    assert_eq!(commands.len(), 33, "{commands:?}");
    for command in commands {
        assert!(
            readme.contains(&format!("| `lapsed {command}")),
            "the README does not tell of `lapsed {command}`"
        );
    }
}

#[test]
fn usage_that_is_not_understood_ends_with_2_on_standard_error() {
    let place = Place::new();
    for (arguments, told) in [
        (&["serv"][..], "a similar subcommand exists: 'serve'"),
        (&["ls", "--rooot", "x"], "'--root'"),
        (&["explain"], "<PATH>"),
        (&["ls", "--reverse"], "--sort"),
        (&["pin", "add"], "<PATH|--job <ID>>"),
        (
            &["pin", "add", "--for", "1d", "--why", "x"],
            "<PATH|--job <ID>>",
        ),
        (&["pin", "add", "x", "--for", "1d"], "--why <TEXT>"),
        (
            &["pin", "add", "x", "--for", "0s", "--why", "x"],
            "give a duration such as 90s",
        ),
        (&["pin", "extend", "1"], "--for <DURATION>"),
        (&["pin", "rm"], "<ID|PATH|--job <ID>>"),
        (&["job", "put", "x"], "--status <WORD>"),
        (
            &["job", "put", "x", "--status", "done"],
            "give one of pending, running, completed, failed, cancelled",
        ),
        (
            &[
                "job",
                "put",
                "x",
                "--status",
                "failed",
                "--completed-at",
                "soon",
            ],
            "give an instant such as 2024-05-06T07:08:09Z",
        ),
        (&["serve", "--watch"], "--watch <PATH=TTL>"),
        (&[], "Usage: lapsed"),
    ] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(errors(&output).contains(told), "{}", errors(&output));
    }
}

#[test]
fn a_reader_that_has_enough_ends_a_list_silently() {
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..5000 {
        std::fs::write(root.join(format!("{number:0100}")), b"").unwrap();
    }
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    for arguments in [&["ls"][..], &["ls", "--json"], &["ls", "--sort", "path"]] {
        let mut child = place
            .lapsed()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(!first.is_empty());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(errors(&output), "");
    }
}

/// `lapsed events`, after it has told that a file in `root` lapsed; and what reads from it.
fn follow_until_told(place: &Place, root: &Path) -> (Child, JoinHandle<()>) {
    let mut child = place
        .lapsed()
        .arg("events")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let told = Arc::new(Mutex::new(String::new()));
    let reader = std::thread::spawn({
        let (stdout, told) = (child.stdout.take().unwrap(), Arc::clone(&told));
        move || {
            for line in BufReader::new(stdout).lines() {
                *told.lock().unwrap() += &line.unwrap();
            }
        }
    });
    // It may begin to follow after the first ones have gone.
    let file = root.join("file");
    wait_for("an event is told", || {
        if !file.exists() {
            std::fs::write(&file, b"x").unwrap();
        }
        told.lock().unwrap().contains("  lapsed  ").then_some(())
    });
    (child, reader)
}

#[test]
fn an_interrupt_ends_a_client_that_follows() {
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=100ms"]);
    let (mut child, reader) = follow_until_told(&place, &root);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    wait_for("the client ends", || child.try_wait().unwrap());
    reader.join().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    assert_eq!(errors(&output), "");
    assert_eq!(daemon.get("/v1/health").0, 200);
}

#[test]
fn events_end_with_a_word_and_a_status_when_the_daemon_ends() {
    let place = Place::new();
    let root = place.make_dir("data");
    let mut daemon = place.serve_ready(&["--watch", "data=100ms"]);
    let (mut child, reader) = follow_until_told(&place, &root);
    assert_eq!(daemon.stop().code(), Some(0));
    wait_for("the client ends", || child.try_wait().unwrap());
    reader.join().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = errors(&output);
    assert!(
        said.starts_with("error: the daemon has ended") && said.contains("--after "),
        "{said}"
    );
}

#[test]
fn names_cannot_forge_lines_of_the_log() {
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=100ms"]);
    let plain = root.join("plain");
    let forged = root.join("a\n2026-01-01T00:00:00.000Z  INFO forged\u{1b}[31m");
    for path in [&forged, &plain] {
        std::fs::write(path, b"x").unwrap();
        wait_for("it goes", || (!path.exists()).then_some(()));
    }
    daemon.wait_until_said("plain");
    let said = daemon.said();
    let told = format!(
        "lapsed: {:?} by rule \"data after 100ms\" files=1",
        plain.to_str().unwrap()
    );
    assert!(
        said.contains(&told),
        "the message names path and rule, once: {said}"
    );
    assert!(said.contains("INFO forged\\u{1b}[31m"), "{said}");
    for line in said.lines() {
        let has_time = line
            .split_once(' ')
            .is_some_and(|(time, _)| time.len() == 24 && time.ends_with('Z'));
        assert!(has_time && !line.contains('\u{1b}'), "{line:?}");
        assert!(!line.starts_with("2026-01-01"), "{said}");
    }
}

#[test]
fn a_wrong_filter_of_the_log_is_refused() {
    let place = Place::new();
    let mut command = place.lapsed();
    let refused = command
        .env("LAPSED_LOG", "verbose")
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        errors(&refused),
        "error: LAPSED_LOG cannot be \"verbose\"\n  give a level (off, error, warn, info, debug, trace), or such as info,lapsed=debug\n"
    );
}

#[test]
fn check_says_what_jobs_mean() {
    let place = Place::new();
    place.make_dir("results");
    let config = place.config(
        r#"
[breaker]
orphan_bytes = "1GiB"
[[source]]
name = "eemt"
kind = "sqlite"
path = "jobs.db"
select = "SELECT id, file AS files FROM jobs"
status = "completed"
timezone = { completed_at = "local" }
mark = "UPDATE jobs SET cleaned = :now WHERE id = :job"
derived = "{stem}_processed.mp3"
files_root = "uploads"
id_pattern = "[a-z]+"
[[source]]
name = "told"
kind = "api"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
orphans = "{uuid}/**"
[[root]]
path = "uploads"
source = "eemt"
[[rule]]
name = "whole"
source = "eemt"
job = ["failed", "completed"]
since = "completed_at"
expire = "7d"
unit = "job"
keep = "**/*.log"
record = "mark"
[[rule]]
name = "thumbnails"
kind = ["small", "large"]
expire = "1h"
[[rule]]
name = "orphans"
root = "results"
job = "none"
unit = "dir"
"#,
    );
    let output = place.run(&["check", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = lines(&output).join("\n");
    let dir = config.parent().unwrap();
    let text = text.replace(dir.to_str().unwrap(), "PLACE");
    insta::assert_snapshot!(text, @r#"
    "PLACE/lapsed.toml" is sound
    source "eemt": jobs in the SQLite database PLACE/jobs.db; where it tells no status, they count as completed; timestamps without a zone: completed_at local, others UTC; their records can be marked; only what "[a-z]+" matches is an id; they may claim files, by bare names those in PLACE/uploads, and "{stem}_processed.mp3" beside each
      - cannot read jobs from "PLACE/jobs.db": it does not exist; it is read as soon as it is there; what depends on it stays until then
    source "told": programs tell of their jobs; they may claim files, by bare names those in PLACE
      - it has no jobs now
    root "results": PLACE/results; jobs of source "eemt" own its files: "{job}/**", and those that they claim; "{uuid}/**" may belong to nobody
      - it holds no files now
    root "uploads": PLACE/uploads, which is not there yet and is waited for; jobs of source "eemt" own its files that they claim
    rule "whole": all that a completed or failed job of source "eemt" owns in every root lapses 7 days after the job ended (completed_at); "**/*.log" stay for ever; then the job's record is marked at its source; open files wait
    rule "thumbnails": files of jobs of kind "large" or "small" in every root lapse 1 hour after they were last touched in any way; open files wait
    rule "orphans": top-level directories as a whole that belong to nobody in "results" lapse 1 day after anything in them was last touched in any way; open files wait
    jobs that have not ended lose nothing, whatever their age
    whatever no rule matches is kept for ever
    when more than 1,000 entries and more than 50 % of a root become due at once, a person is asked first
    when more than 10,000 entries or 1.0 GiB that belong to nobody would go from a root within an hour, or more than 1,000 entries and 50 % of it, a person is asked first, too
    state in "PLACE/state", socket at "PLACE/lapsed.sock" (mode 0660); root and the daemon's user may act
    "#);
    let output = place.run(&["check", "--json", "--config", config.to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_str(&lines(&output).join("\n")).unwrap();
    assert_eq!(told["sources"][0]["kind"], "sqlite");
    assert_eq!(told["sources"][1]["name"], "told");
    assert_eq!(told["roots"][0]["orphans"], "{uuid}/**");
    assert_eq!(told["roots"][1]["source"], "eemt");
    assert_eq!(told["rules"][0]["record"], "mark");
}

#[test]
fn errors_are_objects_for_programs() {
    let place = Place::new();
    let error = |arguments: &[&str]| -> Value {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        serde_json::from_str::<Value>(&errors(&output)).unwrap()["error"].take()
    };
    for (usage, told, hint) in [
        (&["--json", "nope"][..], "'nope'", "Usage: lapsed"),
        (&["ls", "--json", "--root"], "--root <NAME>", "--help"),
        (&["history", "-n", "x", "--json"], "'x'", "--help"),
        (&["--json", "pin"], "a command is missing", "--help"),
    ] {
        let usage = error(usage);
        assert_eq!(usage["code"], "usage", "{usage}");
        let (detail, after) = (usage["detail"].as_str(), usage["hint"].as_str());
        assert!(
            detail.unwrap().contains(told) && after.unwrap().contains(hint),
            "{usage}"
        );
    }
    // Behind `--` it is no option.
    let output = place.run(&["explain", "--", "--json", "more"]);
    assert!(errors(&output).starts_with("error: "), "{output:?}");
    let absent = error(&["sync", "--json"]);
    assert_eq!(absent["code"], "could-not-run", "{absent}");
    assert!(
        absent["hint"].as_str().unwrap().contains("lapsed serve"),
        "{absent}"
    );
    place.make_dir("data");
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let unknown = error(&["pin", "rm", "77", "--json"]);
    assert_eq!(unknown["code"], "not-found", "{unknown}");
    assert!(
        unknown["detail"].as_str().unwrap().contains("77"),
        "{unknown}"
    );
}

//! `lapsed init`: what it writes, where, and what it asks; by the real binary.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::commands::{refused, said};
use crate::common::machine::{NOBODY, is_root};
use crate::common::others::unprivileged;
use crate::common::terminal::Terminal;
use crate::common::{Place, errors, lines, wait_for};
use serde_json::Value;

const PRESETS: [&str; 5] = ["audio", "eemt", "math2visual", "omr", "storage"];

fn json(lines: &[String]) -> Value {
    let text = lines.join("\n");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// `lapsed` with a home of its own.
fn at_home(place: &Place) -> Command {
    let mut command = place.lapsed();
    command
        .env("HOME", place.make_dir("home"))
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null());
    command
}

#[test]
fn every_preset_is_listed_written_and_checked() {
    let place = Place::new();
    let base = place.make_dir("app");
    let listed = said(&place, &["init", "--list", "--json"]);
    for (line, name) in listed.iter().zip(PRESETS) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["name"], name);
        let file = place.path(&format!("{name}.toml"));
        let file = file.to_str().unwrap();
        let told = said(
            &place,
            &[
                "init",
                "--preset",
                name,
                "--base-dir",
                "app",
                "-o",
                file,
                "--json",
            ],
        );
        let told = json(&told);
        assert_eq!(
            (&told["file"], &told["preset"]),
            (&file.into(), &name.into())
        );
        assert_eq!(told["kept"], Value::Null);
        let text = read(Path::new(file));
        let mut lines = text.lines();
        let base_dir = lines.find(|line| line.starts_with("base_dir = ")).unwrap();
        assert!(base_dir.contains(base.to_str().unwrap()), "{base_dir}");
        assert!(text.contains("\n#") || text.starts_with('#'), "{text}");
        said(&place, &["check", "--config", file]);
    }
    assert_eq!(listed.len(), PRESETS.len());
    let plain = said(&place, &["init", "--list"]);
    assert!(plain[1].starts_with("eemt         "), "{plain:?}");
}

#[test]
fn a_daemon_serves_what_was_written() {
    let place = Place::new();
    let root = place.make_dir("scratch dir");
    said(
        &place,
        &[
            "init",
            "--watch",
            "scratch dir=300ms",
            "-o",
            "made/lapsed.toml",
        ],
    );
    let file = place.path("made/lapsed.toml");
    let daemon = place.serve_ready(&["--config", file.to_str().unwrap()]);
    let path = root.join("file");
    std::fs::write(&path, b"x").unwrap();
    wait_for("the file goes", || (!path.exists()).then_some(()));
    drop(daemon);
}

#[test]
fn a_file_is_replaced_only_when_that_is_asked_for_and_then_kept() {
    let place = Place::new();
    place.make_dir("scratch");
    let file = place.path("lapsed.toml");
    let write = |ttl: &str, more: &[&str]| {
        let watch = format!("scratch={ttl}");
        let name = file.to_str().unwrap();
        let all = [&["init", "--watch", &watch, "--output", name], more].concat();
        place.run(&all)
    };
    assert!(write("1d", &[]).status.success());
    let first = read(&file);
    let output = write("2d", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("--force"), "{}", errors(&output));
    assert_eq!(read(&file), first);
    let output = write("2d", &["--force"]);
    assert!(lines(&output)[0].contains("lapsed.toml~"), "{output:?}");
    assert_eq!(read(&place.path("lapsed.toml~")), first);
    assert!(read(&file).contains("expire = \"2d\""));
    // Whoever names the file for the daemon names it for this, too.
    let named = place.path("named.toml");
    said(
        &place,
        &[
            "init",
            "--watch",
            "scratch=3d",
            "--config",
            named.to_str().unwrap(),
        ],
    );
    assert!(read(&named).contains("expire = \"3d\""));
}

#[test]
fn standard_output_gets_the_configuration_and_nothing_else() {
    let place = Place::new();
    let output = place.run(&["init", "--watch", "scratch=1d", "-o", "-"]);
    assert!(output.status.success(), "{output:?}");
    assert!(errors(&output).contains("not there yet"), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(toml_is_sound(&place, &text), "{text}");
    let all = said(&place, &["init", "--all"]).join("\n");
    assert_eq!(all, include_str!("../../config/lapsed.toml").trim_end());
    let object = json(&said(&place, &["init", "--all", "--json"]));
    assert_eq!(object["text"], include_str!("../../config/lapsed.toml"));
    let left: Vec<_> = std::fs::read_dir(place.dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn toml_is_sound(place: &Place, text: &str) -> bool {
    let file = place.config(text);
    let sound = place
        .run(&["check", "--quick", "--config", file.to_str().unwrap()])
        .status
        .success();
    std::fs::remove_file(file).unwrap();
    sound
}

#[test]
fn without_a_terminal_it_says_what_to_give() {
    let place = Place::new();
    let told = refused(&place, &["init"]);
    for word in ["--preset", "--watch", "--list", "terminal"] {
        assert!(told.contains(word), "{told}");
    }
    for (arguments, word) in [
        (&["--preset", "omrr"][..], "omr"),
        (
            &["--preset", "omr", "--watch", "x=1d"],
            "cannot be used with",
        ),
        (&["--watch", "scratch=soon"], "soon"),
        (&["--watch", "no/such/dir=1d"], "does not exist"),
        (&["--watch", "/=1d"], "--allow-unsafe-roots"),
        (&["--all", "--base-dir", "x"], "cannot be used with"),
    ] {
        let all = [&["init", "-o", "x.toml"], arguments].concat();
        let told = refused(&place, &all);
        assert!(told.contains(word), "{arguments:?}: {told}");
    }
    let left: Vec<_> = std::fs::read_dir(place.dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn on_a_terminal_it_asks_and_writes_what_was_answered() {
    let place = Place::new();
    let scratch = place.make_dir("scratch");
    let mut command = at_home(&place);
    command.arg("init");
    let mut terminal = Terminal::start(command, 80);
    terminal.answer("Number [0]: ", "0\n");
    terminal.answer("A directory with temporary files: ", "missing\n");
    terminal.answer("there is no such directory", "scratch\n");
    terminal.answer("[7d]: ", "12h\n");
    terminal.answer("Another directory", "\n");
    terminal.answer("The file to write", "made.toml\n");
    let (status, shown) = terminal.end();
    assert!(status.success(), "{shown}");
    assert!(shown.contains("next:"), "{shown}");
    let text = read(&place.path("made.toml"));
    assert!(
        text.contains(scratch.to_str().unwrap()) && text.contains("expire = \"12h\""),
        "{text}"
    );
}

#[test]
fn an_end_of_the_answers_or_an_interrupt_writes_nothing() {
    let place = Place::new();
    for is_end in [true, false] {
        let mut command = at_home(&place);
        command.args(["init", "-o", "made.toml"]);
        let mut terminal = Terminal::start(command, 80);
        terminal.answer("Number [0]: ", "2\n");
        if is_end {
            terminal.answer("lie below [.]: ", "\u{4}");
        } else {
            terminal.interrupt("lie below [.]: ");
        }
        let (status, shown) = terminal.end();
        assert_eq!(status.code(), is_end.then_some(2), "{shown}");
        assert_eq!(shown.contains("nothing was written"), is_end, "{shown}");
        assert!(!place.path("made.toml").exists());
    }
}

#[test]
fn what_the_environment_names_is_where_it_writes() {
    let place = Place::new();
    place.make_dir("scratch");
    let output = at_home(&place)
        .env("LAPSED_CONFIG", place.path("etc/lapsed.toml"))
        .args(["init", "--preset", "omr", "--base-dir", "scratch"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(place.path("etc/lapsed.toml").is_file());
}

#[test]
fn where_it_writes_is_where_the_daemon_looks() {
    let place = Place::new();
    let watched = format!("{}=1d", place.make_dir("scratch").display());
    let home = place.make_dir("home");
    // Root's place is the host's own, which is no test's.
    if is_root() {
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = unprivileged(&place);
    command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
    let output = command.args(["init", "--watch", &watched]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(home.join(".config/lapsed/lapsed.toml").is_file());
    let mut command = unprivileged(&place);
    command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
    let output = command.arg("check").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

//! What people see on a terminal, and what they are asked there.

use std::time::{Duration, SystemTime};

use crate::common::terminal::Terminal;
use crate::common::{Place, lines, wait_for};

#[test]
fn a_terminal_gets_a_screen_of_a_list_and_a_program_all() {
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..60 {
        std::fs::write(root.join(format!("{number:02}")), b"").unwrap();
    }
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let show = |arguments: &[&str]| {
        let mut command = place.lapsed();
        command.args(arguments);
        let (status, shown) = Terminal::start(command, 100).end();
        assert!(status.success(), "{shown}");
        let files = shown.lines().filter(|line| line.contains("/data/")).count();
        (
            files,
            shown.contains("the first 50; -n N lists more, -n 0 all"),
        )
    };
    assert_eq!(show(&["ls"]), (50, true));
    assert_eq!(show(&["ls", "--sort", "path"]), (50, true));
    assert_eq!(show(&["ls", "-n", "20"]), (20, false));
    assert_eq!(show(&["ls", "-n", "0"]), (60, false));
    assert_eq!(lines(&place.run(&["ls", "--json"])).len(), 60);
    assert_eq!(lines(&place.run(&["ls"])).len(), 61);

    assert!(
        place
            .run(&["clean", "--retention", "data after 1h=0s"])
            .status
            .success()
    );
    wait_for("the ledger", || {
        (lines(&place.run(&["history", "--json"])).len() == 60).then_some(())
    });
    assert_eq!(show(&["history"]), (50, true));
    assert_eq!(show(&["history", "-n", "0"]), (60, false));
    assert_eq!(
        lines(&place.run(&["history", "--json", "-n", "7"])).len(),
        7
    );
}

#[test]
fn a_terminal_is_asked_before_files_are_removed_and_a_script_is_not() {
    let place = Place::new();
    let root = place.make_dir("data");
    let config = place.config(
        "[[root]]\nname = \"data\"\npath = \"data\"\n[[rule]]\nexpire = \"0s\"\nschedule = \"manual\"\n",
    );
    let config = config.to_str().unwrap();
    for with_daemon in [true, false] {
        let daemon = with_daemon.then(|| place.serve_ready(&["--config", config]));
        for arguments in [&["clean"][..], &["clean", "--json"]] {
            std::fs::write(root.join("due"), b"x").unwrap();
            let mut command = place.lapsed();
            command.args(arguments).args(["--config", config]);
            let mut terminal = Terminal::start(command, 100);
            terminal.answer("remove 1 file (1 B)? [y/N] ", "\n");
            let (status, shown) = terminal.end();
            assert_eq!(status.code(), Some(1), "{shown}");
            assert!(shown.contains("nothing was done"), "{shown}");
            assert!(root.join("due").exists(), "{shown}");

            let mut command = place.lapsed();
            command.args(arguments).args(["--config", config]);
            let mut terminal = Terminal::start(command, 100);
            terminal.answer("remove 1 file (1 B)? [y/N] ", "y\n");
            let (status, shown) = terminal.end();
            assert!(status.success(), "{shown}");
            assert!(!root.join("due").exists(), "{shown}");
        }
        std::fs::write(root.join("due"), b"x").unwrap();
        let mut command = place.lapsed();
        command.args(["clean", "--yes", "--config", config]);
        let (status, shown) = Terminal::start(command, 100).end();
        assert!(status.success() && !shown.contains("[y/N]"), "{shown}");
        std::fs::write(root.join("due"), b"x").unwrap();
        assert!(place.run(&["clean", "--config", config]).status.success());
        assert!(!root.join("due").exists());
        drop(daemon);
    }
}

#[test]
fn a_terminal_is_asked_before_the_breaker_is_released() {
    let place = Place::new();
    place.make_dir("data");
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let release = || {
        let mut command = place.lapsed();
        command.args(["breaker", "release"]);
        Terminal::start(command, 100)
    };
    for (answer, code) in [("n\n", 1), ("yes\n", 0)] {
        let mut terminal = release();
        terminal.answer(
            "release it, so that all that is due is removed? [y/N] ",
            answer,
        );
        let (status, shown) = terminal.end();
        assert_eq!(status.code(), Some(code), "{shown}");
        assert_eq!(shown.contains("nothing was held"), code == 0, "{shown}");
    }
}

#[test]
fn a_terminal_shows_the_progress_of_a_run_and_then_its_report() {
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..20_000 {
        std::fs::write(root.join(format!("{number:05}")), b"x").unwrap();
    }
    let config = place.config(
        "breaker.entries = 100000\n[[root]]\nname = \"data\"\npath = \"data\"\n\
         [[rule]]\nexpire = \"0s\"\nschedule = \"manual\"\n",
    );
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let mut command = place.lapsed();
    command.args(["clean", "--yes"]);
    let (status, shown) = Terminal::start(command, 100).end();
    assert!(status.success(), "{shown}");
    // Each progress stands in the place of the one before, and is blank in the end.
    let mut parts = shown.split('\r').collect::<Vec<_>>();
    let report = parts.pop().unwrap();
    let progress = |part: &str| part.starts_with("run 1: ") && part.contains(" of 20,000 (");
    assert!(parts.iter().any(|part| progress(part)), "{parts:?}");
    assert!(parts.last().unwrap().trim().is_empty(), "{parts:?}");
    assert!(
        !report.contains("run 1: ") && report.contains("20,000 files"),
        "{report}"
    );
    // A program is not told.
    std::fs::write(root.join("one"), b"x").unwrap();
    let told = place.run(&["clean"]);
    assert!(!String::from_utf8_lossy(&told.stderr).contains('\r'));
}

#[test]
fn names_cannot_speak_to_the_terminal() {
    use std::os::unix::ffi::OsStringExt;
    let place = Place::new();
    let root = place.make_dir("data");
    for name in [&b"red\x1b[31m\nline"[..], b"not-\xff-utf8", b"\xc2\x9b0m"] {
        let name = std::ffi::OsString::from_vec(name.to_vec());
        std::fs::write(root.join(name), b"x").unwrap();
    }
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let output = place.run(&["ls"]);
    let text = String::from_utf8(output.stdout.clone()).expect("what people read is UTF-8");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control()),
        "{text:?}"
    );
}

#[test]
fn the_part_of_a_list_that_is_shown_lapses_first() {
    let place = Place::new();
    let root = place.make_dir("data");
    let hour = Duration::from_hours(1);
    for (number, name) in (1..).zip(["third", "second", "first"]) {
        let file = std::fs::File::create(root.join(name)).unwrap();
        file.set_modified(SystemTime::now() - hour * number)
            .unwrap();
    }
    let config = place.config(
        "[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nsince = \"mtime\"\nexpire = \"7d\"\n",
    );
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let shown = |arguments: &[&str]| -> Vec<String> {
        let listed = lines(&place.run(arguments));
        let path = |line: &String| line.rsplit('/').next().unwrap().to_owned();
        listed[1..].iter().map(path).collect()
    };
    assert_eq!(shown(&["ls", "-n", "2"]), ["first", "second"]);
    assert_eq!(
        shown(&["ls", "-n", "2", "--sort", "path"]),
        ["first", "second"]
    );
    assert_eq!(
        shown(&["ls", "-n", "2", "--sort", "deadline", "--reverse"]),
        ["third", "second"]
    );
}

#[test]
fn color_is_for_terminals_unless_the_environment_says_otherwise() {
    let place = Place::new();
    place.make_dir("data");
    std::fs::write(place.path("data/file"), b"").unwrap();
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    for (variables, is_colored) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let mut command = place.lapsed();
        command.arg("ls");
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            shown.contains("\x1b["),
            is_colored,
            "{variables:?}: {shown:?}"
        );
    }
}

#[test]
fn an_explanation_stands_by_the_clock_here_and_names_the_older_content() {
    let place = Place::new();
    let file = std::fs::File::create(place.make_dir("data").join("old")).unwrap();
    let day = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 30);
    file.set_modified(day).unwrap();
    let _daemon = place.serve_ready(&["--watch", "data=7d"]);
    let mut command = place.lapsed();
    command
        .args(["explain", "data/old"])
        .env("TZ", "Asia/Tokyo");
    let told = lines(&command.output().unwrap()).join("\n");
    // Midnight of UTC.
    assert!(
        told.contains("its content last changed at 1999-12-25 09:00 ("),
        "{told}"
    );
    assert!(
        told.contains("since = \"mtime\"") && !told.contains("Z ("),
        "{told}"
    );
}

//! `lapsed top` on a terminal, beside a real daemon.

use std::process::Command;

use rustix::process::Signal;

use crate::common::terminal::Terminal;
use crate::common::{Place, errors, wait_for, wait_or_tell};
use crate::remote::Remote;

const CONFIG: &str = r#"
[[root]]
name = "data"
path = "data"

[[rule]]
name = "soon"
root = "data"
glob = "*.soon"
expire = "1s"

[[rule]]
name = "later"
root = "data"
expire = "30d"
"#;

/// Names of somebody who wants to speak to the terminal.
const HOSTILE: [&str; 4] = [
    "blink\u{1b}[5m",
    "title\u{1b}]0;owned\u{7}",
    "next\nline\r\u{9b}2J",
    "\u{202e}txt.exe",
];

/// A terminal of a size, and what it shows.
struct Window {
    terminal: Terminal,
    size: (u16, u16),
}

impl Window {
    fn open(command: Command, rows: u16, columns: u16) -> Self {
        Self {
            terminal: Terminal::sized(command, rows, columns),
            size: (rows, columns),
        }
    }

    fn screen(&self) -> vt100::Screen {
        let [rows, columns] = [self.size.0, self.size.1].map(|size| size.try_into().unwrap());
        let mut parser = vt100::Parser::new(rows, columns, 0);
        parser.process(&self.terminal.bytes());
        parser.screen().clone()
    }

    fn shown(&self) -> String {
        self.screen().contents()
    }

    /// Waits until the screen has `text`.
    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_or_tell(
            &format!("{text:?} is shown"),
            || self.shown().contains(text).then_some(()),
            || self.shown(),
        );
    }

    /// Waits until the screen has `text` no more.
    #[track_caller]
    fn wait_without(&self, text: &str) {
        wait_or_tell(
            &format!("{text:?} is shown no more"),
            || (!self.shown().contains(text)).then_some(()),
            || self.shown(),
        );
    }

    fn press(&mut self, keys: &str) {
        self.terminal.press(keys);
    }

    /// Waits for the end, and checks that the terminal is as before.
    #[track_caller]
    fn end(self) -> i32 {
        let (status, terminal) = self.terminal.finish();
        assert!(terminal.is_as_before());
        let window = Self {
            terminal,
            size: self.size,
        };
        let screen = window.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        status.code().unwrap()
    }
}

fn top(place: &Place) -> Command {
    let mut command = place.lapsed();
    command.arg("top").env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

#[test]
fn files_lapse_and_are_pinned_before_the_eyes_of_the_user() {
    let place = Place::new();
    place.config(CONFIG);
    for name in ["keep.log", "other.log"].iter().chain(&HOSTILE) {
        place.write(&format!("data/{name}"));
    }
    let mut daemon = place.serve_again();
    let mut window = Window::open(top(&place), 24, 80);
    window.wait_for("keep.log");
    window.wait_for("6 files");
    assert!(window.screen().alternate_screen());
    place.write("data/a.soon");
    window.wait_for("removed  1 file");
    window.wait_without("a.soon");

    window.press("/keep\r");
    window.wait_without("other.log");
    window.press("p");
    window.wait_for("keep.log for: 7d");
    window.press("\r");
    window.wait_for("pin 1 holds it until");
    let pins = place.said(&["--json", "pin", "ls"]);
    assert!(
        pins.contains("keep.log") && pins.contains("lapsed top"),
        "{pins}"
    );
    window.wait_for("pin 1  later");
    window.press("e");
    window.wait_for("is a file of");
    window.press("\u{1b}");
    window.wait_for("1 of 1");
    window.press("p");
    window.wait_for("end pin 1");
    window.press("y");
    window.wait_for("pin 1 is removed");
    wait_for("the pin is gone", || {
        (!place.said(&["pin", "ls"]).contains("keep.log")).then_some(())
    });

    // Another word of the filter, another page, another size.
    window.press("\u{1b}");
    window.wait_for("other.log");
    window.press("/rule:soon\r");
    window.wait_for("no files match");
    window.press("\t");
    window.wait_for("watches ");
    window.press("\t");
    window.size = (12, 50);
    window.terminal.resize(12, 50);
    window.press("/\u{15}\r");
    window.wait_for("lapse next 1 of 6");

    daemon.kill();
    window.wait_for("away since");
    drop(daemon);
    let _daemon = place.serve_again();
    window.wait_without("away since");
    window.wait_for("1 of 6");

    let bytes = window.terminal.bytes();
    for hostile in [
        &b"\x1b[5m"[..],
        b"\x1b]0;",
        b"\x1b[2J\xc2",
        b"\xc2\x9b",
        b"\xe2\x80\xae",
    ] {
        let is_there = bytes.windows(hostile.len()).any(|part| part == hostile);
        assert!(!is_there, "{hostile:?}");
    }
    window.press("q");
    assert_eq!(window.end(), 0);
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let place = Place::new();
    place.config(CONFIG);
    place.write("data/a.log");
    let _daemon = place.serve_again();
    for (keys, signal, code) in [
        ("q", None, 0),
        ("\u{3}", None, 0),
        ("/abc\u{3}", None, 0),
        ("", Some(Signal::TERM), 130),
        ("", Some(Signal::HUP), 130),
        ("", Some(Signal::INT), 130),
    ] {
        let mut window = Window::open(top(&place), 24, 80);
        window.wait_for("a.log");
        assert!(!window.terminal.is_as_before());
        window.press(keys);
        if let Some(signal) = signal {
            window.terminal.signal(signal);
        }
        assert_eq!(window.end(), code, "{keys:?} {signal:?}");
    }
}

#[test]
fn colors_are_left_out_where_nobody_wants_them() {
    let place = Place::new();
    place.config(CONFIG);
    place.write("data/a.log");
    let _daemon = place.serve_again();
    for (value, is_colored) in [("", true), ("1", false)] {
        let mut command = top(&place);
        command.env("NO_COLOR", value);
        let mut window = Window::open(command, 24, 80);
        window.wait_for("a.log");
        let bytes = window.terminal.bytes();
        let is_there = bytes.windows(5).any(|part| part == b"\x1b[38;");
        assert_eq!(is_there, is_colored, "{}", window.shown());
        window.press("q");
        assert_eq!(window.end(), 0);
    }
}

#[test]
fn a_daemon_on_another_host_is_shown_and_its_roles_hold() {
    let remote = Remote::start();
    let mut command = remote.command("viewer", &["top", "--filter", "c.log"]);
    command.env("TERM", "xterm");
    let mut window = Window::open(command, 24, 100);
    window.wait_for("1 of 1");
    window.wait_for("c.log");
    window.wait_for(&remote.url());
    window.press("p\r");
    window.wait_for("permission denied");
    window.press("q");
    assert_eq!(window.end(), 0);
    let secret = remote.token("viewer");
    let mut command = remote.command("operator", &["top"]);
    command.env("TERM", "xterm");
    let mut window = Window::open(command, 24, 100);
    window.wait_for("c.log");
    window.press("/c.log\r");
    window.wait_for("1 of 1");
    window.press("p\r");
    window.wait_for("pin 1 holds it");
    assert!(!window.terminal.shown().contains(&secret));
    window.press("q");
    assert_eq!(window.end(), 0);
    assert!(remote.place.said(&["pin", "ls"]).contains("c.log"));
}

#[test]
fn what_is_no_terminal_is_told_of_other_commands() {
    let place = Place::new();
    place.make_dir("data");
    place.config(CONFIG);
    let said = errors(&place.run(&["top"]));
    for text in ["needs a terminal", "`lapsed status`", "`lapsed ls`"] {
        assert!(said.contains(text), "{said}");
    }
    // Without a daemon, and with one that is asked for JSON, the screen is not taken.
    let _daemon = place.serve_again();
    for (name, argument, told) in [
        ("LAPSED_SOCKET", "--quiet", "no daemon listens on socket"),
        ("UNUSED", "--json", "needs a terminal"),
    ] {
        let mut command = top(&place);
        command.env(name, place.path("nothing")).arg(argument);
        let (status, shown) = Terminal::start(command, 100).end();
        assert_eq!(status.code(), Some(2), "{shown}");
        assert!(shown.contains(told) && !shown.contains('\u{1b}'), "{shown}");
    }
}

//! A script in the browser: started, asked, and heard to its end.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use serde_json::Value;

use crate::common::wait_within;
use crate::common::watchdog::sign_of_life;

/// Time for a whole script: some ten times what it takes on an idle machine.
const SCRIPT: Duration = Duration::from_mins(4);

/// Modules of node: beside `playwright-core`, which is a link in a folder of PATH.
pub(super) fn modules() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("playwright-core"))
        .find_map(|program| program.canonicalize().ok());
    let program = found.expect("playwright-core; tests/run installs it");
    program.ancestors().nth(2).unwrap().to_owned()
}

/// A script that runs, and its lines.
pub(super) struct Script {
    name: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    said: String,
}

impl Script {
    pub(super) fn start(name: &str, facts: &Value) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/dashboard");
        let mut child = Command::new("node")
            .arg(format!("{folder}/{name}.mjs"))
            .arg(facts.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node; tests/run installs it");
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            name: name.to_owned(),
            input: child.stdin.take().unwrap(),
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits until it says `wanted`, which is the last thing of a script that found nothing wrong, or a question.
    #[track_caller]
    pub(super) fn wait_until_said(&mut self, wanted: &str) {
        let (name, said, lines) = (&self.name, &mut self.said, &self.lines);
        let mut has_ended = false;
        wait_within(
            SCRIPT,
            &format!("{name}.mjs says {wanted:?}"),
            || match lines.try_recv() {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    (line == wanted).then_some(())
                }
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    has_ended = true;
                    Some(())
                }
            },
            String::new,
        );
        assert!(!has_ended, "{name}.mjs ended without {wanted:?}:\n{said}");
    }

    /// Answers a question.
    pub(super) fn answer(&mut self) {
        sign_of_life();
        writeln!(self.input, "done").unwrap();
    }

    #[track_caller]
    pub(super) fn finish(mut self) {
        self.wait_until_said("agreed");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It closes its browser when nobody asks it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

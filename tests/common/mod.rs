//! Drives the real binary over its real socket on a real file system.
//!
//! Tests wait on conditions, never for a time; the limit is generous, because machines are shared.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::similar_names,
    clippy::unnecessary_debug_formatting,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

pub mod commands;
mod daemon;
pub mod evidence;
pub mod follow;
pub mod http;
pub mod immutable;
pub mod machine;
pub mod namespace;
pub mod others;
pub mod sources;
pub mod strace;
pub mod terminal;
pub mod trees;
pub mod watchdog;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use machine::Deadline;
use serde_json::Value;
use watchdog::{Running, sign_of_life};

pub use daemon::Daemon;
pub use machine::{PATIENCE, patience};

/// Waits until `condition` gives something, and fails with `what` when it never does.
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_or_tell(what, condition, String::new)
}

/// As [`wait_for`]; a failure also says what `tell` tells.
#[track_caller]
pub fn wait_or_tell<T>(
    what: &str,
    condition: impl FnMut() -> Option<T>,
    tell: impl FnOnce() -> String,
) -> T {
    wait_within(PATIENCE, what, condition, tell)
}

/// As [`wait_or_tell`], for what has to take longer than [`PATIENCE`] also on an idle machine.
#[track_caller]
pub fn wait_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
    tell: impl FnOnce() -> String,
) -> T {
    let deadline = Deadline::after(limit);
    loop {
        sign_of_life();
        if let Some(value) = condition() {
            return value;
        }
        assert!(!deadline.is_over(), "never came true: {what}\n{}", tell());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Who tells the daemons of this test program about changes: `LAPSED_TEST_BACKEND`, or who "auto" is on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Inotify,
    Notify,
    Poll,
}

/// Environment variable that chooses the [`Backend`].
pub const BACKEND: &str = "LAPSED_TEST_BACKEND";

/// See [`Backend`].
pub fn backend() -> Backend {
    match std::env::var(BACKEND).as_deref() {
        Ok("inotify") | Err(_) => Backend::Inotify,
        Ok("notify") => Backend::Notify,
        Ok("poll") => Backend::Poll,
        Ok(other) => panic!("{BACKEND} must be inotify, notify or poll, not {other:?}"),
    }
}

impl Backend {
    /// As the configuration and `status` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inotify => "inotify",
            Self::Notify => "notify",
            Self::Poll => "poll",
        }
    }

    /// What a daemon has to be told for it.
    pub fn tell(self, command: &mut Command) {
        match self {
            Self::Inotify => {}
            Self::Notify => {
                command.env("LAPSED_WATCH_BACKEND", self.name());
            }
            Self::Poll => {
                command.env("LAPSED_WATCH_BACKEND", self.name());
                // The shortest that may be: the tests wait for it.
                command.env("LAPSED_WATCH_RECONCILE_EVERY", "1s");
            }
        }
    }
}

/// A place for one test: roots, state, socket, configuration. Removed when it is dropped.
pub struct Place {
    pub dir: tempfile::TempDir,
    _running: Running,
}

impl Place {
    pub fn new() -> Self {
        Self {
            _running: Running::new(),
            dir: tempfile::Builder::new()
                .prefix("lapsed-")
                .tempdir()
                .unwrap(),
        }
    }

    /// The path of `name` in this place, free of symbolic links.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("lapsed.sock")
    }

    /// Writes the configuration file and gives its path.
    pub fn config(&self, text: &str) -> PathBuf {
        let path = self.path("lapsed.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Path of the configuration file.
    pub fn config_path(&self) -> String {
        self.path("lapsed.toml").to_str().unwrap().to_owned()
    }

    /// Writes a configuration in which the directories of the root `root` lapse as a whole; `more`
    /// stands in the rule.
    pub fn config_of_units(&self, expire: &str, more: &str) -> PathBuf {
        let root = "[[root]]\npath = \"root\"\n";
        let rule = format!("[[rule]]\nunit = \"dir\"\nexpire = \"{expire}\"\n{more}\n");
        self.config(&[root, &rule].concat())
    }

    pub fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// The command `lapsed`, pointed at this place's state and socket.
    pub fn lapsed(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        command.current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LAPSED_") {
                command.env_remove(name);
            }
        }
        command
            .env("LAPSED_STATE_DIR", self.path("state"))
            .env("LAPSED_SOCKET", self.socket());
        backend().tell(&mut command);
        command
    }

    /// Runs `lapsed` with `arguments` to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        sign_of_life();
        self.lapsed()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Starts `lapsed serve` and waits until it answers.
    pub fn serve(&self, arguments: &[&str]) -> Daemon {
        let mut command = self.lapsed();
        command.arg("serve").args(arguments);
        let daemon = Daemon::start(command, self.socket());
        daemon.wait_until_up();
        daemon
    }

    /// Starts a daemon with the configuration file as it is, and waits until it has read everything.
    pub fn serve_again(&self) -> Daemon {
        self.serve_ready(&["--config", &self.config_path()])
    }

    /// Returns what `lapsed` says; fails when it does.
    #[track_caller]
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            errors(&output)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Writes a small file, below directories that are made.
    pub fn write(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        trees::write(&path, 7);
        path
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Waits until nothing is at `path`.
    #[track_caller]
    pub fn wait_until_gone(&self, daemon: &Daemon, path: &str) {
        wait_or_tell(
            &format!("{path} goes"),
            || (!self.exists(path)).then_some(()),
            || sources::tell_of(daemon),
        );
    }

    /// As [`Place::serve`], and waits until every root that is there has been read.
    pub fn serve_ready(&self, arguments: &[&str]) -> Daemon {
        let daemon = self.serve(arguments);
        daemon.wait_until_ready();
        daemon
    }
}

/// The path of an entry, also when it is not UTF-8.
pub fn path_of(entry: &Value) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    match entry["path_b64"].as_str() {
        Some(text) => std::ffi::OsString::from_vec(decode_base64(text)).into(),
        None => entry["path"].as_str().expect("an entry has a path").into(),
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// Regular files below `root` with their sizes, by an independent walk; what is ours is left out.
pub fn walk(root: &Path) -> std::collections::BTreeMap<PathBuf, u64> {
    let mut files = std::collections::BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(meta) = path.symlink_metadata() else {
                continue;
            };
            if meta.is_dir() {
                if path != root.join(".lapsed") {
                    open.push(path);
                }
            } else if meta.is_file() {
                files.insert(path, meta.len());
            }
        }
    }
    files
}

/// Lines of a command's standard output.
pub fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What a command said on its standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

//! Where an application runs, with a daemon that a preset has told what is temporary there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use serde_json::Value;

use super::documents::VARIABLES;
use super::tree::Tree;
use crate::common::commands::said;
use crate::common::evidence::{holds, ledger, ms, stays};
use crate::common::trees::now_ms;
use crate::common::{Daemon, Place, errors, wait_for, wait_or_tell};

/// The daemon's own things at the top of a place, and those of the tests.
const OURS: [&str; 6] = [
    "state",
    "lapsed.sock",
    "lapsed.toml",
    "lapsed.toml~",
    "lapsed.sock.lock",
    "bin",
];

/// A place: the application's directory is `app`, and whatever else lies beside it is nobody's business.
pub struct Site {
    pub place: Place,
    environment: BTreeMap<&'static str, String>,
    /// Names that are no part of the tree: databases.
    apart: Vec<String>,
}

impl Site {
    /// A site for which `lapsed init` has written the preset.
    pub fn new(preset: &str) -> Self {
        let place = Place::new();
        place.make_dir("app");
        let (app, file) = (place.path("app"), place.path("lapsed.toml"));
        let to = ["--base-dir", app.to_str().unwrap(), "--output"];
        let arguments = [
            &["init", "--preset", preset],
            &to[..],
            &[file.to_str().unwrap()],
        ];
        said(&place, &arguments.concat());
        let site = Self {
            place,
            environment: BTreeMap::new(),
            apart: Vec::new(),
        };
        // Where claims that climb lead to.
        for canary in [
            "etc/passwd",
            "app/etc/passwd",
            "outside/passwd",
            "outside/deep/file",
        ] {
            site.lay(&site.place.path(canary), canary);
        }
        site
    }

    /// Sets a variable for every command from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        assert!(
            VARIABLES.iter().any(|(_, names)| names.contains(&name))
                || name == "TZ"
                || name.starts_with("LAPSED_"),
            "{name}"
        );
        self.environment.insert(name, value.to_owned());
    }

    /// Says that what is called so at the place is no part of the tree.
    pub fn set_apart(&mut self, name: &str) {
        for end in ["", "-wal", "-shm", "-journal"] {
            self.apart.push(format!("{name}{end}"));
        }
    }

    /// A path of the application's.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path("app").join(name)
    }

    /// Writes a file, which holds its own name.
    pub fn write(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        self.lay(&path, name);
        path
    }

    /// Writes a file that was last written so long ago.
    pub fn aged(&self, name: &str, age: Duration) -> PathBuf {
        let path = self.write(name);
        age_tree(&path, age);
        path
    }

    /// Makes a directory with nothing in it.
    pub fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn lay(&self, path: &Path, name: &str) {
        assert!(path.starts_with(self.place.path("")));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// `lapsed`, with the preset and the variables that were set, and none of the presets' else.
    pub fn lapsed(&self) -> Command {
        let mut command = self.place.lapsed();
        for (_, names) in VARIABLES {
            for name in *names {
                command.env_remove(name);
            }
        }
        command
            .env("LAPSED_CONFIG", self.place.path("lapsed.toml"))
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.lapsed().args(arguments).output().unwrap()
    }

    /// What a command that ends well says.
    #[track_caller]
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            errors(&output),
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What `lapsed clean` reports.
    #[track_caller]
    pub fn clean(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["clean", "--json"], arguments].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let code = match report["status"].as_str().unwrap() {
            "done" => 0,
            "errors" => 1,
            _ => 2,
        };
        assert_eq!(output.status.code(), Some(code), "{report}");
        report
    }

    /// A daemon that has read everything that there is.
    #[track_caller]
    pub fn serve(&self) -> Daemon {
        let daemon = self.serve_at_once();
        daemon.wait_until_ready();
        daemon.sync();
        daemon
    }

    /// A daemon that answers.
    #[track_caller]
    pub fn serve_at_once(&self) -> Daemon {
        let mut command = self.lapsed();
        command.arg("serve");
        let daemon = Daemon::start(command, self.place.socket());
        daemon.wait_until_up();
        daemon
    }

    /// As [`Site::serve`], where the application has told of jobs before anything was let go.
    #[track_caller]
    pub fn serve_told(&self, jobs: &[(&str, &str)]) -> Daemon {
        let mut command = self.lapsed();
        command.arg("serve").env("LAPSED_DRY_RUN", "true");
        let mut daemon = Daemon::start(command, self.place.socket());
        daemon.wait_until_up();
        for (id, status) in jobs {
            self.said(&["job", "put", id, "--status", status]);
        }
        assert!(daemon.stop().success());
        self.serve()
    }

    /// The daemon, which runs dry, has read everything, holds what is due, and left all of it.
    #[track_caller]
    pub fn assert_dry(&self, daemon: &Daemon, before: &Tree) {
        daemon.sync();
        let held = wait_for("what is due is held", || {
            holds(daemon).get("dry-run").map(|(count, _)| *count)
        });
        assert!(held > 0);
        assert_eq!(&self.tree(), before);
        assert!(ledger(&self.place).is_empty());
    }

    /// What lies in the place.
    pub fn tree(&self) -> Tree {
        Tree::of(&self.place.path(""), &self.ours())
    }

    /// Whether what is in the place is called as in `tree`. Nothing is opened for that.
    pub fn has_the_names_of(&self, tree: &Tree) -> bool {
        Tree::names_of(&self.place.path(""), &self.ours()).is_named_like(tree)
    }

    /// The tree is as it was.
    #[track_caller]
    pub fn assert_same(&self, before: &Tree) {
        let difference = before.difference(&self.tree());
        assert!(difference.is_empty(), "{difference}");
    }

    fn ours(&self) -> Vec<&str> {
        let apart = self.apart.iter().map(String::as_str);
        OURS.into_iter().chain(apart).collect()
    }

    /// Waits until exactly `gone` (paths of the application's) went from `before`.
    #[track_caller]
    pub fn wait_until_gone(&self, daemon: &Daemon, before: &Tree, gone: &[&str]) -> Tree {
        let left = before.but(gone);
        wait_or_tell(
            &format!("{gone:?} go, and nothing else"),
            || self.has_the_names_of(&left).then_some(()),
            || {
                let difference = left.difference(&self.tree());
                format!("{difference}{}", stays(daemon))
            },
        );
        let difference = left.difference(&self.tree());
        assert!(difference.is_empty(), "{difference}");
        left
    }

    /// Asks for what is due: exactly `gone` (paths of the application's) goes from `before`. Once does, but for what somebody has open in that
    /// moment (a child of another test that is just being forked): that is said, and stays until it is asked for again.
    #[track_caller]
    pub fn clean_until_gone(
        &self,
        daemon: &Daemon,
        arguments: &[&str],
        (before, gone): (&Tree, &[&str]),
    ) -> Tree {
        let left = before.but(gone);
        wait_or_tell(
            &format!("{gone:?} go when they are asked for"),
            || {
                let report = self.clean(arguments);
                assert_eq!(report["errors"], serde_json::json!([]), "{report}");
                let is_done = self.has_the_names_of(&left);
                let mut held = report["held"].as_array().unwrap().iter();
                assert!(
                    is_done || held.any(|item| item["hold"] == "open"),
                    "{}{report}{}",
                    left.difference(&self.tree()),
                    stays(daemon)
                );
                is_done.then_some(())
            },
            || {
                let difference = left.difference(&self.tree());
                format!("{difference}{}", stays(daemon))
            },
        );
        let difference = left.difference(&self.tree());
        assert!(difference.is_empty(), "{difference}");
        left
    }

    /// Nothing went from `left` and nothing will now, also when it is asked for.
    #[track_caller]
    pub fn assert_all_stay(&self, daemon: &Daemon, left: &Tree) {
        daemon.sync();
        let report = self.clean(&[]);
        let difference = left.difference(&self.tree());
        assert!(difference.is_empty(), "{difference}{report}");
        assert_eq!(report["removed"], serde_json::json!([]), "{report}");
    }

    /// The lines of the ledger about the units that a path of the application's belonged to, each of which went in its time.
    #[track_caller]
    pub fn lines_about(&self, name: &str) -> Vec<Value> {
        let path = self.path(name);
        let path = path.to_str().unwrap();
        let lines = ledger(&self.place).into_iter().filter(|line| {
            let parts = line["paths"].as_array();
            line["path"] == path || parts.is_some_and(|parts| parts.contains(&path.into()))
        });
        lines.inspect(assert_in_time).collect()
    }

    /// The one line about `name`, which went by `rule`.
    #[track_caller]
    pub fn line_about(&self, daemon: &Daemon, name: &str, rule: &str) -> Value {
        let line = wait_or_tell(
            &format!("the ledger tells of {name}"),
            || self.lines_about(name).pop(),
            || format!("{:#?}\n{}", ledger(&self.place), stays(daemon)),
        );
        assert_eq!(line["rule"], rule, "{line}");
        assert_eq!(self.lines_about(name).len(), 1);
        line
    }

    /// Waits until `name` went, and says that it did so at `deadline_ms` by `rule`.
    #[track_caller]
    pub fn wait_for_deadline(&self, daemon: &Daemon, name: &str, rule: &str, deadline_ms: i64) {
        wait_or_tell(
            &format!("{name} goes"),
            || (!self.exists(name)).then_some(()),
            || stays(daemon),
        );
        assert!(now_ms() >= deadline_ms, "{name} went early");
        let line = self.line_about(daemon, name, rule);
        assert_eq!(ms(&line["deadline"]), deadline_ms, "{line}");
    }

    /// No line of the ledger tells of anything that went before its time.
    #[track_caller]
    pub fn assert_never_early(&self) {
        ledger(&self.place).iter().for_each(assert_in_time);
    }
}

fn assert_in_time(line: &Value) {
    assert!(ms(&line["at"]) >= ms(&line["deadline"]), "early: {line}");
    assert!(line["late_ms"].as_i64().unwrap() >= 0, "early: {line}");
}

/// Lets everything below `path`, and it, have been written last at an instant.
pub fn written_at(path: &Path, unix_ms: i64) {
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            written_at(&entry.unwrap().path(), unix_ms);
        }
    }
    let time = Timespec {
        tv_sec: unix_ms.div_euclid(1000),
        tv_nsec: unix_ms.rem_euclid(1000) * 1_000_000,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Lets everything below `path`, and it, have been written last so long ago.
pub fn age_tree(path: &Path, age: Duration) {
    written_at(path, now_ms() - i64::try_from(age.as_millis()).unwrap());
}

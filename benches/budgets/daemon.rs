//! The real daemon: started, asked, stopped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::http::{Client, get_once};
use super::process::{Did, Seen};

/// A condition that has not come true after this long never will.
const PATIENCE: Duration = Duration::from_mins(5);

/// Between two looks at a condition.
const BETWEEN: Duration = Duration::from_millis(2);

/// Waits until `condition` gives something.
pub fn wait_for<T>(
    what: &str,
    mut condition: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        ensure!(begun.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::sleep(BETWEEN);
    }
}

/// A root with state and socket beside it.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
    rules: String,
}

impl Place {
    /// In `dir`, with these rules for the root `data`.
    pub fn new(dir: PathBuf, rules: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir.join("data"))?;
        // A directory of its own, as it has in /etc: edits in it are watched for.
        std::fs::create_dir_all(dir.join("etc"))?;
        let place = Self {
            dir,
            rules: rules.to_owned(),
        };
        // Everything of a tree becomes due while the daemon runs, which is the passing of time; the breaker is of no
        // interest here, and must not judge a slow start.
        let config = format!(
            "[breaker]\nentries = 1000000000\n[[root]]\nname = \"data\"\npath = \"{}\"\n{rules}",
            place.root().display()
        );
        std::fs::write(place.config(), config)?;
        Ok(place)
    }

    /// A place beside this one, with the same rules.
    pub fn beside(&self, name: &str) -> anyhow::Result<Self> {
        Self::new(self.dir.join(name), &self.rules)
    }

    fn config(&self) -> PathBuf {
        self.dir.join("etc/lapsed.toml")
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// Makes the daemon forget everything.
    pub fn forget(&self) -> anyhow::Result<()> {
        match std::fs::remove_dir_all(self.state()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Starts the daemon; it may not answer yet.
    pub fn start(&self) -> anyhow::Result<Daemon> {
        let log = self.dir.join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LAPSED_") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .env("LAPSED_STATE_DIR", self.state())
            .env("LAPSED_SOCKET", self.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("the daemon cannot be started")?;
        Ok(Daemon {
            child,
            begun: Instant::now(),
            socket: self.socket(),
            log,
        })
    }

    /// Starts the daemon and waits until it has read the root.
    pub fn start_ready(&self) -> anyhow::Result<(Daemon, Duration)> {
        let mut daemon = self.start()?;
        let took = daemon.wait_until(|status, _| status["roots"][0]["phase"] == "ready")?;
        Ok((daemon, took))
    }

    /// Lines of the ledger: how many files are recorded as removed, and which were early.
    pub fn ledger(&self) -> anyhow::Result<Ledger> {
        let mut ledger = Ledger::default();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.state().join("ledger"))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
        for path in paths {
            for line in std::fs::read_to_string(path)?.lines() {
                let line: Value =
                    serde_json::from_str(line).context("the ledger has a line that is not JSON")?;
                let late_ms = line["late_ms"].as_i64().context("a line without late_ms")?;
                let is_early = line["at"].as_str() < line["deadline"].as_str();
                if late_ms < 0 || is_early {
                    ledger.early.push(line.to_string());
                }
                if line["result"] == "removed" {
                    ledger.files += line["files"].as_u64().unwrap_or(0);
                }
            }
        }
        Ok(ledger)
    }
}

/// What the ledger tells.
#[derive(Debug, Default)]
pub struct Ledger {
    pub files: u64,
    pub early: Vec<String>,
}

/// A running daemon. Killed when it is dropped.
pub struct Daemon {
    child: Child,
    begun: Instant,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.socket)
    }

    pub fn seen(&self) -> Seen {
        Seen::now(self.pid())
    }

    pub fn did_since(&self, before: &Seen) -> Did {
        before.until(&self.seen())
    }

    /// The time from its start until `is` holds of status and health.
    pub fn wait_until(
        &mut self,
        mut is: impl FnMut(&Value, &str) -> bool,
    ) -> anyhow::Result<Duration> {
        let begun = self.begun;
        wait_for("the daemon is ready", || {
            self.check_alive()?;
            let (Ok(status), Ok(health)) = (
                get_once(&self.socket, "/v1/status"),
                get_once(&self.socket, "/v1/health"),
            ) else {
                return Ok(None);
            };
            let health = health["status"].as_str().unwrap_or_default();
            Ok(is(&status, health).then(|| begun.elapsed()))
        })
    }

    /// The time from its start until it answers at all.
    pub fn wait_until_it_answers(&mut self) -> anyhow::Result<Duration> {
        let begun = self.begun;
        wait_for("the daemon answers", || {
            self.check_alive()?;
            Ok(get_once(&self.socket, "/v1/health")
                .ok()
                .map(|_| begun.elapsed()))
        })
    }

    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "the daemon ended by itself with {status}; it said:\n{}",
                self.said()
            );
        }
        Ok(())
    }

    /// Ends it as `systemctl stop` does; how long it took.
    pub fn stop(mut self) -> anyhow::Result<Duration> {
        self.check_alive()?;
        let begun = Instant::now();
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = wait_for("the daemon ends", || Ok(self.child.try_wait()?))?;
        ensure!(
            status.success(),
            "the daemon ended with {status}; it said:\n{}",
            self.said()
        );
        Ok(begun.elapsed())
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The quarantine of `root` is empty.
pub fn is_settled(root: &Path) -> bool {
    std::fs::read_dir(root.join(".lapsed")).is_ok_and(|mut names| names.next().is_none())
}

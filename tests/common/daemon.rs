//! A running daemon, and requests to it.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::http::{Answer, Request};
use super::machine::assert_watches;
use super::watchdog::sign_of_life;
use super::{Backend, backend, path_of, wait_for, wait_or_tell};

/// A running daemon. Killed when it is dropped.
pub struct Daemon {
    pub child: Child,
    pub socket: PathBuf,
    stderr: Arc<Mutex<String>>,
}

impl Daemon {
    #[track_caller]
    pub fn start(mut command: Command, socket: PathBuf) -> Self {
        if backend() != Backend::Poll {
            assert_watches();
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // A copy of the program that was just written is busy while a process that another test is
        // starting still has its descriptor.
        let mut child = wait_for("the program can be executed", || match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
            child => Some(child.unwrap()),
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, copy) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { return };
                let mut said = copy.lock().unwrap();
                said.push_str(&String::from_utf8_lossy(&line));
                said.push('\n');
            }
        });
        Self {
            child,
            socket,
            stderr,
        }
    }

    /// Everything that it said on stderr so far.
    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn wait_until_up(&self) {
        wait_for(
            &format!("the daemon answers; it said:\n{}", self.said()),
            || UnixStream::connect(&self.socket).ok().map(drop),
        );
    }

    #[track_caller]
    pub fn wait_until_ready(&self) {
        wait_for("every root is read", || {
            let (_, status) = self.get("/v1/health");
            (status["status"] != "reconciling").then_some(())
        });
    }

    #[track_caller]
    pub fn wait_until_said(&self, text: &str) {
        wait_for(&format!("the daemon says {text:?}"), || {
            self.said().contains(text).then_some(())
        });
    }

    /// Waits until everything that happened before is in the index.
    #[track_caller]
    pub fn sync(&self) {
        let (status, body) = self.post("/v1/sync", "");
        assert_eq!(status, 200, "{body}");
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send(&Request::get(path)).pair()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let request = Request::new("POST", path);
        let request = if body.is_empty() {
            request
        } else {
            request.json(body)
        };
        self.send(&request).pair()
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        sign_of_life();
        request.send(&self.socket)
    }

    /// Every entry of the index, or those of a query such as `?rule=none`, by path.
    #[track_caller]
    pub fn files(&self, query: &str) -> std::collections::BTreeMap<PathBuf, Value> {
        let request = Request::get(&format!("/v1/files{query}"));
        let answer = self.send(&request.header("accept", "application/x-ndjson"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let entries = answer.lines().into_iter();
        entries.map(|entry| (path_of(&entry), entry)).collect()
    }

    /// The state of the cache.
    pub fn cache(&self) -> Value {
        self.get("/v1/status").1["cache"].clone()
    }

    /// Waits until everything that is known is on disk, stamps included.
    #[track_caller]
    pub fn wait_until_saved(&self) {
        self.sync();
        wait_or_tell(
            "all is saved",
            || {
                let cache = self.cache();
                let all = cache["pending"] == 0 && cache["unstamped"] == 0;
                (cache["saved_at"].is_string() && all).then_some(())
            },
            || self.cache().to_string(),
        );
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the daemon ends", || self.child.try_wait().unwrap())
    }

    /// Asks it to end, as `systemctl stop` does.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Ends it as a power cut would, as far as the process is concerned.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon said:\n{}", self.said());
        }
    }
}

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
pub mod evidence;
pub mod follow;
pub mod immutable;
pub mod machine;
pub mod namespace;
pub mod others;
pub mod sources;
pub mod terminal;
pub mod trees;
pub mod watchdog;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use watchdog::{Running, sign_of_life};

use machine::{Deadline, assert_watches};
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

    /// As [`Place::serve`], and waits until every root that is there has been read.
    pub fn serve_ready(&self, arguments: &[&str]) -> Daemon {
        let daemon = self.serve(arguments);
        daemon.wait_until_ready();
        daemon
    }
}

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
        let (status, _, body) = self.request("GET", path, &[], b"");
        (status, parse(&body))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let headers: &[(&str, &str)] = if body.is_empty() {
            &[]
        } else {
            &[("content-type", "application/json")]
        };
        let (status, _, body) = self.request("POST", path, headers, body.as_bytes());
        (status, parse(&body))
    }

    /// One request on a connection of its own: status, head and body.
    #[track_caller]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String, Vec<u8>) {
        sign_of_life();
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream.set_write_timeout(Some(patience())).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: lapsed\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&[name, ": ", value, "\r\n"].concat());
        }
        head.push_str(&["content-length: ", &body.len().to_string(), "\r\n\r\n"].concat());
        // A refusal may come before the request, with too many connections, or before all of a
        // large body was taken.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        split_answer(&answer)
    }

    /// Every entry of the index, or those of a query such as `?rule=none`, by path.
    #[track_caller]
    pub fn files(&self, query: &str) -> std::collections::BTreeMap<PathBuf, Value> {
        let headers = [("accept", "application/x-ndjson")];
        let (status, _, body) = self.request("GET", &format!("/v1/files{query}"), &headers, b"");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        body.split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let entry: Value = serde_json::from_slice(line).unwrap();
                (path_of(&entry), entry)
            })
            .collect()
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

fn parse(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|error| {
        panic!("not JSON ({error}): {}", String::from_utf8_lossy(body));
    })
}

fn split_answer(answer: &[u8]) -> (u16, String, Vec<u8>) {
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    let body = &answer[end + 4..];
    let chunked = head.contains("transfer-encoding: chunked");
    (
        status,
        head,
        if chunked {
            unchunk(body)
        } else {
            body.to_vec()
        },
    )
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|part| part == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
    body
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

//! The machine that tests run on: how busy it is, whose rights they have, and what they need of it.
//!
//! **Invariant:** a test never passes without having tried. What is missing fails it, with the words that mend it.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::inotify;
use rustix::io::Errno;

/// Time after which a condition never becomes true on a machine that does nothing else. See [`patience`].
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Limit of the factor by which load extends a limit: nothing is waited for longer than ten minutes.
const LOAD_FACTOR_MAX: f64 = 10.0;

/// inotify watches that a test needs which does not say more: its roots, and what is around its files.
const WATCHES: usize = 64;

/// User and group without rights, which every system has.
pub const NOBODY: u32 = 65_534;

/// Processes that want to run for each core: tests, and the daemons that they wait for, get only that part of the time.
fn load_factor() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = load.split(' ').next().and_then(|load| load.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = f64::from(u32::try_from(cores).unwrap_or(u32::MAX));
    (last_minute.unwrap_or(0.0) / cores).clamp(1.0, LOAD_FACTOR_MAX)
}

/// [`PATIENCE`], longer by the present load: the limit of a read, which cannot look at the load again.
pub fn patience() -> Duration {
    PATIENCE.mul_f64(load_factor())
}

/// Limit of a wait, which grows with the load of the machine.
#[derive(Clone, Copy)]
pub struct Deadline {
    begun: Instant,
    limit: Duration,
}

impl Deadline {
    /// [`PATIENCE`] from now.
    pub fn new() -> Self {
        Self::after(PATIENCE)
    }

    /// `limit` from now, on a machine that does nothing else.
    pub fn after(limit: Duration) -> Self {
        let begun = Instant::now();
        Self { begun, limit }
    }

    /// Returns true when waiting on is vain.
    pub fn is_over(&self) -> bool {
        let waited = self.begun.elapsed();
        // The load is read only when it matters.
        waited > self.limit && waited > self.limit.mul_f64(load_factor())
    }
}

/// Words for what this user lacked to [`WATCHES`] when that was first asked: what a test itself takes or forbids is none.
fn first_shortage() -> Option<&'static str> {
    static SHORTAGE: OnceLock<Option<String>> = OnceLock::new();
    let shortage = SHORTAGE.get_or_init(|| shortage_of_watches(WATCHES));
    shortage.as_deref()
}

/// Asserts that other programs of this user leave [`WATCHES`] to the tests.
#[track_caller]
pub fn assert_watches() {
    if let Some(shortage) = first_shortage() {
        panic!("{shortage}");
    }
}

/// Words for what this user lacks to `needed` more inotify watches, found out by taking them.
pub fn shortage_of_watches(needed: usize) -> Option<String> {
    let inotify = match inotify::init(inotify::CreateFlags::CLOEXEC) {
        Ok(inotify) => inotify,
        Err(Errno::MFILE) => {
            return Some(
                "this test needs an inotify instance, and none is free: raise fs.inotify.max_user_instances, or end programs \
                 of this user that watch files"
                    .to_owned(),
            );
        }
        Err(error) => panic!("inotify_init1: {error}"),
    };
    let scratch = tempfile::tempdir().unwrap();
    let mut free = 0;
    for number in 0..needed {
        let dir = scratch.path().join(number.to_string());
        std::fs::create_dir(&dir).unwrap();
        match inotify::add_watch(&inotify, &dir, inotify::WatchFlags::DELETE) {
            Ok(_) => free += 1,
            Err(Errno::NOSPC) => break,
            Err(error) => panic!("inotify_add_watch: {error}"),
        }
    }
    (free < needed).then(|| {
        format!(
            "this test needs {needed} inotify watches, {free} are free: raise fs.inotify.max_user_watches, or end programs of \
             this user that watch files"
        )
    })
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Environment variable that names the test which a process was started for.
const AGAIN: &str = "LAPSED_TEST_AGAIN";

/// Path of the calling test: the test harness gives it to the test's thread as its name.
pub fn this_test() -> String {
    let thread = std::thread::current();
    thread
        .name()
        .expect("a test's thread has its name")
        .to_owned()
}

/// Runs the calling test once more, in a process that `wrapper` starts from `program`, and asserts that it passes there.
/// `need` says what must be there for that.
#[track_caller]
fn run_again(wrapper: &mut Command, program: impl AsRef<OsStr>, need: &str) {
    let test = this_test();
    let name = wrapper.get_program().to_owned();
    let output = wrapper
        .arg(program)
        .args(["--nocapture", "--exact", &test])
        .env(AGAIN, &test)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; {need}", name.display()));
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "it failed in a process of its own, or could not be started there; {need}\n{out}\n{error}"
    );
}

/// Returns true when the calling test is in namespaces of its own, where it is root. Else it runs it there.
#[track_caller]
pub fn has_namespaces(namespaces: &[&str]) -> bool {
    if std::env::var_os(AGAIN).is_some_and(|test| test == *this_test()) {
        // Before the test sets limits of its own.
        first_shortage();
        return true;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user"]).args(namespaces);
    let need = "this test needs unshare(1) (package util-linux), mount(8) (package mount), and user namespaces (sysctl \
                user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                kernel.apparmor_restrict_unprivileged_userns)";
    run_again(&mut unshare, std::env::current_exe().unwrap(), need);
    false
}

/// Returns true when the user `id` exists in this user namespace.
fn is_user(id: u32) -> bool {
    let ranges = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    ranges.lines().any(|range| {
        let mut numbers = range
            .split_whitespace()
            .map(|word| word.parse::<u32>().unwrap());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        id.checked_sub(first.unwrap())
            .is_some_and(|nth| nth < count.unwrap())
    })
}

/// Returns true when the calling test may act as other users. Else it runs it as root of a user namespace with the users
/// that `/etc/subuid` gives to this one.
#[track_caller]
pub fn has_other_users() -> bool {
    if is_root() && is_user(NOBODY) {
        return true;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--map-auto"]);
    let need = "this test acts as other users: run it as root, or install uidmap and util-linux 2.38 or newer, and give \
                this user ranges in /etc/subuid and /etc/subgid";
    run_again(&mut unshare, std::env::current_exe().unwrap(), need);
    false
}

/// Returns true when the calling test has no privileges. Else it runs it as [`NOBODY`], with a directory for its temporary
/// files.
#[track_caller]
pub fn has_no_privileges() -> bool {
    if !is_root() {
        return true;
    }
    let scratch = tempfile::Builder::new()
        .prefix("lapsed-nobody-")
        .tempdir()
        .unwrap();
    give_to_nobody(scratch.path());
    let mut setpriv = Command::new("setpriv");
    setpriv
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg("--inh-caps=-all")
        .env("TMPDIR", scratch.path())
        .current_dir("/")
        // The program, which may be where this user cannot reach it.
        .stdin(File::open(std::env::current_exe().unwrap()).unwrap());
    let need = "this test needs setpriv(1) (package util-linux)";
    run_again(&mut setpriv, "/proc/self/fd/0", need);
    false
}

/// Says on the real standard error that the calling test was not tried, and why: a print is shown for failed tests only.
pub fn note(why: &str) {
    let _ = writeln!(std::io::stderr(), "{}: not tried: {why}", this_test());
}

/// Gives a directory to [`NOBODY`].
#[track_caller]
pub fn give_to_nobody(dir: &Path) {
    assert_reachable(dir.parent().unwrap());
    chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// Asserts that every user can reach what is in `dir`, the directory for temporary files.
#[track_caller]
pub fn assert_reachable(dir: &Path) {
    for above in dir.canonicalize().unwrap().ancestors() {
        let mode = above.metadata().unwrap().permissions().mode();
        assert!(
            mode & 0o001 != 0,
            "this test acts as other users, who may not search {} (mode {:04o}): set TMPDIR to a directory that they can \
             reach, such as /tmp",
            above.display(),
            mode & 0o7777
        );
    }
}

//! An idle daemon sleeps: nothing of it wakes, and nothing is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::common::machine::Deadline;
use crate::common::{Daemon, Place, wait_for};

/// How long it has to sleep. This is the one place where a test lets time pass: a sleep is what is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// The threads of the database that the cache is kept in: they wake once a second each, whatever we do.
const DATABASE: &str = "sled-io";

/// Wake-ups of the whole process within the window that are none of ours, such as faults of pages. Whoever polls once a
/// second has more.
const WAKES_MAX: u64 = 2;

/// How often each thread has gone to sleep of its own accord so far.
fn sleeps(daemon: &Daemon) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    tasks
        .filter_map(|task| {
            // A thread may end between being listed and being read.
            let task = task.ok()?.path();
            let status = std::fs::read_to_string(task.join("status")).ok()?;
            let value = |key: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(key))?;
                Some(line.trim().to_owned())
            };
            let name = value("Name:")?;
            let count = value("voluntary_ctxt_switches:")?.parse().ok()?;
            if name.starts_with(DATABASE) {
                return None;
            }
            Some((format!("{} {name}", task.display()), count))
        })
        .collect()
}

/// Every file below `dir` with its size and the time of its last change.
fn state(dir: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            found.insert(
                path.display().to_string(),
                (meta.len(), meta.modified().unwrap()),
            );
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

/// Bytes and calls of writing so far; 0 where the kernel does not count them.
fn writes(daemon: &Daemon) -> String {
    let io = std::fs::read_to_string(format!("/proc/{}/io", daemon.child.id())).unwrap_or_default();
    let is_written = |line: &&str| line.starts_with("syscw") || line.starts_with("write_bytes");
    io.lines().filter(is_written).collect::<Vec<_>>().join(" ")
}

/// Waits for `span` while nothing of the test touches the daemon.
fn leave_alone(span: Duration) {
    let begun = Instant::now();
    while let Some(left) = span.checked_sub(begun.elapsed()) {
        std::thread::park_timeout(left);
    }
}

/// Everything that tells whether it was awake.
struct Seen {
    sleeps: BTreeMap<String, u64>,
    state: BTreeMap<String, (u64, SystemTime)>,
    writes: String,
}

impl Seen {
    fn now(place: &Place, daemon: &Daemon) -> Self {
        Self {
            state: state(&place.path("state")),
            writes: writes(daemon),
            sleeps: sleeps(daemon),
        }
    }

    /// What happened between this and `later`; `None`: nothing.
    fn until(&self, later: &Self) -> Option<String> {
        let woken: Vec<(&String, u64)> = later
            .sleeps
            .iter()
            .map(|(thread, count)| (thread, count - self.sleeps.get(thread).unwrap_or(&0)))
            .filter(|(_, wakes)| *wakes > 0)
            .collect();
        if woken.iter().map(|(_, wakes)| wakes).sum::<u64>() > WAKES_MAX {
            Some(format!("woken within {WINDOW:?}: {woken:?}"))
        } else if self.sleeps.len() != later.sleeps.len() {
            Some("threads came or went".to_owned())
        } else if self.state != later.state || self.writes != later.writes {
            Some("something was written".to_owned())
        } else {
            None
        }
    }
}

/// Asserts that the daemon comes to sleep for a whole window. What the start and the last answers left to do, or a neighbour
/// in a directory above the roots, may wake it a few times before; whoever polls never sleeps that long.
#[track_caller]
fn assert_sleeps(place: &Place, daemon: &Daemon) {
    let deadline = Deadline::new();
    loop {
        let before = Seen::now(place, daemon);
        leave_alone(WINDOW);
        let Some(happened) = before.until(&Seen::now(place, daemon)) else {
            return;
        };
        assert!(!deadline.is_over(), "it never sleeps: {happened}");
    }
}

#[test]
fn a_daemon_with_nothing_to_do_sleeps() {
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..50 {
        let dir = place.make_dir(&format!("data/{number}"));
        std::fs::write(dir.join("file"), b"x").unwrap();
    }
    // With a configuration file, whose edits are watched for, and with a removal behind it.
    std::fs::write(root.join("short-lived"), b"x").unwrap();
    let config = place.config(
        "[[root]]\npath = \"data\"\n[[rule]]\nglob = \"short-lived\"\nexpire = \"10ms\"\n\
         [[rule]]\nexpire = \"1h\"\n",
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    wait_for("the short-lived file goes", || {
        (!root.join("short-lived").exists()).then_some(())
    });
    wait_for("the index forgets it", || {
        (daemon.files("").len() == 50).then_some(())
    });
    assert_sleeps(&place, &daemon);

    // It is asleep, not dead.
    std::fs::write(root.join("new"), b"x").unwrap();
    daemon.sync();
    assert_eq!(daemon.files("").len(), 51);
}

#[test]
fn a_daemon_that_holds_something_sleeps() {
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..1500 {
        std::fs::write(root.join(format!("{number}")), b"x").unwrap();
    }
    // The breaker holds all of it until a person comes; nobody looks whether one has.
    let daemon = place.serve_ready(&["--watch", "data=0s"]);
    wait_for("the breaker trips", || {
        let (_, breaker) = daemon.get("/v1/breaker");
        (breaker["tripped"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    assert_sleeps(&place, &daemon);
}

#[test]
fn a_daemon_that_waits_for_a_root_sleeps() {
    let place = Place::new();
    let config = place.config("[[root]]\npath = \"not/there/yet\"\n[[rule]]\nexpire = \"1h\"\n");
    let daemon = place.serve(&["--config", config.to_str().unwrap()]);
    wait_for("the root is missing", || {
        let (_, status) = daemon.get("/v1/status");
        (status["roots"][0]["phase"] == "missing").then_some(())
    });
    assert_sleeps(&place, &daemon);
    place.make_dir("not/there/yet");
    daemon.wait_until_ready();
    std::fs::write(place.path("not/there/yet/file"), b"x").unwrap();
    wait_for("its files are known", || {
        (daemon.files("").len() == 1).then_some(())
    });
}

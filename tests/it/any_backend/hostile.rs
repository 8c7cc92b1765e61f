//! A neighbour that works against us: swaps, links, moves and writes in the very instant in which things lapse.
//!
//! What has to hold whatever it does: nothing outside of a root is touched, nothing goes before its time, and nothing that was
//! written is lost.

mod links;
mod moves;
mod quarantine;
mod swaps;
mod writers;

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::common::evidence::{newest_ms, now_ms, stays, wait_until_settled};
use crate::common::{Daemon, wait_or_tell};

/// The variable that repeats a run.
const SEED: &str = "LAPSED_HOSTILE_SEED";

/// Writes a file that nothing lets lapse while a test runs: it was last changed tomorrow.
fn write_guarded(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_hours(24))
        .unwrap();
}

fn exchange(a: &Path, b: &Path) -> rustix::io::Result<()> {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
}

fn rename_if_free(from: &Path, to: &Path) -> rustix::io::Result<()> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// Waits for an instant of the wall clock, to a fraction of a millisecond.
fn wait_until(instant_ms: i64) {
    loop {
        match instant_ms - now_ms() {
            ..=0 => return,
            1..=2 => std::thread::yield_now(),
            left @ 3.. => {
                std::thread::park_timeout(Duration::from_millis(left.cast_unsigned() - 2));
            }
        }
    }
}

/// Spins for about so many microseconds, as a program does between two calls.
fn spin(micros: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

fn newest_of(path: &Path) -> i64 {
    newest_ms(&path.symlink_metadata().unwrap())
}

/// Waits until everything that was due in `root` before this call has been dealt with: a file written now lapses after all that.
fn wait_until_through(daemon: &Daemon, root: &Path) {
    let marker = root.join(format!("marker-{}", now_ms()));
    fs::write(&marker, "marker").unwrap();
    wait_or_tell(
        "the marker lapses",
        || (!marker.exists()).then_some(()),
        || stays(daemon),
    );
    daemon.sync();
    wait_or_tell(
        "nothing is due",
        || {
            let (_, plan) = daemon.get("/v1/plan?within=0s");
            let (_, health) = daemon.get("/v1/health");
            (plan["files"] == 0 && health["status"] == "ready").then_some(())
        },
        || stays(daemon),
    );
    wait_until_settled(root);
}

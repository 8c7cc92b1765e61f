//! The end of the daemon: each part is told to end and has its share of a second for it. A part
//! that hangs is named and left behind.
//!
//! **Invariant:** the daemon ends within a second of being asked to, whichever of its parts hangs
//! in a file system, a database or a computation of its own. Leaving a part behind is as safe as a
//! crash: the next start finishes or undoes its work.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::clock;

/// Time for everything, from the signal to the exit of the process.
pub(super) const END_MAX: Duration = Duration::from_millis(900);

/// Times from the beginning of the end until which each part may take: all of them
/// usually end within 100 ms. The cache comes last and has the rest: what it writes spares the next
/// start a listing.
pub(super) mod share {
    use std::time::Duration;

    pub(in crate::daemon) const CONFIG: Duration = Duration::from_millis(100);
    pub(in crate::daemon) const REAPER: Duration = Duration::from_millis(250);
    /// For the reaper by itself; then no source keeps it waiting any more.
    pub(in crate::daemon) const ANSWERS: Duration = Duration::from_millis(120);
    pub(in crate::daemon) const SOURCES: Duration = Duration::from_millis(300);
    /// For records that were confirmed just now; the next start writes the others.
    pub(in crate::daemon) const RECORDS: Duration = Duration::from_millis(20);
    pub(in crate::daemon) const WATCHER: Duration = Duration::from_millis(350);
    pub(in crate::daemon) const ENGINE: Duration = Duration::from_millis(400);
    pub(in crate::daemon) const CACHE: Duration = Duration::from_millis(850);
}

/// The parts of a daemon while they end one after the other.
pub(super) struct Ending {
    /// On the boot clock.
    begun: Duration,
    left_behind: bool,
}

impl Ending {
    /// Begins now.
    pub(super) fn begin() -> Self {
        Self {
            begun: clock::now().boot,
            left_behind: false,
        }
    }

    /// Time until `share` of the end has passed.
    pub(super) fn left(&self, share: Duration) -> Duration {
        (self.begun + share).saturating_sub(clock::now().boot)
    }

    /// Runs `stop`, which ends `part`, and returns when it has returned or `share` has passed since
    /// the beginning of the end.
    pub(super) fn end(
        &mut self,
        part: &'static str,
        share: Duration,
        stop: impl FnOnce() + Send + 'static,
    ) {
        let (ended, end) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("ending".to_owned())
            .spawn(move || {
                stop();
                drop(ended);
            });
        let Ok(thread) = thread else {
            return self.leave_behind(part);
        };
        if end.recv_timeout(self.left(share)) == Err(RecvTimeoutError::Timeout) {
            self.leave_behind(part);
        } else if thread.join().is_err() {
            tracing::error!(part, "a part panicked while it ended; this is a bug");
        }
    }

    /// Notes that `part` does not end.
    pub(super) fn leave_behind(&mut self, part: &'static str) {
        tracing::warn!(
            part,
            "a part of the daemon hangs and is left behind; the next start finishes or undoes its work"
        );
        self.left_behind = true;
    }

    /// Ends the process when a part was left behind: it may hold what others would wait for.
    pub(super) fn finish(self) {
        if self.left_behind {
            std::process::exit(0);
        }
    }
}

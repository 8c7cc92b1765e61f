//! Listings of directories without events: from time to time, and for each barrier.

use std::time::Duration;

use rustix::io::Errno;

use super::event_loop::EventLoop;
use super::limits;
use super::node_id::NodeId;
use super::scan_queue::{ScanDepth, ScanRequest};
use super::unwatched_dirs::WarnState;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::observed::{Discovery, Observed, PassKind};
use crate::fs::error::reason;

/// Barriers of jobs have the directories without events listed: at most this share of a
/// thread goes into that.
const LISTING_SHARE: u32 = 20;

impl EventLoop {
    /// The backend would not watch a directory.
    pub(super) fn on_unwatchable(&mut self, id: NodeId, root: RootId, errno: Errno) {
        self.unwatched.lacks_watch.insert(id, errno);
        if self.unwatched.warned == WarnState::Nothing {
            self.unwatched.warned = WarnState::Due;
        }
        if self.unwatched.doubted.insert(root) {
            let why = format!("not all directories can be watched: {}", why(errno));
            self.outbox.push(Observed::Doubted { root, why });
        }
        self.arm_unwatched();
    }

    /// A directory could not be read, for a reason whose end is no event.
    pub(super) fn retry_later(&mut self, id: NodeId) {
        self.unwatched.failed.insert(id);
        self.arm_unwatched();
    }

    /// Has a barrier of jobs, which is about to be noted, wait for a listing of what has no watch
    /// that begins later. Jobs may end one after the other, so these listings keep their distance;
    /// a job whose last files are unknown meanwhile is late, never cut in two.
    pub(super) fn owe_unwatched(&mut self) {
        let unwatched = &mut self.unwatched;
        if unwatched.due.is_none() || unwatched.owed.is_some() {
            return;
        }
        let epoch = self.epochs.current();
        self.epochs.begin(epoch);
        unwatched.owed = Some(epoch);
        let rest = self.reconcile_rest.max(unwatched.cost * LISTING_SHARE);
        let due = unwatched.began.saturating_add(rest);
        unwatched.due = unwatched.due.map(|regular| regular.min(due));
    }

    /// Counts the processor time of a listing.
    pub(super) fn count_unwatched(&mut self, id: NodeId, cpu: Duration) {
        if self.unwatched.has(id) {
            self.unwatched.cost += cpu;
        }
    }

    /// Lists what has no watch, when it is time.
    pub(super) fn list_unwatched(&mut self, now: Duration) {
        // All of them are watched, or gone.
        if self.unwatched.due.is_none()
            && let Some(epoch) = self.unwatched.owed.take()
        {
            self.epochs.end(epoch);
        }
        if self.listings.len() == 0 && self.unwatched.warned == WarnState::Due {
            self.unwatched.warned = WarnState::Done;
            self.warn_of_unwatched();
        }
        if self.unwatched.due.is_none_or(|due| due > now) {
            return;
        }
        self.unwatched.due = None;
        self.arm_unwatched();
        let all = self.unwatched.all();
        self.unwatched.began = now;
        self.unwatched.cost = Duration::ZERO;
        if let Some(epoch) = self.unwatched.owed.take() {
            // In no pass, since the one under way may have listed some of it too early.
            for &node in &all {
                self.ask(node, ScanRequest::one(epoch));
            }
            self.epochs.end(epoch);
        }
        for (root, nodes) in self.tree.by_root(all) {
            // A pass that is under way lists them as well.
            let Some(pass) = self.begin_pass(root, Discovery::Event, PassKind::Missed) else {
                continue;
            };
            for node in nodes {
                let epoch = self.epochs.current();
                let reach = ScanDepth::One;
                let pass = Some(pass);
                self.ask(node, ScanRequest { epoch, reach, pass });
            }
        }
        self.unwatched.failed.clear();
    }

    /// Asks for a listing of what has no watch, before a barrier: it may hold what was not
    /// reported. In no pass, since the one under way may have listed some of it too early.
    pub(super) fn ask_unwatched(&mut self) {
        for node in self.unwatched.all() {
            self.ask(node, ScanRequest::one(self.epochs.current()));
        }
    }

    fn arm_unwatched(&mut self) {
        let every = self.reconcile_every;
        self.unwatched
            .due
            .get_or_insert_with(|| clock::now().boot.saturating_add(every));
    }

    fn warn_of_unwatched(&self) {
        let missing = self.unwatched.len() as u64;
        let watched = self.backend.watches();
        let limit = limits::user_watches();
        let Some(&errno) = self.unwatched.lacks_watch.values().next() else {
            return;
        };
        let every = humantime::format_duration(self.reconcile_every);
        let text = warning(watched, missing, limit, errno);
        tracing::warn!(watched, missing, limit, %every, "{text}");
    }
}

/// Returns the warning about directories without a watch.
fn warning(watched: u64, missing: u64, limit: Option<u64>, errno: Errno) -> String {
    let needed = watched + missing;
    let mut text = format!(
        "{missing} of {needed} directories cannot be watched: {}; they are listed at intervals instead",
        why(errno)
    );
    if errno == Errno::NOSPC {
        let limit_now = limit.map_or_else(String::new, |limit| format!(" (now {limit})"));
        let suggestion = limits::suggestion(limit, needed);
        text.push_str("\nrun `sysctl fs.inotify.max_user_watches=");
        text.push_str(&suggestion.to_string());
        text.push('`');
        text.push_str(&limit_now);
    }
    text
}

/// Returns the reason why a directory is not watched, for people.
fn why(errno: Errno) -> String {
    if errno == Errno::NOSPC {
        "the limit fs.inotify.max_user_watches is reached".into()
    } else {
        reason(errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_has_the_numbers_and_what_mends_it() {
        assert_eq!(
            warning(8000, 4000, Some(8192), Errno::NOSPC),
            "4000 of 12000 directories cannot be watched: the limit fs.inotify.max_user_watches is reached; they are \
             listed at intervals instead\nrun `sysctl fs.inotify.max_user_watches=32768` (now 8192)"
        );
        assert_eq!(
            warning(1, 1, None, Errno::NOMEM),
            "1 of 2 directories cannot be watched: cannot allocate memory; they are listed at intervals instead"
        );
    }
}

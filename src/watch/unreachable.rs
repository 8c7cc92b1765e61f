//! Roots that cannot be opened, for any reason but that they are not there; and the search for
//! those that are away.
//!
//! Descriptors that have run out, a disk that does not answer, a directory above that may not be
//! searched: none of it says anything about the root. What is known of it stays, everything in it
//! is held, and it is tried again.
//!
//! **Invariant:** a root is taken for missing only by an answer that proves it.
//! **Invariant:** a pass that was cut off is never reported as through: it is done again, in the
//! same way.

use std::time::Duration;

use super::event_loop::EventLoop;
use super::node_id::NodeId;
use super::scan_queue::ScanRequest;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::observed::{Discovery, Observed, PassKind};
use crate::fs::FsError;

impl EventLoop {
    /// Looks for the roots that are away, when it is time.
    pub(super) fn search_roots(&mut self, now: Duration) {
        if self.search.due.is_some_and(|due| due <= now) {
            self.survey_all();
        }
    }

    /// A root cannot be opened, or descriptors or memory ran out at work on it.
    pub(super) fn on_unreachable(&mut self, id: RootId, error: &FsError) {
        let Some(root) = self.roots.all.get_mut(&id) else {
            return;
        };
        if let Some(here) = &mut root.here
            && let Some(pass) = here.pass.take()
        {
            here.cut.get_or_insert(match pass.cost.kind {
                PassKind::Crawl => (pass.discovery, PassKind::Crawl),
                PassKind::Stamps | PassKind::Contents | PassKind::Missed | PassKind::Again => {
                    (Discovery::Event, PassKind::Again)
                }
            });
        }
        // The pass that follows does all of that: no barrier waits for it meanwhile.
        if let Some(here) = &mut root.here {
            let due = here.due.take().map(|due| due.epoch);
            let contents = here.contents.take().map(|contents| contents.epoch);
            for epoch in due.into_iter().chain(contents) {
                self.epochs.end(epoch);
            }
        }
        root.lost = None;
        let why = format!("{error}; {}", error.mend());
        if root.unreachable.as_ref() != Some(&why) {
            tracing::warn!(
                path = %root.spec.path.display(),
                error = %error,
                "a root cannot be opened; what is known of it stays, nothing of it is removed, and it is tried again"
            );
            root.unreachable = Some(why.clone());
            self.outbox
                .push(Observed::RootUnreachable { root: id, why });
        }
        self.schedule_search();
    }

    /// Sets the timer for the roots that are away.
    pub(super) fn schedule_search(&mut self) {
        let standing = self.roots.standing();
        self.search.schedule(standing, clock::now().boot);
    }

    /// A root is the directory that it was.
    pub(super) fn on_reachable(&mut self, id: RootId) {
        let Some(root) = self.roots.all.get_mut(&id) else {
            return;
        };
        if root.unreachable.take().is_none() {
            return;
        }
        let cut = root.here.as_mut().and_then(|here| here.cut.take());
        let (discovery, kind) = cut.unwrap_or((Discovery::Event, PassKind::Again));
        self.crawl(id, discovery, kind);
    }

    /// Gives up the wish to list a directory of a root that cannot be opened; returns whether it is
    /// of one.
    pub(super) fn gives_up(&mut self, id: NodeId, ask: ScanRequest) -> bool {
        let root = self.tree.get(id).map(|node| node.root);
        let Some(root) = root.filter(|root| self.roots.is_unreachable(*root)) else {
            return false;
        };
        if let Some(pending) = self.listings.done(id)
            && let Some(later) = pending.later
        {
            self.epochs.end(later.epoch);
        }
        self.end(root, ask);
        true
    }
}

//! Contents of directories that were left unread after a restart.
//!
//! A file that is written in place leaves no trace in its directory. Nothing of it is lost (every
//! removal takes a look first), but its size and its deadline are shown as they were. So these
//! directories are read as well, a few at a time with rests in between, and all at once when
//! a barrier waits for them.
//!
//! **Invariant:** a barrier that was asked for after the start is through only when everything has
//! been read once.
//! **Invariant:** a timer exists only while something is left to read.

use std::time::Duration;

use super::event_loop::EventLoop;
use super::node_id::NodeId;
use super::roots::{DeferredScan, Pace};
use super::scan_queue::{ScanDepth, ScanRequest};
use crate::clock;
use crate::core::facts::RootId;
use crate::core::observed::{Discovery, Observed, PassCost, PassKind};

/// Directories that are read in one go: some milliseconds of work.
const BATCH_MAX: usize = 32;

/// The rest after a batch, in times that it took: a quarter of one thread's time goes into reading.
const REST_TIMES: u32 = 3;

impl EventLoop {
    /// Directories of `root` may be left unread: a barrier waits for them from now on.
    pub(super) fn expect_contents(&mut self, root: RootId) {
        let epoch = self.epochs.current();
        if let Some(here) = self.roots.here_mut(root) {
            self.epochs.begin(epoch);
            here.contents = Some(DeferredScan {
                epoch,
                queue: Vec::new(),
                cost: PassCost::default(),
                began: None,
                due: None,
                pace: Pace::Calm,
            });
        }
    }

    /// A directory is left unread for now.
    pub(super) fn defer_contents(&mut self, root: RootId, node: NodeId) {
        if let Some(contents) = self.contents_mut(root) {
            contents.queue.push(node);
        }
    }

    /// A pass of another kind is through.
    pub(super) fn begin_contents(&mut self, root: RootId, kind: PassKind, now: Duration) {
        let Some(contents) = self.contents_mut(root) else {
            return;
        };
        match kind {
            PassKind::Stamps => contents.due = Some(now),
            PassKind::Missed | PassKind::Contents => {}
            // It has read everything.
            PassKind::Crawl | PassKind::Again => contents.queue.clear(),
        }
        if contents.queue.is_empty() {
            self.end_contents(root);
        }
    }

    /// Reads what is left without rests: a caller waits.
    pub(super) fn hurry_contents(&mut self) {
        for root in self.roots.ids() {
            if let Some(contents) = self.contents_mut(root) {
                contents.pace = Pace::Hurried;
                contents.due = contents.due.map(|_| Duration::ZERO);
            }
        }
    }

    /// Reads the next few directories, where it is time.
    pub(super) fn read_contents(&mut self, now: Duration) {
        for root in self.roots.ids() {
            let is_free = self
                .roots
                .here(root)
                .is_some_and(|here| here.pass.is_none());
            let due = self.contents_mut(root).and_then(|contents| contents.due);
            if is_free && due.is_some_and(|due| due <= now) {
                self.read_batch(root, now);
            }
        }
    }

    fn read_batch(&mut self, root: RootId, now: Duration) {
        let Some(contents) = self.contents_mut(root) else {
            return;
        };
        contents.due = None;
        contents.began.get_or_insert(now);
        let most = match contents.pace {
            Pace::Calm => BATCH_MAX,
            Pace::Hurried => usize::MAX,
        };
        let from = contents.queue.len().saturating_sub(most);
        let (mut batch, epoch) = (contents.queue.split_off(from), contents.epoch);
        batch.retain(|&node| self.tree.get(node).is_some());
        if batch.is_empty() {
            self.end_batch(root, now, PassCost::default(), now);
            return;
        }
        let pass = self.begin_pass(root, Discovery::Event, PassKind::Contents);
        for node in batch {
            let reach = ScanDepth::One;
            self.ask(node, ScanRequest { epoch, reach, pass });
        }
    }

    /// A batch is read.
    pub(super) fn end_batch(
        &mut self,
        root: RootId,
        began: Duration,
        cost: PassCost,
        now: Duration,
    ) {
        let Some(contents) = self.contents_mut(root) else {
            return;
        };
        contents.cost.kind = PassKind::Contents;
        contents.cost.listed += cost.listed;
        contents.cost.cpu += cost.cpu;
        if contents.queue.is_empty() {
            self.end_contents(root);
            return;
        }
        contents.due = Some(match contents.pace {
            Pace::Calm => now + now.saturating_sub(began) * REST_TIMES,
            Pace::Hurried => Duration::ZERO,
        });
    }

    /// Returns when the next few directories are to be read.
    pub(super) fn contents_due(&self) -> Option<Duration> {
        let ids = self.roots.ids().into_iter();
        let here = ids.filter_map(|id| self.roots.here(id));
        here.filter(|here| here.pass.is_none())
            .filter_map(|here| here.contents.as_ref()?.due)
            .min()
    }

    fn end_contents(&mut self, root: RootId) {
        let here = self.roots.here_mut(root);
        let Some(contents) = here.and_then(|here| here.contents.take()) else {
            return;
        };
        if let Some(began) = contents.began {
            let took = clock::now().boot.saturating_sub(began);
            let cost = PassCost {
                took,
                ..contents.cost
            };
            self.outbox.push(Observed::Reconciled { root, began, cost });
        }
        self.epochs.end(contents.epoch);
    }

    fn contents_mut(&mut self, root: RootId) -> Option<&mut DeferredScan> {
        self.roots.here_mut(root)?.contents.as_mut()
    }
}

//! Passes over roots: the first crawl, reconciliations, and what the engine orders.

use std::time::Duration;

use super::event_loop::EventLoop;
use super::listing::{Failure, Seen};
use super::roots::{Due, Pass, Urgency};
use super::scan_queue::{PassId, ScanDepth, ScanRequest};
use crate::clock;
use crate::core::facts::RootId;
use crate::core::observed::{Discovery, Observed, PassCost, PassKind};
use crate::core::path::RelPath;

impl EventLoop {
    /// Events were lost: everything is listed again, but not too often. Contents may have changed
    /// in directories that look untouched (a lost `CLOSE_WRITE` leaves no trace in them), so no
    /// directory is left out.
    pub(super) fn overflow(&mut self, why: &str) {
        tracing::warn!(why, "file events were lost; everything is listed again");
        self.abandon_moves();
        self.ways.clear();
        for root in self.roots.ids() {
            if self.roots.here(root).is_some() {
                let why = why.to_owned();
                self.outbox.push(Observed::Doubted { root, why });
                self.schedule(root, Urgency::Rested);
            }
        }
    }

    /// Lists everything in a root again.
    pub(super) fn recrawl(&mut self, root: RootId) {
        self.schedule(root, Urgency::Now);
        self.begin_due_passes(clock::now().boot);
    }

    /// Lists a directory and all beneath it again; what is known of its way, when it is not known
    /// itself.
    pub(super) fn relist(&mut self, root: RootId, dir: &RelPath) {
        let Some(here) = self.roots.here(root) else {
            return;
        };
        let (node, exact) = self.tree.nearest(here.top, dir);
        let ask = ScanRequest::one(self.epochs.current());
        let reach = if exact {
            ScanDepth::Deep
        } else {
            ScanDepth::One
        };
        self.ask(node, ScanRequest { reach, ..ask });
    }

    /// Forgets a directory that the reaper is about to move away, and ends the watches in it.
    pub(super) fn drop_subtree(&mut self, root: RootId, dir: &RelPath) {
        let Some(here) = self.roots.here(root) else {
            return;
        };
        let (node, exact) = self.tree.nearest(here.top, dir);
        if exact && node != here.top {
            self.detach_subtree(node);
        }
    }

    /// Does what is due by now.
    pub(super) fn on_timers(&mut self) {
        let now = clock::now().boot;
        self.search_roots(now);
        self.begin_due_passes(now);
        self.list_unwatched(now);
        self.read_contents(now);
    }

    /// Begins to list everything in a root, when no pass is under way.
    pub(super) fn crawl(&mut self, root: RootId, discovery: Discovery, kind: PassKind) {
        let pass = self.begin_pass(root, discovery, kind);
        if let (Some(_), Some(here)) = (pass, self.roots.here(root)) {
            let (epoch, reach) = (self.epochs.current(), ScanDepth::Deep);
            self.ask(here.top, ScanRequest { epoch, reach, pass });
        }
    }

    /// A wish of a pass is met or given up; with the last one the pass ends.
    pub(super) fn leave_pass(&mut self, root: RootId, pass: PassId) {
        let Some(here) = self.roots.here_mut(root) else {
            return;
        };
        let Some(current) = here.pass.as_mut().filter(|current| current.id == pass) else {
            return;
        };
        current.open -= 1;
        if current.open > 0 {
            return;
        }
        let now = clock::now().boot;
        let (began, mut cost) = (current.began, current.cost);
        cost.took = now.saturating_sub(began);
        here.pass = None;
        here.rested = Some(now);
        self.search.succeed();
        match cost.kind {
            PassKind::Contents => self.end_batch(root, began, cost, now),
            PassKind::Crawl | PassKind::Stamps | PassKind::Missed | PassKind::Again => {
                self.outbox.push(Observed::Reconciled { root, began, cost });
                self.begin_contents(root, cost.kind, now);
            }
        }
    }

    /// Counts a listing that belongs to a pass.
    pub(super) fn count_in_pass(
        &mut self,
        root: RootId,
        ask: ScanRequest,
        outcome: &Result<Seen, Failure>,
        cpu: Duration,
    ) {
        let pass = self
            .roots
            .here_mut(root)
            .and_then(|here| here.pass.as_mut());
        if let Some(pass) = pass.filter(|pass| ask.pass == Some(pass.id)) {
            pass.cost.cpu += cpu;
            match outcome {
                Ok(Seen::Content(_)) => pass.cost.listed += 1,
                Ok(Seen::Unchanged(_)) => pass.cost.skipped += 1,
                Err(_) => {}
            }
        }
    }

    /// Begins a pass over a root, when none is under way. The caller asks for listings in it.
    pub(super) fn begin_pass(
        &mut self,
        root: RootId,
        discovery: Discovery,
        kind: PassKind,
    ) -> Option<PassId> {
        let id = PassId(self.roots.passes.0 + 1);
        let here = self.roots.here_mut(root)?;
        if here.pass.is_some() {
            return None;
        }
        here.pass = Some(Pass {
            id,
            began: clock::now().boot,
            discovery,
            cost: PassCost {
                kind,
                ..PassCost::default()
            },
            open: 0,
        });
        self.roots.passes = id;
        Some(id)
    }

    /// A pass is to begin, with the greater one of this urgency and the one that it had already.
    fn schedule(&mut self, root: RootId, urgency: Urgency) {
        if self.roots.is_unreachable(root) {
            return;
        }
        let epoch = self.epochs.current();
        let Some(here) = self.roots.here_mut(root) else {
            return;
        };
        if let Some(due) = &mut here.due {
            due.urgency = due.urgency.max(urgency);
        } else {
            here.due = Some(Due { urgency, epoch });
            self.epochs.begin(epoch);
        }
    }

    fn begin_due_passes(&mut self, now: Duration) {
        let rest = self.reconcile_rest;
        for root in self.roots.ids() {
            let Some(here) = self.roots.here_mut(root) else {
                continue;
            };
            if here.due_at(rest).is_none_or(|at| at > now) {
                continue;
            }
            let Some(due) = here.due.take() else {
                continue;
            };
            let top = here.top;
            let pass = self.begin_pass(root, Discovery::Event, PassKind::Again);
            let (epoch, reach) = (due.epoch, ScanDepth::Deep);
            self.ask(top, ScanRequest { epoch, reach, pass });
            self.epochs.end(due.epoch);
        }
    }
}

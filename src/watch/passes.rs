//! Passes over roots: the first crawl, reconciliations, and what the engine orders.

use std::time::Duration;

use super::listings::{Ask, PassId, Reach};
use super::looker::Looker;
use super::roots::{Due, Pass, Urgency};
use crate::clock;
use crate::core::facts::RootId;
use crate::core::observed::{Discovery, Observed};
use crate::core::path::RelPath;

impl Looker {
    /// Events were lost: everything is listed again, but not too often. Contents may have changed in directories that look
    /// untouched (a lost `CLOSE_WRITE` leaves no trace in them), so no directory is left out.
    pub(super) fn overflow(&mut self, why: &str) {
        tracing::warn!(why, "file events were lost; everything is listed again");
        self.abandon_moves();
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

    /// Lists a directory and all beneath it again; what is known of its way, when it is not known itself.
    pub(super) fn relist(&mut self, root: RootId, dir: &RelPath) {
        let Some(here) = self.roots.here(root) else {
            return;
        };
        let (node, exact) = self.tree.nearest(here.top, dir);
        let ask = Ask::one(self.epochs.current());
        let reach = if exact { Reach::Deep } else { Reach::One };
        self.ask(node, Ask { reach, ..ask });
    }

    /// Forgets a directory that the reaper is about to move away, and ends the watches in it.
    pub(super) fn drop_subtree(&mut self, root: RootId, dir: &RelPath) {
        let Some(here) = self.roots.here(root) else {
            return;
        };
        let (node, exact) = self.tree.nearest(here.top, dir);
        if exact && node != here.top {
            self.uproot(node);
        }
    }

    /// Does what is due by now.
    pub(super) fn on_timers(&mut self) {
        let now = clock::now().boot;
        self.begin_due_passes(now);
        self.list_unwatched(now);
    }

    /// Begins a pass over a root, when none is under way. The caller asks for listings in it.
    pub(super) fn begin_pass(&mut self, root: RootId) -> Option<PassId> {
        self.begin_pass_as(root, Discovery::Event)
    }

    /// Begins to list everything in a root, when no pass is under way.
    pub(super) fn crawl(&mut self, root: RootId, discovery: Discovery) {
        let pass = self.begin_pass_as(root, discovery);
        if let (Some(_), Some(here)) = (pass, self.roots.here(root)) {
            let (epoch, reach) = (self.epochs.current(), Reach::Deep);
            self.ask(here.top, Ask { epoch, reach, pass });
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
        if current.open == 0 {
            let began = current.began;
            here.pass = None;
            here.rested = Some(clock::now().boot);
            self.outbox.push(Observed::Reconciled { root, began });
        }
    }

    fn begin_pass_as(&mut self, root: RootId, discovery: Discovery) -> Option<PassId> {
        let id = PassId(self.roots.passes.0 + 1);
        let here = self.roots.here_mut(root)?;
        if here.pass.is_some() {
            return None;
        }
        here.pass = Some(Pass {
            id,
            began: clock::now().boot,
            discovery,
            open: 0,
        });
        self.roots.passes = id;
        Some(id)
    }

    /// A pass is to begin, with the greater one of this urgency and the one that it had already.
    fn schedule(&mut self, root: RootId, urgency: Urgency) {
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
            let pass = self.begin_pass(root);
            let (epoch, reach) = (due.epoch, Reach::Deep);
            self.ask(top, Ask { epoch, reach, pass });
            self.epochs.end(due.epoch);
        }
    }
}

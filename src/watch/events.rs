//! From events to names that want a look, and directories that moved.

use super::backend::{Change, LOW_PRIORITY_BARRIER, Marker, RawEvent, WatchId};
use super::event_loop::EventLoop;
use super::node_id::NodeId;
use super::rename_tracker::PendingMove;
use super::scan_queue::{ScanDepth, ScanRequest};
use crate::core::effect::JOBS;
use crate::core::observed::Observed;
use crate::fs::QUARANTINE;

impl EventLoop {
    /// Takes note of one event.
    pub(super) fn on_event(&mut self, event: RawEvent<'_>) {
        self.counters.count_event();
        match event {
            RawEvent::Name {
                dir,
                name,
                change,
                is_dir,
            } => self.on_name(dir, name, change, is_dir),
            RawEvent::Itself(node) => {
                self.retry_refused(node);
                self.mark(node, None, self.epochs.current());
            }
            RawEvent::Unwatched(node, watch) => self.on_unwatched(node, watch),
            RawEvent::Anywhere => self.list_all(),
            RawEvent::Marker(Marker::Drained) => self.rechecks.drained = true,
            RawEvent::Marker(Marker::Sync(token)) => {
                self.handle_waiting_orders();
                self.survey_changes();
                match token {
                    LOW_PRIORITY_BARRIER => {}
                    JOBS => self.owe_unwatched(),
                    _ => {
                        self.hurry_contents();
                        self.ask_unwatched();
                    }
                }
                self.epochs.barrier(token);
            }
            RawEvent::Overflow => {
                self.counters.count_overflow();
                self.overflow("the queue of file events overflowed");
            }
        }
    }

    /// Looks whether the roots are there, and lists all that is in them.
    fn list_all(&mut self) {
        self.survey_all();
        let reach = ScanDepth::Deep;
        for root in self.roots.ids() {
            if let Some(top) = self.roots.here(root).map(|here| here.top) {
                let ask = ScanRequest::one(self.epochs.current());
                self.ask(top, ScanRequest { reach, ..ask });
            }
        }
    }

    fn on_name(&mut self, dir: NodeId, name: &[u8], change: Change, is_dir: bool) {
        if dir == NodeId::QUARANTINE {
            if let Change::MovedTo(cookie) = change
                && let Some((dir, name)) = self.moves.departed_file(cookie)
            {
                self.dirty.set_quarantined(dir, name);
            }
            return;
        }
        let Some(root) = self.tree.get(dir).map(|node| node.root) else {
            return;
        };
        if self.is_hidden(dir, name) {
            if name == QUARANTINE && !matches!(change, Change::MovedFrom(_)) {
                self.watch_quarantine(root);
            }
            return;
        }
        let epoch = self.epochs.current();
        let child = is_dir.then(|| self.tree.child(dir, name)).flatten();
        match (change, child) {
            (Change::Touched, child) => {
                if let Some(child) = child {
                    self.retry_refused(child);
                }
                self.mark(dir, Some(name), epoch);
            }
            (Change::MovedFrom(cookie), Some(child)) => {
                self.ways.clear();
                self.epochs.begin(epoch);
                let place = (dir, name);
                if let Some(older) = self.moves.depart(root, cookie, child, place, epoch) {
                    self.look_for(&older);
                }
            }
            (Change::MovedTo(cookie), _) if is_dir => match self.moves.arrive(root, cookie) {
                Some(departed) => self.on_moved(&departed, dir, name),
                None => self.mark(dir, Some(name), epoch),
            },
            (Change::MovedFrom(cookie), None) => {
                if !is_dir {
                    self.moves.depart_file(cookie, dir, name);
                }
                self.mark(dir, Some(name), epoch);
            }
            (Change::MovedTo(_), _) => self.mark(dir, Some(name), epoch),
        }
    }

    /// Both halves of a rename are known: the watches beneath stay valid, they hang on the
    /// directories themselves.
    fn on_moved(&mut self, departed: &PendingMove, dir: NodeId, name: &[u8]) {
        let node = departed.node;
        let sound = self.tree.child(departed.dir, &departed.name) == Some(node)
            && self.tree.child(dir, name).is_none()
            && !self.tree.is_within(dir, node);
        // What stands at the new place is an empty directory that was replaced, or two were
        // exchanged: the looks show it.
        if sound && let Some(root) = self.tree.get(node).map(|node| node.root) {
            let from = self.tree.path(node);
            self.tree.relink(node, dir, name);
            let to = self.tree.path(node);
            self.outbox.push(Observed::Moved { root, from, to });
            self.mark(node, None, departed.epoch);
        }
        self.mark(dir, Some(name), departed.epoch);
        self.look_for(departed);
    }

    /// Looks at the place that a directory was renamed away from.
    fn look_for(&mut self, departed: &PendingMove) {
        self.mark(departed.dir, Some(&departed.name), departed.epoch);
        self.epochs.end(departed.epoch);
    }

    /// No other halves will come for renames that began before the last marker was asked for.
    pub(super) fn settle_moves(&mut self) {
        for departed in self.moves.take_expired() {
            self.look_for(&departed);
        }
        self.look();
    }

    /// Events were lost: no other halves can be relied on.
    pub(super) fn abandon_moves(&mut self) {
        for departed in self.moves.take_all() {
            self.look_for(&departed);
        }
    }

    fn on_unwatched(&mut self, id: NodeId, watch: WatchId) {
        self.listings.lose(id, watch);
        let Some(node) = self.tree.get_mut(id) else {
            return;
        };
        if node.watch == Some(watch) {
            node.watch = None;
        }
        let epoch = self.epochs.current();
        if let Some((parent, name)) = self.tree.place(id) {
            let name = name.clone();
            self.mark(parent, Some(&name), epoch);
        } else {
            // A root's own directory: when another one stands there, this node ends.
            self.survey_all();
            self.ask(id, ScanRequest::one(self.epochs.current()));
        }
    }

    fn retry_refused(&mut self, id: NodeId) {
        if self.tree.get(id).is_some_and(|node| node.refused) {
            self.ask(id, ScanRequest::one(self.epochs.current()));
        }
    }
}

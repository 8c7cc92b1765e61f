//! The coordinator: one thread that owns the tree, turns events into looks and listings into
//! observations, and reports them.
//!
//! **Invariant:** whatever is reported of one directory is reported in the order in which it was
//! seen.
//! **Invariant:** it sleeps until something happens; a timer exists only while something waits for
//! one.

use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, Marker, More};
use super::crawl::Pool;
use super::dirty_set::DirtySet;
use super::epochs::{Epoch, Epochs};
use super::error::WatchError;
use super::inbox::{Inbox, Messages, Order};
use super::node_id::NodeId;
use super::observation_buffer::ObservationBuffer;
use super::options::{Options, Sink};
use super::parent_watcher::ParentWatcher;
use super::rename_tracker::RenameTracker;
use super::restored::Restored;
use super::roots::Roots;
use super::scan_queue::{MergeOutcome, ScanQueue, ScanRequest};
use super::search::Search;
use super::stats::Counters;
use super::tree::Tree;
use super::unwatched_dirs::UnwatchedDirs;
use super::ways::Ways;
use super::workers::Workers;
use crate::clock;
use crate::core::facts::{FileKey, RootId};
use crate::core::observed::Observed;

/// See the module. Its parts are spread over `events`, `looks`, `lists`, `passes` and `root_state`.
pub(super) struct EventLoop {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) pool: Pool,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: ObservationBuffer,
    pub(super) counters: Arc<Counters>,
    pub(super) tree: Tree,
    pub(super) epochs: Epochs,
    pub(super) dirty: DirtySet,
    pub(super) listings: ScanQueue,
    pub(super) ways: Ways,
    pub(super) roots: Roots,
    /// Places of the roots; `None` if they are looked at once only.
    pub(super) surroundings: Option<ParentWatcher>,
    pub(super) moves: RenameTracker,
    pub(super) rechecks: Rechecks,
    pub(super) unwatched: UnwatchedDirs,
    pub(super) search: Search,
    pub(super) restored: Restored,
    pub(super) skip: Arc<[FileKey]>,
    pub(super) reconcile_every: Duration,
    pub(super) reconcile_rest: Duration,
    /// Outcome of the last drain: whether the backend has more.
    more: More,
}

/// Directories that were not where they should be: looked for again when every event of what
/// happened before is known.
#[derive(Default)]
pub(super) struct Rechecks {
    /// Waits for a marker to be asked for.
    pub(super) fresh: Vec<(NodeId, RootId, ScanRequest)>,
    /// Waits for the marker that was asked for.
    pub(super) asked: Vec<(NodeId, RootId, ScanRequest)>,
    /// True if a marker is under way.
    pub(super) marked: bool,
    /// True if it has come.
    pub(super) drained: bool,
}

/// Parts of an event loop.
pub(super) struct Parts {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) counters: Arc<Counters>,
    pub(super) surroundings: Option<ParentWatcher>,
}

impl EventLoop {
    /// Starts the workers. Nothing is looked at before the first turn.
    ///
    /// # Errors
    /// When the operating system gives out no more threads.
    pub(super) fn new(
        parts: Parts,
        options: Options,
        sink: &Sink,
        crew: &Workers,
    ) -> Result<Self, WatchError> {
        let skip: Arc<[FileKey]> = options.skip.into();
        let pool = Pool::start(crew, &parts.backend, &parts.inbox, &skip)?;
        let mut event_loop = Self {
            backend: parts.backend,
            pool,
            inbox: parts.inbox,
            outbox: ObservationBuffer::new(sink),
            counters: parts.counters,
            tree: Tree::default(),
            epochs: Epochs::default(),
            dirty: DirtySet::default(),
            listings: ScanQueue::default(),
            ways: Ways::default(),
            roots: Roots::default(),
            surroundings: parts.surroundings,
            moves: RenameTracker::default(),
            rechecks: Rechecks::default(),
            unwatched: UnwatchedDirs::default(),
            search: Search::default(),
            restored: Restored::new(options.restored),
            skip,
            reconcile_every: options.reconcile_every,
            reconcile_rest: options.reconcile_rest,
            more: More::No,
        };
        event_loop.roots.set(options.roots);
        event_loop.counters.set_roots(event_loop.roots.ids());
        Ok(event_loop)
    }

    /// Works until it is stopped.
    pub(super) fn run(mut self) {
        self.survey_all();
        while self.turn() == Turn::Done {}
    }

    /// Works until nothing is under way: what `survey_all` began is through then.
    pub(super) fn run_once(mut self) {
        self.survey_all();
        while !self.epochs.is_idle() && self.turn() == Turn::Done {}
        self.outbox.flush();
    }

    /// One round: what came in, then what follows from it, then the reports.
    fn turn(&mut self) -> Turn {
        // What the last turn or the start left to do is begun before anything is waited for.
        self.dispatch();
        self.outbox.flush();
        let Messages {
            orders,
            done,
            events: _,
            surroundings,
            stopped,
        } = self.inbox.take(self.patience());
        if stopped {
            return Turn::Stopped;
        }
        if surroundings {
            self.survey_changes();
        }
        for order in orders {
            self.handle_order(order);
        }
        for done in done {
            self.finish_listing(done);
        }
        let backend = Arc::clone(&self.backend);
        self.more = backend.drain(&mut |event| self.on_event(event));
        self.look();
        self.settle_drained();
        self.on_timers();
        self.dispatch();
        if self.listings.len() == 0 {
            self.ways.clear();
        }
        self.outbox.flush();
        while let Some(token) = self.epochs.take_done() {
            self.outbox.synced(token);
        }
        self.publish();
        Turn::Done
    }

    /// Returns how long to wait for mail: for ever, if no timer is set.
    fn patience(&self) -> Option<Duration> {
        if self.more == More::Yes {
            return Some(Duration::ZERO);
        }
        let due = [
            self.roots.next_due(self.reconcile_rest),
            self.unwatched.due,
            self.search.due,
            self.contents_due(),
        ]
        .into_iter()
        .flatten()
        .min()?;
        let wait = due.saturating_sub(clock::now().boot);
        // A condition variable may wake a little early: then the timer is not due yet, and the next
        // wait is a short one.
        Some(wait.max(Duration::from_millis(1)))
    }

    fn handle_order(&mut self, order: Order) {
        match order {
            Order::SetRoots(roots) => self.set_roots(roots),
            Order::Recrawl(root) => self.recrawl(root),
            Order::Relist(root, dir) => self.relist(root, &dir),
            Order::DropSubtree(root, dir) => self.drop_subtree(root, &dir),
            Order::ReportFailure => {
                self.counters.die();
                self.overflow("a part of the watcher failed; this is a bug");
            }
        }
    }

    /// Carries out orders that came before a barrier.
    pub(super) fn handle_waiting_orders(&mut self) {
        for order in self.inbox.take_orders() {
            self.handle_order(order);
        }
    }

    /// Asks for a listing of `node`, and counts it in its pass.
    pub(super) fn ask(&mut self, node: NodeId, ask: ScanRequest) {
        let Some(root) = self.tree.get(node).map(|node| node.root) else {
            return;
        };
        if self.listings.ask(&mut self.epochs, node, ask) == MergeOutcome::Pass {
            self.roots.join_pass(root);
        }
    }

    /// A wish is met or given up.
    pub(super) fn end(&mut self, root: RootId, ask: ScanRequest) {
        if let Some(pass) = ask.pass {
            self.leave_pass(root, pass);
        }
        self.epochs.end(ask.epoch);
    }

    /// Marks a name in `dir` (`None`: the directory itself) for a look.
    pub(super) fn mark(&mut self, dir: NodeId, name: Option<&[u8]>, epoch: Epoch) {
        let Some(node) = self.tree.get(dir) else {
            return;
        };
        let listed = node.listed;
        let look = self
            .listings
            .defer(&mut self.epochs, dir, name, epoch, listed);
        if look == super::scan_queue::Look::Now {
            self.dirty.mark(&mut self.epochs, dir, name, epoch);
        }
    }

    /// Takes a directory and all beneath it out of the tree, without a word to the engine.
    pub(super) fn detach_subtree(&mut self, node: NodeId) {
        self.ways.clear();
        let mut ended = Vec::new();
        self.tree.remove(node, |id, node| {
            if let Some(watch) = node.watch {
                self.backend.unwatch(watch, id);
            }
            self.unwatched.remove(id);
            self.restored.take_stamp(id);
            self.dirty.forget(&mut self.epochs, id);
            if let Some(pending) = self.listings.forget(id) {
                if let Some(later) = pending.later {
                    self.epochs.end(later.epoch);
                }
                ended.extend([Some(pending.ask), pending.again].map(|ask| (node.root, ask)));
            }
        });
        for (root, ask) in ended {
            if let Some(ask) = ask {
                self.end(root, ask);
            }
        }
    }

    /// Takes a directory and all beneath it out of the tree: it is gone from its place.
    pub(super) fn drop_gone(&mut self, node: NodeId) {
        if let Some(root) = self.tree.get(node).map(|node| node.root) {
            let dir = self.tree.path(node);
            self.outbox.push(Observed::Gone { root, dir });
            self.detach_subtree(node);
        }
    }

    /// Handles what waited for the marker that has come, and asks for the next one.
    fn settle_drained(&mut self) {
        if std::mem::take(&mut self.rechecks.drained) {
            self.rechecks.marked = false;
            self.settle_moves();
            self.settle_rechecks();
        }
        let waiting = !self.rechecks.fresh.is_empty() || self.moves.has_fresh();
        if waiting && !self.rechecks.marked {
            self.rechecks.marked = true;
            self.rechecks.asked = std::mem::take(&mut self.rechecks.fresh);
            self.moves.expire();
            self.backend.mark(Marker::Drained);
        }
    }

    /// Looks for the directories that were not where they should be, from their parents.
    fn settle_rechecks(&mut self) {
        let asked = std::mem::take(&mut self.rechecks.asked);
        let mut surveyed = false;
        for (node, _, ask) in &asked {
            if let Some((parent, name)) = self.tree.place(*node) {
                let name = name.clone();
                self.mark(parent, Some(&name), ask.epoch);
            } else if !std::mem::replace(&mut surveyed, true) {
                self.survey_all();
            }
        }
        self.look();
        for (node, root, ask) in asked {
            self.ask(node, ask);
            self.end(root, ask);
        }
    }

    fn publish(&self) {
        self.counters
            .publish(self.unwatched.len(), self.listings.len(), self.dirty.len());
    }
}

#[derive(PartialEq, Eq)]
enum Turn {
    Done,
    Stopped,
}

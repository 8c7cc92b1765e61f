//! The coordinator: one thread that owns the tree, turns events into looks and listings into observations, and reports them.
//!
//! **Invariant:** whatever is reported of one directory is reported in the order in which it was seen.
//! **Invariant:** it sleeps until something happens; a timer exists only while something waits for one.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::backend::{Backend, Marker, More};
use super::crawl::Pool;
use super::dirty::Dirty;
use super::epochs::{Epoch, Epochs};
use super::error::WatchError;
use super::inbox::{Inbox, Mail, Order};
use super::listings::{Ask, Joined, Listings};
use super::moves::Moves;
use super::options::{Options, Sink};
use super::outbox::Outbox;
use super::restored::Restored;
use super::roots::Roots;
use super::stats::Counters;
use super::surroundings::Surroundings;
use super::threads::Crew;
use super::tree::{NodeId, Tree};
use super::unreachable::Search;
use super::unwatched::Unwatched;
use super::ways::Ways;
use crate::clock;
use crate::core::facts::{FileKey, RootId};
use crate::core::observed::Observed;

/// See the module. Its parts are spread over `events`, `looks`, `lists`, `passes` and `presence`.
pub(super) struct Looker {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) pool: Pool,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Outbox,
    pub(super) counters: Arc<Counters>,
    pub(super) tree: Tree,
    pub(super) epochs: Epochs,
    pub(super) dirty: Dirty,
    pub(super) listings: Listings,
    pub(super) ways: Ways,
    pub(super) roots: Roots,
    /// Where the roots lie; `None` when they are looked at once only.
    pub(super) surroundings: Option<Surroundings>,
    pub(super) moves: Moves,
    pub(super) rechecks: Rechecks,
    pub(super) unwatched: Unwatched,
    pub(super) search: Search,
    pub(super) restored: Restored,
    pub(super) skip: Arc<[FileKey]>,
    pub(super) reconcile_every: Duration,
    pub(super) reconcile_rest: Duration,
    /// Whether the backend has more than it handed over.
    more: More,
}

/// Directories that were not where they should be: looked for again when every event of what happened before is known.
#[derive(Default)]
pub(super) struct Rechecks {
    /// Waits for a marker to be asked for.
    pub(super) fresh: Vec<(NodeId, RootId, Ask)>,
    /// Waits for the marker that was asked for.
    pub(super) asked: Vec<(NodeId, RootId, Ask)>,
    /// Whether a marker is under way.
    pub(super) marked: bool,
    /// Whether it has come.
    pub(super) drained: bool,
}

/// What makes a looker.
pub(super) struct Parts {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) counters: Arc<Counters>,
    pub(super) surroundings: Option<Surroundings>,
}

impl Looker {
    /// Starts the workers. Nothing is looked at before the first turn.
    ///
    /// # Errors
    /// When the operating system gives out no more threads.
    pub(super) fn new(
        parts: Parts,
        options: Options,
        sink: &Sink,
        crew: &Crew,
    ) -> Result<Self, WatchError> {
        let skip: Arc<[FileKey]> = options.skip.into();
        let pool = Pool::start(crew, &parts.backend, &parts.inbox, &skip)?;
        let mut looker = Self {
            backend: parts.backend,
            pool,
            inbox: parts.inbox,
            outbox: Outbox::new(sink),
            counters: parts.counters,
            tree: Tree::default(),
            epochs: Epochs::default(),
            dirty: Dirty::default(),
            listings: Listings::default(),
            ways: Ways::default(),
            roots: Roots::default(),
            surroundings: parts.surroundings,
            moves: Moves::default(),
            rechecks: Rechecks::default(),
            unwatched: Unwatched::default(),
            search: Search::default(),
            restored: Restored::new(options.restored),
            skip,
            reconcile_every: options.reconcile_every,
            reconcile_rest: options.reconcile_rest,
            more: More::No,
        };
        looker.roots.set(options.roots);
        looker.counters.set_roots(looker.roots.ids());
        Ok(looker)
    }

    /// Works until it is told to stop.
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

    /// One round: what came in, then what follows from it, then what is to be told.
    fn turn(&mut self) -> Turn {
        // What the last turn or the start left to do is begun before anything is waited for.
        self.dispatch();
        self.outbox.flush();
        let Mail {
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
            self.obey(order);
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

    /// How long to wait for mail: for ever, when no timer is set.
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
        // A condition variable may wake a little early: then the timer is not due yet, and the next wait is a short one.
        Some(wait.max(Duration::from_millis(1)))
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::SetRoots(roots) => self.set_roots(roots),
            Order::Recrawl(root) => self.recrawl(root),
            Order::Relist(root, dir) => self.relist(root, &dir),
            Order::DropSubtree(root, dir) => self.drop_subtree(root, &dir),
            Order::Mourn => {
                self.counters.die();
                self.overflow("a part of the watcher failed; this is a bug");
            }
        }
    }

    /// Carries out orders that came before a barrier.
    pub(super) fn obey_waiting(&mut self) {
        for order in self.inbox.take_orders() {
            self.obey(order);
        }
    }

    /// Asks for a listing of `node`, and counts it in its pass.
    pub(super) fn ask(&mut self, node: NodeId, ask: Ask) {
        let Some(root) = self.tree.get(node).map(|node| node.root) else {
            return;
        };
        if self.listings.ask(&mut self.epochs, node, ask) == Joined::Pass {
            self.roots.join_pass(root);
        }
    }

    /// A wish is met or given up.
    pub(super) fn end(&mut self, root: RootId, ask: Ask) {
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
        if look == super::listings::Look::Now {
            self.dirty.mark(&mut self.epochs, dir, name, epoch);
        }
    }

    /// Takes a directory and all beneath it out of the tree, without a word to the engine.
    pub(super) fn uproot(&mut self, node: NodeId) {
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
            self.uproot(node);
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
            self.moves.ripen();
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

/// Nodes by root, for whoever goes over the roots one by one.
pub(super) fn by_root(
    tree: &Tree,
    nodes: impl Iterator<Item = NodeId>,
) -> HashMap<RootId, Vec<NodeId>> {
    let mut by_root: HashMap<RootId, Vec<NodeId>> = HashMap::new();
    for id in nodes {
        if let Some(node) = tree.get(id) {
            by_root.entry(node.root).or_default().push(id);
        }
    }
    by_root
}

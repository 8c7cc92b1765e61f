//! State of one root, and what holds everything in it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::breaker::RootBreaker;
use super::stall::{Retry, Stall};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::observed::{Absence, PassCost};
use crate::core::report::{Phase, Reconciliation, RootStatus, SavedRoot, Trip};
use crate::core::time::Timestamp;

/// One root.
#[derive(Debug)]
pub(super) struct RootState {
    phase: Phase,
    key: Option<FileKey>,
    /// A crawl that began before this knows nothing of what it has to find: it does not count.
    crawl_from: Duration,
    pub(super) breaker: RootBreaker,
    /// Set when all that is due counts as made due by changed facts: it was read for the first
    /// time, or under other rules.
    counts_all: bool,
    pub(super) stall: Stall,
    /// The reason why it cannot be opened. Its phase is what it was before.
    unreachable: Option<String>,
    /// While it is missing: certainty that nothing stands in its place.
    absence: Absence,
    /// Saved state, until it is found.
    saved: Option<SavedRoot>,
    /// Set while it is read for the first time since it was saved.
    pub(super) recovery: Option<RootRecovery>,
    reconciliation: Reconciliation,
    /// Set once a pass is through since it was found.
    is_reconciled: bool,
}

/// A root that is looked over for the first time since it was saved.
#[derive(Debug, Default)]
pub(super) struct RootRecovery {
    /// Directories that were not known, or not known to be whole, each with the instant from which
    /// what is in it can be there.
    fresh: BTreeMap<DirId, Timestamp>,
    /// Number of entries and units that were not known and are due: held until it is through.
    pub(super) due: u64,
}

impl RootRecovery {
    /// The directory `id` was not known to be whole. What is in it and was not known can have come
    /// with it, or with one of those that it is in and that were not known to be whole either: a
    /// rename changes the change time of what is renamed.
    pub(super) fn note_dir(&mut self, id: DirId, parent: Option<DirId>, since: Timestamp) {
        let above = parent.and_then(|parent| self.fresh.get(&parent));
        let since = above.map_or(since, |above| since.max(*above));
        let known = self.fresh.entry(id).or_insert(since);
        *known = since.max(*known);
    }

    /// From when what is found in `dir` can be there.
    pub(super) fn arrival(&self, dir: DirId) -> Option<Timestamp> {
        self.fresh.get(&dir).copied()
    }
}

/// A pass over a root that is through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// It was the first one, or the first one under other rules.
    pub(super) is_first: bool,
    /// It compared what was saved with what is there.
    pub(super) is_recovery: bool,
    pub(super) was_unreachable: bool,
}

/// Holds of everything in a root.
#[derive(Clone, Debug)]
pub(super) struct RootHolds {
    all: Option<Hold>,
    trip: Option<Trip>,
    stall: Option<Hold>,
}

impl RootHolds {
    /// Hold of items with this deadline.
    pub(super) fn hold(&self, deadline: Timestamp) -> Option<Hold> {
        let is_tripped = self.trip.is_some_and(|trip| deadline <= trip.at);
        let breaker = is_tripped.then_some(Hold::Breaker);
        self.all.clone().or(breaker).or_else(|| self.stall.clone())
    }
}

impl Default for RootState {
    /// A root that was not looked for yet: nothing is known of it, nor that it is missing.
    fn default() -> Self {
        Self {
            phase: Phase::Crawling,
            key: None,
            crawl_from: Duration::ZERO,
            breaker: RootBreaker::default(),
            counts_all: true,
            stall: Stall::default(),
            unreachable: None,
            absence: Absence::Doubtful,
            saved: None,
            recovery: None,
            reconciliation: Reconciliation::default(),
            is_reconciled: false,
        }
    }
}

impl RootState {
    /// A root that was not looked for yet, of which this was saved.
    pub(super) fn remembered(saved: Option<SavedRoot>) -> Self {
        Self {
            saved,
            ..Self::default()
        }
    }

    /// State to be saved.
    pub(super) fn memory(&self) -> Option<SavedRoot> {
        let Some(key) = self.key else {
            return self.saved;
        };
        Some(SavedRoot {
            key,
            settled: self.is_read(),
            breaker: self.breaker.memory(),
        })
    }

    /// Its directory is there. Returns true if what is known of it is of another one.
    pub(super) fn on_found(&mut self, key: FileKey) -> bool {
        let is_replaced = match (self.key, self.saved) {
            (Some(known), _) => known != key,
            (None, saved) => saved.is_some(),
        };
        self.phase = Phase::Crawling;
        self.key = Some(key);
        self.stall.end();
        self.unreachable = None;
        self.reconciliation = Reconciliation::default();
        self.is_reconciled = false;
        is_replaced
    }

    /// Its directory is not there. Where it was, and that only a person releases what waits in it,
    /// is kept; so is what was saved of one that was not found since the start, since it may come
    /// yet.
    pub(super) fn on_lost(&mut self, why: String, absence: Absence) {
        let phase = Phase::Missing { why };
        if self.key.is_some() {
            let saved = self.memory();
            *self = Self {
                saved,
                ..Self::default()
            };
            self.unsettle();
        }
        self.unreachable = None;
        (self.phase, self.absence) = (phase, absence);
    }

    /// It cannot be opened: what is known of it stays, and all of it waits until it has been read
    /// again.
    pub(super) fn on_unreachable(&mut self, why: String) {
        self.unreachable = Some(why);
    }

    /// Takes note that not all of it may be known: it is read again.
    pub(super) fn on_doubted(&mut self, why: String) {
        if self.is_ready() {
            self.phase = Phase::Reconciling { why };
        }
    }

    /// Other rules are in force: it is read again before anything in it lapses.
    pub(super) fn on_rules_changed(&mut self, now: Duration) {
        self.unsettle();
        if self.key.is_some() {
            self.phase = Phase::Crawling;
            self.crawl_from = now;
        }
    }

    /// A pass over it that began at `began` is through. `None`: it began too early, or was over
    /// another directory.
    pub(super) fn on_reconciled(&mut self, began: Duration, cost: PassCost) -> Option<Pass> {
        if began < self.crawl_from {
            return None;
        }
        let is_first = self.phase == Phase::Crawling;
        let is_recovery = self.recovery.is_some();
        if is_first || is_recovery {
            self.counts_all = is_first;
        }
        self.key?;
        self.phase = Phase::Ready;
        let was_unreachable = self.unreachable.take().is_some();
        if !std::mem::replace(&mut self.is_reconciled, true) {
            self.reconciliation.first = cost;
        }
        self.reconciliation.last = cost;
        Some(Pass {
            is_first,
            is_recovery,
            was_unreachable,
        })
    }

    /// Marks what was saved of it as made under other rules: it is read again before anything
    /// lapses.
    pub(super) fn unsettle(&mut self) {
        if let Some(saved) = &mut self.saved {
            saved.settled = false;
        }
    }

    /// Returns true if no hold concerns the root as a whole.
    pub(super) fn is_free(&self) -> bool {
        let holds = self.holds();
        holds.all.is_none() && holds.trip.is_none() && holds.stall.is_none()
    }

    /// Returns true if it is certain that nothing stands in its place.
    pub(super) fn is_absent(&self) -> bool {
        self.absence == Absence::Certain && matches!(self.phase, Phase::Missing { .. })
    }

    /// Hold of everything in the root that has this deadline.
    pub(super) fn hold(&self, deadline: Timestamp) -> Option<Hold> {
        self.holds().hold(deadline)
    }

    /// Holds of everything in the root.
    pub(super) fn holds(&self) -> RootHolds {
        let all = match (&self.unreachable, &self.phase) {
            (Some(error), _) => Some(Hold::RootUnreachable {
                error: error.clone(),
            }),
            (None, Phase::Missing { .. }) => Some(Hold::RootMissing),
            (None, Phase::Unreachable { .. } | Phase::Crawling) => Some(Hold::Reconciling),
            (None, Phase::Reconciling { .. } | Phase::Ready) => None,
        };
        RootHolds {
            all,
            trip: self.breaker.trip(),
            stall: self.stall.hold().cloned(),
        }
    }

    pub(super) fn key(&self) -> Option<FileKey> {
        self.key
    }

    pub(super) fn saved(&self) -> Option<SavedRoot> {
        self.saved
    }

    /// Has a stall tried again whose time has come, and returns what to try.
    pub(super) fn retry(&mut self, now: Timestamp) -> Retry {
        self.stall.retry(self.key, now)
    }

    pub(super) fn counts_all(&self) -> bool {
        self.counts_all
    }

    /// Returns true if it was read, under these rules; it may be read again.
    pub(super) fn is_read(&self) -> bool {
        match self.phase {
            Phase::Missing { .. } | Phase::Unreachable { .. } | Phase::Crawling => false,
            Phase::Reconciling { .. } | Phase::Ready => true,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.unreachable.is_none()
    }

    /// Returns the reason why it is missing, as it was reported last.
    pub(super) fn missing(&self) -> Option<&String> {
        match &self.phase {
            Phase::Missing { why } => Some(why),
            Phase::Unreachable { .. }
            | Phase::Crawling
            | Phase::Reconciling { .. }
            | Phase::Ready => None,
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.is_reachable() && matches!(self.phase, Phase::Missing { .. })
    }

    /// Returns true if nothing more is to be read of it by itself.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_reachable()
            || match self.phase {
                Phase::Ready | Phase::Missing { .. } | Phase::Unreachable { .. } => true,
                Phase::Crawling | Phase::Reconciling { .. } => false,
            }
    }

    /// Returns the reason why it is not read.
    pub(super) fn why_unread(&self) -> Option<&str> {
        match (&self.unreachable, &self.phase) {
            (Some(why), _) | (None, Phase::Missing { why }) => Some(why),
            (None, _) => None,
        }
    }

    /// Takes up what was saved of it, if `key` is the directory that was saved; returns that.
    pub(super) fn recover(&mut self, key: FileKey, is_indexed: bool) -> Option<SavedRoot> {
        let memory = self.saved.take().filter(|memory| memory.is_of(key))?;
        self.recovery = Some(RootRecovery::default());
        self.breaker = RootBreaker::restored(&memory.breaker);
        self.reconciliation.restored = is_indexed;
        self.phase = if memory.settled {
            let why = "what was saved is compared with what is there".to_owned();
            Phase::Reconciling { why }
        } else {
            Phase::Crawling
        };
        Some(memory)
    }

    /// Counts one file for the account of what passes over it found.
    pub(super) fn count_found(&mut self, what: impl Fn(&mut Reconciliation) -> &mut u64) {
        *what(&mut self.reconciliation) += 1;
    }

    pub(super) fn status(&self, root: RootId) -> RootStatus {
        RootStatus {
            root,
            phase: self.unreachable.as_ref().map_or_else(
                || self.phase.clone(),
                |why| Phase::Unreachable { why: why.clone() },
            ),
            is_void: false,
            key: self.key,
            trip: self.breaker.trip(),
            orphan_trip: self.breaker.orphan_trip().map(str::to_owned),
            reconciliation: self.is_reconciled.then_some(self.reconciliation),
        }
    }
}

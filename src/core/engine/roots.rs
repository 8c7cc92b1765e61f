//! Where roots stand, and the backlog breaker.
//!
//! **Invariant:** nothing of a root lapses before its crawl is through and the breaker has looked at what that made due.

use std::sync::Arc;
use std::time::Duration;

use super::memory::RootRecovery;
use super::root_breaker::RootBreaker;
use super::stall::{Retry, Stall};
use super::state::Engine;
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::input::{Effect, Event};
use crate::core::observed::{Absence, PassCost};
use crate::core::policy::Policy;
use crate::core::report::{Breaker, Phase, Reconciliation, RootMemory, RootStatus, Trip};
use crate::core::time::{Now, Timestamp};

/// One root.
#[derive(Debug)]
pub(super) struct RootState {
    phase: Phase,
    key: Option<FileKey>,
    /// A crawl that began before this knows nothing of what it has to find: it does not count.
    crawl_from: Duration,
    breaker: RootBreaker,
    /// Set when all that is due counts as made due by changed facts: it was read for the first time, or
    /// under other rules.
    counts_all: bool,
    stall: Stall,
    /// The reason why it cannot be opened. Its phase is what it was before.
    unreachable: Option<String>,
    /// While it is missing: certainty that nothing stands in its place.
    absence: Absence,
    /// What was saved of it, until it is found.
    saved: Option<RootMemory>,
    /// Set while it is read for the first time since it was saved.
    recovery: Option<RootRecovery>,
    reconciliation: Reconciliation,
    /// Set once a pass is through since it was found.
    is_reconciled: bool,
}

/// What holds everything in a root.
#[derive(Clone, Debug)]
pub(super) struct RootHolds {
    all: Option<Hold>,
    trip: Option<Trip>,
    stall: Option<Hold>,
}

impl RootHolds {
    /// What holds that which has this deadline.
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
    pub(super) fn remembered(saved: Option<RootMemory>) -> Self {
        Self {
            saved,
            ..Self::default()
        }
    }

    /// What is to be saved of it.
    pub(super) fn memory(&self) -> Option<RootMemory> {
        let Some(key) = self.key else {
            return self.saved;
        };
        Some(RootMemory {
            key,
            settled: self.is_read(),
            breaker: self.breaker.memory(),
        })
    }

    /// What was saved of it was of other rules: it is read again before anything lapses.
    pub(super) fn unsettle(&mut self) {
        if let Some(saved) = &mut self.saved {
            saved.settled = false;
        }
    }

    /// Whether no hold concerns the root as a whole.
    pub(super) fn is_free(&self) -> bool {
        let holds = self.holds();
        holds.all.is_none() && holds.trip.is_none() && holds.stall.is_none()
    }

    /// Whether nothing stands in its place.
    fn is_absent(&self) -> bool {
        self.absence == Absence::Certain && matches!(self.phase, Phase::Missing { .. })
    }

    /// What holds everything in the root that has this deadline.
    pub(super) fn hold(&self, deadline: Timestamp) -> Option<Hold> {
        self.holds().hold(deadline)
    }

    /// What holds everything in the root.
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

    pub(super) fn saved(&self) -> Option<RootMemory> {
        self.saved
    }

    pub(super) fn breaker(&self) -> &RootBreaker {
        &self.breaker
    }

    pub(super) fn breaker_mut(&mut self) -> &mut RootBreaker {
        &mut self.breaker
    }

    pub(super) fn stall_mut(&mut self) -> &mut Stall {
        &mut self.stall
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
    pub(super) fn recover(&mut self, key: FileKey, is_indexed: bool) -> Option<RootMemory> {
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

    pub(super) fn recovery(&self) -> Option<&RootRecovery> {
        self.recovery.as_ref()
    }

    pub(super) fn recovery_mut(&mut self) -> Option<&mut RootRecovery> {
        self.recovery.as_mut()
    }

    pub(super) fn end_recovery(&mut self) -> Option<RootRecovery> {
        self.recovery.take()
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

impl Engine {
    pub(super) fn root_found(&mut self, root: RootId, key: FileKey, now: Now) {
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        let replaced = match (state.key, state.saved) {
            (Some(known), _) => known != key,
            (None, saved) => saved.is_some(),
        };
        state.phase = Phase::Crawling;
        state.key = Some(key);
        state.stall.end();
        state.unreachable = None;
        state.reconciliation = Reconciliation::default();
        state.is_reconciled = false;
        if !self.recognize(root, key, now) && replaced {
            self.drop_root(root);
        }
        self.effects.push(Effect::Placed(root, Some(key)));
        self.effects.tell(Event::Root {
            root,
            what: "found".to_owned(),
        });
    }

    /// Whether nothing stands in the place of `root`, and that may be: nobody owns anything in it.
    pub(super) fn is_void(&self, root: RootId) -> bool {
        let is_optional = self
            .policy
            .roots
            .get(&root)
            .is_some_and(|root| root.optional);
        is_optional && self.roots.get(&root).is_some_and(RootState::is_absent)
    }

    pub(super) fn root_lost(&mut self, root: RootId, why: String, absence: Absence, now: Now) {
        let is_optional = self
            .policy
            .roots
            .get(&root)
            .is_some_and(|root| root.optional);
        let is_void = is_optional && absence == Absence::Certain;
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        self.effects.push(Effect::Placed(root, None));
        let is_known = state.phase == Phase::Missing { why: why.clone() };
        let then = if is_void {
            "; it is optional, and counts as empty until it is there"
        } else {
            ""
        };
        if !is_known || is_void {
            self.effects.tell(Event::Root {
                root,
                what: format!("missing: {why}{then}"),
            });
        }
        let phase = Phase::Missing { why };
        state.unreachable = None;
        let Some(key) = state.key else {
            state.phase = phase;
            state.absence = absence;
            // Not found since the start: what was saved of it stays, it may come yet. Unless it is known to be gone.
            if is_void {
                state.unsettle();
                self.drop_root(root);
                self.retry_jobs_of_roots(now);
            }
            return;
        };
        // Where it was, and that only a person lets go what waits in it, is not forgotten with what it held.
        let memory = RootMemory {
            key,
            settled: false,
            breaker: state.breaker.memory(),
        };
        *state = RootState {
            phase,
            absence,
            saved: Some(memory),
            ..RootState::default()
        };
        self.drop_root(root);
        if is_void {
            self.retry_jobs_of_roots(now);
        }
    }

    /// A root cannot be opened: what is known of it stays, and all of it waits until it has been looked over again.
    pub(super) fn on_root_unreachable(&mut self, root: RootId, why: String) {
        self.writer.drop_stamps(root);
        if let Some(state) = self.roots.get_mut(&root) {
            let what = format!("unreachable: {why}; it is tried again by itself");
            state.unreachable = Some(why);
            self.effects.tell(Event::Root { root, what });
        }
    }

    pub(super) fn doubted(&mut self, root: RootId, why: String) {
        self.writer.drop_stamps(root);
        if let Some(state) = self.roots.get_mut(&root)
            && state.phase == Phase::Ready
        {
            state.phase = Phase::Reconciling { why };
        }
    }

    pub(super) fn reconciled(&mut self, root: RootId, began: Duration, cost: PassCost, now: Now) {
        let Some(state) = self
            .roots
            .get_mut(&root)
            .filter(|state| began >= state.crawl_from)
        else {
            return;
        };
        let first = state.phase == Phase::Crawling;
        if first || state.recovery.is_some() {
            state.counts_all = first;
        }
        // Of what it was before it got lost, or before it was a root again.
        if state.key.is_none() {
            return;
        }
        state.phase = Phase::Ready;
        let was_unreachable = state.unreachable.take().is_some();
        if !std::mem::replace(&mut state.is_reconciled, true) {
            state.reconciliation.first = cost;
        }
        state.reconciliation.last = cost;
        let restored = state.recovery.is_some();
        let fresh = self.end_restoring(root);
        if !first {
            if restored {
                self.tell_restored(root);
                // What was known before came due because time passed.
                self.check_due_jobs(root, fresh, now);
                self.arm_root(root, now);
            }
            if was_unreachable {
                let what = "reached again".to_owned();
                self.effects.tell(Event::Root { root, what });
                self.arm_root(root, now);
            }
            self.retry_jobs_of_roots(now);
            return;
        }
        let totals = self.index.totals(root);
        let plural = |count: u64, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        let files = plural(totals.files, "file", "files");
        let what = format!(
            "read: {files} in {}",
            plural(totals.dirs, "directory", "directories")
        );
        self.effects.tell(Event::Root { root, what });
        self.check_backlog(root, now);
        self.arm_root(root, now);
    }

    fn tell_restored(&mut self, root: RootId) {
        let Some(state) = self.roots.get(&root) else {
            return;
        };
        let Reconciliation {
            first,
            found,
            gone,
            changed,
            ..
        } = state.reconciliation;
        let what = format!(
            "compared with what was saved in {} ms: {} of {} directories read, {found} files found, {gone} gone, {changed} changed",
            first.took.as_millis(),
            first.listed,
            first.listed + first.skipped,
        );
        self.effects.tell(Event::Root { root, what });
    }

    /// Puts other rules in force. Every root is crawled again before anything of it lapses: what a rule asks for may not be
    /// known, and what the change makes due at once is for the breaker to see.
    pub(super) fn reload(&mut self, policy: Arc<Policy>, breaker: Breaker, now: Now) {
        self.forget_rules(self.index.pages(), now);
        self.saved.on_rules_changed();
        let known: Vec<RootId> = self.roots.keys().copied().collect();
        for root in known {
            for (dir, _) in self.index.units(root) {
                self.writer.set_unit(dir, None);
            }
            if policy.roots.contains_key(&root) {
                if let Some(state) = self.roots.get_mut(&root) {
                    state.unsettle();
                    if state.key.is_some() {
                        state.phase = Phase::Crawling;
                        state.crawl_from = now.boot;
                    }
                }
            } else {
                self.drop_root(root);
                self.roots.remove(&root);
                self.effects.push(Effect::Placed(root, None));
            }
        }
        for &root in policy.roots.keys() {
            self.roots.entry(root).or_default();
        }
        // What waits for the reaper was ordered under rules that are no more.
        self.cleans.forget_queued();
        self.breaker = breaker;
        self.policy = policy;
        self.reload_sources();
    }

    /// Drops all that is known of what lies in `root`.
    fn drop_root(&mut self, root: RootId) {
        if let Some(dir) = self.index.dir_id(root, b"") {
            self.forget_owned_in(dir);
        }
        let dropped = self.writer.drop_root(root);
        self.forget_dirs(&dropped.dirs);
    }

    /// Forgets holds and timers of directories that the index has dropped, before others get their numbers.
    pub(super) fn forget_dirs(&mut self, dropped: &[DirId]) {
        for &dir in dropped {
            self.holds_mut().forget_dir(dir);
            self.timers.forget_dir(dir);
        }
    }
}

//! The trash: the ends of undo windows, and the records that wait for them.
//!
//! The table of what is in it is the reaper's. The engine reads it, and has at most
//! [`ORDERED_MAX`] things deleted at once.
//!
//! **Invariant:** nothing is ordered to be deleted before its window has ended by a clock that can
//! be believed; unless a person or a limit says so.
//! **Invariant:** one thing has at most one order under way.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::item::Item;
use super::timers::Timer;
use crate::core::claim::Removal;
use crate::core::effect::Effect;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::jobs::{Job, JobKey};
use crate::core::policy::{Disposal, Record, Rule};
use crate::core::principal::Principal;
use crate::core::report::Mode;
use crate::core::time::{Now, Timestamp};
use crate::core::trash::{JobName, PurgeOrder, PurgeOutcome, Purged, Trash, TrashNews};

/// Maximum number of things that the reaper has orders to delete: a few batches for each of its
/// threads.
const ORDERED_MAX: usize = 1024;

/// Maximum number of things in one order: they share a sync of the ledger.
const BATCH_MAX: usize = 256;

/// Things whose deletion was ordered, or was tried in vain: as many as are in the trash.
#[derive(Debug, Default)]
pub(super) struct Purges {
    states: BTreeMap<(RootId, u64), PurgeState>,
    ordered: usize,
    /// A clean without a daemon has asked for what is past its window.
    is_asked: bool,
}

#[derive(Clone, Copy, Debug)]
enum PurgeState {
    Ordered { tries: u32 },
    Held { tries: u32, until: Timestamp },
}

impl Purges {
    /// Number of orders that are not answered.
    pub(super) fn ordered(&self) -> usize {
        self.ordered
    }

    /// Returns the instant from which on the thing may be ordered; `None`: it is.
    fn free_at(&self, key: (RootId, u64)) -> Option<Timestamp> {
        match self.states.get(&key) {
            None => Some(Timestamp::MIN),
            Some(PurgeState::Held { until, .. }) => Some(*until),
            Some(PurgeState::Ordered { .. }) => None,
        }
    }

    fn order(&mut self, key: (RootId, u64)) {
        let tries = match self.states.get(&key) {
            Some(PurgeState::Held { tries, .. } | PurgeState::Ordered { tries }) => *tries,
            None => 0,
        };
        self.states.insert(key, PurgeState::Ordered { tries });
        self.ordered += 1;
    }

    /// An order was answered; `hold`: in vain.
    fn settle(&mut self, key: (RootId, u64), hold: Option<&Hold>, now: Timestamp) {
        let before = self.states.remove(&key);
        let tries = match before {
            Some(PurgeState::Ordered { tries }) => {
                self.ordered -= 1;
                tries
            }
            Some(PurgeState::Held { tries, .. }) => tries,
            None => 0,
        };
        if let Some(hold) = hold {
            let until = match hold {
                Hold::Pinned { until, .. } => *until,
                other => now.plus_ms(other.retry_after_ms(tries)),
            };
            let tries = tries + 1;
            self.states.insert(key, PurgeState::Held { tries, until });
        }
    }

    /// Forgets what is known of things that are in the trash no more.
    fn retain(&mut self, trash: &Trash) {
        let ordered = &mut self.ordered;
        self.states.retain(|(root, id), state| {
            let is_there = trash.get(*root, *id).is_some();
            if !is_there && matches!(state, PurgeState::Ordered { .. }) {
                *ordered -= 1;
            }
            is_there
        });
    }
}

impl Engine {
    /// Returns the contents of the trash.
    #[must_use]
    pub fn trash(&self) -> &Trash {
        &self.trash
    }

    /// Number of orders to delete something in the trash that were not answered.
    #[must_use]
    pub fn purges_under_way(&self) -> usize {
        self.purges.ordered()
    }

    /// Something has come into the trash.
    pub(super) fn on_trashed(&mut self, removal: &Removal) {
        if let Some(until) = removal.trashed {
            let at = self.guard.effective(removal.at, until);
            self.timers.arm(Timer::Trash, at);
        }
    }

    /// Takes in news of the trash.
    pub fn on_trash_news(&mut self, news: TrashNews, now: Now) {
        match news {
            TrashNews::Read(_) => {
                let is_unread = |hold: &Hold| matches!(hold, Hold::InTrash { .. });
                self.retry_jobs(|_, hold| is_unread(hold), now);
                self.purges.retain(&self.trash);
            }
            TrashNews::Purged(purged) => {
                for one in &purged {
                    self.on_purged(one, now);
                }
            }
            TrashNews::Restored(jobs) => {
                for job in jobs {
                    self.on_trash_left(&job, now);
                }
            }
        }
        self.timers.arm(Timer::Trash, now.wall);
        if self.mode == Mode::OnRequest {
            self.order_purges(now);
            self.end_cleans();
        }
    }

    fn on_purged(&mut self, purged: &Purged, now: Now) {
        let key = (purged.root, purged.id);
        let hold = match &purged.outcome {
            PurgeOutcome::Held(hold) => Some(hold),
            PurgeOutcome::Gone { .. } | PurgeOutcome::Displaced => None,
        };
        self.purges.settle(key, hold, now.wall);
        if let PurgeOutcome::Gone { files, bytes } = purged.outcome {
            self.removals.add(files, bytes);
        }
        for job in &purged.jobs {
            self.on_trash_left(job, now);
        }
    }

    /// Something of a job has left the trash: the job is judged anew, once it is known what came
    /// back.
    fn on_trash_left(&mut self, job: &JobName, now: Now) {
        let sources = self.policy.sources.iter();
        let meant = sources.filter(|(_, source)| source.name == job.source);
        let meant = meant.flat_map(|(id, source)| source.same_rows.iter().chain([id]));
        let keys: BTreeSet<JobKey> = meant
            .map(|&source| JobKey {
                source,
                id: job.id.clone(),
            })
            .collect();
        for key in keys {
            let Some(no) = self.jobs.number(&key) else {
                continue;
            };
            // A claim of before does not know what has come back.
            self.outdate_claim(&key, no);
            self.arriving.renew((key.source, no));
            let Some(job) = self.jobs.numbered(key.source, no) else {
                continue;
            };
            let policy = std::sync::Arc::clone(&self.policy);
            for (rule, _) in policy.job_rules(&job) {
                let item = Item::Job(key.source, no, rule);
                let held = self.holds.get(&item);
                if held.is_some_and(|held| matches!(held.hold, Hold::InTrash { .. })) {
                    self.holds_mut().clear(&item);
                }
            }
            self.timers.arm(Timer::Job(key.source, no), now.wall);
        }
    }

    /// Returns the hold of the record of `job`, which goes with its last files, while something of
    /// it can come back.
    pub(super) fn hold_of_trash(&self, job: &Job, rule: &Rule, has_pieces: bool) -> Option<Hold> {
        let waits = rule.record != Record::Keep
            && (!has_pieces || matches!(rule.disposal, Disposal::Delete));
        if !waits {
            return None;
        }
        if self.is_trash_away(job) {
            return Some(Hold::InTrash { until: None });
        }
        let until = self.trash.until_of(&self.policy, &job.key)?;
        Some(Hold::InTrash { until: Some(until) })
    }

    /// Returns true if a root that is away may have something of the job in its trash. Of those
    /// that are there the reaper knows.
    fn is_trash_away(&self, job: &Job) -> bool {
        self.roots.iter().any(|(&root, state)| {
            let mut rules = self.policy.rules.iter();
            state.key().is_none()
                && !self.is_void(root)
                && self.jobs.governs(&self.policy, job.key.source, root)
                && rules.any(|rule| rule.disposal != Disposal::Delete && rule.applies_to(root))
        })
    }

    /// The time of something in the trash may have come.
    pub(super) fn on_trash_timer(&mut self, now: Now) {
        if self.mode == Mode::Live {
            self.order_purges(now);
        }
    }

    /// A clean without a daemon deletes what is past its window, too.
    pub(super) fn purge_with_clean(&mut self, now: Now) {
        self.purges.is_asked = true;
        self.order_purges(now);
    }

    /// Has what is past its window deleted, as far as the reaper can follow, and arms the timer for
    /// the rest.
    fn order_purges(&mut self, now: Now) {
        let may = match self.mode {
            Mode::Live => true,
            Mode::OnRequest => self.purges.is_asked,
            Mode::DryRun => false,
        };
        // It is tried again when that ends.
        if !may || self.saved.hold().is_some() {
            return;
        }
        // A pause that ends arms everything it held.
        let roots = self.policy.roots.keys().copied();
        let paused: BTreeSet<RootId> = roots.filter(|root| self.paused(*root).is_some()).collect();
        let mut next = Timestamp::MAX;
        let mut due: BTreeMap<RootId, Vec<u64>> = BTreeMap::new();
        let mut room = ORDERED_MAX.saturating_sub(self.purges.ordered);
        self.trash.each_ended(now.wall, |root, thing| {
            if room == 0 {
                return false;
            }
            if paused.contains(&root) {
                return true;
            }
            let free_at = self.purges.free_at((root, thing.id));
            let effective = self.guard.effective(thing.at, thing.until);
            match free_at.map(|at| at.max(effective)) {
                None => {}
                Some(at) if at > now.wall => next = next.min(at),
                Some(_) => {
                    room -= 1;
                    due.entry(root).or_default().push(thing.id);
                }
            }
            true
        });
        let by = Principal::Rule;
        for (root, ids) in due {
            self.order(root, &ids, false, &by);
        }
        // What did not find room is ordered when something was answered.
        let next_end = self.trash.next_end(now.wall);
        let next = next.min(next_end.unwrap_or(Timestamp::MAX));
        self.timers.arm(Timer::Trash, next);
    }

    /// Has things of the trash of `root` deleted before their windows end, the oldest first, until
    /// `bytes` are free. Returns how many bytes those have that were ordered.
    pub fn purge_oldest(&mut self, root: RootId, bytes: u64, by: &Principal) -> u64 {
        if self.mode == Mode::DryRun || self.paused(root).is_some() {
            return 0;
        }
        let mut oldest = self.trash.oldest(root, bytes);
        oldest.retain(|id| self.purges.free_at((root, *id)).is_some());
        oldest.truncate(ORDERED_MAX.saturating_sub(self.purges.ordered));
        let sizes = oldest.iter().filter_map(|id| self.trash.get(root, *id));
        let sum = sizes.fold(0_u64, |sum, thing| sum.saturating_add(thing.bytes));
        self.order(root, &oldest, true, by);
        sum
    }

    fn order(&mut self, root: RootId, ids: &[u64], is_early: bool, by: &Principal) {
        for some in ids.chunks(BATCH_MAX) {
            for &id in some {
                self.purges.order((root, id));
            }
            self.effects.push(Effect::Purge(PurgeOrder {
                root,
                ids: some.to_vec(),
                is_early,
                by: by.clone(),
            }));
        }
    }
}

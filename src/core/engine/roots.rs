//! Roots that are found, lost, read and configured anew, and those whose removals are stalled as a
//! whole: by a hold that one removal ran into, and every other one would.
//!
//! **Invariant:** nothing of a root lapses before its crawl is through and the breaker has looked
//! at what that made due.
//! **Invariant:** a stall ends only by a try: of removals, or of the quarantine, whichever it was.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::root_state::RootState;
use super::timers::Timer;
use crate::core::effect::{Effect, Event};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::observed::{Absence, PassCost};
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::core::report::{Breaker, Reconciliation};
use crate::core::time::Now;

impl Engine {
    /// Stalls `root`: every removal in it would run into the same `hold`.
    pub(super) fn stall(&mut self, root: RootId, hold: Hold, now: Now) {
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        let Some((retry_at, is_new)) = state.stall.begin(&hold, now.wall) else {
            return;
        };
        if is_new {
            let path = RelPath::root();
            self.effects.tell(Event::Held { root, path, hold });
        }
        self.timers.arm(Timer::Root(root), retry_at);
    }

    /// The reaper has tried to put the quarantine of `root` in order.
    pub(super) fn on_recovered(&mut self, root: RootId, hold: Option<Hold>, now: Now) {
        let state = self.roots.get_mut(&root);
        let was_stalled = state.is_some_and(|state| state.stall.retry_quarantine());
        match hold {
            Some(hold) => self.stall(root, hold, now),
            None if was_stalled => {
                self.arm_root(root, now);
                self.retry_jobs_of_roots(now);
            }
            None => {}
        }
    }
}

impl Engine {
    pub(super) fn root_found(&mut self, root: RootId, key: FileKey, now: Now) {
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        let replaced = state.on_found(key);
        if !self.recognize(root, key, now) && replaced {
            self.drop_root(root, now);
        }
        self.effects.push(Effect::Placed(root, Some(key)));
        self.tell_root(root, true, "found");
    }

    /// Returns true if nothing stands in the place of `root`, and that may be: no job owns anything
    /// in it.
    pub(super) fn is_void(&self, root: RootId) -> bool {
        self.policy.is_optional(root) && self.roots.get(&root).is_some_and(RootState::is_absent)
    }

    pub(super) fn root_lost(&mut self, root: RootId, why: String, absence: Absence, now: Now) {
        let is_void = self.policy.is_optional(root) && absence == Absence::Certain;
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        self.effects.push(Effect::Placed(root, None));
        let then = if is_void {
            "; it is optional, and counts as empty until it is there"
        } else {
            ""
        };
        if state.missing() != Some(&why) || is_void {
            let what = format!("missing: {why}{then}");
            self.effects.tell(Event::Root {
                root,
                is_available: is_void,
                what,
            });
        }
        let was_found = state.key().is_some();
        state.on_lost(why, absence);
        if was_found || is_void {
            // What was saved of a root that is known to be gone is of no use; of others it is kept.
            state.unsettle();
            self.drop_root(root, now);
        }
        if is_void {
            self.retry_jobs_of_roots(now);
        }
    }

    /// A root cannot be opened: what is known of it stays, and all of it waits until it has been
    /// looked over again.
    pub(super) fn on_root_unreachable(&mut self, root: RootId, why: String) {
        self.writer.drop_stamps(root);
        if let Some(state) = self.roots.get_mut(&root) {
            let what = format!("unreachable: {why}; it is tried again by itself");
            state.on_unreachable(why);
            self.tell_root(root, false, &what);
        }
    }

    fn tell_root(&mut self, root: RootId, is_available: bool, what: &str) {
        self.effects.tell(Event::Root {
            root,
            is_available,
            what: what.to_owned(),
        });
    }

    pub(super) fn doubted(&mut self, root: RootId, why: String) {
        self.writer.drop_stamps(root);
        if let Some(state) = self.roots.get_mut(&root) {
            state.on_doubted(why);
        }
    }

    pub(super) fn reconciled(&mut self, root: RootId, began: Duration, cost: PassCost, now: Now) {
        let state = self.roots.get_mut(&root);
        let Some(pass) = state.and_then(|state| state.on_reconciled(began, cost)) else {
            return;
        };
        let fresh = self.end_restoring(root);
        self.arm_counted(root, now);
        self.report_complete(root, now);
        if !pass.is_first {
            if pass.is_recovery {
                self.tell_restored(root);
                // What was known before came due because time passed.
                self.check_due_jobs(root, fresh, now);
                self.arm_root(root, now);
            }
            if pass.was_unreachable {
                self.tell_root(root, true, "reached again");
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
        let dirs = plural(totals.dirs, "directory", "directories");
        self.tell_root(root, true, &format!("read: {files} in {dirs}"));
        self.check_backlog(root, now);
        self.arm_root(root, now);
    }

    fn tell_restored(&mut self, root: RootId) {
        let status = self.roots.get(&root).map(|state| state.status(root));
        let Some(Reconciliation {
            first,
            found,
            gone,
            changed,
            ..
        }) = status.and_then(|status| status.reconciliation)
        else {
            return;
        };
        let what = format!(
            "compared with what was saved in {} ms: {} of {} directories read, {found} files found, {gone} gone, {changed} changed",
            first.took.as_millis(),
            first.listed,
            first.listed + first.skipped,
        );
        self.tell_root(root, true, &what);
    }

    /// Puts other rules in force. Every root is crawled again before anything of it lapses: what a
    /// rule asks for may not be known, and what the change makes due at once is for the breaker to
    /// see.
    pub(super) fn reload(&mut self, policy: Arc<Policy>, breaker: Breaker, now: Now) {
        self.forget_rules(self.index.pages(), now);
        self.saved.on_rules_changed();
        let known: Vec<RootId> = self.roots.keys().copied().collect();
        for root in known {
            for (dir, _) in self.index.units(root) {
                self.change_unit(dir, None, now);
            }
            if policy.roots.contains_key(&root) {
                if let Some(state) = self.roots.get_mut(&root) {
                    state.on_rules_changed(now.boot);
                }
            } else {
                self.drop_root(root, now);
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
        self.count_all_anew();
        self.reload_sources();
        self.count_all();
    }

    /// Drops all that is known about what is in `root`.
    fn drop_root(&mut self, root: RootId, now: Now) {
        if let Some(dir) = self.index.dir_id(root, b"") {
            self.forget_owned_in(dir);
        }
        let dropped = self.writer.drop_root(root);
        self.forget_dirs(&dropped.dirs, now);
    }

    /// Forgets holds and timers of directories that the index has dropped, before others get their
    /// numbers.
    pub(super) fn forget_dirs(&mut self, dropped: &[DirId], now: Now) {
        for &dir in dropped {
            self.holds_mut().forget_dir(dir);
            self.timers.forget_dir(dir);
        }
        self.forget_units(dropped, now);
    }
}

//! Arming of timers: the instant at which each page, directory and job is looked at again.

use super::Engine;
use super::item::Item;
use super::lapse::{Lapse, Trigger};
use super::root_state::RootState;
use super::timers::Timer;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId};
use crate::core::policy::Schedule;
use crate::core::time::Now;

impl Engine {
    /// Arms `item` anew: something about it changed, or its claim came back.
    pub(super) fn rearm(&mut self, item: &Item, now: Now) {
        match *item {
            Item::File(dir, ref name) => {
                self.timers.touched.extend(self.index.page_of(dir, name));
            }
            Item::Dir(dir) => self.arm_unit(dir, now),
            // What is held has a timer already.
            Item::Job(source, no, _) => {
                if self.holds.get(item).is_none() && !self.holds.is_claimed(item) {
                    self.arm_job(source, no, now);
                }
            }
        }
    }

    /// Arms every page that changed, or of which an entry did, since the last call.
    pub(super) fn arm_touched(&mut self, now: Now) {
        self.regroup(now);
        for page in std::mem::take(&mut self.timers.touched) {
            self.count_page(page);
            self.arm_page(page, now);
        }
    }

    /// Arms everything: what the clock says has changed.
    pub(super) fn arm_all(&mut self, now: Now) {
        self.arm_roots(|_| true, now);
        self.timers.arm(Timer::Trash, now.wall);
    }

    /// Arms everything in `root`: a hold on all of it has ended.
    pub(super) fn arm_root(&mut self, root: RootId, now: Now) {
        self.arm_roots(|of| of == root, now);
    }

    /// Arms everything in the roots that `is_meant` names.
    pub(super) fn arm_roots(&mut self, is_meant: impl Fn(RootId) -> bool, now: Now) {
        let index = std::sync::Arc::clone(&self.index);
        for page in index.pages() {
            let dir = index.page(page).and_then(|page| index.dir(page.dir()));
            if dir.is_some_and(|dir| is_meant(dir.root)) {
                self.arm_page(page, now);
            }
        }
        let roots: Vec<RootId> = self
            .roots
            .keys()
            .copied()
            .filter(|&root| is_meant(root))
            .collect();
        for root in roots {
            for (dir, _) in index.units(root) {
                self.arm_unit(dir, now);
            }
        }
        self.retry_jobs_of_roots(now);
    }

    /// Arms all that lapses in one directory.
    pub(super) fn arm_dir(&mut self, dir: DirId, now: Now) {
        for page in self.index.pages_of(dir) {
            self.arm_page(page, now);
        }
        // Permission to move a top-level directory is the root's.
        for (_, sub) in self.index.subdirs(dir) {
            self.arm_unit(sub, now);
        }
    }

    pub(super) fn arm_page(&mut self, id: PageId, now: Now) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let Some(earliest) = page.min_deadline() else {
            return;
        };
        let dir = page.dir();
        let Some(root) = self.index.dir(dir).map(|dir| dir.root) else {
            return;
        };
        // Most pages hold nothing special: their earliest deadline is when to look.
        if self.is_plain(root, dir) {
            self.timers.arm(Timer::Page(id), earliest);
            return;
        }
        let states = page.entries().filter_map(|(name, record)| {
            let lapse = Lapse::of(record.class, record.basis, record.deadline())?;
            let item = Item::file(dir, name);
            self.lapse_state((root, None), &item, lapse, Trigger::Timer, now)
                .retry_at()
        });
        if let Some(at) = states.min() {
            self.timers.arm(Timer::Page(id), at);
        }
    }

    pub(super) fn arm_unit(&mut self, dir: DirId, now: Now) {
        let known = self.index.unit(dir).zip(self.index.dir(dir));
        let Some((unit, root)) = known.map(|(unit, dir)| (unit, dir.root)) else {
            return;
        };
        let Some(deadline) = unit.deadline else {
            return;
        };
        let lapse = Lapse::at(deadline, unit.rule, unit.basis);
        let item = Item::Dir(dir);
        let state = self.lapse_state((root, None), &item, lapse, Trigger::Timer, now);
        if let Some(at) = state.retry_at() {
            self.timers.arm(Timer::Unit(dir), at);
        }
    }

    /// Returns true if nothing but their deadlines decides when entries of `dir` are looked at.
    fn is_plain(&self, root: RootId, dir: DirId) -> bool {
        !self.holds.has_hold_in(dir)
            && !self.holds.has_claim_in(dir)
            && self.guard.is_calm()
            && self.saved.hold().is_none()
            && !self.job_holds().concern(root)
            && self.roots.get(&root).is_some_and(RootState::is_free)
            && self.paused(root).is_none()
            && self
                .policy
                .rules
                .iter()
                .all(|rule| rule.schedule == Schedule::AtDeadline && rule.keep_last.is_none())
    }
}

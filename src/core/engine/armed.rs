//! What is armed: for each page, unit and root the instant at which the wheel lets it be looked at.
//!
//! **Invariant:** a page or unit that waits for an instant has a timer at that instant or before. What fires and is not due
//! (any more) is armed again; nothing is ever cancelled.

use std::collections::BTreeMap;

use super::held::UNIT;
use super::roots::RootState;
use super::standing::{Lapse, lapse_of};
use super::state::Engine;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId};
use crate::core::jobs::SourceId;
use crate::core::policy::Schedule;
use crate::core::time::{Now, Timestamp};

/// What the wheel holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// The earliest entry of a page.
    Page(PageId),
    /// A top-level directory that lapses as a whole.
    Unit(DirId),
    /// A root whose removals were stalled as a whole is tried again.
    Root(RootId),
    /// A job whose files, or whose record, may go.
    Job(SourceId, u32),
    /// A pin ends.
    Pins,
}

/// For each page and unit the instant of its timer, so that it has one.
#[derive(Debug, Default)]
pub(super) struct Armed {
    pages: Vec<Timestamp>,
    units: BTreeMap<DirId, Timestamp>,
    jobs: BTreeMap<SourceId, Vec<Timestamp>>,
}

impl Armed {
    fn page(&mut self, page: PageId) -> &mut Timestamp {
        let place = usize::try_from(page.0).expect("invariant: page numbers fit into memory");
        if place >= self.pages.len() {
            self.pages.resize(place + 1, Timestamp::MAX);
        }
        &mut self.pages[place]
    }

    pub(super) fn slot(&mut self, timer: Timer) -> Option<&mut Timestamp> {
        match timer {
            Timer::Page(page) => Some(self.page(page)),
            Timer::Unit(dir) => Some(self.units.entry(dir).or_insert(Timestamp::MAX)),
            Timer::Job(source, no) => {
                let place = usize::try_from(no).expect("invariant: job numbers fit into memory");
                let jobs = self.jobs.entry(source).or_default();
                if place >= jobs.len() {
                    jobs.resize(place + 1, Timestamp::MAX);
                }
                Some(&mut jobs[place])
            }
            Timer::Root(_) | Timer::Pins => None,
        }
    }

    /// The first instant after `after` at which a job is looked at.
    pub(super) fn next_job(&self, after: Timestamp) -> Option<Timestamp> {
        let all = self.jobs.values().flatten().copied();
        all.filter(|&at| at > after && at < Timestamp::MAX).min()
    }

    /// Forgets the timer of a directory that was dropped.
    pub(super) fn forget(&mut self, dir: DirId) {
        self.units.remove(&dir);
    }
}

impl Engine {
    /// Makes sure that `timer` fires at `at` or before.
    pub(super) fn arm(&mut self, timer: Timer, at: Timestamp) {
        if let Some(armed) = self.armed.slot(timer) {
            if *armed <= at {
                return;
            }
            *armed = at;
        }
        self.wheel.insert(at, timer);
    }

    /// Arms every page that changed since the last call.
    pub(super) fn arm_touched(&mut self, now: Now) {
        for page in self.writer.take_touched() {
            self.arm_page(page, now);
        }
    }

    /// Arms everything: what the clock says has changed.
    pub(super) fn arm_all(&mut self, now: Now) {
        let roots: Vec<RootId> = self.roots.keys().copied().collect();
        for root in roots {
            self.arm_root(root, now);
        }
    }

    /// Arms everything in `root`: a hold on all of it has ended.
    pub(super) fn arm_root(&mut self, root: RootId, now: Now) {
        let index = std::sync::Arc::clone(&self.index);
        for page in index.pages() {
            let in_root = index
                .page(page)
                .and_then(|page| index.dir(page.dir()))
                .is_some_and(|dir| dir.root == root);
            if in_root {
                self.arm_page(page, now);
            }
        }
        for (dir, _) in index.units(root) {
            self.arm_unit(dir, now);
        }
        self.retry_jobs_of_roots(now);
    }

    pub(super) fn arm_page(&mut self, id: PageId, now: Now) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let Some(earliest) = page.min_deadline() else {
            return;
        };
        let Some(dir) = self.index.dir(page.dir()) else {
            return;
        };
        // Most pages hold nothing special: their earliest deadline is when to look.
        if self.is_plain(dir.root, page.dir()) {
            self.arm(Timer::Page(id), earliest);
            return;
        }
        let next = page
            .entries()
            .filter_map(|(name, record)| {
                let lapse = lapse_of(record.class, record.basis, record.deadline())?;
                self.standing(dir.root, page.dir(), name, lapse, now)
                    .retry_at()
            })
            .min();
        if let Some(at) = next {
            self.arm(Timer::Page(id), at);
        }
    }

    pub(super) fn arm_unit(&mut self, dir: DirId, now: Now) {
        let Some(place) = self.index.dir(dir) else {
            return;
        };
        let Some(unit) = self.index.unit(dir) else {
            return;
        };
        let Some(deadline) = unit.deadline else {
            return;
        };
        let lapse = Lapse {
            rule: unit.rule,
            basis: unit.basis,
            deadline,
        };
        if let Some(at) = self.standing(place.root, dir, UNIT, lapse, now).retry_at() {
            self.arm(Timer::Unit(dir), at);
        }
    }

    /// Whether nothing but their deadlines decides when entries of `dir` are looked at.
    fn is_plain(&self, root: RootId, dir: DirId) -> bool {
        !self.held.touches(dir)
            && self.guard.is_calm()
            && self.unsaved.is_none()
            && !self.job_holds().concern(root)
            && self.roots.get(&root).is_some_and(RootState::is_free)
            && self
                .policy
                .rules
                .iter()
                .all(|rule| rule.schedule == Schedule::AtDeadline)
    }
}

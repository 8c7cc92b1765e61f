//! Timers: the instant at which each page, directory and job is looked at.
//!
//! **Invariant:** what waits for an instant has a timer at that instant or before. What fires and
//! is not due (any more) is armed again; nothing is ever cancelled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Engine;
use super::candidate::Item;
use super::due::FiredTimer;
use super::lapse::{Lapse, Trigger};
use super::root_state::RootState;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId};
use crate::core::jobs::SourceId;
use crate::core::policy::Schedule;
use crate::core::time::{Now, Timestamp};
use crate::core::wheel::Wheel;

/// A timer of the wheel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// The earliest entry of a page.
    Page(PageId),
    /// A top-level directory that lapses as a whole.
    Unit(DirId),
    /// Holds that files of a directory share.
    Shared(DirId),
    /// A root whose removals were stalled as a whole is tried again.
    Root(RootId),
    /// A job whose files, or whose record, may go.
    Job(SourceId, u32),
    /// A pin ends.
    Pins,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Timers {
    wheel: Wheel<Timer>,
    /// The instants of the timers of pages, units, directories and jobs, so that each has one.
    pages: Vec<Timestamp>,
    units: BTreeMap<DirId, Timestamp>,
    shared: BTreeMap<DirId, Timestamp>,
    jobs: BTreeMap<SourceId, Vec<Timestamp>>,
    /// Timers that fired and were not processed.
    fired: VecDeque<FiredTimer>,
    /// Those whose device has all the claims that it may have.
    parked: BTreeMap<u64, VecDeque<FiredTimer>>,
    /// Everything that was due and free until this instant was processed: what is found due at an
    /// earlier deadline became known or free only now, and its lateness counts from now.
    fired_until: Timestamp,
    /// Pages that are armed anew at the end of the step.
    touched: BTreeSet<PageId>,
}

impl Timers {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            wheel: Wheel::new(now),
            pages: Vec::new(),
            units: BTreeMap::new(),
            shared: BTreeMap::new(),
            jobs: BTreeMap::new(),
            fired: VecDeque::new(),
            parked: BTreeMap::new(),
            fired_until: now,
            touched: BTreeSet::new(),
        }
    }

    fn slot(&mut self, timer: Timer) -> Option<&mut Timestamp> {
        match timer {
            Timer::Page(page) => {
                let at = usize::try_from(page.0).expect("invariant: page numbers fit into memory");
                Some(slot_at(&mut self.pages, at))
            }
            Timer::Unit(dir) => Some(self.units.entry(dir).or_insert(Timestamp::MAX)),
            Timer::Shared(dir) => Some(self.shared.entry(dir).or_insert(Timestamp::MAX)),
            Timer::Job(source, no) => {
                let at = usize::try_from(no).expect("invariant: job numbers fit into memory");
                Some(slot_at(self.jobs.entry(source).or_default(), at))
            }
            Timer::Root(_) | Timer::Pins => None,
        }
    }

    /// Makes sure that `timer` fires at `at` or before; never, at the end of time.
    pub(super) fn arm(&mut self, timer: Timer, at: Timestamp) {
        if at == Timestamp::MAX {
            return;
        }
        if let Some(armed) = self.slot(timer) {
            if *armed <= at {
                return;
            }
            *armed = at;
        }
        self.wheel.insert(at, timer);
    }

    /// Queues the timers that fire until `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let mut fired = Vec::new();
        self.wheel.advance(now, &mut fired);
        for (at, timer) in fired {
            if let Some(armed) = self.slot(timer) {
                if *armed != at {
                    continue;
                }
                *armed = Timestamp::MAX;
            }
            self.fired.push_back(FiredTimer {
                timer,
                floor: self.fired_until,
                fired: now,
            });
        }
        self.fired_until = self.fired_until.max(now);
    }

    /// Returns the next timer to be processed: of those that were parked only one whose device
    /// `has_room`.
    pub(super) fn pop(&mut self, has_room: impl Fn(u64) -> bool) -> Option<FiredTimer> {
        let mut parked = self.parked.iter_mut();
        let Some((&device, timers)) = parked.find(|(device, _)| has_room(**device)) else {
            return self.fired.pop_front();
        };
        let next = timers.pop_front();
        if timers.is_empty() {
            self.parked.remove(&device);
        }
        next
    }

    /// Keeps a timer until its device has room for another claim.
    pub(super) fn park(&mut self, device: u64, timer: FiredTimer) {
        self.parked.entry(device).or_default().push_back(timer);
    }

    /// Instant at which the next timer fires.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.wheel.next()
    }

    /// The first instant after `after` at which a job is looked at.
    pub(super) fn next_job(&self, after: Timestamp) -> Option<Timestamp> {
        let all = self.jobs.values().flatten().copied();
        all.filter(|&at| at > after && at < Timestamp::MAX).min()
    }

    /// Forgets the timers of a directory that was dropped.
    pub(super) fn forget_dir(&mut self, dir: DirId) {
        self.units.remove(&dir);
        self.shared.remove(&dir);
    }
}

fn slot_at(slots: &mut Vec<Timestamp>, at: usize) -> &mut Timestamp {
    if at >= slots.len() {
        slots.resize(at + 1, Timestamp::MAX);
    }
    &mut slots[at]
}

impl Engine {
    /// Arms `item` anew: something about it changed, or its claim came back.
    pub(super) fn rearm(&mut self, item: &Item, now: Now) {
        match *item {
            Item::File(dir, ref name) => {
                let page = self.index.find_in(dir, name).map(|(page, _)| page);
                self.timers.touched.extend(page);
            }
            Item::Dir(dir) => self.arm_unit(dir, now),
            // What is held has a timer already.
            Item::Job(source, no, _) if self.holds.get(item).is_none() => {
                self.arm_job(source, no, now);
            }
            Item::Job(..) => {}
        }
    }

    /// Arms every page that changed, or of which an entry did, since the last call.
    pub(super) fn arm_touched(&mut self, now: Now) {
        let mut pages = std::mem::take(&mut self.timers.touched);
        pages.append(&mut self.writer.take_touched());
        for page in pages {
            self.arm_page(page, now);
        }
    }

    /// Arms everything: what the clock says has changed.
    pub(super) fn arm_all(&mut self, now: Now) {
        self.arm_roots(|_| true, now);
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
            self.lapse_state(root, &item, lapse, Trigger::Timer, now)
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
        let lapse = Lapse {
            rule: unit.rule,
            basis: unit.basis,
            deadline,
        };
        let state = self.lapse_state(root, &Item::Dir(dir), lapse, Trigger::Timer, now);
        if let Some(at) = state.retry_at() {
            self.timers.arm(Timer::Unit(dir), at);
        }
    }

    /// Returns true if nothing but their deadlines decides when entries of `dir` are looked at.
    fn is_plain(&self, root: RootId, dir: DirId) -> bool {
        !self.holds.contains_dir(dir)
            && self.guard.is_calm()
            && self.saved.hold().is_none()
            && !self.job_holds().concern(root)
            && self.roots.get(&root).is_some_and(RootState::is_free)
            && self
                .policy
                .rules
                .iter()
                .all(|rule| rule.schedule == Schedule::AtDeadline)
    }
}

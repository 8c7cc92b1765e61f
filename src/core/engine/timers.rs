//! Timers: the instant at which each page, directory and job is looked at.
//!
//! **Invariant:** what waits for an instant has a timer at that instant or before. What fires and
//! is not due (any more) is armed again; nothing is ever cancelled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId};
use crate::core::jobs::SourceId;
use crate::core::time::Timestamp;
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
    /// A pause ends.
    Pauses,
    /// The undo window of something in the trash ends.
    Trash,
    /// A limit is looked at again.
    Limits,
}

/// A timer that fired.
#[derive(Clone, Copy, Debug)]
pub(super) struct FiredTimer {
    pub(super) timer: Timer,
    /// Everything due until here was processed before this timer fired.
    pub(super) floor: Timestamp,
    /// Instant at which it fired.
    pub(super) fired: Timestamp,
}

impl FiredTimer {
    /// From when lateness counts for what has this deadline.
    pub(super) fn due(&self, deadline: Timestamp) -> Timestamp {
        if deadline > self.floor {
            deadline
        } else {
            self.fired
        }
    }
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
    trash: Timestamp,
    /// Timers that fired and were not processed.
    fired: VecDeque<FiredTimer>,
    /// Those whose device has all the claims that it may have.
    parked: BTreeMap<u64, VecDeque<FiredTimer>>,
    /// Everything that was due and free until this instant was processed: what is found due at an
    /// earlier deadline became known or free only now, and its lateness counts from now.
    fired_until: Timestamp,
    /// Pages that are armed anew at the end of the step.
    pub(super) touched: BTreeSet<PageId>,
}

impl Timers {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            wheel: Wheel::new(now),
            pages: Vec::new(),
            units: BTreeMap::new(),
            shared: BTreeMap::new(),
            jobs: BTreeMap::new(),
            trash: Timestamp::MAX,
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
            Timer::Trash => Some(&mut self.trash),
            Timer::Root(_) | Timer::Pins | Timer::Pauses | Timer::Limits => None,
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

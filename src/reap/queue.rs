//! A line of work for threads.
//!
//! **Invariant:** after it was closed nothing more is given out.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock;

/// First come, first served.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    deferred: Vec<Deferred<T>>,
    closed: bool,
}

/// Work whose time has not come.
#[derive(Debug)]
struct Deferred<T> {
    work: T,
    weight: usize,
    /// On the boot clock.
    until: Duration,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                weight: 0,
                deferred: Vec::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Puts `work` at the end, at once.
    pub(super) fn push(&self, work: T) {
        self.put(work, 0, usize::MAX);
    }

    /// Puts `work` at the end when what waits weighs less than `most`; until then it waits itself.
    pub(super) fn put(&self, work: T, weight: usize, most: usize) {
        let mut state = self.state.lock();
        while state.weight >= most && !state.closed {
            self.changed.wait(&mut state);
        }
        if !state.closed {
            state.weight += weight;
            state.waiting.push_back((work, weight));
            self.changed.notify_all();
        }
    }

    /// Puts `work` at the end once `until` has come. Returns `false`, and drops it, when what was deferred weighs more than `most`
    /// with it.
    pub(super) fn defer(&self, work: T, weight: usize, until: Duration, most: usize) -> bool {
        let mut state = self.state.lock();
        let all = state.deferred.iter().map(|one| one.weight);
        let has_room = all.fold(weight, usize::saturating_add) <= most;
        if has_room && !state.closed {
            state.deferred.push(Deferred {
                work,
                weight,
                until,
            });
            self.changed.notify_all();
        }
        has_room
    }

    /// Takes the first; waits for one. `None` when the queue was closed.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let next = state.deferred.iter().map(|one| one.until).min();
            let wait = next.map(|next| next.saturating_sub(clock::now().boot));
            if wait == Some(Duration::ZERO) {
                let first = state
                    .deferred
                    .iter()
                    .position(|one| Some(one.until) == next);
                return first.map(|first| state.deferred.swap_remove(first).work);
            }
            if let Some((work, weight)) = state.waiting.pop_front() {
                state.weight -= weight;
                self.changed.notify_all();
                return Some(work);
            }
            match wait {
                Some(wait) => drop(self.changed.wait_for(&mut state, wait)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Drops what waits, and wakes everybody.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.deferred),
        );
        self.changed.notify_all();
        drop(state);
        drop(dropped);
    }
}

//! A line of work for threads.
//!
//! **Invariant:** after it was closed nothing more is given out.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

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
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                weight: 0,
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

    /// Takes the first; waits for one. `None` when the queue was closed.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((work, weight)) = state.waiting.pop_front() {
                state.weight -= weight;
                self.changed.notify_all();
                return Some(work);
            }
            self.changed.wait(&mut state);
        }
    }

    /// Drops what waits, and wakes everybody.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.waiting);
        self.changed.notify_all();
        drop(state);
        drop(dropped);
    }
}

//! Queue of work for the threads of a lane.
//!
//! **Invariant:** after it was closed nothing more is given out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock;

/// Number of waiting pieces that may take another one in: as many as roots have removals at a time.
/// To ask all of them would take time in proportion to the square of what waits.
const MERGED_WITH_MAX: usize = 8;

/// First come, first served. Each piece of work has a weight, by which callers limit what waits.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Wakes those who wait for room.
    taken: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(T, usize)>,
    weight: usize,
    /// Work whose time has not come, by that time on the boot clock and by order.
    deferred: BTreeMap<(Duration, u64), (T, usize)>,
    deferred_weight: usize,
    /// Number of the next piece of deferred work.
    next: u64,
    /// Pieces of work that threads are at.
    busy: usize,
    /// Threads that wait for work, each with its own signal. The last one is woken first: single
    /// pieces are all done by one thread, whose memory is still in the processor's cache.
    idle: Vec<Arc<Condvar>>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                weight: 0,
                deferred: BTreeMap::new(),
                deferred_weight: 0,
                next: 0,
                busy: 0,
                idle: Vec::new(),
                closed: false,
            }),
            taken: Condvar::new(),
        }
    }

    /// Puts `work` at the end, at once.
    pub(super) fn push(&self, work: T) {
        self.put(work, 0, usize::MAX);
    }

    /// Has one of the last pieces that wait take `work` in; puts it at the end when none does.
    /// `merge` gives back what it does not take in.
    pub(super) fn push_or_merge(&self, work: T, merge: impl Fn(&mut T, T) -> Option<T>) {
        let mut state = self.state.lock();
        let last = state.waiting.iter_mut().rev().take(MERGED_WITH_MAX);
        let rest = last
            .map(|(waiting, _)| waiting)
            .try_fold(work, |work, waiting| merge(waiting, work).ok_or(()));
        drop(state);
        if let Ok(work) = rest {
            self.push(work);
        }
    }

    /// Puts `work` at the end when what waits weighs less than `most`; blocks until then.
    pub(super) fn put(&self, work: T, weight: usize, most: usize) {
        let mut state = self.state.lock();
        while state.weight >= most && !state.closed {
            self.taken.wait(&mut state);
        }
        if !state.closed {
            state.weight += weight;
            state.waiting.push_back((work, weight));
            state.wake_one();
        }
    }

    /// Gives out `work` once `until` has come. Returns `false`, and drops it, when what is deferred
    /// would weigh more than `most` with it.
    pub(super) fn defer(&self, work: T, weight: usize, until: Duration, most: usize) -> bool {
        let mut state = self.state.lock();
        let all = state.deferred_weight.saturating_add(weight);
        if all <= most && !state.closed {
            let place = (until, state.next);
            state.next += 1;
            state.deferred_weight = all;
            state.deferred.insert(place, (work, weight));
            state.wake_one();
        }
        all <= most
    }

    /// Does all work in its turn, until the queue is closed.
    pub(super) fn work_off(&self, mut run: impl FnMut(T)) {
        while let Some(work) = self.take() {
            run(work);
            self.state.lock().busy -= 1;
        }
    }

    /// Takes the first; waits for one. `None` when the queue was closed.
    fn take(&self) -> Option<T> {
        let state = &mut self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = clock::now().boot;
            let next = state.deferred.first_key_value().map(|((at, _), _)| *at);
            let work = if next.is_some_and(|at| at <= now) {
                let (_, (work, weight)) = state.deferred.pop_first()?;
                state.deferred_weight -= weight;
                Some(work)
            } else if let Some((work, weight)) = state.waiting.pop_front() {
                state.weight -= weight;
                Some(work)
            } else {
                None
            };
            if let Some(work) = work {
                state.busy += 1;
                self.taken.notify_all();
                return Some(work);
            }
            let signal = Arc::new(Condvar::new());
            state.idle.push(Arc::clone(&signal));
            match next {
                Some(at) => drop(signal.wait_for(state, at.saturating_sub(now))),
                None => signal.wait(state),
            }
            state.idle.retain(|idle| !Arc::ptr_eq(idle, &signal));
        }
    }

    /// Returns true if nothing waits, and no thread is at work.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && state.deferred.is_empty() && state.busy == 0
    }

    /// Drops what waits, and wakes all threads.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.deferred),
        );
        while state.wake_one() {}
        self.taken.notify_all();
        drop(state);
        drop(dropped);
    }
}

impl<T> State<T> {
    /// Returns true if a thread was idle.
    fn wake_one(&mut self) -> bool {
        self.idle.pop().is_some_and(|idle| idle.notify_one())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_pieces_of_work_are_all_done_by_one_thread() {
        let queue = Queue::new();
        let (done, doers) = std::sync::mpsc::channel();
        let wait_for_idle = |threads| {
            while queue.state.lock().idle.len() < threads {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (queue, done) = (&queue, done.clone());
                scope.spawn(move || {
                    queue.work_off(|()| done.send(std::thread::current().id()).unwrap());
                });
            }
            let mut ids = std::collections::HashSet::new();
            for _ in 0..10 {
                wait_for_idle(3);
                queue.push(());
                ids.insert(doers.recv().unwrap());
            }
            queue.close();
            assert_eq!(ids.len(), 1);
        });
    }

    #[test]
    fn what_waits_takes_in_what_comes() {
        let queue = Queue::new();
        let merge = |waiting: &mut Vec<u32>, new: Vec<u32>| {
            if waiting[0] % 10 == new[0] % 10 && waiting.len() < 3 {
                waiting.extend(new);
                None
            } else {
                Some(new)
            }
        };
        for work in [1, 2, 11, 21, 31, 12, 41] {
            queue.push_or_merge(vec![work], merge);
        }
        let taken: Vec<Vec<u32>> = (0..3).map_while(|_| queue.take()).collect();
        assert_eq!(taken, [vec![1, 11, 21], vec![2, 12], vec![31, 41]]);
        // What a thread is at takes nothing in.
        queue.push_or_merge(vec![51], merge);
        assert_eq!(queue.take(), Some(vec![51]));
        queue.close();
        queue.push_or_merge(vec![61], merge);
        assert_eq!(queue.take(), None);
    }
}

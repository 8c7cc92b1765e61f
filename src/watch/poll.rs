//! The backend for file systems that raise no events (NFS, CIFS, most of FUSE): everything is
//! listed from time to time.
//!
//! The `PollWatcher` of the `notify` crate is no help in that. It keeps the path of every file in a
//! map of its own, holds a lock over a whole scan that every new watch has to wait for, sees
//! modification times in whole seconds and only when they grow, and so leaves a listing of our own
//! to do all the same, which sees what it sees: each file's identity, size and all timestamps,
//! beneath descriptors. So there is only that listing: at an interval, and for each barrier.
//!
//! **Invariant:** before a barrier's marker everything is asked to be listed, after the barrier was
//! asked for.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::backend::{Backend, LOW_PRIORITY_BARRIER, Marker, More, RawEvent, WatchId};
use super::error::WatchError;
use super::node_id::NodeId;
use super::workers::Workers;
use crate::core::effect::JOBS;
use crate::fs::Dir;

/// Watches nothing, and says at intervals that anything may have happened.
pub struct Poll {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// True if everything is to be listed. Stands before all the markers: a listing that has not
    /// begun sees what happens meanwhile.
    list: bool,
    markers: Vec<Marker>,
    /// Markers of barriers that are in no hurry: the next listing at the interval is soon enough.
    patient: Vec<Marker>,
    stopped: bool,
    dead: bool,
}

impl Poll {
    /// A thread that wakes every `every`.
    ///
    /// # Errors
    /// When the operating system gives out no more threads.
    pub(super) fn start(
        every: Duration,
        crew: &Workers,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, WatchError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            wake,
        });
        let (clockwork, failed) = (Arc::clone(&shared), Arc::clone(&shared));
        crew.start(
            "lapsed-poll",
            move || clockwork.tick_until_stopped(every),
            move || failed.state.lock().dead = true,
        )?;
        Ok(Self { shared })
    }
}

impl Shared {
    fn tick_until_stopped(&self, every: Duration) {
        let mut state = self.state.lock();
        loop {
            let wait = self
                .changed
                .wait_while_for(&mut state, |state| !state.stopped, every);
            if !wait.timed_out() {
                return;
            }
            state.list = true;
            let patient = std::mem::take(&mut state.patient);
            state.markers.extend(patient);
            (self.wake)();
        }
    }
}

impl Backend for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn watch(&self, _: &Dir, _: NodeId) -> Result<WatchId, Errno> {
        Ok(WatchId(NonZeroU32::MIN))
    }

    fn unwatch(&self, _: WatchId, _: NodeId) {}

    fn drain(&self, each: &mut dyn FnMut(RawEvent<'_>)) -> More {
        let (list, markers) = {
            let mut state = self.shared.state.lock();
            let list = std::mem::take(&mut state.list);
            (list, std::mem::take(&mut state.markers))
        };
        if list {
            each(RawEvent::Anywhere);
        }
        for marker in markers {
            each(RawEvent::Marker(marker));
        }
        More::No
    }

    fn mark(&self, marker: Marker) {
        let mut state = self.shared.state.lock();
        state.list |= match marker {
            // A barrier of jobs waits as the files' own deadlines do.
            Marker::Sync(LOW_PRIORITY_BARRIER | JOBS) => {
                state.patient.push(marker);
                return;
            }
            Marker::Sync(_) => true,
            // There are no events that could be on their way.
            Marker::Drained => false,
        };
        state.markers.push(marker);
        drop(state);
        (self.shared.wake)();
    }

    fn watches(&self) -> u64 {
        0
    }

    fn watches_max(&self) -> Option<u64> {
        None
    }

    fn waiting_bytes(&self) -> u64 {
        0
    }

    fn is_alive(&self) -> bool {
        !self.shared.state.lock().dead
    }

    fn stop(&self) {
        self.shared.state.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};

    use super::*;
    use crate::common::machine::{Deadline, patience};

    fn drained(poll: &Poll) -> Vec<Option<Marker>> {
        let mut events = Vec::new();
        let more = poll.drain(&mut |event| match event {
            RawEvent::Anywhere => events.push(None),
            RawEvent::Marker(marker) => events.push(Some(marker)),
            RawEvent::Overflow
            | RawEvent::Name { .. }
            | RawEvent::Itself(_)
            | RawEvent::Unwatched(..) => panic!("it knows of none"),
        });
        assert_eq!(more, More::No);
        events
    }

    #[test]
    fn a_barrier_asks_for_one_listing_before_its_marker() {
        let crew = Workers::default();
        let every = Duration::from_hours(1);
        let poll = Poll::start(every, &crew, Box::new(|| {})).unwrap();
        poll.mark(Marker::Drained);
        assert_eq!(drained(&poll), [Some(Marker::Drained)]);
        poll.mark(Marker::Sync(1));
        poll.mark(Marker::Sync(2));
        let (one, two) = (Marker::Sync(1), Marker::Sync(2));
        assert_eq!(drained(&poll), [None, Some(one), Some(two)]);
        assert_eq!(drained(&poll), []);
        poll.stop();
        crew.join();
    }

    #[test]
    fn it_wakes_at_its_interval_until_it_is_stopped() {
        let (woken, wakes) = mpsc::channel();
        let crew = Workers::default();
        let wake = Box::new(move || {
            // The receiver may be gone at the end.
            let _ = woken.send(());
        });
        let poll = Poll::start(Duration::from_millis(2), &crew, wake).unwrap();
        for _ in 0..3 {
            wakes.recv_timeout(patience()).unwrap();
            let deadline = Deadline::new();
            while drained(&poll) != [None] {
                assert!(!deadline.is_over(), "it wakes for nothing");
            }
        }
        assert!(poll.is_alive());
        poll.stop();
        crew.join();
        // Its thread has let go of the other end.
        drop(poll);
        let end = loop {
            if let Err(end) = wakes.recv_timeout(patience()) {
                break end;
            }
        };
        assert_eq!(end, RecvTimeoutError::Disconnected);
    }
}

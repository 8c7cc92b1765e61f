//! Wake-up of the thread of a source, by an event in the database's directory, a request, or the
//! end.
//!
//! **Invariant:** a thread that waits without a limit never wakes before the signal is raised.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Signal that stays raised until a wait takes it.
#[derive(Default)]
pub(super) struct ChangeSignal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_raised: bool,
    wants_reading: bool,
    life: ThreadState,
}

/// State of the thread's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum ThreadState {
    #[default]
    Running,
    Stopped,
    Ended,
}

/// Reason for which a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WakeReason {
    /// The signal was raised.
    Raised,
    /// A reading of everything was requested.
    Requested,
    /// The time is up.
    Elapsed,
    /// The thread is to end.
    Stopped,
}

impl ChangeSignal {
    /// Raises the signal: something may have changed.
    pub(super) fn raise(&self) {
        self.set(|state| state.is_raised = true);
    }

    /// Requests a reading of everything, as soon as the pace allows it.
    pub(super) fn request_reading(&self) {
        self.set(|state| state.wants_reading = true);
    }

    /// Has the thread end.
    pub(super) fn stop(&self) {
        self.set(|state| state.life = state.life.max(ThreadState::Stopped));
    }

    /// Notes that the thread has ended.
    pub(super) fn end(&self) {
        self.set(|state| state.life = ThreadState::Ended);
    }

    /// Returns whether the thread is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().life >= ThreadState::Stopped
    }

    /// Waits until the signal is raised, for `limit` at most.
    pub(super) fn wait(&self, limit: Option<Duration>) -> WakeReason {
        let mut state = self.state.lock();
        let sleeps = |state: &mut State| {
            !(state.life >= ThreadState::Stopped || state.is_raised || state.wants_reading)
        };
        match limit {
            None => self.changed.wait_while(&mut state, sleeps),
            Some(limit) => {
                self.changed.wait_while_for(&mut state, sleeps, limit);
            }
        }
        if state.life >= ThreadState::Stopped {
            WakeReason::Stopped
        } else if std::mem::take(&mut state.wants_reading) {
            WakeReason::Requested
        } else if std::mem::take(&mut state.is_raised) {
            WakeReason::Raised
        } else {
            WakeReason::Elapsed
        }
    }

    /// Waits for `limit`, whatever is raised meanwhile, or until the thread is to end.
    pub(super) fn pause(&self, limit: Duration) {
        let mut state = self.state.lock();
        self.changed
            .wait_while_for(&mut state, |state| state.life < ThreadState::Stopped, limit);
    }

    /// Waits for the thread's end, for `limit` at most; says whether it has ended.
    pub(super) fn wait_for_end(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed
            .wait_while_for(&mut state, |state| state.life < ThreadState::Ended, limit);
        state.life == ThreadState::Ended
    }

    fn set(&self, set: impl FnOnce(&mut State)) {
        set(&mut self.state.lock());
        self.changed.notify_all();
    }
}

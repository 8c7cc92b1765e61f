//! Wakes the thread of a source: something has happened in the database's directory, or it is to end.
//!
//! **Invariant:** who waits without a limit sleeps until somebody rings.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A bell that remembers that it rang.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    has_rung: bool,
    wants_reading: bool,
    life: Life,
}

/// How far the thread's life has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Life {
    #[default]
    Running,
    Stopped,
    Ended,
}

/// Why a wait is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woken {
    /// Something happened.
    Rung,
    /// Somebody needs everything to be read again.
    Asked,
    /// The time is up.
    Elapsed,
    /// It is to end.
    Stopped,
}

impl Bell {
    /// Something happened.
    pub(super) fn ring(&self) {
        self.set(|state| state.has_rung = true);
    }

    /// Everything is to be read again, as soon as the pace allows it.
    pub(super) fn ask(&self) {
        self.set(|state| state.wants_reading = true);
    }

    /// The thread is to end.
    pub(super) fn stop(&self) {
        self.set(|state| state.life = state.life.max(Life::Stopped));
    }

    /// The thread has ended.
    pub(super) fn end(&self) {
        self.set(|state| state.life = Life::Ended);
    }

    /// Whether the thread is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().life >= Life::Stopped
    }

    /// Waits until it rings, for `limit` at most.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Woken {
        let mut state = self.state.lock();
        let sleeps = |state: &mut State| {
            !(state.life >= Life::Stopped || state.has_rung || state.wants_reading)
        };
        match limit {
            None => self.changed.wait_while(&mut state, sleeps),
            Some(limit) => {
                self.changed.wait_while_for(&mut state, sleeps, limit);
            }
        }
        if state.life >= Life::Stopped {
            Woken::Stopped
        } else if std::mem::take(&mut state.wants_reading) {
            Woken::Asked
        } else if std::mem::take(&mut state.has_rung) {
            Woken::Rung
        } else {
            Woken::Elapsed
        }
    }

    /// Waits for `limit`, however it rings, or until the thread is to end.
    pub(super) fn pause(&self, limit: Duration) {
        let mut state = self.state.lock();
        self.changed
            .wait_while_for(&mut state, |state| state.life < Life::Stopped, limit);
    }

    /// Waits for the thread's end, for `limit` at most; says whether it has ended.
    pub(super) fn wait_for_end(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed
            .wait_while_for(&mut state, |state| state.life < Life::Ended, limit);
        state.life == Life::Ended
    }

    fn set(&self, set: impl FnOnce(&mut State)) {
        set(&mut self.state.lock());
        self.changed.notify_all();
    }
}

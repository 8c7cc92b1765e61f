//! What a connection hears: which jobs have changed, and that it really hears.
//!
//! **Invariant:** what was heard and not read yet is remembered; when it is too much, as "everything".
//! **Invariant:** a token that we sent is answered in the order of what was heard before it.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::error::Said;

/// Ids that are remembered one by one: some megabytes, and as long to read as a table of as many rows.
const IDS_MAX: usize = 10_000;

/// What was heard.
#[derive(Default)]
pub(super) struct Ear {
    state: Mutex<State>,
    /// Rings when something was heard.
    pub(super) rang: Notify,
}

#[derive(Default)]
struct State {
    pending: Pending,
    /// Whether everything that was heard before was read and told.
    is_caught_up: bool,
    tokens: BTreeMap<String, oneshot::Sender<Heard>>,
    closed: Option<Said>,
}

/// What is to be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Pending {
    /// The jobs with these ids.
    pub(super) ids: BTreeSet<String>,
    /// Everything.
    pub(super) all: bool,
}

impl Pending {
    /// Whether it is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.all
    }
}

/// What a token found when it came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Everything that was heard before it was read.
    CaughtUp,
    /// Something is still to be read.
    Behind,
}

impl Ear {
    /// A notification has come.
    pub(super) fn hear(&self, payload: &str) {
        let mut state = self.state.lock();
        if let Some(waits) = state.tokens.remove(payload) {
            let heard = if state.is_caught_up && state.pending.is_empty() {
                Heard::CaughtUp
            } else {
                Heard::Behind
            };
            // Whoever waited may have gone.
            let _ = waits.send(heard);
            return;
        }
        if payload.is_empty() || state.pending.ids.len() >= IDS_MAX {
            state.pending.all = true;
            state.pending.ids.clear();
        } else if !state.pending.all {
            state.pending.ids.insert(payload.to_owned());
        }
        drop(state);
        self.rang.notify_one();
    }

    /// The connection has ended.
    pub(super) fn close(&self, why: Said) {
        let mut state = self.state.lock();
        state.closed = Some(why);
        state.tokens.clear();
        drop(state);
        self.rang.notify_one();
    }

    /// Why it hears nothing any more.
    pub(super) fn closed(&self) -> Option<Said> {
        self.state.lock().closed.clone()
    }

    /// Whether something is to be read.
    pub(super) fn has_pending(&self) -> bool {
        !self.state.lock().pending.is_empty()
    }

    /// Whether everything is to be read.
    pub(super) fn wants_all(&self) -> bool {
        self.state.lock().pending.all
    }

    /// Takes what is to be read. Until [`Ear::catch_up`] it counts as not read.
    pub(super) fn take(&self) -> Pending {
        let mut state = self.state.lock();
        state.is_caught_up = false;
        std::mem::take(&mut state.pending)
    }

    /// What was taken was read and told.
    pub(super) fn catch_up(&self) {
        self.state.lock().is_caught_up = true;
    }

    /// Something else is to be read.
    pub(super) fn fall_behind(&self) {
        self.state.lock().is_caught_up = false;
    }

    /// Waits for `token`, which is about to be sent.
    pub(super) fn expect(&self, token: String) -> oneshot::Receiver<Heard> {
        let (sends, waits) = oneshot::channel();
        self.state.lock().tokens.insert(token, sends);
        waits
    }

    /// Does not wait for `token` any more.
    pub(super) fn give_up(&self, token: &str) {
        self.state.lock().tokens.remove(token);
    }
}

//! Notifications of one connection: the ids of changed jobs, and tokens that prove that
//! notifications arrive.
//!
//! **Invariant:** notifications that were not read yet are remembered; when it is too much, as
//! "everything".
//! **Invariant:** a token that we sent is answered in the order of the notifications before it.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::error::ServerError;

/// Ids that are remembered one by one: some megabytes, and as long to read as a table of as many
/// rows.
const IDS_MAX: usize = 10_000;

/// Notifications that were received and not read yet.
#[derive(Default)]
pub(super) struct NotificationListener {
    state: Mutex<State>,
    /// Signals a notification.
    pub(super) rang: Notify,
}

#[derive(Default)]
struct State {
    pending: Pending,
    /// True if everything that was notified before was read and reported.
    is_caught_up: bool,
    tokens: BTreeMap<String, oneshot::Sender<BarrierResult>>,
    closed: Option<ServerError>,
}

/// Readings that are owed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Pending {
    /// The jobs with these ids.
    pub(super) ids: BTreeSet<String>,
    /// Everything.
    pub(super) all: bool,
}

impl Pending {
    /// Returns whether it is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.all
    }
}

/// Result of a token that came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BarrierResult {
    /// All notifications before it were read.
    CaughtUp,
    /// Something is still to be read.
    Behind,
}

impl NotificationListener {
    /// A notification has come.
    pub(super) fn on_notification(&self, payload: &str) {
        let mut state = self.state.lock();
        if let Some(waits) = state.tokens.remove(payload) {
            let heard = if state.is_caught_up && state.pending.is_empty() {
                BarrierResult::CaughtUp
            } else {
                BarrierResult::Behind
            };
            // The receiver may be gone.
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
    pub(super) fn close(&self, why: ServerError) {
        let mut state = self.state.lock();
        state.closed = Some(why);
        state.tokens.clear();
        drop(state);
        self.rang.notify_one();
    }

    /// Returns why no notifications arrive any more.
    pub(super) fn closed(&self) -> Option<ServerError> {
        self.state.lock().closed.clone()
    }

    /// Returns whether something is to be read.
    pub(super) fn has_pending(&self) -> bool {
        !self.state.lock().pending.is_empty()
    }

    /// Returns whether everything is to be read.
    pub(super) fn wants_all(&self) -> bool {
        self.state.lock().pending.all
    }

    /// Takes what is to be read. Until [`NotificationListener::catch_up`] it counts as not read.
    pub(super) fn take(&self) -> Pending {
        let mut state = self.state.lock();
        state.is_caught_up = false;
        std::mem::take(&mut state.pending)
    }

    /// Takes note that what was taken was read and reported.
    pub(super) fn catch_up(&self) {
        self.state.lock().is_caught_up = true;
    }

    /// Something else is to be read.
    pub(super) fn fall_behind(&self) {
        self.state.lock().is_caught_up = false;
    }

    /// Waits for `token`, which is about to be sent.
    pub(super) fn expect(&self, token: String) -> oneshot::Receiver<BarrierResult> {
        let (sends, waits) = oneshot::channel();
        self.state.lock().tokens.insert(token, sends);
        waits
    }

    /// Does not wait for `token` any more.
    pub(super) fn give_up(&self, token: &str) {
        self.state.lock().tokens.remove(token);
    }
}

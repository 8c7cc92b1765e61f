//! Notifications of one connection: the ids of changed jobs, and tokens that prove that
//! notifications arrive.
//!
//! **Invariant:** notifications that were not read yet are remembered; when it is too much, as
//! "everything".
//! **Invariant:** a token that we sent is answered in the order of the notifications before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use super::error::ServerError;
use crate::sources::change_signal::ChangeSignal;
use crate::sources::pending::PendingReads;

/// Notifications that were received and not read yet.
pub(super) struct NotificationListener {
    state: Mutex<State>,
    /// Raised by a notification.
    signal: Arc<ChangeSignal>,
}

#[derive(Default)]
struct State {
    pending: PendingReads,
    /// True if everything that was notified before was read and reported.
    is_caught_up: bool,
    tokens: BTreeMap<String, SyncSender<BarrierResult>>,
    closed: Option<ServerError>,
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
    /// Nothing was received yet.
    pub(super) fn new(signal: Arc<ChangeSignal>) -> Self {
        Self {
            state: Mutex::default(),
            signal,
        }
    }

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
            let _ = waits.try_send(heard);
            return;
        }
        state.pending.add_id(payload);
        drop(state);
        self.signal.raise();
    }

    /// The connection has ended.
    pub(super) fn close(&self, why: ServerError) {
        let mut state = self.state.lock();
        state.closed = Some(why);
        state.tokens.clear();
        drop(state);
        self.signal.raise();
    }

    /// Returns why no notifications arrive any more.
    pub(super) fn closed(&self) -> Option<ServerError> {
        self.state.lock().closed.clone()
    }

    /// Takes what is to be read. Until [`NotificationListener::set_caught_up`] it counts as not
    /// read.
    pub(super) fn take(&self) -> PendingReads {
        let mut state = self.state.lock();
        state.is_caught_up &= state.pending.is_empty();
        std::mem::take(&mut state.pending)
    }

    /// Notes whether everything that was taken was read and reported.
    pub(super) fn set_caught_up(&self, is_caught_up: bool) {
        self.state.lock().is_caught_up = is_caught_up;
    }

    /// Waits for `token`, which is about to be sent.
    pub(super) fn expect(&self, token: String) -> Receiver<BarrierResult> {
        let (sends, waits) = sync_channel(1);
        self.state.lock().tokens.insert(token, sends);
        waits
    }

    /// Does not wait for `token` any more.
    pub(super) fn give_up(&self, token: &str) {
        self.state.lock().tokens.remove(token);
    }
}

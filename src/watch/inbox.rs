//! Inbox of the event loop: orders, finished listings, and signals of events or changed
//! surroundings.
//!
//! **Invariant:** putting something in never waits for the event loop, but for finished listings:
//! those wait while too many are here, so that a busy engine slows the crawl instead of filling the
//! memory.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::listing::Done;
use super::options::WatchRoot;
use crate::core::facts::RootId;
use crate::core::path::RelPath;

/// Names in finished listings that may wait: about 10 MB. One listing is always taken, however
/// long.
const WAITING_NAMES_MAX: usize = 64 * 1024;

/// An order to the event loop.
pub(super) enum Order {
    SetRoots(Vec<WatchRoot>),
    Recrawl(RootId),
    Relist(RootId, RelPath),
    DropSubtree(RootId, RelPath),
    /// A helper thread died: nothing is certain any more.
    ReportFailure,
}

/// Content of the inbox.
#[derive(Default)]
pub(super) struct Messages {
    pub(super) orders: Vec<Order>,
    pub(super) done: Vec<Done>,
    /// The backend may have events.
    pub(super) events: bool,
    /// Mounts or the roots' ancestors may have changed.
    pub(super) surroundings: bool,
    pub(super) stopped: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    filled: Condvar,
    room: Condvar,
    /// Names that the workers opened on their ways.
    #[cfg(test)]
    pub(super) opened: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct State {
    mail: Messages,
    waiting_names: usize,
}

impl Inbox {
    /// Gives an order.
    pub(super) fn put_order(&self, order: Order) {
        self.put(|mail| mail.orders.push(order));
    }

    /// Counts names that a worker opened.
    #[cfg(test)]
    pub(super) fn count_opened(&self, names: usize) {
        self.opened
            .fetch_add(names, std::sync::atomic::Ordering::Relaxed);
    }

    /// Says that the backend has events.
    pub(super) fn put_events(&self) {
        self.put(|mail| mail.events = true);
    }

    /// Says that the roots' surroundings may have changed.
    pub(super) fn put_surroundings(&self) {
        self.put(|mail| mail.surroundings = true);
    }

    /// Says that a helper thread died.
    pub(super) fn fail(&self) {
        self.put_order(Order::ReportFailure);
    }

    /// Ends the event loop and those that wait here.
    pub(super) fn stop(&self) {
        self.put(|mail| mail.stopped = true);
        self.room.notify_all();
    }

    /// Hands over a finished listing, when there is room; `false` if the event loop has ended.
    pub(super) fn put_done(&self, done: Done) -> bool {
        let mut state = self.state.lock();
        while state.waiting_names > WAITING_NAMES_MAX && !state.mail.stopped {
            self.room.wait(&mut state);
        }
        if state.mail.stopped {
            return false;
        }
        state.waiting_names += done.weight();
        state.mail.done.push(done);
        self.filled.notify_one();
        true
    }

    /// Takes all that is here. Waits for something, for `wait` at most (for ever when `None`).
    pub(super) fn take(&self, wait: Option<Duration>) -> Messages {
        let mut state = self.state.lock();
        if state.mail.is_empty() {
            match wait {
                None => self
                    .filled
                    .wait_while(&mut state, |state| state.mail.is_empty()),
                Some(Duration::ZERO) => {}
                Some(wait) => {
                    self.filled
                        .wait_while_for(&mut state, |state| state.mail.is_empty(), wait);
                }
            }
        }
        state.waiting_names = 0;
        self.room.notify_all();
        let stopped = state.mail.stopped;
        let mail = std::mem::take(&mut state.mail);
        state.mail.stopped = stopped;
        mail
    }

    /// Takes the orders that are here.
    pub(super) fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut self.state.lock().mail.orders)
    }

    fn put(&self, change: impl FnOnce(&mut Messages)) {
        change(&mut self.state.lock().mail);
        self.filled.notify_one();
    }
}

impl Messages {
    fn is_empty(&self) -> bool {
        self.orders.is_empty()
            && self.done.is_empty()
            && !(self.events || self.surroundings || self.stopped)
    }
}

//! The thread that writes records back, as others see it: its orders, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::core::pauses::Pause;
use crate::core::report::SavedSource;
use crate::fs::Dir;

/// Maximum time for the thread to end. It is left behind after that, as a crash would leave it.
const JOIN_MAX: Duration = Duration::from_millis(50);

/// Orders to the thread.
pub(super) enum Order {
    /// The engine has taken in the removal under this number.
    Recorded(u64),
    /// All that goes under this number is gone from these quarantines, once their file systems are
    /// synchronized.
    Finished(u64, Vec<Arc<Dir>>),
    /// Keep what is known of the source of this name.
    Remember(String, SavedSource),
    /// Keep a pause no longer that has ended by itself.
    ForgetPause(Pause),
    /// Look whether something can be written.
    Wake,
    /// End.
    Stop,
}

/// Additional time for records once the thread has to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// So long in all.
    InAll(Duration),
    /// So long for each record: nothing runs later that would write the others.
    ForEach(Duration),
}

/// The running thread.
pub(super) struct Records {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
    progress: Arc<Progress>,
    ended: Receiver<()>,
}

/// State that the thread and the caller of [`Records::stop`] share.
#[derive(Default)]
pub(super) struct Progress {
    /// Records that were tried.
    tried: AtomicU64,
    /// True if the thread has to end after its current record.
    hurry: AtomicBool,
}

impl Progress {
    /// Counts a record that was tried.
    pub(super) fn on_tried(&self) {
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns true if the thread has to end after its current record.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }
}

impl Records {
    /// Starts the thread, which runs `write`.
    pub(super) fn start(
        write: impl FnOnce(&Receiver<Order>, &Progress) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let (ends, ended) = channel();
        let progress = Arc::<Progress>::default();
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                let _ends: Sender<()> = ends;
                write(&inbox, &shared);
            })?;
        Ok(Self {
            orders,
            thread,
            progress,
            ended,
        })
    }

    pub(super) fn order(&self, order: Order) {
        // It has ended: so does the daemon.
        let _ = self.orders.send(order);
    }

    /// Writes what is confirmed, as far as `patience` reaches, then has `interrupt` cut off what is
    /// under way, and ends. The outbox keeps the rest.
    pub(super) fn stop(self, patience: Patience, interrupt: impl FnOnce()) {
        self.order(Order::Stop);
        if !self.ends_within(patience) {
            self.progress.hurry.store(true, Ordering::Relaxed);
            interrupt();
            if !self.ends_within(Patience::InAll(JOIN_MAX)) {
                tracing::warn!(
                    "a record is still being written at the end; the next start finds whether it was"
                );
                return;
            }
        }
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes records ended by a fault of ours");
        }
    }

    fn ends_within(&self, patience: Patience) -> bool {
        let (Patience::InAll(limit) | Patience::ForEach(limit)) = patience;
        loop {
            let before = self.progress.tried.load(Ordering::Relaxed);
            if self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected) {
                return true;
            }
            let after = self.progress.tried.load(Ordering::Relaxed);
            if before == after || matches!(patience, Patience::InAll(_)) {
                return false;
            }
        }
    }
}

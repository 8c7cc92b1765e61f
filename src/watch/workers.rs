//! The threads of a watcher: a panic is reported, never swallowed, and no caller waits for ever for
//! their end.
//!
//! **Invariant:** a thread that panics is reported in the log and to its `failed` callback, so that
//! the daemon is not deaf in silence.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::error::WatchError;

/// Limit of [`Workers::join`]. A thread that is busy in the file system or in the sink for longer
/// ends later by itself.
const JOIN_MAX: Duration = Duration::from_millis(100);

/// The threads of one watcher.
#[derive(Default)]
pub(super) struct Workers {
    threads: Mutex<Vec<JoinHandle<()>>>,
    running: Arc<Running>,
}

#[derive(Default)]
struct Running {
    count: Mutex<usize>,
    ended: Condvar,
}

impl Workers {
    /// Starts a thread. `report_failure` is called when `work` panics.
    ///
    /// # Errors
    /// When the operating system gives out no more threads.
    pub(super) fn start(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
        report_failure: impl FnOnce() + Send + 'static,
    ) -> Result<(), WatchError> {
        let running = Arc::clone(&self.running);
        *running.count.lock() += 1;
        let body = {
            let running = Arc::clone(&running);
            move || {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                    tracing::error!(
                        thread = name,
                        panic = message(&*panic),
                        "a thread of the watcher panicked; this is a bug"
                    );
                    // It may panic as well, for the same reason.
                    let _ = catch_unwind(AssertUnwindSafe(report_failure));
                }
                *running.count.lock() -= 1;
                running.ended.notify_all();
            }
        };
        match std::thread::Builder::new().name(name.into()).spawn(body) {
            Ok(thread) => {
                self.threads.lock().push(thread);
                Ok(())
            }
            Err(error) => {
                *running.count.lock() -= 1;
                Err(WatchError::Thread(error.to_string()))
            }
        }
    }

    /// Waits for the threads, which have been asked to end, for a tenth of a second at most.
    pub(super) fn join(&self) {
        let mut count = self.running.count.lock();
        self.running
            .ended
            .wait_while_for(&mut count, |count| *count > 0, JOIN_MAX);
        drop(count);
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.is_finished() && thread.thread().id() != std::thread::current().id() {
                // Its panics are caught within.
                let _ = thread.join();
            }
        }
    }
}

/// Returns the message of a panic.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

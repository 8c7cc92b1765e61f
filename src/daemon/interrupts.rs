//! SIGINT and SIGTERM while a run without a daemon removes something.
//!
//! **Invariant:** the first signal ends a run between two removals, with its report; a second one
//! ends the process, and the next run finishes or puts back what was under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::signals::Signals;
use crate::core::engine::Input;

/// 128 and the number of SIGINT, as shells count.
const STATUS: i32 = 130;

/// State that the thread which waits for signals shares with the run.
#[derive(Debug, Default)]
struct Shared {
    /// True once the run removes something.
    is_removing: AtomicBool,
    is_interrupted: AtomicBool,
}

/// Waits for signals until the process ends.
pub(super) struct Interrupts(Arc<Shared>);

impl Interrupts {
    /// Starts to wait, on a thread of its own. An interrupted run gives up, by way of `inbox`, what
    /// it has not begun to remove.
    ///
    /// # Errors
    /// If the process can have no more threads or descriptors.
    pub(super) fn listen(inbox: mpsc::Sender<Input>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut end = {
            let _inside = runtime.enter();
            Signals::listen()?.end
        };
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        let wait = async move {
            loop {
                end.wait().await;
                if !ours.is_removing.load(Ordering::Acquire) {
                    eprintln!("interrupted: nothing was removed");
                    std::process::exit(STATUS);
                }
                if ours.is_interrupted.swap(true, Ordering::AcqRel) {
                    eprintln!("interrupted again: the next run finishes what was under way");
                    std::process::exit(STATUS);
                }
                let give_up = Input::Ask(Box::new(|engine, _| engine.give_up_cleans()));
                // The run has come to its end.
                let _ = inbox.send(give_up).await;
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(wait))?;
        Ok(Self(shared))
    }

    /// Something may be removed from now on.
    pub(super) fn removing(&self) {
        self.0.is_removing.store(true, Ordering::Release);
    }

    /// Returns true if a signal came since.
    pub(super) fn is_interrupted(&self) -> bool {
        self.0.is_interrupted.load(Ordering::Acquire)
    }
}

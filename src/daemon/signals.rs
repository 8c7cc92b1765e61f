//! Signals to the daemon's process.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// Signals of an administrator to the process.
pub(super) struct Signals {
    pub(super) end: EndSignals,
    pub(super) hangup: Signal,
}

/// The signals that ask the daemon to end.
pub(super) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Returns when one of them comes.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Signals {
    /// Hears them from now on. To be called on a runtime.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            end: EndSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Result of a part of the start; `None` if the daemon is asked to end before.
    pub(super) async fn unless_ended<T>(
        &mut self,
        part: &mut JoinHandle<anyhow::Result<T>>,
    ) -> anyhow::Result<Option<T>> {
        tokio::select! {
            done = part => Ok(Some(done.context("the start did not end well")??)),
            () = self.end.wait() => {
                tracing::info!("ending before the start was through");
                Ok(None)
            }
        }
    }
}

//! The way to the engine: one queue, and answers that come back by themselves.
//!
//! **Invariant:** nothing here blocks a thread of the runtime. Who waits for the engine waits as a
//! task.
//! **Invariant:** an engine that ends answers everybody: with [`Stopping`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::app::error::AppError;
use crate::core::engine::Engine;
use crate::core::engine::Input;
use crate::core::policy::Policy;
use crate::core::report::{CleanReport, CleanRequest};
use crate::core::time::Now;

/// The engine ends, and takes nothing in any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopping;

impl From<Stopping> for AppError {
    fn from(_: Stopping) -> Self {
        Self::stopping()
    }
}

/// Asks for a barrier with a token, which comes back through the engine once everything before it
/// is known.
pub type AskBarrier = dyn Fn(u64) + Send + Sync;

/// Reload that a client waits for: the settings that take a restart, or the configuration's
/// mistakes.
pub type ReloadRequest = oneshot::Sender<Result<Vec<String>, String>>;

/// Requests that wait while a reload is under way.
pub const REQUESTS_MAX: usize = 8;

/// The way to the engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineLink {
    inputs: mpsc::Sender<Input>,
    barriers: Arc<Barriers>,
}

struct Barriers {
    ask: Box<AskBarrier>,
    last_token: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<()>>>,
}

/// A barrier that is waited for; dropped, nobody waits any more.
struct Ticket<'a> {
    barriers: &'a Barriers,
    token: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.barriers.waiting.lock().remove(&self.token);
    }
}

impl EngineLink {
    /// A way to the engine that reads `inputs`; `ask_barrier` has the watchers hand in the token it
    /// is given.
    #[must_use]
    pub fn new(
        inputs: mpsc::Sender<Input>,
        ask_barrier: impl Fn(u64) + Send + Sync + 'static,
    ) -> Self {
        let barriers = Barriers {
            ask: Box::new(ask_barrier),
            last_token: AtomicU64::new(0),
            waiting: Mutex::default(),
        };
        Self {
            inputs,
            barriers: Arc::new(barriers),
        }
    }

    /// Hands `input` to the engine, when there is room.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn send(&self, input: Input) -> Result<(), Stopping> {
        self.inputs.send(input).await.map_err(|_| Stopping)
    }

    /// Has `question` look at the engine between two steps.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine, Now) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (sender, answer) = oneshot::channel();
        let ask = Box::new(move |engine: &mut Engine, now| {
            // Who asked may have gone.
            let _ = sender.send(question(engine, now));
        });
        self.send(Input::Ask(ask)).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Removes what is due and asked for under `policy`; back when all that is through. The removal
    /// goes on when nobody waits any more. `None`: other rules are in force, and nothing was
    /// removed.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn clean(
        &self,
        policy: Arc<Policy>,
        request: CleanRequest,
    ) -> Result<Option<CleanReport>, Stopping> {
        let (sender, report) = oneshot::channel();
        let done = Box::new(move |report| drop(sender.send(report)));
        self.send(Input::Clean(policy, request, done)).await?;
        match report.await {
            Ok(report) => Ok(Some(report)),
            Err(_) if self.inputs.is_closed() => Err(Stopping),
            Err(_) => Ok(None),
        }
    }

    /// Number of inputs that wait, and its maximum.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let max = self.inputs.max_capacity();
        (max - self.inputs.capacity(), max)
    }

    /// Waits until the engine takes nothing in any more.
    pub async fn ended(&self) {
        self.inputs.closed().await;
    }

    /// Waits until everything that happened before this call is in the index.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn sync(&self) -> Result<(), Stopping> {
        let token = self.barriers.last_token.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, through) = oneshot::channel();
        self.barriers.waiting.lock().insert(token, sender);
        let ticket = Ticket {
            barriers: &self.barriers,
            token,
        };
        (self.barriers.ask)(token);
        let answer = tokio::select! {
            through = through => through.map_err(|_| Stopping),
            () = self.ended() => Err(Stopping),
        };
        drop(ticket);
        answer
    }

    /// The barrier of `token` is through: whoever waits for it goes on.
    pub fn synced(&self, token: u64) {
        if let Some(waiting) = self.barriers.waiting.lock().remove(&token) {
            let _ = waiting.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_barrier_is_through_when_its_token_comes_back() {
        let (inputs, _engine) = mpsc::channel(1);
        let (asked, mut tokens) = mpsc::unbounded_channel();
        let link = EngineLink::new(inputs, move |token| asked.send(token).unwrap());
        let waiting = {
            let link = link.clone();
            tokio::spawn(async move { link.sync().await })
        };
        let mut second = Box::pin(link.sync());
        assert!(second.as_mut().now_or_never().is_none());
        let tokens = [tokens.recv().await.unwrap(), tokens.recv().await.unwrap()];
        assert_ne!(tokens[0], tokens[1]);
        link.synced(999);
        assert!(second.as_mut().now_or_never().is_none());
        for token in tokens {
            link.synced(token);
        }
        assert_eq!(second.await, Ok(()));
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert!(link.barriers.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_leaves_nothing_behind() {
        let (inputs, _engine) = mpsc::channel(1);
        let link = EngineLink::new(inputs, |_| {});
        assert!(link.sync().now_or_never().is_none());
        assert!(link.barriers.waiting.lock().is_empty());
    }

    #[tokio::test]
    async fn an_engine_that_has_ended_answers_everybody() {
        let (inputs, engine) = mpsc::channel(1);
        let link = EngineLink::new(inputs, |_| {});
        let asking = {
            let link = link.clone();
            tokio::spawn(async move { link.ask(|_, now| now).await })
        };
        let syncing = {
            let link = link.clone();
            tokio::spawn(async move { link.sync().await })
        };
        tokio::task::yield_now().await;
        drop(engine);
        assert_eq!(asking.await.unwrap(), Err(Stopping));
        assert_eq!(syncing.await.unwrap(), Err(Stopping));
        assert_eq!(link.ask(|_, now| now).await, Err(Stopping));
    }
}

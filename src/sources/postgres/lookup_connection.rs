//! Asks for one job at this very moment.
//!
//! **Invariant:** it says "gone" only of a row that the database answers it does not have; what it
//! cannot ask is unknown.
//! **Invariant:** it says "current" only if every transaction that had committed when it was asked
//! was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connection::{Connection, ConnectionRole};
use super::context::SourceContext;
use super::error::{Fault, ServerError};
use super::find::{self, Extent, FoundRow};
use super::listener::BarrierResult;
use super::row::text;
use super::shape::Shape;
use crate::clock;
use crate::core::jobs::JobLookup;
use crate::sources::lookup::{self, Lookup};
use crate::sources::stats::SourceState;

/// Longest wait for an answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);

/// Time limit of a notification to ourselves.
const ECHO: Duration = Duration::from_secs(3);

/// A connection of its own, shared by those who ask.
pub(super) struct LookupConnection {
    shared: Arc<SourceContext>,
    talk: Mutex<Option<Arc<LookupSession>>>,
    tokens: AtomicU64,
}

struct LookupSession {
    link: Connection,
    shape: Shape,
}

impl LookupConnection {
    /// Not connected yet.
    pub(super) fn new(shared: Arc<SourceContext>) -> Self {
        Self {
            shared,
            talk: Mutex::default(),
            tokens: AtomicU64::new(0),
        }
    }

    /// Returns what the database says of the job `id` now.
    pub(super) async fn fresh(&self, id: &str) -> JobLookup {
        if let SourceState::Down { why } = &self.shared.stats.lock().state {
            return JobLookup::Unknown(why.clone());
        }
        match timeout(PATIENCE, self.find(id)).await {
            Ok(Ok(Lookup::Found(found))) => JobLookup::Row(Box::new(found.job)),
            Ok(Ok(Lookup::OtherSpelling(other))) => JobLookup::Unknown(lookup::spelled(&other)),
            Ok(Ok(Lookup::Unnamed)) => JobLookup::Unknown(lookup::UNNAMED.to_owned()),
            Ok(Ok(Lookup::Missing)) => JobLookup::Gone,
            Ok(Err(fault)) => JobLookup::Unknown(self.shared.about(&fault)),
            Err(_) => {
                self.hang_up().await;
                let fault = Fault::of(&ServerError::silence(), self.shared.options.user());
                JobLookup::Unknown(self.shared.about(&fault))
            }
        }
    }

    async fn find(&self, id: &str) -> Result<Lookup<FoundRow>, Fault> {
        let talk = self.talk().await?;
        let asked = self.shared.select();
        let mut found = find::one(&talk.link, &talk.shape, &asked, id, Extent::Job).await;
        for other in lookup::spellings(id) {
            if !matches!(found, Ok(Lookup::Missing)) {
                break;
            }
            let looked = find::one(&talk.link, &talk.shape, &asked, &other, Extent::Job).await;
            found = looked.map(|one| match one {
                Lookup::Found(_) => Lookup::OtherSpelling(other),
                alike => alike,
            });
        }
        if found.is_err() {
            // The columns may be others by now.
            self.hang_up().await;
        }
        found
    }

    /// Returns whether everything that has committed until now was read.
    pub(super) async fn is_current(&self) -> bool {
        let listens = *self.shared.listens.lock();
        let found = if listens {
            self.echo().await
        } else {
            self.is_as_read().await
        };
        match found {
            Ok(BarrierResult::CaughtUp) => true,
            // Notifications are read as soon as the pace allows it.
            Ok(BarrierResult::Behind) if listens => false,
            Ok(BarrierResult::Behind) | Err(_) => {
                self.shared.asked.notify_one();
                false
            }
        }
    }

    /// Sends a notification to ourselves, over another connection than the one that receives it:
    /// what is committed before it is notified before it, since the server keeps one order. A
    /// pooler that lends each transaction another connection swallows it.
    ///
    /// # Errors
    /// When it cannot be sent, or does not come.
    pub(super) async fn echo(&self) -> Result<BarrierResult, Fault> {
        let silent = |message: &str| Fault::Unreachable(message.to_owned());
        let listener = self.shared.listener.lock().clone();
        let Some(listener) = listener else {
            return Err(silent("nobody listens"));
        };
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        let token = format!(
            "lapsed {} {} {number}",
            std::process::id(),
            clock::now().boot.as_nanos()
        );
        let waits = listener.expect(token.clone());
        let sent = self.notify(&token).await;
        let heard = match sent {
            Ok(()) => timeout(ECHO, waits).await,
            Err(fault) => {
                listener.give_up(&token);
                return Err(fault);
            }
        };
        listener.give_up(&token);
        match heard {
            Ok(Ok(heard)) => Ok(heard),
            Ok(Err(_)) | Err(_) => Err(silent("a notification to ourselves does not arrive")),
        }
    }

    async fn notify(&self, token: &str) -> Result<(), Fault> {
        let talk = self.talk().await?;
        let given = [Some(self.shared.options.channel.as_str()), Some(token)];
        let sent = talk
            .link
            .rows("SELECT pg_notify($1::text, $2::text)::text", &given)
            .await;
        if let Err(said) = sent {
            self.hang_up().await;
            return Err(Fault::of(&said, self.shared.options.user()));
        }
        Ok(())
    }

    async fn is_as_read(&self) -> Result<BarrierResult, Fault> {
        let talk = self.talk().await?;
        let now = snapshot(&talk.link).await;
        if now.is_err() {
            self.hang_up().await;
        }
        let now = now.map_err(|said| Fault::of(&said, self.shared.options.user()))?;
        let read = self.shared.snapshot.lock().clone();
        Ok(if now.is_some() && now == read {
            BarrierResult::CaughtUp
        } else {
            BarrierResult::Behind
        })
    }

    async fn talk(&self) -> Result<Arc<LookupSession>, Fault> {
        let mut place = self.talk.lock().await;
        if let Some(talk) = &*place
            && !talk.link.is_closed()
        {
            return Ok(Arc::clone(talk));
        }
        let options = &self.shared.options;
        let link = Connection::connect(options, ConnectionRole::Asks)
            .await
            .map_err(|said| Fault::of(&said, options.user()))?;
        let shape = Shape::learn(&link, &self.shared.select()).await?;
        let talk = Arc::new(LookupSession { link, shape });
        *place = Some(Arc::clone(&talk));
        Ok(talk)
    }

    /// Ends the connection: the next question is asked over another one.
    pub(super) async fn hang_up(&self) {
        *self.talk.lock().await = None;
    }
}

/// Returns what a transaction that begins now can see: the same text means that no transaction has
/// ended in between, in any database of the server. `None`: a standby does not know.
pub(super) async fn snapshot(link: &Connection) -> Result<Option<String>, ServerError> {
    let sql =
        "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current_snapshot()::text END";
    let rows = link.rows(sql, &[]).await?;
    Ok(rows.first().and_then(|row| text(row, 0)).map(str::to_owned))
}

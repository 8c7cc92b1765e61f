//! Asks for one job at this very moment.
//!
//! **Invariant:** it says "gone" only of a row that the database answers it does not have; what it cannot ask is unknown.
//! **Invariant:** it says "current" only if every transaction that had committed when it was asked was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::ear::Heard;
use super::error::{Fault, Said};
use super::find::{self, Extent, Found};
use super::link::{Link, Role};
use super::row::text;
use super::shape::Shape;
use super::shared::Shared;
use crate::clock;
use crate::core::jobs::Fresh;
use crate::jobs::one::{self, One};
use crate::jobs::stats::SourceState;

/// How long whoever asks waits.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);

/// How long a notification to ourselves may take.
const ECHO: Duration = Duration::from_secs(3);

/// A connection of its own, shared by those who ask.
pub(super) struct Asker {
    shared: Arc<Shared>,
    talk: Mutex<Option<Arc<Talk>>>,
    tokens: AtomicU64,
}

struct Talk {
    link: Link,
    shape: Shape,
}

impl Asker {
    /// Not connected yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            talk: Mutex::default(),
            tokens: AtomicU64::new(0),
        }
    }

    /// What the database says of the job `id` now.
    pub(super) async fn fresh(&self, id: &str) -> Fresh {
        if let SourceState::Down { why } = &self.shared.stats.lock().state {
            return Fresh::Unknown(why.clone());
        }
        match timeout(PATIENCE, self.find(id)).await {
            Ok(Ok(One::Found(found))) => Fresh::Row(Box::new(found.job)),
            Ok(Ok(One::Alike(other))) => Fresh::Unknown(one::spelled(&other)),
            Ok(Ok(One::Unnamed)) => Fresh::Unknown(one::UNNAMED.to_owned()),
            Ok(Ok(One::None)) => Fresh::Gone,
            Ok(Err(fault)) => Fresh::Unknown(self.shared.about(&fault)),
            Err(_) => {
                self.hang_up().await;
                let fault = Fault::of(&Said::silence(), self.shared.options.user());
                Fresh::Unknown(self.shared.about(&fault))
            }
        }
    }

    async fn find(&self, id: &str) -> Result<One<Found>, Fault> {
        let talk = self.talk().await?;
        let asked = self.shared.select();
        let mut found = find::one(&talk.link, &talk.shape, &asked, id, Extent::Job).await;
        for other in one::spellings(id) {
            if !matches!(found, Ok(One::None)) {
                break;
            }
            let looked = find::one(&talk.link, &talk.shape, &asked, &other, Extent::Job).await;
            found = looked.map(|one| match one {
                One::Found(_) => One::Alike(other),
                alike => alike,
            });
        }
        if found.is_err() {
            // The columns may be others by now.
            self.hang_up().await;
        }
        found
    }

    /// Whether everything that has committed until now was read.
    pub(super) async fn is_current(&self) -> bool {
        let listens = *self.shared.listens.lock();
        let found = if listens {
            self.echo().await
        } else {
            self.is_as_read().await
        };
        match found {
            Ok(Heard::CaughtUp) => true,
            // What was heard is read as soon as the pace allows it.
            Ok(Heard::Behind) if listens => false,
            Ok(Heard::Behind) | Err(_) => {
                self.shared.asked.notify_one();
                false
            }
        }
    }

    /// Sends a notification to ourselves, over another connection than the one that hears it: what is committed before it is heard
    /// before it, since the server keeps one order. A pooler that lends each transaction another connection swallows it.
    ///
    /// # Errors
    /// When it cannot be sent, or does not come.
    pub(super) async fn echo(&self) -> Result<Heard, Fault> {
        let silent = |message: &str| Fault::Unreachable(message.to_owned());
        let ear = self.shared.ear.lock().clone();
        let Some(ear) = ear else {
            return Err(silent("nobody listens"));
        };
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        let token = format!(
            "lapsed {} {} {number}",
            std::process::id(),
            clock::now().boot.as_nanos()
        );
        let waits = ear.expect(token.clone());
        let sent = self.notify(&token).await;
        let heard = match sent {
            Ok(()) => timeout(ECHO, waits).await,
            Err(fault) => {
                ear.give_up(&token);
                return Err(fault);
            }
        };
        ear.give_up(&token);
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

    async fn is_as_read(&self) -> Result<Heard, Fault> {
        let talk = self.talk().await?;
        let now = snapshot(&talk.link).await;
        if now.is_err() {
            self.hang_up().await;
        }
        let now = now.map_err(|said| Fault::of(&said, self.shared.options.user()))?;
        let read = self.shared.snapshot.lock().clone();
        Ok(if now.is_some() && now == read {
            Heard::CaughtUp
        } else {
            Heard::Behind
        })
    }

    async fn talk(&self) -> Result<Arc<Talk>, Fault> {
        let mut place = self.talk.lock().await;
        if let Some(talk) = &*place
            && !talk.link.is_closed()
        {
            return Ok(Arc::clone(talk));
        }
        let options = &self.shared.options;
        let link = Link::connect(options, Role::Asks)
            .await
            .map_err(|said| Fault::of(&said, options.user()))?;
        let shape = Shape::learn(&link, &self.shared.select()).await?;
        let talk = Arc::new(Talk { link, shape });
        *place = Some(Arc::clone(&talk));
        Ok(talk)
    }

    /// Ends the connection: the next question is asked over another one.
    pub(super) async fn hang_up(&self) {
        *self.talk.lock().await = None;
    }
}

/// What a transaction that begins now can see: the same text means that no transaction has ended in between, in any database of
/// the server. `None`: a standby cannot tell.
pub(super) async fn snapshot(link: &Link) -> Result<Option<String>, Said> {
    let sql =
        "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current_snapshot()::text END";
    let rows = link.rows(sql, &[]).await?;
    Ok(rows.first().and_then(|row| text(row, 0)).map(str::to_owned))
}

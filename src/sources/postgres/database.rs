//! PostgreSQL database of a source: what those who ask and the source's thread share, and the
//! connection over which it is asked for one job.
//!
//! **Invariant:** it says "caught up" only if every transaction that had committed when it was
//! asked was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::connection::{Connection, ConnectionRole};
use super::error::{ServerError, fault};
use super::listener::{BarrierResult, NotificationListener};
use super::names::{self, Numbered};
use super::row::text;
use super::shape::{Asked, Shape};
use crate::clock;
use crate::sources::context::SourceContext;
use crate::sources::error::Fault;
use crate::sources::options::{PostgresOptions, bare};

/// Time limit of a notification to ourselves.
const ECHO: Duration = Duration::from_secs(3);

/// PostgreSQL database of a source.
pub(in crate::sources) struct PostgresDatabase {
    pub(super) options: PostgresOptions,
    pub(super) context: Arc<SourceContext>,
    /// `select`, and `changed` with its parameters numbered.
    select: String,
    changed: Option<Numbered>,
    /// Listener of the connection that reads, while there is one.
    pub(super) listener: Mutex<Option<Arc<NotificationListener>>>,
    /// Snapshot of the database when everything was read last; `None`: it is not known.
    pub(super) snapshot: Mutex<Option<String>>,
    /// True if notifications of changes arrive.
    pub(super) listens: AtomicBool,
    /// Connection that is shared by those who ask.
    lookups: Mutex<Option<LookupSession>>,
    /// Connection that writes.
    pub(super) writer: Mutex<Option<WriteSession>>,
    /// True if rows of `select` cannot be locked.
    pub(super) cannot_lock: AtomicBool,
    tokens: AtomicU64,
    pub(super) stop: watch::Sender<bool>,
}

/// A connection that asks for single rows.
#[derive(Clone)]
pub(super) struct LookupSession {
    pub(super) link: Connection,
    pub(super) shape: Arc<Shape>,
}

/// A connection that writes.
pub(super) struct WriteSession {
    pub(super) link: Connection,
    pub(super) shape: Shape,
    pub(super) used_at: Duration,
}

impl PostgresDatabase {
    /// Not connected yet.
    pub(in crate::sources) fn new(options: &PostgresOptions, context: Arc<SourceContext>) -> Self {
        let changed = options.queries.changed.as_deref();
        Self {
            select: bare(&options.queries.select).to_owned(),
            changed: changed.map(|sql| names::number(bare(sql))),
            options: options.clone(),
            context,
            listener: Mutex::default(),
            snapshot: Mutex::default(),
            listens: AtomicBool::new(false),
            lookups: Mutex::default(),
            writer: Mutex::default(),
            cannot_lock: AtomicBool::new(false),
            tokens: AtomicU64::new(0),
            stop: watch::Sender::new(false),
        }
    }

    /// To ask all jobs.
    pub(super) fn select(&self) -> Asked<'_> {
        self.asked("select", &self.select, 0)
    }

    /// To ask what changed.
    pub(super) fn changed(&self) -> Option<Asked<'_>> {
        let numbered = self.changed.as_ref()?;
        Some(self.asked("changed", &numbered.sql, numbered.names.len()))
    }

    /// To ask the query called `query`.
    pub(super) fn asked<'a>(
        &'a self,
        query: &'a str,
        sql: &'a str,
        parameters: usize,
    ) -> Asked<'a> {
        Asked {
            query,
            sql,
            parameters,
            context: &self.context,
            user: self.options.user(),
        }
    }

    /// Returns what it means that the server said this.
    pub(super) fn fault(&self, said: &ServerError) -> Fault {
        fault(said, self.options.user())
    }

    /// Connects, until the instant `until` at most. Notifications go to `listener`.
    ///
    /// # Errors
    /// When no server takes us.
    pub(super) fn connect(
        &self,
        role: ConnectionRole,
        listener: Arc<NotificationListener>,
        until: Option<Duration>,
    ) -> Result<Connection, Fault> {
        let stop = self.stop.subscribe();
        Connection::connect(&self.options, role, &stop, listener, until)
            .map_err(|said| self.fault(&said))
    }

    /// Connects for answers that no notification is waited for.
    ///
    /// # Errors
    /// Likewise, or when `select` does not fit.
    pub(super) fn connect_with_shape(
        &self,
        role: ConnectionRole,
        until: Option<Duration>,
    ) -> Result<(Connection, Shape), Fault> {
        let listener = Arc::new(NotificationListener::new(Arc::default()));
        let link = self.connect(role, listener, until)?;
        let shape = Shape::learn(&link, &self.select())?;
        Ok((link, shape))
    }

    /// Returns the connection of those who ask, for a question that has to be answered until this
    /// instant.
    ///
    /// # Errors
    /// When no server takes us.
    pub(super) fn lookups(&self, until: Duration) -> Result<LookupSession, Fault> {
        let patience = until.saturating_sub(clock::now().boot);
        let place = self.lookups.try_lock_for(patience);
        let mut place = place.ok_or_else(|| self.fault(&ServerError::silence()))?;
        let session = match &mut *place {
            Some(session) if !session.link.is_closed() => session,
            other => {
                let (link, shape) = self.connect_with_shape(ConnectionRole::Asks, Some(until))?;
                other.insert(LookupSession {
                    link,
                    shape: Arc::new(shape),
                })
            }
        };
        Ok(LookupSession {
            link: session.link.until(until),
            shape: Arc::clone(&session.shape),
        })
    }

    /// Ends the connection of those who ask, unless it is just being made: the next question is
    /// asked over another one.
    pub(super) fn hang_up(&self) {
        if let Some(mut place) = self.lookups.try_lock() {
            *place = None;
        }
    }

    /// Sends a notification to ourselves, over another connection than the one that receives it:
    /// what is committed before it is notified before it, since the server keeps one order. A
    /// pooler that lends each transaction another connection swallows it.
    ///
    /// # Errors
    /// When it cannot be sent, or does not come.
    pub(super) fn echo(&self, until: Duration) -> Result<BarrierResult, Fault> {
        let silent = |message: &str| {
            self.fault(&ServerError {
                message: message.to_owned(),
                ..ServerError::silence()
            })
        };
        let listener = self.listener.lock().clone();
        let listener = listener.ok_or_else(|| silent("nobody listens"))?;
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        let token = format!(
            "lapsed {} {} {number}",
            std::process::id(),
            clock::now().boot.as_nanos()
        );
        let waits = listener.expect(token.clone());
        let answer = self.notify(&token, until).map(|()| {
            let left = until.saturating_sub(clock::now().boot);
            waits.recv_timeout(left.min(ECHO))
        });
        listener.give_up(&token);
        answer?.map_err(|_| silent("a notification to ourselves does not arrive"))
    }

    fn notify(&self, token: &str, until: Duration) -> Result<(), Fault> {
        let given = [Some(self.options.channel.as_str()), Some(token)];
        let sent = self
            .lookups(until)?
            .link
            .rows("SELECT pg_notify($1::text, $2::text)::text", &given);
        if sent.is_err() {
            self.hang_up();
        }
        sent.map(drop).map_err(|said| self.fault(&said))
    }

    /// Returns whether the database is as it was when everything was read.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) fn is_as_read(&self, until: Duration) -> Result<BarrierResult, Fault> {
        let now = snapshot(&self.lookups(until)?.link);
        if now.is_err() {
            self.hang_up();
        }
        let now = now.map_err(|said| self.fault(&said))?;
        let read = self.snapshot.lock().clone();
        Ok(if now.is_some() && now == read {
            BarrierResult::CaughtUp
        } else {
            BarrierResult::Behind
        })
    }
}

/// Returns what a transaction that begins now can see: the same text means that no transaction has
/// ended in between, in any database of the server. `None`: a standby does not know.
pub(super) fn snapshot(link: &Connection) -> Result<Option<String>, ServerError> {
    let sql =
        "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current_snapshot()::text END";
    let rows = link.rows(sql, &[])?;
    Ok(rows.first().and_then(|row| text(row, 0)).map(str::to_owned))
}

//! The task of a source: what it does next.
//!
//! **Invariant:** it listens before it reads: what happens in between is seen twice rather than
//! never.
//! **Invariant:** a database that cannot be read keeps its jobs: it is reported as down, and asked
//! again.
//! **Invariant:** while notifications arrive there is no timer but the minute's proof that they do.

mod catch_up;
mod listen;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::connection::{Connection, ConnectionRole};
use super::context::SourceContext;
use super::error::{Fault, ServerError};
use super::lookup_connection::LookupConnection;
use super::publisher::ChangePublisher;
use super::shape::Shape;
use super::write::Writer;
use crate::clock;
use crate::core::jobs::JobChange;
use crate::sources::known_jobs::KnownJobs;
use crate::sources::pacing::{ReadThrottle, RetryBackoff};
use crate::sources::stats::SourceState;

/// A reading that comes later than this, or takes longer, is announced: until then what is known is
/// not believed.
const ANNOUNCED: Duration = Duration::from_millis(20);

/// Interval at which it is proven that notifications arrive.
const PROOF: Duration = Duration::from_mins(1);

/// Interval of readings for what no notification reports, such as rows that were loaded with
/// triggers switched off, if anything at all has changed at the server.
const RECHECK: Duration = Duration::from_hours(1);

/// Task of a source.
pub(super) struct Reader {
    pub(super) shared: Arc<SourceContext>,
    pub(super) lookups: Arc<LookupConnection>,
    pub(super) writer: Arc<Writer>,
    pub(super) view: KnownJobs,
    pub(super) telling: ChangePublisher,
    pub(super) state: State,
}

/// State of the task, over all connections.
#[derive(Default)]
pub(super) struct State {
    retries: RetryBackoff,
    rests: ReadThrottle,
    down: Option<String>,
    is_stale: bool,
    /// Reason why notifications do not arrive, as it was logged last.
    said: Option<String>,
}

/// A connection, and what was found over it.
struct Session {
    link: Connection,
    select: Shape,
    changed: Option<Shape>,
    owes: PendingReads,
    /// True if everything was read over it.
    is_read: bool,
    /// From where changes are asked; `None`: nothing was read yet.
    since: Option<String>,
    /// Snapshot of the database at the last poll.
    polled: Option<String>,
    /// Time at which everything was read last.
    read_at: Duration,
    next_proof: Duration,
    /// `None`: notifications arrive.
    next_poll: Option<Duration>,
}

/// Readings that are owed.
#[derive(Default)]
struct PendingReads {
    all: bool,
    /// Everything, but only for what is gone.
    gone: bool,
    changes: bool,
}

impl Reader {
    /// Runs for ever.
    pub(super) async fn run(mut self) {
        loop {
            self.shared.stats.lock().turns += 1;
            let fault = self.session().await;
            self.fail(&fault).await;
            let now = clock::now().boot;
            let wait = self.state.retries.next().unwrap_or(now);
            sleep(wait.saturating_sub(now)).await;
        }
    }

    /// Connects, reads everything, and follows what happens, until something fails.
    async fn session(&mut self) -> Fault {
        match self.begin().await {
            Ok(mut session) => loop {
                if let Err(fault) = self.turn(&mut session).await {
                    return fault;
                }
                self.wait(&session).await;
                self.shared.stats.lock().turns += 1;
            },
            Err(fault) => fault,
        }
    }

    async fn begin(&mut self) -> Result<Session, Fault> {
        let options = &self.shared.options;
        let link = Connection::connect(options, ConnectionRole::Reads)
            .await
            .map_err(|said| self.fault(&said))?;
        let select = Shape::learn(&link, &self.shared.select()).await?;
        let changed = match self.shared.changed() {
            Some(asked) => Some(Shape::learn(&link, &asked).await?),
            None => None,
        };
        *self.shared.listener.lock() = Some(Arc::clone(&link.listener));
        let now = clock::now().boot;
        self.state.rests.all = now;
        self.state.rests.changes = now;
        let mut session = Session {
            link,
            select,
            changed,
            owes: PendingReads {
                all: true,
                ..PendingReads::default()
            },
            is_read: false,
            since: None,
            polled: None,
            read_at: now,
            next_proof: now,
            next_poll: None,
        };
        self.prove(&mut session).await?;
        Ok(session)
    }

    async fn turn(&mut self, session: &mut Session) -> Result<(), Fault> {
        if let Some(said) = session.link.listener.closed() {
            return Err(self.fault(&said));
        }
        let now = clock::now().boot;
        if session.next_proof <= now {
            self.prove(session).await?;
            self.recheck(session, now).await?;
            self.writer.hang_up_if_idle();
        }
        if session.next_poll.is_some_and(|next| next <= now) {
            self.poll(session).await?;
        }
        self.read(session).await
    }

    /// Waits until there is something to do.
    async fn wait(&self, session: &Session) {
        let listener = &session.link.listener;
        if listener.closed().is_some() {
            return;
        }
        let now = clock::now().boot;
        let rests = &self.state.rests;
        let owes = &session.owes;
        let all = (owes.all || owes.gone || listener.wants_all()).then_some(rests.all);
        let is_some_owed = owes.changes || (listener.has_pending() && !listener.wants_all());
        let some = is_some_owed.then_some(rests.changes);
        // While a reading is to come anyway, nothing else needs to wake it.
        let is_owed = all.is_some() && some.is_some();
        let times = [Some(session.next_proof), session.next_poll, all, some];
        let next = times.into_iter().flatten().min().unwrap_or(now);
        let rest = next.saturating_sub(now);
        tokio::select! {
            () = listener.rang.notified(), if !is_owed => {}
            () = self.shared.asked.notified(), if all.is_none() => {
                // Noted by the ear, so that it is not lost and not taken for read.
                listener.on_notification("");
            }
            () = sleep(rest) => {}
        }
    }

    /// Polls: looks whether something has changed without a notification.
    async fn poll(&mut self, session: &mut Session) -> Result<(), Fault> {
        let now = super::lookup_connection::snapshot(&session.link)
            .await
            .map_err(|said| self.fault(&said))?;
        if now.is_none() || now != session.polled {
            session.polled = now;
            if session.changed.is_some() && session.since.is_some() {
                session.owes.changes = true;
                session.owes.gone = true;
            } else {
                session.owes.all = true;
            }
        }
        session.next_poll = Some(clock::now().boot + self.shared.options.poll);
        Ok(())
    }

    /// Finds what had no notification, once in a while.
    async fn recheck(&mut self, session: &mut Session, now: Duration) -> Result<(), Fault> {
        if session.next_poll.is_some() || now.saturating_sub(session.read_at) < RECHECK {
            return Ok(());
        }
        let stands = super::lookup_connection::snapshot(&session.link)
            .await
            .map_err(|said| self.fault(&said))?;
        if stands.is_none() || stands != *self.shared.snapshot.lock() {
            session.owes.gone = true;
        }
        Ok(())
    }

    /// Says that what is known is not the newest, if that lasts.
    async fn announce(&mut self, lasts: Duration) {
        if lasts > ANNOUNCED && !self.state.is_stale && self.state.down.is_none() {
            self.state.is_stale = true;
            self.telling.send(JobChange::Stale).await;
        }
    }

    async fn fail(&mut self, fault: &Fault) {
        *self.shared.listener.lock() = None;
        *self.shared.listens.lock() = false;
        *self.shared.snapshot.lock() = None;
        self.lookups.hang_up().await;
        self.state.retries.fail(clock::now().boot);
        self.state.is_stale = false;
        let why = self.shared.about(fault);
        if self.state.down.as_ref() == Some(&why) {
            return;
        }
        tracing::warn!(source = self.shared.options.name, "{why}");
        self.state.down = Some(why.clone());
        self.shared.stats.lock().state = SourceState::Down { why: why.clone() };
        self.telling.send(JobChange::Down { why }).await;
    }

    fn fault(&self, said: &ServerError) -> Fault {
        Fault::of(said, self.shared.options.user())
    }
}

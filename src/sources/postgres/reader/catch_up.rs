//! Catching up with a database: reads what is owed, and reports it.
//!
//! **Invariant:** a reading compares with what the engine has taken in, so it begins when the news
//! before it are in.

use std::time::Duration;

use tokio::time::sleep;

use super::{PendingReads, Reader, Session};
use crate::clock;
use crate::core::jobs::JobChange;
use crate::sources::postgres::error::Fault;
use crate::sources::postgres::lookup_connection::snapshot;
use crate::sources::postgres::read::Reading;
use crate::sources::stats::SourceState;

/// The engine takes in news in its own time. A reading compares with what it has taken in, so it
/// waits for the last of the news before, at growing distances; no longer than this, since a row
/// may be one that the engine does not want.
const SETTLE: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

impl Reader {
    /// Reads what is owed, if it is time.
    pub(super) async fn read(&mut self, session: &mut Session) -> Result<(), Fault> {
        let listener = std::sync::Arc::clone(&session.link.listener);
        if listener.wants_all() {
            session.owes.all = true;
        }
        let now = clock::now().boot;
        let rests = &self.state.rests;
        let is_rested = rests.changes <= now;
        let wait = rests.changes.saturating_sub(now);
        let is_some_owed =
            session.owes.changes || (listener.has_pending() && !listener.wants_all());
        if session.is_read && is_some_owed {
            if is_rested {
                self.read_some(session).await?;
            } else {
                self.announce(wait).await;
            }
        }
        if !(session.owes.all || session.owes.gone) {
            if !session.owes.changes && !listener.has_pending() {
                listener.catch_up();
            }
            return Ok(());
        }
        listener.fall_behind();
        let now = clock::now().boot;
        let wait = self.state.rests.all.saturating_sub(now);
        if session.owes.all {
            let took = self.shared.stats.lock().last_read_took.unwrap_or_default();
            self.announce(wait.max(took)).await;
        }
        if wait.is_zero() {
            self.read_all(session).await?;
        }
        Ok(())
    }

    async fn read_all(&mut self, session: &mut Session) -> Result<(), Fault> {
        self.settle().await;
        let listener = std::sync::Arc::clone(&session.link.listener);
        let began = clock::now().boot;
        let _ = listener.take();
        let stands = snapshot(&session.link)
            .await
            .map_err(|said| self.fault(&said))?;
        let knows_nothing = !self.telling.has_reported() && (self.view.count)() == 0;
        let since = match session.changed {
            Some(_) => Some(self.changes(session)?.latest_change().await?),
            None => None,
        };
        let jobs = self.all(session).all(knows_nothing).await?;
        session.is_read = true;
        session.since = since;
        session.owes = PendingReads::default();
        session.polled.clone_from(&stands);
        let now = clock::now();
        let took = now.boot.saturating_sub(began);
        session.read_at = now.boot;
        let rests = &mut self.state.rests;
        rests.after_all(now.boot, took, session.changed.is_some());
        {
            let mut stats = self.shared.stats.lock();
            stats.reads += 1;
            stats.last_read_at = Some(now.wall);
            stats.last_read_took = Some(took);
            stats.is_telling = true;
        }
        // Before the report, or a receiver that asks at once would learn that it was not read.
        *self.shared.snapshot.lock() = stands;
        self.loaded(jobs).await;
        self.shared.stats.lock().read_from = Some(began);
        listener.catch_up();
        Ok(())
    }

    /// Reads what changed, and the jobs that were named.
    async fn read_some(&mut self, session: &mut Session) -> Result<(), Fault> {
        self.settle().await;
        let listener = std::sync::Arc::clone(&session.link.listener);
        let began = clock::now().boot;
        let pending = listener.take();
        session.owes.all |= pending.all;
        let mut new = 0;
        if std::mem::take(&mut session.owes.changes)
            && let Some(mut since) = session.since.clone()
        {
            new += self.changes(session)?.changes(&mut since).await?;
            session.since = Some(since);
        }
        if !pending.ids.is_empty() {
            let ids = pending.ids.into_iter().collect();
            let found = self.all(session).some(ids).await?;
            new += found.new;
            session.owes.gone |= found.misses;
        }
        let now = clock::now();
        self.state
            .rests
            .after_changes(now.boot, now.boot.saturating_sub(began));
        let jobs = {
            let mut stats = self.shared.stats.lock();
            stats.reads_of_changes += 1;
            stats.last_read_at = Some(now.wall);
            stats.jobs += new;
            stats.jobs
        };
        let is_all = !session.owes.all && !session.owes.gone;
        if self.state.is_stale && is_all {
            self.loaded(jobs).await;
        } else {
            self.telling.end_reading().await;
        }
        // What has no notification is found only by reading everything.
        if is_all && *self.shared.listens.lock() {
            self.shared.stats.lock().read_from = Some(began);
        }
        Ok(())
    }

    fn all<'a>(&'a mut self, session: &'a Session) -> Reading<'a> {
        Reading {
            link: &session.link,
            shape: &session.select,
            asked: self.shared.select(),
            view: &self.view,
            tell: &mut self.telling,
        }
    }

    fn changes<'a>(&'a mut self, session: &'a Session) -> Result<Reading<'a>, Fault> {
        let both = session.changed.as_ref().zip(self.shared.changed());
        let (shape, asked) =
            both.ok_or_else(|| Fault::Failed("there is no query for changes".to_owned()))?;
        Ok(Reading {
            link: &session.link,
            shape,
            asked,
            view: &self.view,
            tell: &mut self.telling,
        })
    }

    /// Everything was reported.
    async fn loaded(&mut self, jobs: u64) {
        self.state.down = None;
        self.state.retries.succeed();
        self.state.is_stale = false;
        {
            let mut stats = self.shared.stats.lock();
            stats.jobs = jobs;
            stats.state = SourceState::Ready;
            stats.is_telling = true;
        }
        self.telling.send(JobChange::Loaded { jobs }).await;
        self.shared.stats.lock().is_telling = false;
    }

    /// Waits until the engine has taken in what was reported last.
    async fn settle(&mut self) {
        for ms in SETTLE {
            if self.telling.is_acknowledged(&self.view) {
                return;
            }
            sleep(Duration::from_millis(ms)).await;
        }
        self.telling.abandon();
    }
}

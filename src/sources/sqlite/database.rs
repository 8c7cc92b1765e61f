//! SQLite database of a source, and the connection over which it is asked for one job.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use super::open::{self, Identity};
use crate::sources::context::SourceContext;
use crate::sources::error::Fault;
use crate::sources::options::SqliteOptions;

/// Longest wait for an answer or to write: for a writer, and for earlier questions.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// SQLite database of a source.
pub(in crate::sources) struct SqliteDatabase {
    pub(super) options: SqliteOptions,
    pub(super) context: Arc<SourceContext>,
    /// Connection that is shared by those who ask.
    session: Mutex<Option<LookupSession>>,
    /// Ends a query of the source's thread that takes long.
    pub(super) interrupt: Mutex<Option<InterruptHandle>>,
}

/// A connection that asks.
pub(super) struct LookupSession {
    pub(super) connection: Connection,
    identity: Identity,
    /// `data_version` of this connection when everything was read last.
    pub(super) read_at: Option<i64>,
}

/// State of the database before a reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReadPoint {
    identity: Identity,
    version: i64,
}

impl SqliteDatabase {
    /// Not connected yet.
    pub(in crate::sources) fn new(options: &SqliteOptions, context: Arc<SourceContext>) -> Self {
        Self {
            options: options.clone(),
            context,
            session: Mutex::default(),
            interrupt: Mutex::default(),
        }
    }

    /// Takes note of how the database stands before everything is read.
    pub(super) fn sample(&self) -> Option<ReadPoint> {
        let sample = |session: &mut LookupSession| {
            Ok(ReadPoint {
                identity: session.identity,
                version: open::data_version(&session.connection)?,
            })
        };
        self.ask(sample).ok()
    }

    /// Everything was read since `sample` was taken.
    pub(super) fn confirm(&self, sample: ReadPoint) {
        if let Some(session) = self.session.lock().as_mut()
            && session.identity == sample.identity
        {
            session.read_at = Some(sample.version);
        }
    }

    /// Forgets what was read: it does not count any more.
    pub(super) fn forget(&self) {
        *self.session.lock() = None;
    }

    /// Returns the answer to `question`, over a connection to the file that is there now.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&mut LookupSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut place = self.session.try_lock_for(PATIENCE).ok_or(Fault::Busy)?;
        let path = &self.options.path;
        let is_right =
            |session: &LookupSession| Identity::of(path).is_ok_and(|now| now == session.identity);
        if !place.as_ref().is_some_and(is_right) {
            *place = None;
        }
        let session = match &mut *place {
            Some(session) => session,
            none => {
                let (connection, identity) = open::to_read(&self.options, PATIENCE)?;
                none.insert(LookupSession {
                    connection,
                    identity,
                    read_at: None,
                })
            }
        };
        let answer = question(session);
        if let Err(Fault::Away { .. }) = &answer {
            *place = None;
        }
        answer
    }
}

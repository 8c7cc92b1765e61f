//! Asks for one job at this very moment, from any thread.
//!
//! **Invariant:** it says "gone" only of a row that the file under the path does not have now; what
//! it cannot ask is unknown.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::error::Fault;
use super::find;
use super::open::{self, Identity};
use super::options::SqliteOptions;
use crate::core::jobs::JobLookup;
use crate::sources::change_signal::ChangeSignal;
use crate::sources::decode::Decoder;
use crate::sources::lookup::{self, Lookup};

/// Longest wait for an answer: for a writer, and for earlier questions.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection of its own, shared by those who ask.
pub(super) struct LookupConnection {
    options: Arc<SqliteOptions>,
    decoder: Arc<Decoder>,
    signal: Arc<ChangeSignal>,
    line: Mutex<Option<LookupSession>>,
}

struct LookupSession {
    connection: Connection,
    identity: Identity,
    /// `data_version` of this connection when everything was read last.
    read_at: Option<i64>,
}

/// State of the database before a reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReadPoint {
    identity: Identity,
    version: i64,
}

impl LookupConnection {
    /// Not connected yet.
    pub(super) fn new(
        options: Arc<SqliteOptions>,
        decoder: Arc<Decoder>,
        signal: Arc<ChangeSignal>,
    ) -> Self {
        Self {
            options,
            decoder,
            signal,
            line: Mutex::new(None),
        }
    }

    /// Returns what the database says of the job `id` now.
    pub(super) fn fresh(&self, id: &str) -> JobLookup {
        let (decoder, queries) = (&self.decoder, &self.options.queries);
        let look = |line: &mut LookupSession| {
            let one = find::one(&line.connection, decoder, queries, id)?;
            if !matches!(one, Lookup::Missing) {
                return Ok(one);
            }
            for other in lookup::spellings(id) {
                match find::one(&line.connection, decoder, queries, &other)? {
                    Lookup::Found(_) => return Ok(Lookup::OtherSpelling(other)),
                    Lookup::Missing => {}
                    alike => return Ok(alike),
                }
            }
            Ok(Lookup::Missing)
        };
        match self.ask(look) {
            Ok(Lookup::Found(found)) => JobLookup::Row(Box::new(found.job)),
            Ok(Lookup::OtherSpelling(other)) => JobLookup::Unknown(lookup::spelled(&other)),
            Ok(Lookup::Unnamed) => JobLookup::Unknown(lookup::UNNAMED.to_owned()),
            Ok(Lookup::Missing) => JobLookup::Gone,
            Err(fault) => JobLookup::Unknown(fault.about(&self.options.path)),
        }
    }

    /// Returns whether nothing has changed since everything was read.
    pub(super) fn is_current(&self) -> bool {
        let state = self.ask(|line| {
            let version = open::data_version(&line.connection)?;
            Ok(line.read_at.map(|read_at| read_at == version))
        });
        match state {
            Ok(Some(true)) => true,
            Ok(Some(false)) | Err(_) => {
                self.signal.raise();
                false
            }
            Ok(None) => {
                self.signal.request_reading();
                false
            }
        }
    }

    /// Takes note of how the database stands before everything is read.
    pub(super) fn sample(&self) -> Option<ReadPoint> {
        let sample = |line: &mut LookupSession| {
            Ok(ReadPoint {
                identity: line.identity,
                version: open::data_version(&line.connection)?,
            })
        };
        self.ask(sample).ok()
    }

    /// Everything was read since `sample` was taken.
    pub(super) fn confirm(&self, sample: ReadPoint) {
        if let Some(line) = self.line.lock().as_mut()
            && line.identity == sample.identity
        {
            line.read_at = Some(sample.version);
        }
    }

    /// Returns what was read does not count any more.
    pub(super) fn forget(&self) {
        *self.line.lock() = None;
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&mut LookupSession) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut place = self.line.try_lock_for(PATIENCE).ok_or(Fault::Busy)?;
        let path = &self.options.path;
        let is_right =
            |line: &LookupSession| Identity::of(path).is_ok_and(|now| now == line.identity);
        if !place.as_ref().is_some_and(is_right) {
            *place = None;
        }
        let line = match &mut *place {
            Some(line) => line,
            none => {
                let (connection, identity) = open::to_read(&self.options, PATIENCE)?;
                none.insert(LookupSession {
                    connection,
                    identity,
                    read_at: None,
                })
            }
        };
        let answer = question(line);
        if let Err(Fault::Failed(_) | Fault::NoDatabase(_)) = &answer {
            *place = None;
        }
        answer
    }
}

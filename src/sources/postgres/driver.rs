//! Driver of PostgreSQL databases: asks for one job, and writes records.
//!
//! A transaction that writes is serializable: a row that another transaction changed since it was
//! read cannot be written, whatever level that one has. Where the server can lock the rows that
//! `select` reads (`FOR UPDATE`), it does: that also keeps still what is read from other tables
//! than those that are written. It cannot where rows are made of several, and may not without the
//! right.
//!
//! **Invariant:** "gone" is said only of a row that the server answers it does not have.
//! **Invariant:** all statements of a record are written, or none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::tz::TimeZone;
use parking_lot::MutexGuard;

use super::connection::{ConnectionRole, LOOKUP_MAX};
use super::database::{PostgresDatabase, WriteSession};
use super::error::{ServerError, grant};
use super::find::{self, RowLock, Text};
use super::listener::BarrierResult;
use super::names::{self, Numbered};
use super::reader::PostgresReader;
use crate::clock;
use crate::core::jobs::{JobLookup, JobRow};
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::sources::driver::{Driver, ReadDriver, Transaction};
use crate::sources::error::Fault;
use crate::sources::lookup;
use crate::sources::options::bare;
use crate::sources::stats::SourceState;
use crate::sources::write_back::{WriteBack, WriteFailure, parameter};
use crate::sources::zone;

/// Time limit of finding out whether everything was read.
const CURRENT_MAX: Duration = Duration::from_secs(2);
/// Time limit of writing one record.
const RECORD_MAX: Duration = Duration::from_secs(20);

impl Driver for PostgresDatabase {
    fn place(&self) -> String {
        self.options.place()
    }

    fn fresh(&self, id: &str) -> JobLookup {
        if let SourceState::Down { why } = &self.context.stats.lock().state {
            return JobLookup::Unknown(why.clone());
        }
        let found = self
            .lookups(clock::now().boot + LOOKUP_MAX)
            .and_then(|session| {
                lookup::in_any_spelling(id, |id| {
                    find::one(&session.link, &session.shape, &self.select(), id)
                })
            });
        if found.is_err() {
            // The columns may be others by now.
            self.hang_up();
        }
        lookup::answer(found, &self.place())
    }

    fn is_current(&self) -> bool {
        let until = clock::now().boot + CURRENT_MAX;
        let listens = self.listens.load(Ordering::Relaxed);
        let found = if listens {
            self.echo(until)
        } else {
            self.is_as_read(until)
        };
        match found {
            Ok(BarrierResult::CaughtUp) => return true,
            // Notifications are read as soon as the pace allows it.
            Ok(BarrierResult::Behind) if listens => {}
            Ok(BarrierResult::Behind) | Err(_) => self.context.signal.request_reading(),
        }
        false
    }

    fn look_at(&self, id: &str) {
        if let Some(listener) = &*self.listener.lock() {
            listener.on_notification(id);
        }
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, WriteFailure> {
        let of_database = |fault| WriteFailure::of_database(&fault);
        let until = clock::now().boot + RECORD_MAX;
        let place = self.writer.try_lock_for(RECORD_MAX);
        let mut place = place.ok_or_else(|| of_database(self.fault(&ServerError::silence())))?;
        let session = match place.take() {
            Some(session) if !session.link.is_closed() => WriteSession {
                link: session.link.until(until),
                ..session
            },
            _ => {
                let connected = self.connect_with_shape(ConnectionRole::Writes, Some(until));
                let (link, shape) = connected.map_err(of_database)?;
                WriteSession {
                    link,
                    shape,
                    used_at: until,
                }
            }
        };
        let begun = session
            .link
            .run("BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE");
        begun.map_err(|said| match said.code() {
            "25006" | "0A000" => WriteFailure::Database(format!(
                "the server is a standby, which cannot be written: {said}\n  it is tried again"
            )),
            _ => of_database(self.fault(&said)),
        })?;
        Ok(Box::new(PostgresTransaction {
            database: self,
            place,
            session: Some(session),
            row: Vec::new(),
        }))
    }

    fn reader(self: Arc<Self>) -> Box<dyn ReadDriver> {
        Box::new(PostgresReader::new(self))
    }

    fn interrupt(&self) {
        self.stop.send_replace(true);
        if let Some(listener) = &*self.listener.lock() {
            listener.close(ServerError::stopped());
        }
    }
}

/// Transaction of the connection that writes.
struct PostgresTransaction<'a> {
    database: &'a PostgresDatabase,
    /// The connection's place, to which it returns.
    place: MutexGuard<'a, Option<WriteSession>>,
    /// `None` once the transaction has ended: a failure ends the connection with it.
    session: Option<WriteSession>,
    row: Vec<(String, Text)>,
}

impl PostgresTransaction<'_> {
    /// Ends the transaction, and gives the connection back.
    fn end(&mut self, statement: &str) -> Result<(), WriteFailure> {
        self.with(|database, session| {
            let ended = session.link.run(statement);
            Ok(ended.map_err(|said| database.fault(&said))?)
        })?;
        *self.place = self.session.take().map(|session| WriteSession {
            used_at: clock::now().boot,
            ..session
        });
        Ok(())
    }

    /// Does something with the connection, which ends with a failure.
    fn with<T>(
        &mut self,
        act: impl FnOnce(&PostgresDatabase, &WriteSession) -> Result<T, WriteFailure>,
    ) -> Result<T, WriteFailure> {
        let session = self.session.take();
        let gone = || WriteFailure::of_database(&Fault::Stopped);
        let session = session.ok_or_else(gone)?;
        let done = act(self.database, &session)?;
        self.session = Some(session);
        Ok(done)
    }
}

impl Drop for PostgresTransaction<'_> {
    fn drop(&mut self) {
        // Nothing of it is committed: it ends with its connection as well.
        let _ = self.end("ROLLBACK");
    }
}

impl Transaction for PostgresTransaction<'_> {
    fn find(&mut self, id: &str) -> Result<Option<JobRow>, WriteFailure> {
        let found = self.with(|database, session| {
            let (link, asked) = (&session.link, database.select());
            let run = |sql| link.run(sql).map_err(|said| database.fault(&said));
            if !database.cannot_lock.load(Ordering::Relaxed) {
                run("SAVEPOINT looks")?;
                match find::to_write(link, &session.shape, &asked, id, RowLock::ForUpdate) {
                    Ok(found) => return Ok(found),
                    Err(Fault::Query(_) | Fault::Denied { .. }) => {}
                    Err(fault) => return Err(fault.into()),
                }
                run("ROLLBACK TO looks")?;
            }
            let found = find::to_write(link, &session.shape, &asked, id, RowLock::None)?;
            database.cannot_lock.store(true, Ordering::Relaxed);
            Ok(found)
        })?;
        Ok(found.found().map(|found| {
            self.row = found.values;
            found.job
        }))
    }

    fn run(&mut self, sql: &str, order: &WriteBack) -> Result<(), WriteFailure> {
        let row = std::mem::take(&mut self.row);
        self.with(|database, session| {
            let zone = database.context.decoder.zone("cleaned_at");
            let now = shown_with_offset(&zone, order.now);
            let Numbered { sql, names } = names::number(bare(sql));
            let values = names.iter().map(|wanted| {
                let text = |text: &str| Some(text.to_owned());
                let unknown = || WriteFailure::Statement(format!("unknown parameter :{wanted}"));
                parameter(wanted, order, &now, &row, text).ok_or_else(unknown)
            });
            let values = values.collect::<Result<Vec<Text>, _>>()?;
            let given: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let ran = session.link.rows(&sql, &given);
            ran.map(drop)
                .map_err(|said| of_statement(&said, order.action, database.options.user()))
        })?;
        self.row = row;
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), WriteFailure> {
        self.end("COMMIT")
    }
}

fn of_statement(said: &ServerError, action: Record, user: &str) -> WriteFailure {
    let again = |why: &str| WriteFailure::Record(format!("{said}\n  {why}"));
    match said.code() {
        "40001" | "40P01" => again("another session changes the row; it is tried again"),
        "57014" | "55P03" => again("another session holds a lock; it is tried again"),
        "42501" => {
            let right = match action {
                Record::Mark => "SELECT, UPDATE",
                Record::Keep | Record::Forget => "SELECT, DELETE",
            };
            again(&grant(&said.message, right, user))
        }
        _ if said.ends_the_connection() => {
            WriteFailure::Database(format!("{said}\n  it is tried again"))
        }
        _ => WriteFailure::Statement(said.to_string()),
    }
}

/// Returns what clocks in `zone` show at `at`, with their distance from UTC: a column with a zone
/// takes the instant, one without it what the clock shows.
fn shown_with_offset(zone: &TimeZone, at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.unix_ms()) {
        Ok(instant) => instant
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%.3f%:z")
            .to_string(),
        Err(_) => zone::shown(zone, at),
    }
}

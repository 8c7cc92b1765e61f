//! Connection of a PostgreSQL source's thread: is notified of changes, or asks for them, and reads
//! rows.
//!
//! **Invariant:** where pages can be had, each is a statement and so a transaction of its own: what
//! other sessions wait for, such as the removal of dead rows, is held up no longer than by one of
//! them.
//! **Invariant:** pages go by the ids' own type and order, as the server compares them.
//! **Invariant:** while notifications arrive there is no timer but the minute's proof that they do.

mod listen;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::{Connection, ConnectionRole};
use super::database::{PostgresDatabase, snapshot};
use super::error::ServerError;
use super::find;
use super::listener::NotificationListener;
use super::plan::{self, PAGE};
use super::row::{Form, text};
use super::shape::{self, Asked, Shape};
use crate::clock;
use crate::core::jobs::JobRow;
use crate::sources::driver::{PageEnd, ReadDriver, Visit};
use crate::sources::error::Fault;
use crate::sources::lookup::Lookup;
use crate::sources::pending::PendingReads;
use crate::sources::snapshot_diff::ScanStrategy;
use crate::sources::stats::ChangeDetection;
use crate::sources::unnamed;

/// Interval of readings for what no notification reports, such as rows that were loaded with
/// triggers switched off, if anything at all has changed at the server.
const RECHECK: Duration = Duration::from_hours(1);
/// A connection that writes and was not used for this long is given back.
const IDLE: Duration = Duration::from_secs(30);

/// Connection of a source's thread.
pub(super) struct PostgresReader {
    shared: Arc<PostgresDatabase>,
    session: Option<Session>,
    detection: Option<ChangeDetection>,
    /// The reading of everything that is under way.
    scan: Scan,
}

/// A connection, and what was found over it.
struct Session {
    link: Connection,
    listener: Arc<NotificationListener>,
    select: Shape,
    changed: Option<Shape>,
    /// From where changes are asked; `None`: nothing was read yet.
    since: Option<String>,
    /// Snapshot of the database at the last poll or reading of everything.
    polled: Option<String>,
    /// Time at which everything was read last.
    read_at: Duration,
    next_proof: Duration,
}

/// State of the database when the reading of everything began, and progress of that reading.
#[derive(Default)]
struct Scan {
    snapshot: Option<String>,
    since: Option<String>,
    /// The id that the last page ended with.
    last: Option<String>,
}

impl PostgresReader {
    /// Not connected yet.
    pub(super) fn new(shared: Arc<PostgresDatabase>) -> Self {
        Self {
            shared,
            session: None,
            detection: None,
            scan: Scan::default(),
        }
    }

    fn connect(&self, now: Duration) -> Result<Session, Fault> {
        let signal = Arc::clone(&self.shared.context.signal);
        let listener = Arc::new(NotificationListener::new(signal));
        let role = ConnectionRole::Reads;
        let link = self.shared.connect(role, Arc::clone(&listener), None)?;
        let select = Shape::learn(&link, &self.shared.select())?;
        let changed = self.shared.changed();
        let changed = changed
            .map(|asked| Shape::learn(&link, &asked))
            .transpose()?;
        *self.shared.listener.lock() = Some(Arc::clone(&listener));
        Ok(Session {
            link,
            listener,
            select,
            changed,
            since: None,
            polled: None,
            read_at: now,
            next_proof: now,
        })
    }

    /// Finds what had no notification, once in a while.
    fn recheck(&self, now: Duration, owed: &mut PendingReads) -> Result<(), Fault> {
        let session = self.session()?;
        let listens = self.shared.listens.load(Ordering::Relaxed);
        if listens && now.saturating_sub(session.read_at) >= RECHECK {
            let stands = self.snapshot()?;
            owed.gone |= stands.is_none() || stands != *self.shared.snapshot.lock();
        }
        Ok(())
    }

    fn hang_up_idle_writer(&self, now: Duration) {
        if let Some(mut place) = self.shared.writer.try_lock() {
            place.take_if(|session| now.saturating_sub(session.used_at) >= IDLE);
        }
    }

    fn snapshot(&self) -> Result<Option<String>, Fault> {
        snapshot(&self.session()?.link).map_err(|said| self.shared.fault(&said))
    }

    fn session(&self) -> Result<&Session, Fault> {
        let session = self.session.as_ref();
        session.ok_or_else(|| self.shared.fault(&ServerError::silence()))
    }

    /// From when on changes are to be asked for, before everything is read.
    fn latest_change(&self) -> Result<Option<String>, Fault> {
        let Some((session, shape, asked)) = self.to_ask_changes()? else {
            return Ok(None);
        };
        let Some((column, form)) = shape.changed_at() else {
            return Ok(Some(String::new()));
        };
        let first = first_since(form);
        let next = next_since(&format!("max({column})"), form);
        let sql = format!("SELECT {next} FROM {}", shape.table());
        let given = vec![Some(first); asked.parameters];
        let rows = rows(&session.link, &asked, &sql, &given)?;
        let latest = rows.first().and_then(|row| text(row, 0));
        Ok(Some(latest.unwrap_or(first).to_owned()))
    }

    fn to_ask_changes(&self) -> Result<Option<(&Session, &Shape, Asked<'_>)>, Fault> {
        let session = self.session()?;
        let both = session.changed.as_ref().zip(self.shared.changed());
        Ok(both.map(|(shape, asked)| (session, shape, asked)))
    }
}

impl ReadDriver for PostgresReader {
    fn open(&mut self, now: Duration, owed: &mut PendingReads) -> Result<bool, Fault> {
        if let Some(session) = &self.session
            && let Some(said) = session.listener.closed()
        {
            return Err(self.shared.fault(&said));
        }
        let is_new = self.session.is_none();
        if is_new {
            self.session = Some(self.connect(now)?);
        }
        if self.session()?.next_proof <= now {
            self.prove()?;
            self.recheck(now, owed)?;
            self.hang_up_idle_writer(now);
        }
        Ok(is_new)
    }

    fn close(&mut self, _is_locked: bool) {
        self.session = None;
        *self.shared.listener.lock() = None;
        self.shared.listens.store(false, Ordering::Relaxed);
        *self.shared.snapshot.lock() = None;
        self.shared.hang_up();
    }

    fn detection(&self) -> Option<ChangeDetection> {
        self.detection.clone()
    }

    fn poll_interval(&self) -> Duration {
        self.shared.options.poll
    }

    fn next_check(&self) -> Option<Duration> {
        self.session.as_ref().map(|session| session.next_proof)
    }

    fn are_events_rumours(&self) -> bool {
        false
    }

    fn has_changed(&mut self) -> Result<bool, Fault> {
        let now = self.snapshot()?;
        let Some(session) = &mut self.session else {
            return Ok(true);
        };
        let has_changed = now.is_none() || now != session.polled;
        session.polled = now;
        Ok(has_changed)
    }

    fn take_notified(&mut self, owed: &mut PendingReads) {
        if let Some(session) = &self.session {
            owed.add(session.listener.take());
        }
    }

    fn set_caught_up(&mut self, is_caught_up: bool) {
        if let Some(session) = &self.session {
            session.listener.set_caught_up(is_caught_up);
        }
    }

    fn can_read_changes(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.since.is_some())
    }

    fn are_changes_complete(&self) -> bool {
        // A transaction may commit long after the instant that it writes.
        false
    }

    fn begin_all(&mut self) -> Result<ScanStrategy, Fault> {
        // What was notified before is read as well.
        self.session()?.listener.take();
        self.scan = Scan {
            snapshot: self.snapshot()?,
            since: self.latest_change()?,
            last: None,
        };
        let session = self.session()?;
        let plan = plan::plan(&session.link, &session.select);
        let plan =
            plan.map_err(|said| shape::wrong(&session.link, &self.shared.select(), &said))?;
        Ok(plan.strategy)
    }

    fn end_all(&mut self) -> Result<bool, Fault> {
        let scan = std::mem::take(&mut self.scan);
        if let Some(session) = &mut self.session {
            session.since = scan.since;
            session.polled.clone_from(&scan.snapshot);
            session.read_at = clock::now().boot;
        }
        *self.shared.snapshot.lock() = scan.snapshot;
        Ok(false)
    }

    fn page(&mut self, visit: &mut Visit<'_>) -> Result<PageEnd, Fault> {
        let (session, asked) = (self.session()?, self.shared.select());
        let shape = &session.select;
        let (list, table, id) = (shape.list(), shape.table(), shape.id());
        let page = |condition: &str, given: &[Option<&str>]| {
            let sql = format!(
                "SELECT {list}, {id}::text FROM {table} WHERE {id} {condition} ORDER BY {id} LIMIT {PAGE}"
            );
            rows(&session.link, &asked, &sql, given)
        };
        let rows = if let Some(before) = &self.scan.last {
            page("> $1", &[Some(before)])?
        } else {
            // Pages are of what has an id.
            let most = unnamed::ROWS_MAX + 1;
            let sql = format!("SELECT {list} FROM {table} WHERE {id} IS NULL LIMIT {most}");
            for row in &rows(&session.link, &asked, &sql, &[])? {
                visit(shape.columns(), &shape.cells(row)?);
            }
            page("IS NOT NULL", &[])?
        };
        for row in &rows {
            visit(shape.columns(), &shape.cells(row)?);
        }
        let Some(end) = rows.last().filter(|_| rows.len() == PAGE) else {
            return Ok(PageEnd::Last);
        };
        self.scan.last = shape.text_behind(end, 0).map(str::to_owned);
        Ok(match self.scan.last {
            Some(_) => PageEnd::More,
            // A database without an encoding has texts that no query can name.
            None => PageEnd::Unpageable,
        })
    }

    fn pass(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let (session, asked) = (self.session()?, self.shared.select());
        let shape = &session.select;
        let sql = format!("SELECT {} FROM {}", shape.list(), shape.table());
        let wrong = |said: &ServerError| shape::wrong(&session.link, &asked, said);
        session.link.stream(&sql, &[], wrong, |row| {
            visit(shape.columns(), &shape.cells(row)?);
            Ok(())
        })
    }

    fn changes(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let mut latest = None;
        if let Some((session, shape, asked)) = self.to_ask_changes()?
            && let Some((column, form)) = shape.changed_at()
        {
            let next = next_since(&format!("max({column}) OVER ()"), form);
            let sql = format!("SELECT {}, {next} FROM {}", shape.list(), shape.table());
            let given = vec![session.since.as_deref(); asked.parameters];
            let wrong = |said: &ServerError| shape::wrong(&session.link, &asked, said);
            session.link.stream(&sql, &given, wrong, |row| {
                visit(shape.columns(), &shape.cells(row)?);
                if latest.is_none() {
                    latest = shape.text_behind(row, 0).map(str::to_owned);
                }
                Ok(())
            })?;
        }
        if let (Some(latest), Some(session)) = (latest, &mut self.session) {
            session.since = Some(latest);
        }
        Ok(())
    }

    fn find_all(&mut self, ids: &[String]) -> Result<Vec<Lookup<JobRow>>, Fault> {
        let session = self.session()?;
        find::each(&session.link, &session.select, &self.shared.select(), ids)
    }
}

fn rows(
    link: &Connection,
    asked: &Asked<'_>,
    sql: &str,
    given: &[Option<&str>],
) -> Result<Vec<tokio_postgres::Row>, Fault> {
    let rows = link.rows(sql, given);
    rows.map_err(|said| shape::wrong(link, asked, &said))
}

/// The value of a column's type that all changes come after.
fn first_since(form: Form) -> &'static str {
    match form {
        Form::Instant | Form::Shown | Form::Date => "-infinity",
        Form::Integer | Form::Real | Form::Number => "0",
        Form::Bool | Form::Text | Form::Bytes | Form::Json => "",
    }
}

/// From when on changes are asked for the next time, when the latest was at `latest`. A transaction
/// may commit after one that began later, with an earlier instant: a minute is asked for again.
/// What took longer is found when everything is read.
fn next_since(latest: &str, form: Form) -> String {
    match form {
        Form::Instant | Form::Shown => format!("({latest} - interval '1 minute')::text"),
        Form::Date => format!("({latest} - 1)::text"),
        Form::Integer
        | Form::Real
        | Form::Number
        | Form::Bool
        | Form::Text
        | Form::Bytes
        | Form::Json => format!("({latest})::text"),
    }
}

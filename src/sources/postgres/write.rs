//! Writes back that a job was cleaned, or removes its record.
//!
//! The transaction is serializable: a row that another transaction changed since it was read cannot
//! be written, whatever level that one has. Where the server can lock the rows that `select` reads
//! (`FOR UPDATE`), it does: that also keeps still what is read from other tables than those that
//! are written. It cannot where rows are made of several, and may not without the right.
//!
//! **Invariant:** nothing is written for a row that is not as it was judged, read within the
//! transaction that writes.
//! **Invariant:** all statements or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connection::{Connection, ConnectionRole};
use super::context::SourceContext;
use super::error::{Fault, From, ServerError, grant};
use super::find::{self, Extent, FoundRow};
use super::names::{self, Numbered};
use super::shape::Shape;
use crate::clock;
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::sources::error::WriteError;
use crate::sources::options::bare;
use crate::sources::schema_check;
use crate::sources::write_back::{WriteBack, WriteOutcome, difference};
use crate::sources::zone;

/// Longest wait of a statement for others. The caller tries again later.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Time limit of everything together.
const PATIENCE_ALL: Duration = Duration::from_secs(20);
/// A connection that was not used for this long is given back.
const IDLE: Duration = Duration::from_secs(30);

/// Writes records, one after the other.
pub(super) struct Writer {
    shared: Arc<SourceContext>,
    talk: Mutex<Option<LookupSession>>,
    cannot_lock: AtomicBool,
}

struct LookupSession {
    link: Connection,
    shape: Shape,
    used_at: Duration,
}

/// Reason why a record was not written.
enum Failure {
    /// The database takes no record now.
    Database(Fault),
    /// This record only: its row is locked, say.
    Record(Fault),
    /// A statement, by its name.
    Statement(String, ServerError),
}

impl Failure {
    /// Distinguishes a fault of one row from one of the server.
    fn of_row(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(_) | Fault::Refused(_) | Fault::Missing(_) | Fault::Tls(_) => {
                Self::Database(fault)
            }
            Fault::Permission { .. } | Fault::Query(_) | Fault::Slow(_) | Fault::Failed(_) => {
                Self::Record(fault)
            }
        }
    }
}

impl Writer {
    /// Not connected yet.
    pub(super) fn new(shared: Arc<SourceContext>) -> Self {
        Self {
            shared,
            talk: Mutex::default(),
            cannot_lock: AtomicBool::new(false),
        }
    }

    /// Carries out `order`.
    ///
    /// # Errors
    /// When the database cannot be written now. Nothing was, or, when the connection was lost at
    /// the very end, perhaps all: trying again finds it done.
    pub(super) async fn write(&self, order: &WriteBack) -> Result<WriteOutcome, WriteError> {
        let (list, statements) = match order.action {
            Record::Keep => return Ok(WriteOutcome::Done),
            Record::Mark => ("mark", &self.shared.queries().mark),
            Record::Forget => ("forget", &self.shared.queries().forget),
        };
        let mut place = self.talk.lock().await;
        let written = timeout(PATIENCE_ALL, async {
            let talk = self.talk(&mut place).await?;
            let written = self.attempt(talk, order, list, statements).await;
            talk.used_at = clock::now().boot;
            written
        })
        .await
        .unwrap_or_else(|_| Err(Failure::Database(self.fault(&ServerError::silence()))));
        if written.is_err() {
            *place = None;
        }
        let (options, id) = (&self.shared.options, &order.job.id);
        let told =
            |fault: Fault| format!("cannot {list} job \"{id}\" in {}: {fault}", options.place());
        written.map_err(|failure| match failure {
            Failure::Database(fault) => WriteError::Database(told(fault)),
            Failure::Record(fault) => WriteError::Record(told(fault)),
            Failure::Statement(statement, said) => self.of_statement(statement, &said, id, list),
        })
    }

    async fn attempt(
        &self,
        talk: &LookupSession,
        order: &WriteBack,
        list: &str,
        statements: &[String],
    ) -> Result<WriteOutcome, Failure> {
        let link = &talk.link;
        link.run("BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE")
            .await
            .map_err(|said| Failure::Database(self.fault_of_begin(&said)))?;
        let Some(found) = self.find(talk, &order.job.id).await? else {
            return Ok(self.ended(link, WriteOutcome::Gone).await);
        };
        if order.action == Record::Mark && found.job.moments.cleaned_at.is_some() {
            return Ok(self.ended(link, WriteOutcome::Done).await);
        }
        if !found.job.decides_as(&order.job) {
            let how = difference(&order.job, &found.job);
            return Ok(self.ended(link, WriteOutcome::Changed { how }).await);
        }
        let now = shown_with_offset(&self.shared.decoder.zone("cleaned_at"), order.now);
        for (at, sql) in statements.iter().enumerate() {
            let Numbered { sql, names } = names::number(bare(sql));
            let name = schema_check::statement_name(list, at, statements.len());
            let mut given = Vec::new();
            for wanted in &names {
                let Some(Value(value)) = value(wanted, order, &now, &found) else {
                    let message = format!("unknown parameter :{wanted}");
                    let from = From::Server(String::new());
                    return Err(Failure::Statement(name, ServerError { from, message }));
                };
                given.push(value);
            }
            link.rows(&sql, &given)
                .await
                .map_err(|said| Failure::Statement(name, said))?;
        }
        link.run("COMMIT")
            .await
            .map_err(|said| Failure::of_row(self.fault(&said)))?;
        Ok(WriteOutcome::Done)
    }

    /// The row as it is in the transaction, which no other session changes meanwhile.
    async fn find(&self, talk: &LookupSession, id: &str) -> Result<Option<FoundRow>, Failure> {
        let (link, asked) = (&talk.link, self.shared.select());
        if !self.cannot_lock.load(Ordering::Relaxed) {
            let failed = |said| Failure::of_row(self.fault(&said));
            link.run("SAVEPOINT looks").await.map_err(failed)?;
            match find::one(link, &talk.shape, &asked, id, Extent::Locked).await {
                Ok(one) => return Ok(one.found()),
                Err(Fault::Query(_) | Fault::Permission { .. }) => {}
                Err(fault) => return Err(Failure::of_row(fault)),
            }
            let failed = |said| Failure::of_row(self.fault(&said));
            link.run("ROLLBACK TO looks").await.map_err(failed)?;
        }
        let found = find::one(link, &talk.shape, &asked, id, Extent::Texts).await;
        let one = found.map_err(Failure::of_row)?;
        self.cannot_lock.store(true, Ordering::Relaxed);
        Ok(one.found())
    }

    async fn ended(&self, link: &Connection, written: WriteOutcome) -> WriteOutcome {
        // Nothing was written: however this ends, it is the same.
        let _ = link.run("ROLLBACK").await;
        written
    }

    async fn talk<'a>(
        &self,
        place: &'a mut Option<LookupSession>,
    ) -> Result<&'a mut LookupSession, Failure> {
        if place.as_ref().is_some_and(|talk| talk.link.is_closed()) {
            *place = None;
        }
        match place {
            Some(talk) => Ok(talk),
            none => {
                let options = &self.shared.options;
                let link = Connection::connect(options, ConnectionRole::Writes)
                    .await
                    .map_err(|said| Failure::Database(self.fault(&said)))?;
                let shape = Shape::learn(&link, &self.shared.select())
                    .await
                    .map_err(Failure::Database)?;
                Ok(none.insert(LookupSession {
                    link,
                    shape,
                    used_at: clock::now().boot,
                }))
            }
        }
    }

    /// Gives the connection back when it was not used for a while.
    pub(super) fn hang_up_if_idle(&self) {
        if let Ok(mut place) = self.talk.try_lock()
            && let Some(talk) = &*place
            && clock::now().boot.saturating_sub(talk.used_at) >= IDLE
        {
            *place = None;
        }
    }

    fn fault(&self, said: &ServerError) -> Fault {
        Fault::of(said, self.shared.options.user())
    }

    fn fault_of_begin(&self, said: &ServerError) -> Fault {
        match said.code() {
            "25006" | "0A000" => Fault::Failed(format!(
                "the server is a standby, which cannot be written: {said}"
            )),
            _ => self.fault(said),
        }
    }

    fn of_statement(
        &self,
        statement: String,
        said: &ServerError,
        id: &str,
        list: &str,
    ) -> WriteError {
        let options = &self.shared.options;
        let place = options.place();
        let told = |why: &str| format!("cannot {list} job \"{id}\" in {place}: {said}\n  {why}");
        let again = |why: &str| WriteError::Record(told(why));
        match said.code() {
            "40001" | "40P01" => again("another session changes the row; it is tried again"),
            "57014" | "55P03" => again("another session holds a lock; it is tried again"),
            "42501" => {
                let right = match list {
                    "mark" => "SELECT, UPDATE",
                    _ => "SELECT, DELETE",
                };
                again(&grant(&said.message, right, options.user()))
            }
            _ if said.ends_the_connection() => WriteError::Database(told("it is tried again")),
            _ => WriteError::Statement {
                statement,
                place,
                job: id.to_owned(),
                why: said.to_string(),
            },
        }
    }
}

/// The text of a value, or nothing.
struct Value<'a>(Option<&'a str>);

/// The value of a parameter; `None`: there is no such parameter.
fn value<'a>(
    wanted: &str,
    order: &'a WriteBack,
    now: &'a str,
    found: &'a FoundRow,
) -> Option<Value<'a>> {
    let column = |wanted: &str| {
        let mut texts = found.texts.iter();
        let found = texts.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, text)| Value(text.as_deref()))
    };
    match wanted {
        // As it stands in the row.
        "job" => column("id"),
        "now" => Some(Value(Some(now))),
        "summary" => Some(Value(Some(&order.summary))),
        other => column(other),
    }
}

/// Returns what clocks in `zone` show at `at`, with their distance from UTC: a column with a zone
/// takes the instant, one without it what the clock shows.
fn shown_with_offset(zone: &jiff::tz::TimeZone, at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.unix_ms()) {
        Ok(instant) => instant
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%.3f%:z")
            .to_string(),
        Err(_) => zone::shown(zone, at),
    }
}

//! A database of jobs, of whichever kind: one shape for all that the daemon asks of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::{PostgresSettings, SourceKind, SourceSettings, SqliteSettings};
use crate::core::jobs::{JobLookup, JobRow, Jobs, SourceId, SourceUpdate};
use crate::sources;
use crate::sources::{
    AddedColumn, Postgres, PostgresOptions, QueryError, SourceState, SourceStats, Sqlite,
    SqliteOptions, Table, WriteBack, WriteError, WriteOutcome, check_postgres, check_sqlite,
    table_of,
};

/// Reason why the absence of a job is not certain.
pub(super) const STILL_READ: &str = "it has changed and is being read";

/// A database of jobs that is being read.
pub(super) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Database {
    /// Returns its row of the job `id` now; that there is none only if nothing else is still to be
    /// read.
    pub(super) fn fresh(&self, id: &str) -> JobLookup {
        let fresh = match self {
            // It stands for no row; the source itself is asked.
            _ if id == JobRow::UNNAMED => JobLookup::Gone,
            Self::Sqlite(sqlite) => sqlite.fresh(id),
            Self::Postgres(postgres) => postgres.fresh(id),
        };
        match fresh {
            // Another job may claim it since.
            JobLookup::Gone if !self.is_current() => JobLookup::Unknown(STILL_READ.to_owned()),
            fresh => fresh,
        }
    }

    /// Returns true if everything was read and nothing has changed since; otherwise it is being
    /// read. Waits at most two seconds.
    fn is_current(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => sqlite.is_current(),
            Self::Postgres(postgres) => postgres.is_current(),
        }
    }

    /// Returns true if it has told everything that was so when it was first asked, or is down, so
    /// that nobody can know. If not, a reading is on its way, and `ordered`, which begins as
    /// `None`, says since when. May wait for two seconds.
    pub(super) fn has_caught_up(&self, ordered: &mut Option<Duration>) -> bool {
        match self.stats().state {
            SourceState::Down { .. } => return true,
            SourceState::Loading => return false,
            SourceState::Ready => {}
        }
        let is_current = self.is_current();
        // One that is written all the time is never current, but it has been read since.
        let ordered = *ordered.get_or_insert_with(|| clock::now().boot);
        let stats = self.stats();
        let was_read = stats.read_from.is_some_and(|from| from >= ordered);
        (is_current || was_read) && !stats.is_telling
    }

    /// Reports that the row of the job `id` differs from the known one.
    pub(super) fn doubt(&self, id: &str) {
        match self {
            // When something has changed, this has it read.
            Self::Sqlite(sqlite) => drop(sqlite.is_current()),
            Self::Postgres(postgres) => postgres.look_at(id),
        }
    }

    /// Writes back what became of a job.
    pub(super) fn write(&self, order: &WriteBack) -> Result<WriteOutcome, WriteError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(order),
            Self::Postgres(postgres) => postgres.write(order),
        }
    }

    /// Returns its state.
    pub(super) fn stats(&self) -> SourceStats {
        match self {
            Self::Sqlite(sqlite) => sqlite.stats(),
            Self::Postgres(postgres) => postgres.stats(),
        }
    }

    /// Ends the reading.
    pub(super) fn stop(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.stop(),
            Self::Postgres(postgres) => postgres.stop(),
        }
    }

    /// Reads `settings` from now on.
    pub(super) fn start_sqlite(
        id: SourceId,
        name: &str,
        settings: &SqliteSettings,
        jobs: Arc<Jobs>,
        tell: Arc<dyn Fn(SourceUpdate) + Send + Sync>,
    ) -> io::Result<Self> {
        Sqlite::start(sqlite_options(id, name, settings), jobs, tell).map(Self::Sqlite)
    }

    /// Likewise.
    pub(super) fn start_postgres(
        id: SourceId,
        name: &str,
        settings: &PostgresSettings,
        jobs: Arc<Jobs>,
        tell: Arc<dyn Fn(SourceUpdate) + Send + Sync>,
    ) -> io::Result<Self> {
        Postgres::start(postgres_options(id, name, settings), jobs, tell).map(Self::Postgres)
    }
}

/// Checks the queries of a source against its database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fit {
    /// They fit, or there is no database yet.
    Fits,
    /// It cannot be asked now; why.
    Unasked(String),
    /// A query does not fit; which and why.
    Misfit(String),
}

/// Holds the queries of `asked` against its database.
#[must_use]
pub fn fit(id: SourceId, asked: &SourceSettings) -> Fit {
    let name = &asked.name;
    let told = |error: &dyn std::fmt::Display| format!("source \"{name}\": {error}");
    match &asked.kind {
        SourceKind::Api => Fit::Fits,
        SourceKind::Sqlite(sqlite) if !sqlite.path.exists() => Fit::Fits,
        SourceKind::Sqlite(sqlite) => match check_sqlite(&sqlite_options(id, name, sqlite)) {
            Ok(()) => Fit::Fits,
            // It may be readable when the daemon asks it: until then it counts as down.
            Err(QueryError::Database(why)) => Fit::Unasked(told(&why)),
            Err(error @ (QueryError::Query { .. } | QueryError::Zone { .. })) => {
                Fit::Misfit(told(&error))
            }
        },
        SourceKind::Postgres(postgres) => {
            match check_postgres(&postgres_options(id, name, postgres)) {
                Ok(()) => Fit::Fits,
                Err(QueryError::Database(why)) => Fit::Unasked(told(&why)),
                Err(error @ (QueryError::Query { .. } | QueryError::Zone { .. })) => {
                    Fit::Misfit(told(&error))
                }
            }
        }
    }
}

/// Returns the address of a source's server, without its password.
#[must_use]
pub fn place(settings: &PostgresSettings) -> String {
    sources::place(&settings.server)
}

/// The table and the column that the ids of a source of kind postgres come from.
///
/// # Errors
/// If the server cannot be asked, or there is no such table; with what would fix it.
pub fn table(name: &str, settings: &PostgresSettings) -> Result<Table, QueryError> {
    table_of(&postgres_options(SourceId(0), name, settings))
}

fn sqlite_options(id: SourceId, name: &str, settings: &SqliteSettings) -> SqliteOptions {
    let columns = settings.add_columns.iter();
    let add_columns = columns.map(|((table, column), kind)| AddedColumn {
        table: table.clone(),
        column: column.clone(),
        kind: kind.clone(),
    });
    SqliteOptions {
        id,
        name: name.to_owned(),
        path: settings.path.clone(),
        queries: settings.queries.clone(),
        add_columns: add_columns.collect(),
    }
}

fn postgres_options(id: SourceId, name: &str, settings: &PostgresSettings) -> PostgresOptions {
    PostgresOptions {
        id,
        name: name.to_owned(),
        server: settings.server.clone(),
        tls: settings.tls.clone(),
        channel: settings.channel.clone(),
        poll: settings.poll,
        statement_timeout: settings.statement_timeout,
        queries: settings.queries.clone(),
    }
}

//! A database of jobs: what the daemon asks of it.

use std::time::Duration;

use crate::clock;
use crate::config::{SourceKind, SourceSettings};
use crate::core::jobs::{JobLookup, JobRow};
use crate::sources::{self, DatabaseOptions, QueryError, Source, SourceState};

/// Reason why the absence of a job is not certain.
pub(super) const STILL_READ: &str = "it has changed and is being read";

/// Returns the row that `database` has of the job `id` now; that there is none only if nothing else
/// is still to be read.
pub(super) fn fresh(database: &Source, id: &str) -> JobLookup {
    let fresh = match id {
        // It stands for no row; the source itself is asked.
        JobRow::UNNAMED => JobLookup::Gone,
        id => database.fresh(id),
    };
    match fresh {
        // Another job may claim it since.
        JobLookup::Gone if !database.is_current() => JobLookup::Unknown(STILL_READ.to_owned()),
        fresh => fresh,
    }
}

/// Returns true if `database` has told everything that was so when it was first asked, or is down,
/// so that nobody can know. If not, a reading is on its way, and `ordered`, which begins as `None`,
/// says since when. May wait for two seconds.
pub(super) fn has_caught_up(database: &Source, ordered: &mut Option<Duration>) -> bool {
    match database.stats().state {
        SourceState::Down { .. } => return true,
        SourceState::Loading => return false,
        SourceState::Ready => {}
    }
    let is_current = database.is_current();
    // One that is written all the time is never current, but it has been read since.
    let ordered = *ordered.get_or_insert_with(|| clock::now().boot);
    let stats = database.stats();
    let was_read = stats.read_from.is_some_and(|from| from >= ordered);
    (is_current || was_read) && !stats.is_telling
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
pub fn fit(asked: &SourceSettings) -> Fit {
    let name = &asked.name;
    let told = |error: &dyn std::fmt::Display| format!("source \"{name}\": {error}");
    match &asked.kind {
        SourceKind::Api => Fit::Fits,
        SourceKind::Database(DatabaseOptions::Sqlite(sqlite)) if !sqlite.path.exists() => Fit::Fits,
        SourceKind::Database(database) => match sources::check(name, database) {
            Ok(()) => Fit::Fits,
            // It may be readable when the daemon asks it: until then it counts as down.
            Err(QueryError::Database(why)) => Fit::Unasked(told(&why)),
            Err(error @ (QueryError::Query { .. } | QueryError::Zone { .. })) => {
                Fit::Misfit(told(&error))
            }
        },
    }
}

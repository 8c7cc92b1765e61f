//! From a row of the database to a row of ours.
//!
//! **Invariant:** a value that decides and cannot be read holds its job; a status without a
//! meaning counts as running.
//! **Invariant:** a peculiarity is said once, not for each row.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::error::QueryError;
use super::options::Queries;
use super::sql_value::SqlValue;
use super::timestamp;
use super::zone::Zones;
use crate::core::jobs::{JobRow, JobTimestamps, Status};
use crate::core::time::Timestamp;

/// Most warnings about values in the life of a source: a column of free text may hold millions of
/// unknown words.
const SAID_MAX: usize = 100;

/// The columns of timestamps, in the order of [`Columns::moments`].
const MOMENTS: [&str; 5] = [
    "created_at",
    "completed_at",
    "last_activity",
    "expires_at",
    "cleaned_at",
];

/// The column of a timestamp that decides nothing. It is an attribute, too.
const STARTED_AT: &str = "started_at";

/// Reads rows of one source.
pub(super) struct Decoder {
    source: String,
    constant_status: Option<Status>,
    statuses: BTreeMap<String, Status>,
    zones: Zones,
    said: Mutex<BTreeSet<String>>,
}

/// Positions of the columns in a query's answer.
#[derive(Default)]
pub(super) struct Columns {
    id: Option<usize>,
    status: Option<usize>,
    kind: Option<usize>,
    error: Option<usize>,
    files: Option<usize>,
    moments: [Option<usize>; 5],
    /// Zones of the moments, and of `started_at`.
    zones: Vec<TimeZone>,
    changed_at: Option<usize>,
    started_at: Option<usize>,
    attributes: Vec<(usize, String)>,
}

impl Columns {
    /// Returns where the id stands, without which a row says nothing; every query was found to have
    /// it.
    pub(super) fn id_at(&self) -> usize {
        self.id.unwrap_or_default()
    }

    /// The column that shows when the row changed.
    pub(super) fn changed_at(&self) -> Option<usize> {
        self.changed_at
    }

    /// Returns where the id stands in `row`, and what it is.
    pub(super) fn id_in(&self, row: &[SqlValue<'_>]) -> Option<String> {
        cell(row, self.id).id()
    }
}

impl Decoder {
    /// A decoder for the answers to `queries`.
    ///
    /// # Errors
    /// When a time zone is unknown.
    pub(super) fn new(source: &str, queries: &Queries) -> Result<Self, QueryError> {
        Ok(Self {
            source: source.to_owned(),
            constant_status: queries.constant_status,
            statuses: queries.statuses.clone(),
            zones: Zones::parse(&queries.timezones)?,
            said: Mutex::default(),
        })
    }

    /// The time zone of the naive timestamps of `column`.
    pub(super) fn zone(&self, column: &str) -> TimeZone {
        self.zones.of(column)
    }

    /// Returns where what stands in answers with the columns `names`.
    pub(super) fn columns(&self, names: &[&str]) -> Columns {
        let mut columns = Columns::default();
        for (at, name) in names.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            let moment = MOMENTS.iter().position(|moment| *moment == lower);
            let place = match lower.as_str() {
                "id" => Some(&mut columns.id),
                "status" => Some(&mut columns.status),
                "kind" => Some(&mut columns.kind),
                "error" => Some(&mut columns.error),
                "files" => Some(&mut columns.files),
                "changed_at" => Some(&mut columns.changed_at),
                _ => moment.map(|no| &mut columns.moments[no]),
            };
            if lower == STARTED_AT {
                columns.started_at.get_or_insert(at);
            }
            match place {
                // Of several with one name the first counts.
                Some(place) if place.is_none() => *place = Some(at),
                Some(_) | None => columns.attributes.push((at, (*name).to_owned())),
            }
        }
        let zoned = MOMENTS.iter().chain([&STARTED_AT]);
        columns.zones = zoned.map(|name| self.zone(name)).collect();
        columns
    }

    /// Returns the job of `row`, as far as it decides; [`JobRow::UNNAMED`] when it has no id that
    /// could be one.
    pub(super) fn decode(&self, columns: &Columns, row: &[SqlValue<'_>]) -> JobRow {
        let Some(id) = columns.id_in(row) else {
            return self.unnamed(columns, row);
        };
        let mut job = JobRow::new(id, Status::Running);
        match columns.status {
            Some(at) => (job.status, job.unknown_status) = self.status(row[at]),
            None => match self.constant_status {
                Some(status) => job.status = status,
                None => job.unknown_status = Some(String::new()),
            },
        }
        let kind = cell(row, columns.kind);
        if matches!(kind, SqlValue::Text(text) if std::str::from_utf8(text).is_err()) {
            job.unreadable = Some(self.unreadable("kind", kind));
        }
        job.kind = kind.text().filter(|kind| !kind.is_empty());
        self.add_files(cell(row, columns.files), &mut job);
        let mut moments = [None; 5];
        for (no, name) in MOMENTS.iter().enumerate() {
            let value = cell(row, columns.moments[no]);
            match timestamp::parse(value, &columns.zones[no]) {
                Ok(at) => moments[no] = at,
                Err(timestamp::Unreadable) => job.unreadable = Some(self.unreadable(name, value)),
            }
        }
        job.moments = moments_of(moments);
        job
    }

    /// Returns the job of a row without an id: whatever its status says, it never ends.
    fn unnamed(&self, columns: &Columns, row: &[SqlValue<'_>]) -> JobRow {
        self.warn_once("id", || {
            tracing::warn!(
                source = self.source,
                "rows have an id that is neither text nor an integer: what they may own is held; give them an id, or leave them out of select"
            );
        });
        let mut job = JobRow::new(JobRow::UNNAMED, Status::Running);
        self.add_files(cell(row, columns.files), &mut job);
        let id = cell(row, columns.id);
        if !matches!(id, SqlValue::Null | SqlValue::Text(b"")) {
            job.has_unread_files = true;
            job.unreadable = Some(self.unreadable("id", id));
        }
        job
    }

    fn add_files(&self, files: SqlValue<'_>, job: &mut JobRow) {
        if let Some(files) = files.files() {
            job.files = files;
        } else {
            job.has_unread_files = true;
            job.unreadable = Some(self.unreadable("files", files));
        }
    }

    /// Adds to `job` what decides nothing.
    pub(super) fn complete(columns: &Columns, row: &[SqlValue<'_>], job: &mut JobRow) {
        let zone = columns.zones.get(MOMENTS.len());
        let started = cell(row, columns.started_at);
        job.started_at = zone.and_then(|zone| timestamp::parse(started, zone).ok().flatten());
        job.error = cell(row, columns.error)
            .text()
            .filter(|error| !error.is_empty());
        for (at, name) in &columns.attributes {
            job.attributes.insert(name.clone(), row[*at].json());
        }
    }

    /// Says that several rows have the same id, once.
    pub(super) fn warn_duplicate_id(&self, id: &str) {
        self.warn_once("double", || {
            tracing::warn!(
                source = self.source,
                job = id,
                "several rows have the same id: the first of them counts"
            );
        });
    }

    /// The status that a word means, and the word if it means none.
    fn status(&self, value: SqlValue<'_>) -> (Status, Option<String>) {
        let word = value.text().unwrap_or_default();
        let known = self
            .statuses
            .get(&word)
            .copied()
            .or_else(|| Status::of_word(&word.trim().to_ascii_lowercase()));
        if let Some(status) = known {
            return (status, None);
        }
        self.warn_once(&format!("status {word}"), || {
            tracing::warn!(
                source = self.source,
                status = word,
                "nobody has said what this status means: such jobs count as running; name it in the source's statuses"
            );
        });
        (Status::Running, Some(word))
    }

    fn unreadable(&self, column: &str, value: SqlValue<'_>) -> String {
        let shown = value.json().to_string();
        let what = format!("column {column}: {shown}");
        self.warn_once(&format!("column {column}"), || {
            tracing::warn!(
                source = self.source,
                column,
                value = shown,
                "a value cannot be read: nothing goes of jobs with such values"
            );
        });
        what
    }

    fn warn_once(&self, what: &str, say: impl FnOnce()) {
        let mut said = self.said.lock();
        if said.len() < SAID_MAX && !said.contains(what) {
            said.insert(what.to_owned());
            drop(said);
            say();
        }
    }
}

/// Returns what stands at a place that a query may not have.
fn cell<'a>(row: &[SqlValue<'a>], at: Option<usize>) -> SqlValue<'a> {
    at.map_or(SqlValue::Null, |at| row[at])
}

fn moments_of(moments: [Option<Timestamp>; 5]) -> JobTimestamps {
    let [
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    ] = moments;
    JobTimestamps {
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    }
}

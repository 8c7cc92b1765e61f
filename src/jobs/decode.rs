//! From a row of the database to a row of ours.
//!
//! **Invariant:** a value that decides and cannot be read holds its job; a status that nobody explained counts as running.
//! **Invariant:** a peculiarity is said once, not for each row.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use parking_lot::Mutex;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row, Statement};
use serde_json::Value as Json;

use super::error::QueryError;
use super::moment;
use super::options::SqliteOptions;
use super::zone::Zones;
use crate::core::jobs::{JobRow, Moments, Status};
use crate::core::time::Timestamp;

/// How many peculiarities are said in the life of a source: a column of free text may hold millions of unknown words.
const SAID_MAX: usize = 100;

/// The columns of timestamps, in the order of [`Columns::moments`].
const MOMENTS: [&str; 5] = [
    "created_at",
    "completed_at",
    "last_activity",
    "expires_at",
    "cleaned_at",
];

/// Reads rows of one source.
pub(super) struct Decoder {
    source: String,
    constant_status: Option<Status>,
    statuses: BTreeMap<String, Status>,
    zones: Zones,
    said: Mutex<BTreeSet<String>>,
}

/// Where in a query's answer what stands.
pub(super) struct Columns {
    id: Option<usize>,
    status: Option<usize>,
    kind: Option<usize>,
    error: Option<usize>,
    files: Option<usize>,
    moments: [Option<(usize, TimeZone)>; 5],
    changed_at: Option<usize>,
    attributes: Vec<(usize, String)>,
}

impl Columns {
    /// The column of ids, without which a row says nothing.
    pub(super) fn id(&self) -> Option<usize> {
        self.id
    }

    /// The raw value that tells when the row changed.
    pub(super) fn changed_at(&self, row: &Row<'_>) -> rusqlite::Result<Value> {
        let Some(at) = self.changed_at else {
            return Ok(Value::Null);
        };
        row.get_ref(at).map(Value::from)
    }
}

impl Decoder {
    /// A decoder for `options`.
    ///
    /// # Errors
    /// When a time zone is unknown.
    pub(super) fn new(options: &SqliteOptions) -> Result<Self, QueryError> {
        Ok(Self {
            source: options.name.clone(),
            constant_status: options.queries.constant_status,
            statuses: options.queries.statuses.clone(),
            zones: Zones::parse(&options.queries.timezones)?,
            said: Mutex::default(),
        })
    }

    /// The time zone of the naive timestamps of `column`.
    pub(super) fn zone(&self, column: &str) -> TimeZone {
        self.zones.of(column)
    }

    /// Where what stands in the answers of `statement`.
    pub(super) fn columns(&self, statement: &Statement<'_>) -> Columns {
        let names = statement.column_names();
        let find = |wanted: &str| {
            names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(wanted))
        };
        let mut columns = Columns {
            id: find("id"),
            status: find("status"),
            kind: find("kind"),
            error: find("error"),
            files: find("files"),
            moments: MOMENTS.map(|name| find(name).map(|at| (at, self.zone(name)))),
            changed_at: find("changed_at"),
            attributes: Vec::new(),
        };
        let meant: BTreeSet<usize> = [
            columns.id,
            columns.status,
            columns.kind,
            columns.error,
            columns.files,
            columns.changed_at,
        ]
        .into_iter()
        .chain(
            columns
                .moments
                .iter()
                .map(|of| of.as_ref().map(|(at, _)| *at)),
        )
        .flatten()
        .collect();
        columns.attributes = (0..)
            .zip(&names)
            .filter(|(at, _)| !meant.contains(at))
            .map(|(at, name)| (at, (*name).to_owned()))
            .collect();
        columns
    }

    /// The job of `row`, as far as it decides; `None`: it has no id that could be one.
    pub(super) fn decode(
        &self,
        columns: &Columns,
        row: &Row<'_>,
    ) -> rusqlite::Result<Option<JobRow>> {
        let get = |at: Option<usize>| at.map_or(Ok(ValueRef::Null), |at| row.get_ref(at));
        let Some(id) = id_of(get(columns.id)?) else {
            self.say_no_id();
            return Ok(None);
        };
        let mut job = JobRow::new(id, Status::Running);
        match columns.status {
            Some(at) => (job.status, job.unknown_status) = self.status(row.get_ref(at)?),
            None => match self.constant_status {
                Some(status) => job.status = status,
                None => job.unknown_status = Some(String::new()),
            },
        }
        job.kind = text_of(get(columns.kind)?).filter(|kind| !kind.is_empty());
        match files_of(get(columns.files)?) {
            Some(files) => job.files = files,
            None => job.unreadable = Some(self.unreadable("files", get(columns.files)?)),
        }
        let mut moments = [None; 5];
        for ((of, name), moment) in columns.moments.iter().zip(MOMENTS).zip(&mut moments) {
            let Some((at, zone)) = of else { continue };
            let value = row.get_ref(*at)?;
            match moment::parse(value, zone) {
                Ok(at) => *moment = at,
                Err(moment::Unreadable) => job.unreadable = Some(self.unreadable(name, value)),
            }
        }
        job.moments = moments_of(moments);
        Ok(Some(job))
    }

    /// Adds to `job` what decides nothing.
    pub(super) fn complete(
        columns: &Columns,
        row: &Row<'_>,
        job: &mut JobRow,
    ) -> rusqlite::Result<()> {
        if let Some(at) = columns.error {
            job.error = text_of(row.get_ref(at)?).filter(|error| !error.is_empty());
        }
        for (at, name) in &columns.attributes {
            let value = json_of(row.get_ref(*at)?);
            job.attributes.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Says that rows have no id that could be one, once.
    pub(super) fn say_no_id(&self) {
        self.say_once("id", || {
            tracing::warn!(
                source = self.source,
                "rows are left out: their id is neither text nor an integer"
            );
        });
    }

    /// Says that several rows have the same id, once.
    pub(super) fn say_double(&self, id: &str) {
        self.say_once("double", || {
            tracing::warn!(
                source = self.source,
                job = id,
                "several rows have the same id: the first of them counts"
            );
        });
    }

    /// The status that a word means, and the word if it means none.
    fn status(&self, value: ValueRef<'_>) -> (Status, Option<String>) {
        let word = text_of(value).unwrap_or_default();
        let known = self
            .statuses
            .get(&word)
            .copied()
            .or_else(|| Status::of_word(&word.trim().to_ascii_lowercase()));
        if let Some(status) = known {
            return (status, None);
        }
        self.say_once(&format!("status {word}"), || {
            tracing::warn!(
                source = self.source,
                status = word,
                "nobody has said what this status means: such jobs count as running; name it in the source's statuses"
            );
        });
        (Status::Running, Some(word))
    }

    fn unreadable(&self, column: &str, value: ValueRef<'_>) -> String {
        let shown = json_of(value).to_string();
        let what = format!("column {column}: {shown}");
        self.say_once(&format!("column {column}"), || {
            tracing::warn!(
                source = self.source,
                column,
                value = shown,
                "a value cannot be read: nothing goes of jobs with such values"
            );
        });
        what
    }

    fn say_once(&self, what: &str, say: impl FnOnce()) {
        let mut said = self.said.lock();
        if said.len() < SAID_MAX && !said.contains(what) {
            said.insert(what.to_owned());
            drop(said);
            say();
        }
    }
}

/// The text of an id, if it is one.
pub(super) fn id_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Text(text) if !text.is_empty() => {
            std::str::from_utf8(text).ok().map(str::to_owned)
        }
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

fn text_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Some(String::from_utf8_lossy(text).into_owned())
        }
    }
}

/// The names that a value holds: one, or a JSON array of them. `None`: it cannot be read.
fn files_of(value: ValueRef<'_>) -> Option<Vec<String>> {
    let text = match value {
        ValueRef::Null => return Some(Vec::new()),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?,
        ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => return None,
    };
    if text.is_empty() {
        return Some(Vec::new());
    }
    if !text.trim_start().starts_with('[') {
        return Some(vec![text.to_owned()]);
    }
    let mut names: Vec<String> = match serde_json::from_str::<Json>(text) {
        // A name may begin so, too.
        Err(_) => return Some(vec![text.to_owned()]),
        Ok(array) => serde_json::from_value(array).ok()?,
    };
    names.retain(|name| !name.is_empty());
    Some(names)
}

fn json_of(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Json::Null,
        ValueRef::Integer(number) => Json::from(number),
        ValueRef::Real(number) => Json::from(number),
        ValueRef::Text(text) => Json::from(String::from_utf8_lossy(text)),
    }
}

fn moments_of(moments: [Option<Timestamp>; 5]) -> Moments {
    let [
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    ] = moments;
    Moments {
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    }
}

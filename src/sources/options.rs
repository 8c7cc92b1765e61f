//! Queries of a database.

use std::collections::BTreeMap;

use crate::core::jobs::Status;

/// Queries, and how the answers are read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Queries {
    /// All jobs. Columns with these names mean something: `id` (required), `status`, `kind`,
    /// `created_at`, `completed_at`, `last_activity`, `expires_at`, `cleaned_at`, `files`, `error`;
    /// others are attributes.
    pub select: String,
    /// The jobs that changed at `:since` or later, with the columns of `select` and `changed_at`,
    /// whose greatest value is the next `:since`.
    pub changed: Option<String>,
    /// Statements that note that a job was cleaned: one transaction. They may name `:job`, `:now`,
    /// `:summary`, and every column of `select`, as it is just then.
    pub mark: Vec<String>,
    /// Statements that remove a job's record, likewise.
    pub forget: Vec<String>,
    /// The status of every job, where `select` has no such column.
    pub constant_status: Option<Status>,
    /// Meaning of the words of its status column. The five words themselves mean what they say,
    /// unless they are here.
    pub statuses: BTreeMap<String, Status>,
    /// The time zone of naive timestamps, by column: an IANA name, `UTC`, or `local`. Others: UTC.
    pub timezones: BTreeMap<String, String>,
}

impl Queries {
    /// `select` as a table to select from. On lines of its own, since it may end in a comment.
    pub(super) fn jobs(&self) -> String {
        format!("(\n{}\n)", bare(&self.select))
    }
}

/// A statement without the semicolon at its end.
pub(super) fn bare(sql: &str) -> &str {
    sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';')
}

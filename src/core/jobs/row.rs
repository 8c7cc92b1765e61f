//! One job as its source tells it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::time::Timestamp;

/// A source of jobs. Stays the same for a name for as long as the process lives, over every reload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SourceId(pub u16);

/// Key of a job: ids are scoped by source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobKey {
    /// The source that tells of it.
    pub source: SourceId,
    /// Its id there. Never empty.
    pub id: String,
}

/// Status of a job.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "lowercase")]
#[schema(as = JobStatus)]
pub enum Status {
    /// It waits to be run: its files are inputs.
    Pending,
    /// It runs, as far as is known.
    Running,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// A user ended it.
    Cancelled,
}

impl Status {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in configuration, JSON and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The status behind its word, as [`Status::as_str`] has it.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns true if the job has ended: only then can it lose anything.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The instants of a job's life; `None`: not yet, or its source does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JobTimestamps {
    /// Instant of its creation.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub created_at: Option<Timestamp>,
    /// Instant of its end.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub completed_at: Option<Timestamp>,
    /// Instant at which it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub last_activity: Option<Timestamp>,
    /// Instant after which the application does not need it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub expires_at: Option<Timestamp>,
    /// Instant at which it was cleaned: it is done, and still owns what was kept.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub cleaned_at: Option<Timestamp>,
}

/// Facts of a job that decide nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobFacts {
    /// Instant at which it began to run.
    pub started_at: Option<Timestamp>,
    /// The reason why it failed, in the application's words.
    pub error: Option<String>,
    /// Whatever else there is, by its name.
    pub attributes: BTreeMap<String, serde_json::Value>,
}

impl JobFacts {
    /// Returns their size in JSON, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let error = self.error.as_ref().map_or(0, String::len);
        error + serde_json::to_vec(&self.attributes).map_or(usize::MAX / 2, |json| json.len())
    }
}

/// One job as its source tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobRow {
    /// Its id: a key, never a path. [`JobRow::UNNAMED`] for the rows that have none.
    pub id: String,
    /// Kind of the job, in the application's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Status.
    pub status: Status,
    /// The source's own word, when the configuration does not map it: the job counts as running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_status: Option<String>,
    /// The instants of its life.
    #[serde(flatten)]
    pub moments: JobTimestamps,
    /// Instant at which it began to run. Not kept in memory: no rule counts from it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub started_at: Option<Timestamp>,
    /// The reason why it failed, in the application's words. Not kept in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The files that it claims, as the source names them: data from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// True if the source has something there that cannot be read: it may name any file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_unread_files: bool,
    /// Whatever else the source tells of it. Not kept in memory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// A value of it that cannot be read, with its column: then nothing of the job goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl JobRow {
    /// The id of the one job that stands for all rows of a source whose id cannot be used. No other
    /// job has it, and no template captures it. A source that is asked for it says whether anything
    /// else is still to be read: [`super::JobLookup::Gone`] means that nothing is.
    pub const UNNAMED: &'static str = "";

    /// A job of which nothing is known but its id and how it stands.
    #[must_use]
    pub fn new(id: impl Into<String>, status: Status) -> Self {
        Self {
            id: id.into(),
            kind: None,
            status,
            unknown_status: None,
            moments: JobTimestamps::default(),
            started_at: None,
            error: None,
            files: Vec::new(),
            has_unread_files: false,
            attributes: BTreeMap::new(),
            unreadable: None,
        }
    }

    /// Returns those of its facts that decide nothing.
    #[must_use]
    pub fn facts(&self) -> JobFacts {
        JobFacts {
            started_at: self.started_at,
            error: self.error.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// Returns true if everything that decides about the job's files is as it is in `other`: a row
    /// of which this cannot be said has come back to life. Its start, the error and the
    /// attributes decide nothing.
    #[must_use]
    pub fn decides_as(&self, other: &Self) -> bool {
        let of = |row: &Self| Self {
            started_at: None,
            error: None,
            attributes: BTreeMap::new(),
            ..row.clone()
        };
        of(self) == of(other)
    }
}

/// Instants as RFC 3339 in UTC with milliseconds: rows are read by people, in the ledger.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::core::time::Timestamp;

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.collect_str(at),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Some(Timestamp::from_unix_ms(at.as_millisecond())))
    }
}

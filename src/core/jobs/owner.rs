//! From a path to the jobs that own it.

use std::sync::Arc;

use super::row::{JobKey, JobRow, JobTimestamps, SourceId, Status};

/// A job, as far as it decides about files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The job.
    pub key: JobKey,
    /// Kind of the job.
    pub kind: Option<Arc<str>>,
    /// Status.
    pub status: Status,
    /// The instants of its life.
    pub moments: JobTimestamps,
    /// True if a value of it cannot be read: then nothing of it goes.
    pub unreadable: bool,
}

impl Job {
    /// Returns true if it can lose anything at all. A job that was cleaned still owns what was
    /// kept, and loses nothing more.
    #[must_use]
    pub fn can_lose(&self) -> bool {
        self.status.is_over() && !self.unreadable && self.moments.cleaned_at.is_none()
    }
}

/// Answer of a source about one job at this very moment.
#[derive(Clone, PartialEq, Debug)]
pub enum JobLookup {
    /// This.
    Row(Box<JobRow>),
    /// It has no such job.
    Gone,
    /// It cannot be asked, for this reason; or it has changed and was not read yet.
    Unknown(String),
}

/// Owner of a path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Owner {
    /// No owner: the root asks no source, and no job claims it.
    #[default]
    Nobody,
    /// The source of the root knows no job that owns it. With the job that the root's template
    /// captures, if it does.
    Unknown {
        /// The source that would know.
        source: SourceId,
        /// The id that the template captured.
        captured: Option<String>,
    },
    /// These jobs; never empty. Several: it is contested.
    Jobs(Vec<Job>),
}

impl Owner {
    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        match self {
            Self::Nobody | Self::Unknown { .. } => &[],
            Self::Jobs(jobs) => jobs,
        }
    }

    /// The jobs that have a say in when it goes: one that was cleaned has let go what it could, and
    /// keeps only what no other job owns.
    pub fn with_say(&self) -> impl Iterator<Item = &Job> {
        let is_done =
            |job: &Job| job.moments.cleaned_at.is_some() && job.status.is_over() && !job.unreadable;
        let all_done = self.jobs().iter().all(is_done);
        self.jobs()
            .iter()
            .filter(move |job| all_done || !is_done(job))
    }

    /// The jobs whose rows are to be read again before anything of theirs goes; of an orphan, the
    /// one that it would be of, or else [`JobRow::UNNAMED`]: a row that has not been read yet may
    /// claim it.
    #[must_use]
    pub fn keys(&self) -> Vec<JobKey> {
        match self {
            Self::Nobody => Vec::new(),
            Self::Unknown { source, captured } => vec![JobKey {
                source: *source,
                id: captured.clone().unwrap_or_default(),
            }],
            Self::Jobs(jobs) => jobs.iter().map(|job| job.key.clone()).collect(),
        }
    }
}

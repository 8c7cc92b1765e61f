//! State and figures of a source.

use std::time::Duration;

use crate::core::time::Timestamp;

/// State of a source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum SourceState {
    /// It is being read for the first time.
    #[default]
    Loading,
    /// It was read.
    Ready,
    /// It cannot be read.
    Down {
        /// The reason, and what would mend it.
        why: String,
    },
}

/// Way in which changes of a source are noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeDetection {
    /// It says so.
    Notifications,
    /// It is asked from time to time.
    Polling {
        /// The reason, and what would mend it.
        why: String,
    },
}

/// State and figures of a source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceStats {
    /// Its state.
    pub state: SourceState,
    /// Way in which changes are noticed; `None`: there is only one, or it is not known yet.
    pub detection: Option<ChangeDetection>,
    /// Number of jobs when all of them were read last.
    pub jobs: u64,
    /// Number of readings of everything.
    pub reads: u64,
    /// Number of readings of changes.
    pub reads_of_changes: u64,
    /// Time of the last reading, of everything or of changes.
    pub last_read_at: Option<Timestamp>,
    /// Duration of the last reading of everything.
    pub last_read_took: Option<Duration>,
    /// Start of the last reading that found everything that had changed by then, and was reported:
    /// on the clock that cannot be set.
    pub read_from: Option<Duration>,
    /// True if the end of a reading is still to be reported.
    pub is_telling: bool,
    /// Number of times that its thread woke.
    pub turns: u64,
}

//! How a source is doing.

use std::time::Duration;

use crate::core::time::Timestamp;

/// Whether a source can be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum SourceState {
    /// It is being read for the first time.
    #[default]
    Loading,
    /// It was read.
    Ready,
    /// It cannot be read.
    Down {
        /// Why, and what would mend it.
        why: String,
    },
}

/// How a source of the network tells that something has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeDetection {
    /// It says so.
    Notifications,
    /// It is asked from time to time.
    Polling {
        /// Why, and what would mend it.
        why: String,
    },
}

/// How a source is doing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceStats {
    /// Whether it can be read.
    pub state: SourceState,
    /// How changes are noticed; `None`: as it is the only way, or not known yet.
    pub heard: Option<ChangeDetection>,
    /// How many jobs it had when all of them were read last.
    pub jobs: u64,
    /// How often all of it was read.
    pub reads: u64,
    /// How often only what changed was read.
    pub reads_of_changes: u64,
    /// When it was read last, the whole or what changed.
    pub last_read_at: Option<Timestamp>,
    /// How long the last reading of all of it took.
    pub last_read_took: Option<Duration>,
    /// When the last reading began that found everything that had changed by then, and was told: on the clock that nobody can set.
    pub read_from: Option<Duration>,
    /// Whether the end of a reading is still to be told.
    pub is_telling: bool,
    /// How often its thread woke.
    pub turns: u64,
}

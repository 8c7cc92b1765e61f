//! Events of `GET /v1/events`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{JsonPath, Moment};
use crate::core::claim::Unit;
use crate::core::pauses::Pause;
use crate::core::policy::Measure;
use crate::core::principal::Principal;
use crate::core::report::Counted;
use crate::core::run::{RunCause, RunStatus};

/// Event, as the data of one server-sent event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventLine {
    /// Number; absent for a gap, so that a client that returns asks for what it misses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Instant at which it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Moment>,
    /// Name of the root.
    pub root: Option<String>,
    /// Absolute path.
    pub path: Option<String>,
    /// The path in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A file, directory or job lapsed and was removed.
    Lapsed {
        /// `file`, `dir` or `job`.
        unit: Unit,
        /// Name of the rule.
        rule: String,
        /// Deadline.
        deadline: Moment,
        /// Instant of the removal.
        removed_at: Moment,
        /// From the deadline, or the end of a hold, to the removal.
        late_ms: i64,
        /// Regular files.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// Number of the line in the ledger.
        ledger_id: u64,
        /// Id of the job, for a job.
        job: Option<String>,
        /// Name of the job's source.
        source: Option<String>,
    },
    /// Something is due and kept; published once for each entry and hold.
    Held {
        /// Code of the hold.
        hold: String,
        /// Meaning, and what ends the hold.
        why: String,
    },
    /// A file appeared, changed or disappeared.
    Observed {
        /// Size in bytes; `null`: it disappeared.
        size: Option<u64>,
    },
    /// A root was found, lost or read.
    Root {
        /// False if it is lost, or cannot be reached.
        is_available: bool,
        /// Description.
        what: String,
    },
    /// The breaker tripped.
    Tripped {
        /// Instant.
        tripped_at: Moment,
        /// Number of things that became due at once.
        due: u64,
        /// Of how many.
        of: u64,
        /// Counted things.
        what: Counted,
    },
    /// The breaker was released.
    Released {
        /// Requester.
        by: Principal,
    },
    /// Removals were paused.
    Paused {
        /// Name of the user who ordered it.
        who: String,
        /// Reason.
        why: String,
        /// Instant at which the pause ends by itself.
        until: Moment,
    },
    /// A pause ended.
    Resumed {
        /// Reason of the pause.
        why: String,
        /// Requester; `null`: its time has come.
        by: Option<Principal>,
    },
    /// A source of jobs was read, failed, or recovered.
    Source {
        /// Name of the source.
        source: String,
        /// False if it cannot be read.
        is_available: bool,
        /// Description.
        what: String,
    },
    /// The breaker tripped for orphans.
    OrphansTripped {
        /// Name of the source, if all its roots are meant.
        source: Option<String>,
        /// Reason.
        why: String,
    },
    /// A job claims a path that it cannot own.
    ClaimRefused {
        /// Name of the source.
        source: String,
        /// Id of the job.
        job: String,
        /// Claimed path, as the source spells it.
        file: String,
        /// Reason.
        why: String,
    },
    /// A run began or ended.
    Run {
        /// Its number.
        run: u64,
        /// State or outcome.
        status: RunStatus,
        /// Cause.
        cause: RunCause,
        /// Requester.
        by: Principal,
        /// Removed files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The size of a root, or the free space of its file system, crossed a threshold of the root's
    /// `alert`, or went back; at the start of the daemon also as it is.
    Space {
        /// False if it is over.
        is_crossed: bool,
        /// Threshold and value.
        #[serde(flatten)]
        measure: Measure,
    },
    /// The cache can be written again.
    Saving {},
    /// The wall clock jumped.
    Clock {
        /// Milliseconds; negative: back.
        by_ms: i64,
    },
    /// Events that the client asked for are gone.
    Missing(Gap),
    /// The client read too slowly and is disconnected.
    Dropped(Gap),
}

/// Gap in a stream of events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// Last number that the client has.
    pub after: u64,
    /// Last number that is gone.
    pub until: u64,
    /// Description, and what to do.
    pub why: String,
}

impl Event {
    /// The beginning of `pause`.
    #[must_use]
    pub fn of_pause(pause: &Pause) -> Self {
        Self::Paused {
            who: pause.who.clone(),
            why: pause.why.clone(),
            until: Moment(pause.until),
        }
    }

    /// The end of `pause`, by the word of `by`.
    #[must_use]
    pub fn of_end(pause: &Pause, by: Option<Principal>) -> Self {
        let why = pause.why.clone();
        Self::Resumed { why, by }
    }

    /// Name in the `event` line of a server-sent event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lapsed { .. } => "lapsed",
            Self::Held { .. } => "held",
            Self::Observed { .. } => "observed",
            Self::Root { .. } => "root",
            Self::Tripped { .. } => "tripped",
            Self::Released { .. } => "released",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::Source { .. } => "source",
            Self::OrphansTripped { .. } => "orphans-tripped",
            Self::ClaimRefused { .. } => "claim-refused",
            Self::Run { .. } => "run",
            Self::Space { .. } => "space",
            Self::Saving {} => "saving",
            Self::Clock { .. } => "clock",
            Self::Missing(_) => "missing",
            Self::Dropped(_) => "dropped",
        }
    }
}

impl EventLine {
    /// Sets root and path.
    #[must_use]
    pub fn at_path(self, root: Option<String>, path: Option<JsonPath>) -> Self {
        let (path, path_b64) = path.map_or((None, None), |path| (Some(path.path), path.path_b64));
        Self {
            root,
            path,
            path_b64,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_tag() {
        let gap = Gap {
            after: 1,
            until: 2,
            why: String::new(),
        };
        for event in [
            Event::Saving {},
            Event::OrphansTripped {
                source: None,
                why: String::new(),
            },
            Event::Clock { by_ms: -5 },
            Event::Resumed {
                why: String::new(),
                by: None,
            },
            Event::Missing(gap.clone()),
            Event::Dropped(gap),
        ] {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["event"], event.name());
            assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
        }
    }
}

//! Records beside pages, directories, and stamps.

use serde::{Deserialize, Serialize};

use crate::core::clock_guard::ClockGuard;
use crate::core::index::DirId;
use crate::core::policy::Policy;
use crate::core::report::{Mode, SavedRoot};

/// Keys in the tree of records of the cache as a whole.
pub(super) const RULES_KEY: &[u8] = b"rules";
/// See [`RULES_KEY`].
pub(super) const CLOCK_KEY: &[u8] = b"clock";

/// Root, whose path is the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct RootRecord {
    /// Number of its top directory; `None` if nothing is known of its contents.
    pub(super) top: Option<u32>,
    #[serde(flatten)]
    pub(super) memory: SavedRoot,
}

impl RootRecord {
    pub(super) fn top(&self) -> Option<DirId> {
        self.top.map(DirId)
    }

    /// Returns the record for the time until its pages are written.
    pub(super) fn unsettled(mut self) -> Self {
        self.memory.settled = false;
        self
    }
}

/// Rules under which pages were written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// All settings that decide, and the mode: what a dry run left overdue has to be released by a
    /// person.
    text: String,
}

impl Rules {
    /// Returns the rules of `policy`.
    #[must_use]
    pub fn of(policy: &Policy, mode: Mode) -> Self {
        Self {
            // A daemon that removes on request counts as one that removes.
            text: match mode {
                Mode::Live | Mode::OnRequest => policy.text(),
                Mode::DryRun => format!("dry run\n{}", policy.text()),
            },
        }
    }
}

/// Saved state of the clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ClockRecord {
    /// Boot id of the machine; `None` if it has none.
    pub(super) run: Option<String>,
    pub(super) guard: ClockGuard,
}

/// Returns the text of a record.
pub(super) fn json(record: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("invariant: a record has only text and numbers")
}

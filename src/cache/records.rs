//! What is kept beside pages, directories and stamps.

use serde::{Deserialize, Serialize};

use crate::core::clock_guard::ClockGuard;
use crate::core::index::DirId;
use crate::core::policy::Policy;
use crate::core::report::{Mode, RootMemory};

/// Keys of the tree of what concerns the cache as a whole.
pub(super) const RULES_KEY: &[u8] = b"rules";
/// See [`RULES_KEY`].
pub(super) const CLOCK_KEY: &[u8] = b"clock";

/// A root: under its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct RootRecord {
    /// The number of its own directory; `None`: nothing is known of what it holds.
    pub(super) top: Option<u32>,
    #[serde(flatten)]
    pub(super) memory: RootMemory,
}

impl RootRecord {
    pub(super) fn top(&self) -> Option<DirId> {
        self.top.map(DirId)
    }

    /// As it is until its pages are there.
    pub(super) fn unsettled(mut self) -> Self {
        self.memory.settled = false;
        self
    }
}

/// The rules that pages were written under.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// All that decides, and whether anything is removed: what a dry run left overdue a person has to let go.
    text: String,
}

impl Rules {
    /// Those of `policy`.
    #[must_use]
    pub fn of(policy: &Policy, mode: Mode) -> Self {
        Self {
            // A removal that was asked for is one of a daemon that removes.
            text: match mode {
                Mode::Live | Mode::OnRequest => policy.text(),
                Mode::DryRun => format!("dry run\n{}", policy.text()),
            },
        }
    }
}

/// What was known of the clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ClockRecord {
    /// Which run of the machine; `None`: nobody knows.
    pub(super) run: Option<String>,
    pub(super) guard: ClockGuard,
}

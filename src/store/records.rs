//! What is kept beside pages, directories and stamps.

use serde::{Deserialize, Serialize};

use crate::core::clock_guard::ClockGuard;
use crate::core::index::DirId;
use crate::core::policy::{Policy, Since};
use crate::core::report::{Mode, RootMemory};

/// Keys of the tree of what concerns the store as a whole.
pub(super) const RULES_KEY: &[u8] = b"rules";
/// See [`RULES_KEY`].
pub(super) const CLOCK_KEY: &[u8] = b"clock";

/// A root: under its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct RootRecord {
    /// The number of its own directory.
    pub(super) top: u32,
    #[serde(flatten)]
    pub(super) memory: RootMemory,
}

impl RootRecord {
    pub(super) fn top(&self) -> DirId {
        DirId(self.top)
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
    pub text: String,
    /// What each of them counts from.
    since: Vec<String>,
}

impl Rules {
    /// Those of `policy`.
    #[must_use]
    pub fn of(policy: &Policy, mode: Mode) -> Self {
        Self {
            text: format!("{mode:?}\n{}", policy.text()),
            since: policy
                .rules
                .iter()
                .map(|rule| rule.since.as_str().to_owned())
                .collect(),
        }
    }

    /// What each of them counts from. One that is not known any more counts as another than all that are.
    pub(super) fn since(&self) -> Vec<Since> {
        let all = [Since::Newest, Since::Mtime, Since::Ctime, Since::Btime];
        let known = |word: &String| all.into_iter().find(|since| since.as_str() == word);
        let since = self.since.iter();
        since
            .map(|word| known(word).unwrap_or(Since::Mtime))
            .collect()
    }
}

/// What was known of the clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ClockRecord {
    /// Which run of the machine; `None`: nobody knows.
    pub(super) run: Option<String>,
    pub(super) guard: ClockGuard,
}

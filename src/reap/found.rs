//! What a look at a unit found against its removal, and what that means for its claim.

use std::path::PathBuf;

use super::place::unreached;
use crate::core::claim::Outcome;
use crate::core::hold::Hold;
use crate::fs::FsError;
use crate::fs::tree::WalkError;

/// Why a unit stays.
pub(super) enum End {
    /// This is the answer.
    Answer(Outcome),
    /// There is none, because the reaper is to stop.
    Stopped,
}

impl End {
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Answer(outcome) => Some(outcome),
            Self::Stopped => None,
        }
    }
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        Self::Answer(outcome)
    }
}

impl From<Hold> for End {
    fn from(hold: Hold) -> Self {
        Self::Answer(Outcome::Held(hold))
    }
}

/// What a look at a part found against its removal.
pub(super) enum Found {
    Walk(WalkError),
    Open(PathBuf),
    Held(Hold),
}

impl From<WalkError> for Found {
    fn from(error: WalkError) -> Self {
        Self::Walk(error)
    }
}

impl Found {
    /// What it means for the claim; `spared` when something changed.
    pub(super) fn end(self, spared: Outcome) -> End {
        match self {
            Self::Walk(error) => not_walked(error, spared),
            Self::Open(path) => {
                let path = Some(path.display().to_string());
                Hold::Open { path }.into()
            }
            Self::Held(hold) => hold.into(),
        }
    }
}

pub(super) fn not_walked(error: WalkError, spared: Outcome) -> End {
    match error {
        WalkError::Stopped => End::Stopped,
        WalkError::Changed => spared.into(),
        WalkError::Mount(path) => {
            let path = path.display().to_string();
            Hold::MountInside { path }.into()
        }
        WalkError::Fs(error) => unreadable(&error).into(),
    }
}

pub(super) fn unreadable(error: &FsError) -> Outcome {
    if error.is_shortage() {
        return unreached(error);
    }
    let mend = if error.is_denial() {
        "\ngive the service's user read and search permission on it"
    } else {
        ""
    };
    Outcome::Held(Hold::Unreadable {
        error: format!("{error}{mend}"),
    })
}

//! What a look at a unit found against its removal, and what that means for its claim.

use std::path::PathBuf;

use crate::core::claim::Outcome;
use crate::core::hold::Hold;
use crate::fs::FsError;
use crate::fs::tree::WalkError;

/// No answer, because the reaper is to stop.
pub(super) struct Stopped;

pub(super) type Answer = Result<Outcome, Stopped>;

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
    pub(super) fn outcome(self, spared: Outcome) -> Answer {
        match self {
            Self::Walk(error) => not_walked(error, spared),
            Self::Open(path) => {
                let path = Some(path.display().to_string());
                Ok(Outcome::Held(Hold::Open { path }))
            }
            Self::Held(hold) => Ok(Outcome::Held(hold)),
        }
    }
}

pub(super) fn not_walked(error: WalkError, spared: Outcome) -> Answer {
    match error {
        WalkError::Stopped => Err(Stopped),
        WalkError::Changed => Ok(spared),
        WalkError::Mount(path) => {
            let path = path.display().to_string();
            Ok(Outcome::Held(Hold::MountInside { path }))
        }
        WalkError::Fs(error) => Ok(unreadable(&error)),
    }
}

pub(super) fn unreadable(error: &FsError) -> Outcome {
    let mend = if error.is_denial() {
        "\ngive the service's user read and search permission on it"
    } else {
        ""
    };
    Outcome::Held(Hold::Unreadable {
        error: format!("{error}{mend}"),
    })
}

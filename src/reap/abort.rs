//! The reasons for which a claim is not carried out.

use super::location::unreached;
use super::parts::UNIT_NAMES_MAX;
use crate::core::claim::Outcome;
use crate::core::hold::{Hold, Recovery};
use crate::fs::FsError;
use crate::fs::walk::WalkError;

/// Reason for which a claim is not carried out.
pub(super) enum Abort {
    /// With this answer.
    Answer(Outcome),
    /// Something is not as it was seen, or as the claim says.
    Changed,
    /// Another thread, or this round, has a lease on one of the files through another name.
    Busy,
    /// The round has no room for another lease or directory.
    Full,
    /// Without an answer, because the reaper is to stop.
    Stopped,
}

impl Abort {
    /// Answers [`Abort::Changed`] with `changed`.
    pub(super) fn or(self, changed: Outcome) -> Self {
        match self {
            Self::Changed => Self::Answer(changed),
            other => other,
        }
    }

    /// The answer for the claim, if there is one.
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Answer(outcome) => Some(outcome),
            Self::Changed | Self::Busy | Self::Full => Some(Outcome::Held(Hold::RecheckMismatch)),
            Self::Stopped => None,
        }
    }
}

impl From<Outcome> for Abort {
    fn from(outcome: Outcome) -> Self {
        Self::Answer(outcome)
    }
}

impl From<Hold> for Abort {
    fn from(hold: Hold) -> Self {
        Self::Answer(Outcome::Held(hold))
    }
}

impl From<FsError> for Abort {
    fn from(error: FsError) -> Self {
        WalkError::from(error).into()
    }
}

impl From<WalkError> for Abort {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Stopped => Self::Stopped,
            WalkError::Changed => Self::Changed,
            WalkError::Mount(path) => {
                let path = path.display().to_string();
                Hold::MountInside { path }.into()
            }
            WalkError::Quarantine(path) => {
                let root = path.parent().unwrap_or(&path).display().to_string();
                Hold::RootInside { root }.into()
            }
            WalkError::Fs(error) => unreadable(&error).into(),
            WalkError::TooLarge => {
                let error = format!(
                    "it has more than {UNIT_NAMES_MAX} names, too many to be removed together\nremove some by hand, \
                     or have a rule with unit = \"file\" remove its files one by one"
                );
                Hold::Unreadable { error }.into()
            }
        }
    }
}

/// The answer when a part of a unit cannot be read.
pub(super) fn unreadable(error: &FsError) -> Outcome {
    if error.is_shortage() {
        return unreached(error);
    }
    let mend = "give the service's user read and search permission on it";
    let error = with_mend(error, mend);
    Outcome::Held(Hold::Unreadable { error })
}

/// The words of an error; of a denial with what would mend it.
fn with_mend(error: &FsError, mend: &str) -> String {
    if error.is_denial() {
        format!("{error}\n{mend}")
    } else {
        error.to_string()
    }
}

/// The answer when a single file cannot be looked at.
pub(super) fn not_looked_at(error: &FsError) -> Outcome {
    if error.is_absence() {
        return Outcome::Gone;
    }
    if error.is_shortage() {
        return unreached(error);
    }
    let mend = "give the service's user search permission on it and on the directories above it";
    Outcome::Held(Hold::Denied {
        error: with_mend(error, mend),
        ends: Recovery::Event,
    })
}

//! Operations of commands and endpoints.

use crate::core::role::Role;

/// Operation that a command or an endpoint carries out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Operation {
    /// Removes what is due, or lists it.
    Clean,
    /// Tells how much there is, and how much is due.
    Stats,
    /// Tells of the daemon and the last run.
    Status,
    /// Tells the settings.
    Settings,
    /// Tells the last removals.
    History,
}

impl Operation {
    /// Least role that its request takes.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            // A dry run takes no more; the use case checks the role for a run.
            Self::Clean | Self::Stats | Self::Status | Self::Settings | Self::History => {
                Role::Viewer
            }
        }
    }
}

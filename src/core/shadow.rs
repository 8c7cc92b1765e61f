//! Shadow: things that a daemon would have removed if it removed anything, and things that others
//! removed meanwhile.

use serde::{Deserialize, Serialize};

use super::facts::RootId;
use super::hold::Hold;
use super::jobs::JobKey;
use super::path::RelPath;
use super::policy::Class;
use super::time::Timestamp;

/// Kind of a [`ShadowSubject`].
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ShadowKind {
    /// A regular file.
    #[default]
    File,
    /// A directory that goes as a whole.
    Directory,
    /// The record of a job at its source.
    Record,
}

/// List of a comparison with others who remove things.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum ShadowList {
    /// Things that others removed, and the daemon would have removed.
    #[default]
    Both,
    /// Things that only others removed.
    OnlyOthers,
    /// Things that only the daemon would have removed.
    OnlyLapsed,
}

impl ShadowKind {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl ShadowList {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Subject of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ShadowSubject {
    /// A regular file.
    File(RootId, RelPath),
    /// A directory that goes as a whole. Its files are subjects of their own.
    Dir(RootId, RelPath),
    /// The record of a job at its source.
    Record(JobKey),
}

/// Content that survives a renaming: of a file, inode, last change and size.
pub type ContentKey = (u64, Timestamp, u64);

/// Something that would be removed, or that is gone, as the index knew it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShadowThing {
    /// The thing.
    pub subject: ShadowSubject,
    /// Its bytes.
    pub bytes: u64,
    /// Begin of its life: what was written since then has another one.
    pub basis: Timestamp,
    /// Its content; `None` for what is only known by its name.
    pub content: Option<ContentKey>,
    /// Job that owns it.
    pub job: Option<JobKey>,
    /// The rule that it falls under.
    pub class: Class,
    /// Its deadline; `None`: never.
    pub deadline: Option<Timestamp>,
    /// Reason why it would be kept, if it were due.
    pub hold: Option<Hold>,
}

/// Report of an engine that removes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ShadowEvent {
    /// These would be removed at this instant.
    WouldRemove(Timestamp, Vec<ShadowThing>),
    /// These were removed by others, and this was noticed at this instant.
    Gone(Timestamp, Vec<ShadowThing>),
    /// Files of this content have come to a new name: none of them was removed from its old one.
    Appeared(Vec<ContentKey>),
    /// Everything in this root is known at this instant: what is not known there is gone.
    Complete(Timestamp, RootId),
}

//! Places of roots.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::core::claim::Outcome;
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::fs::error::FsError;

/// Place of a root, as the watchers found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootLocation {
    /// Its absolute path.
    pub path: PathBuf,
    /// Key of the directory.
    pub key: FileKey,
}

/// Places of roots; `None` for those that are missing.
pub(super) type RootLocations = BTreeMap<RootId, Option<RootLocation>>;

/// Returns the answer for every claim of a root that cannot be opened, or when descriptors or
/// memory have run out.
pub(super) fn unreached(error: &FsError) -> Outcome {
    Outcome::Held(if error.is_absence() {
        Hold::RootMissing
    } else {
        Hold::RootUnreachable {
            error: format!("{error}\n{}", error.mend()),
        }
    })
}

pub(super) fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

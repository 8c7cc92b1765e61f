//! The way of use cases to the trash.

use std::path::Path;

use crate::core::facts::RootId;
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::trash::{
    DisplacedThing, Purged, RestoreOrder, Restored, TrashFilter, TrashPage, TrashSums,
};

/// Place in a list: the number of a thing, and its root.
pub type Place = (u64, RootId);

/// The trash as use cases see it. Each call may wait for a disk.
pub trait TrashDoor: Send + Sync {
    /// Sums by root.
    fn sums(&self) -> Vec<TrashSums>;
    /// At most `limit` things behind a place, newest first.
    fn page(&self, filter: &TrashFilter, after: Option<Place>, limit: usize) -> TrashPage;
    /// Brings things back.
    ///
    /// # Errors
    /// If a thing is unknown: then nothing was moved.
    fn restore(&self, order: &RestoreOrder) -> Result<Vec<Restored>, String>;
    /// Displaced things in the quarantine of the root at a path.
    ///
    /// # Errors
    /// When it cannot be read.
    fn displaced(&self, root: &Path) -> Result<Vec<DisplacedThing>, String>;
    /// Moves a displaced thing of a root, given with its name, into the trash. Returns its number.
    ///
    /// # Errors
    /// If there is no such thing, or it is not known where it belongs.
    fn adopt(
        &self,
        root: (RootId, &str),
        name: &[u8],
        to: Option<&RelPath>,
        by: &Principal,
    ) -> Result<u64, String>;
    /// Deletes things before the end of their windows.
    fn empty(&self, policy: &Policy, filter: &TrashFilter, by: &Principal) -> Vec<Purged>;
}

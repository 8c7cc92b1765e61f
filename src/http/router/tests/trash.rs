//! A trash without anything in it.

use std::path::Path;

use crate::app::trash_door::{Place, TrashDoor};
use crate::core::facts::RootId;
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::trash::{
    DisplacedThing, Purged, RestoreOrder, Restored, TrashFilter, TrashPage, TrashSums,
};

/// A trash of which nothing is known.
#[derive(Debug)]
pub(super) struct NoTrash;

impl TrashDoor for NoTrash {
    fn sums(&self) -> Vec<TrashSums> {
        Vec::new()
    }

    fn page(&self, _: &TrashFilter, _: Option<Place>, _: usize) -> TrashPage {
        TrashPage::default()
    }

    fn restore(&self, _: &RestoreOrder) -> Result<Vec<Restored>, String> {
        Err("nothing is known of the trash".to_owned())
    }

    fn displaced(&self, _: &Path) -> Result<Vec<DisplacedThing>, String> {
        Ok(Vec::new())
    }

    fn adopt(
        &self,
        _: (RootId, &str),
        _: &[u8],
        _: Option<&RelPath>,
        _: &Principal,
    ) -> Result<u64, String> {
        Err("nothing is known of the trash".to_owned())
    }

    fn empty(&self, _: &Policy, _: &TrashFilter, _: &Principal) -> Vec<Purged> {
        Vec::new()
    }
}

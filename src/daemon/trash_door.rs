//! The trash as use cases reach it: by way of the reaper, or, without a daemon, on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::trash_door::{Place, TrashDoor};
use crate::core::facts::RootId;
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::trash::{
    DisplacedThing, Purged, RestoreOrder, Restored, TrashFilter, TrashPage, TrashSums,
};
use crate::reap::{OfflineTrash, Reaper, displaced_things};

/// The trash of the running daemon.
pub(super) struct LiveTrash(pub(super) Arc<Reaper>);

impl TrashDoor for LiveTrash {
    fn sums(&self) -> Vec<TrashSums> {
        self.0.trash_sums()
    }

    fn page(&self, filter: &TrashFilter, after: Option<Place>, limit: usize) -> TrashPage {
        self.0.trash_page(filter, after, limit)
    }

    fn restore(&self, order: &RestoreOrder) -> Result<Vec<Restored>, String> {
        self.0.restore(order)
    }

    fn displaced(&self, root: &Path) -> Result<Vec<DisplacedThing>, String> {
        displaced_things(root).map_err(|error| error.to_string())
    }

    fn adopt(
        &self,
        root: (RootId, &str),
        name: &[u8],
        to: Option<&RelPath>,
        by: &Principal,
    ) -> Result<u64, String> {
        self.0.adopt_displaced(root, name, to, by)
    }

    fn empty(&self, policy: &Policy, filter: &TrashFilter, by: &Principal) -> Vec<Purged> {
        self.0.empty_trash(policy, filter, by)
    }
}

/// The trash of these roots as it is on the disk: it answers questions, and takes no orders.
pub(super) struct TrashOnDisk(pub(super) Vec<(RootId, PathBuf)>);

/// The answer to orders.
const NO_DAEMON: &str = "no daemon runs";

impl TrashDoor for TrashOnDisk {
    fn sums(&self) -> Vec<TrashSums> {
        Vec::new()
    }

    fn page(&self, filter: &TrashFilter, after: Option<Place>, limit: usize) -> TrashPage {
        let mut all = TrashPage::default();
        let mut is_cut = false;
        let meant = |id: RootId| filter.root.is_none_or(|wanted| wanted == id);
        for (_, path) in self.0.iter().filter(|(id, _)| meant(*id)) {
            let page = OfflineTrash::open_to_read(path);
            let page = page.and_then(|trash| trash.page(filter, after.map(|(id, _)| id), limit));
            match page {
                Ok(page) => {
                    is_cut |= page.next.is_some();
                    all.items.extend(page.items);
                    all.unreadable.extend(page.unreadable);
                }
                Err(error) => all.unreadable.push(error.to_string()),
            }
        }
        all.items
            .sort_by_key(|item| std::cmp::Reverse(item.what.id));
        // A removal from several roots has one number, and is on one page.
        let last = all.items.get(limit.saturating_sub(1));
        let last = last.map(|item| item.what.id);
        let before = all.items.len();
        all.items
            .retain(|item| last.is_none_or(|last| item.what.id >= last));
        is_cut |= all.items.len() < before;
        let last = all.items.last().filter(|_| is_cut);
        all.next = last.map(|item| (item.what.id, RootId(0)));
        all
    }

    fn restore(&self, _: &RestoreOrder) -> Result<Vec<Restored>, String> {
        Err(NO_DAEMON.to_owned())
    }

    fn displaced(&self, root: &Path) -> Result<Vec<DisplacedThing>, String> {
        displaced_things(root).map_err(|error| error.to_string())
    }

    fn adopt(
        &self,
        _: (RootId, &str),
        _: &[u8],
        _: Option<&RelPath>,
        _: &Principal,
    ) -> Result<u64, String> {
        Err(NO_DAEMON.to_owned())
    }

    fn empty(&self, _: &Policy, _: &TrashFilter, _: &Principal) -> Vec<Purged> {
        Vec::new()
    }
}

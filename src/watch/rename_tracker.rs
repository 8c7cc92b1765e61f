//! Halves of renames that wait for the other half.
//!
//! **Invariant:** a directory whose other half never comes is looked for where it was, not believed
//! to be gone.

use hashbrown::HashMap;

use super::epochs::Epoch;
use super::node_id::NodeId;
use crate::core::facts::RootId;
use crate::core::observed::Name;

/// A directory that was renamed away.
pub(super) struct PendingMove {
    pub(super) node: NodeId,
    pub(super) dir: NodeId,
    pub(super) name: Name,
    /// Counts as a piece of work until it is settled.
    pub(super) epoch: Epoch,
    is_expired: bool,
}

/// See the module. Halves are paired within one root only: across roots a directory goes and comes.
#[derive(Default)]
pub(super) struct RenameTracker {
    waiting: HashMap<(RootId, u32), PendingMove>,
    /// The file that was renamed away last: rename's number, directory, name.
    file: Option<(u32, NodeId, Vec<u8>)>,
}

impl RenameTracker {
    /// Keeps a first half.
    pub(super) fn depart(
        &mut self,
        root: RootId,
        cookie: u32,
        node: NodeId,
        place: (NodeId, &[u8]),
        epoch: Epoch,
    ) -> Option<PendingMove> {
        let departed = PendingMove {
            node,
            dir: place.0,
            name: place.1.into(),
            epoch,
            is_expired: false,
        };
        self.waiting.insert((root, cookie), departed)
    }

    /// Remembers a file's first half. The second one is the kernel's next event, with few
    /// exceptions.
    pub(super) fn depart_file(&mut self, cookie: u32, dir: NodeId, name: &[u8]) {
        let mut kept = self.file.take().map_or_else(Vec::new, |(.., kept)| kept);
        kept.clear();
        kept.extend_from_slice(name);
        self.file = Some((cookie, dir, kept));
    }

    /// Directory and name that the last file was renamed away from, if this is its second half.
    pub(super) fn departed_file(&self, cookie: u32) -> Option<(NodeId, &[u8])> {
        let file = self.file.as_ref().filter(|(of, ..)| *of == cookie);
        file.map(|(_, dir, name)| (*dir, &**name))
    }

    /// The first half of a rename whose second half has come.
    pub(super) fn arrive(&mut self, root: RootId, cookie: u32) -> Option<PendingMove> {
        self.waiting.remove(&(root, cookie))
    }

    /// Returns whether there are halves for which no marker was asked.
    pub(super) fn has_fresh(&self) -> bool {
        self.waiting.values().any(|departed| !departed.is_expired)
    }

    /// A marker is asked for: when it comes, no other half will come for what waits now.
    pub(super) fn expire(&mut self) {
        for departed in self.waiting.values_mut() {
            departed.is_expired = true;
        }
    }

    /// Takes what no other half will come for.
    pub(super) fn take_expired(&mut self) -> Vec<PendingMove> {
        self.waiting
            .extract_if(|_, departed| departed.is_expired)
            .map(|(_, departed)| departed)
            .collect()
    }

    /// Takes all: events were lost.
    pub(super) fn take_all(&mut self) -> Vec<PendingMove> {
        self.waiting.drain().map(|(_, departed)| departed).collect()
    }
}

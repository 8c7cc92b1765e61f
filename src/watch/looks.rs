//! From names to facts: one open directory per batch and directory, one `statx(2)` per name.
//!
//! **Invariant:** nothing seen in a directory is believed before the directory is known to be the
//! one that it is for, by device and inode.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::dirty_set::{DirtyNames, Evidence};
use super::epochs::Epoch;
use super::event_loop::EventLoop;
use super::node_id::NodeId;
use super::observation_buffer::REPORT_NAMES_MAX;
use super::scan_queue::{ScanDepth, ScanRequest};
use crate::core::facts::{Facts, FileKey, Kind, RootId};
use crate::core::observed::{Name, Observed};
use crate::fs::{Dir, FsError, RootDir};

/// The roots that were opened for one batch of looks.
type OpenRoots = HashMap<RootId, RootDir>;

impl EventLoop {
    /// Looks at all names that want it, and at those that turn out to want it because of that.
    pub(super) fn look(&mut self) {
        let mut open = OpenRoots::new();
        loop {
            let batch = self.dirty.take_all();
            if batch.is_empty() {
                return;
            }
            for (dir, names) in batch {
                let epoch = names.epoch;
                self.look_in(dir, names, &mut open);
                self.epochs.end(epoch);
            }
        }
    }

    fn look_in(&mut self, id: NodeId, names: DirtyNames, open: &mut OpenRoots) {
        let Some(node) = self.tree.get(id) else {
            return;
        };
        let (root, key, refused) = (node.root, node.key, node.refused);
        if self.roots.is_unreachable(root) {
            return;
        }
        let Some(place) = self.roots.place(root) else {
            return;
        };
        let ask = ScanRequest::one(names.epoch);
        let top = match open.entry(root) {
            Entry::Occupied(top) => top.into_mut(),
            Entry::Vacant(vacant) => {
                let Ok(top) = RootDir::open_as(&place.path, place.key) else {
                    // When the root is another one or none by now, this directory ends.
                    self.survey_all();
                    if !self.roots.is_unreachable(root) {
                        self.recheck(id, ask);
                    }
                    return;
                };
                vacant.insert(top)
            }
        };
        match open_as(top, &self.tree.path(id), key) {
            Ok(Some((dir, facts))) => {
                if refused {
                    // It can be opened again: what was missed meanwhile is in a listing.
                    self.ask(id, ask);
                }
                self.look_at(id, &dir, facts, names);
            }
            Ok(None) => self.recheck(id, ask),
            Err(error) if error.is_absence() => self.recheck(id, ask),
            // The listing will report why.
            Err(_) => self.ask(id, ask),
        }
    }

    fn look_at(&mut self, id: NodeId, dir: &Dir, facts: Facts, names: DirtyNames) {
        let Some(root) = self.tree.get(id).map(|node| node.root) else {
            return;
        };
        let epoch = names.epoch;
        let path = self.tree.path(id);
        let mut seen = Vec::with_capacity(names.names.len().min(REPORT_NAMES_MAX));
        let mut troubled = false;
        for (name, evidence) in names.names {
            let found = match evidence {
                Evidence::Rumour => dir.look(&name),
                Evidence::Quarantined => Ok(None),
            };
            match found {
                Ok(found) => {
                    let report = self.settle(id, &name, found, epoch);
                    seen.push((name, report));
                }
                Err(_) => troubled = true,
            }
            if seen.len() == REPORT_NAMES_MAX {
                self.outbox.push(Observed::Looks {
                    root,
                    dir: path.clone(),
                    facts,
                    names: std::mem::take(&mut seen),
                });
            }
        }
        self.outbox.push(Observed::Looks {
            root,
            dir: path,
            facts,
            names: seen,
        });
        if troubled {
            // The directory may be entered no more: the listing will report why.
            self.ask(id, ScanRequest::one(epoch));
        }
    }

    /// Makes the tree agree with what a look has found at `name` in `dir`. Returns what to report
    /// of it.
    fn settle(
        &mut self,
        dir: NodeId,
        name: &Name,
        found: Option<Facts>,
        epoch: Epoch,
    ) -> Option<Facts> {
        let ask = ScanRequest::one(epoch);
        match found {
            Some(facts) if facts.kind == Kind::Dir && !self.skip.contains(&facts.key) => {
                self.settle_dir(dir, name, facts.key, ask);
                found
            }
            Some(Facts {
                kind: Kind::File, ..
            }) => {
                self.settle_no_dir(dir, name);
                found
            }
            // What is neither a file nor a directory of ours is as good as nothing.
            Some(_) | None => {
                self.settle_no_dir(dir, name);
                None
            }
        }
    }

    /// A directory stands at `name` in `parent`: lists it, when it is new or wants it.
    pub(super) fn settle_dir(
        &mut self,
        parent: NodeId,
        name: &[u8],
        key: FileKey,
        ask: ScanRequest,
    ) {
        if let Some(child) = self.tree.child(parent, name) {
            let Some(node) = self.tree.get(child) else {
                return;
            };
            if node.key == key {
                let lacks_watch =
                    node.watch.is_none() && !node.refused && !self.unwatched.has(child);
                if lacks_watch || ask.reach == ScanDepth::Deep {
                    self.ask(child, ask);
                }
                return;
            }
            self.drop_gone(child);
        }
        let child = self.tree.add(parent, name, key);
        self.ask(child, ask);
    }

    /// No directory stands at `name` in `parent`.
    fn settle_no_dir(&mut self, parent: NodeId, name: &[u8]) {
        if let Some(child) = self.tree.child(parent, name) {
            self.drop_gone(child);
        }
    }

    /// A directory was not where it should be. The events that explain it may still be on their
    /// way.
    pub(super) fn recheck(&mut self, id: NodeId, ask: ScanRequest) {
        if let Some(root) = self.tree.get(id).map(|node| node.root) {
            self.epochs.begin(ask.epoch);
            if ask.pass.is_some() {
                self.roots.join_pass(root);
            }
            self.rechecks.fresh.push((id, root, ask));
        }
    }
}

/// The directory at `path`, when it is the one that `key` names, and a look at it.
fn open_as(
    top: &RootDir,
    path: &crate::core::path::RelPath,
    key: FileKey,
) -> Result<Option<(Dir, Facts)>, FsError> {
    let dir = top.dir(path)?;
    let facts = dir.facts()?;
    Ok((facts.key == key).then_some((dir, facts)))
}

//! The way of displaced things into the trash.
//!
//! **Invariant:** a displaced thing leaves only by the order of a person, by way of the trash: from
//! there it is restored or deleted with the same checks as everything else.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::context::{Devices, Lane};
use super::location::RootLocation;
use super::names::quarantine_name;
use super::origin::{DISPLACED, list, note_name};
use super::parts::{Part, UNIT_NAMES_MAX, add};
use super::quarantine_locks::WhenMissing;
use super::reaper::Reaper;
use super::trash::manifest::{Manifest, ManifestPart};
use super::trash::store::TrashDir;
use crate::clock;
use crate::core::facts::{Kind, RootId};
use crate::core::path::RelPath;
use crate::core::policy::SkipOpen;
use crate::core::principal::Principal;
use crate::fs::tree::Tree;
use crate::fs::{Dir, FsError, RootDir};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineTrash, LineUnit};

/// Undo window of a displaced thing in the trash: nothing but an order deletes it.
const FOR_EVER_MS: i64 = 100 * 365 * 86_400_000;

impl Reaper {
    /// Moves the displaced thing `name` of a root, whose name is `root_name`, into the trash, from
    /// where it can be restored to `to`, or to where it came from, or be deleted. Returns its
    /// number there.
    ///
    /// # Errors
    /// If there is no such thing, or it is not known where it belongs.
    pub fn adopt_displaced(
        &self,
        (root, root_name): (RootId, &str),
        name: &[u8],
        to: Option<&RelPath>,
        by: &Principal,
    ) -> Result<u64, String> {
        let words = |error: FsError| error.to_string();
        let (lane, place, quarantine) = self.open_quarantine(root)?;
        let shown = String::from_utf8_lossy(name);
        let is_displaced = name.starts_with(DISPLACED.as_bytes()) && !name.contains(&b'/');
        let facts = if is_displaced {
            quarantine.look(name).map_err(words)?
        } else {
            None
        };
        let facts = facts.ok_or_else(|| format!("nothing displaced has the name \"{shown}\""))?;
        let things = list(&quarantine).map_err(words)?;
        let origin = things.into_iter().find(|thing| thing.name == name);
        let origin = origin.and_then(|thing| thing.path);
        let origin = origin.and_then(|path| {
            let below = path.strip_prefix(&place.path).ok()?;
            RelPath::parse(below.as_os_str().as_bytes())
        });
        let path = to.cloned().or(origin);
        let path = path.filter(|path| !path.is_root() && !path.is_in_quarantine());
        let path = path.ok_or("it is not known where it came from: say where it belongs")?;
        let stop = || lane.is_stopping();
        let (sums, links) = match facts.kind {
            Kind::Dir => {
                let tree = Tree::walk(&quarantine, name, facts, UNIT_NAMES_MAX, &stop);
                let tree = tree.map_err(|error| format!("it cannot be read: {error:?}"))?;
                let files = Part::Dir(0).files(&tree).map(|(_, facts)| facts);
                let linked: BTreeSet<u64> = files
                    .filter(|facts| facts.nlink > 1)
                    .map(|facts| facts.key.ino)
                    .collect();
                (Part::Dir(0).count(&tree), linked.into_iter().collect())
            }
            Kind::File | Kind::Mount | Kind::Other => (add((0, 0), &facts), Vec::new()),
        };
        let id = lane.ledger.next_id();
        let now = clock::now().wall;
        let full = path.below(&place.path);
        let (text, path_b64) = pack(full.as_os_str().as_bytes());
        let entry = Line {
            id,
            at: now,
            root: root_name.to_owned(),
            path: text,
            path_b64,
            unit: if facts.kind == Kind::Dir {
                LineUnit::Dir
            } else {
                LineUnit::File
            },
            basis: now,
            deadline: now,
            files: sums.0,
            bytes: sums.1,
            by: by.clone(),
            trash: Some(LineTrash {
                id,
                until: now.plus_ms(FOR_EVER_MS),
                share: false,
            }),
            ..Line::default()
        };
        let mut manifest = Manifest::new(&entry, &place.path, Vec::new(), SkipOpen::IfKnown);
        manifest.add(ManifestPart::new(0, &path, &facts, sums, links));
        let turn = lane.lock_quarantine(root);
        let _moving = turn.lock();
        let trash = TrashDir::make(&quarantine).map_err(words)?;
        trash.write(&manifest).map_err(words)?;
        trash.sync_file_system().map_err(words)?;
        quarantine
            .move_to(name, &trash, &quarantine_name(id, 0))
            .map_err(words)?;
        lane.hooks.trash.insert(root, manifest.row());
        // Without its thing a note says nothing.
        let _ = quarantine.remove_file(&note_name(name));
        Ok(id)
    }

    fn open_quarantine(&self, root: RootId) -> Result<(Arc<Lane>, RootLocation, Arc<Dir>), String> {
        let common = self.common();
        let place = common.places.lock().get(&root).map(|of| of.place.clone());
        let place = place.ok_or("its root is away")?;
        let lane = common.lane(&Devices::from([place.key.dev]));
        let lane = lane.ok_or("the daemon ends")?;
        let top = RootDir::open_as(&place.path, place.key).map_err(|error| error.to_string())?;
        let found = lane.find_quarantine(root, &place, &top, WhenMissing::Leave);
        let (quarantine, _) = found
            .map_err(|hold| hold.to_string())?
            .ok_or("its root has no quarantine any more")?;
        Ok((lane, place, quarantine))
    }
}

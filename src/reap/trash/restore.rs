//! The way back out of the trash, into the places that things had.
//!
//! **Invariant:** a name that is taken is never overwritten (`renameat2(2)`, `NOREPLACE`).
//! **Invariant:** before the first part of a thing moves, a note beside it says where it goes.
//! While the note is there, what it says is pinned and recorded at the next start.
//! **Invariant:** the manifest is removed last, and only when nothing of the thing is in the trash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::manifest::{BYTES_MAX, Bytes, Manifest, ManifestPart};
use super::store::{ReadError, TrashDir, manifest_name, note_name};
use crate::core::path::RelPath;
use crate::core::principal::Principal;
use crate::core::time::{FileTime, Timestamp};
use crate::core::trash::Restored;
use crate::fs::{Dir, DirAttributes, FsError, RootDir};
use crate::ledger::line::pack;
use crate::ledger::{Line, Mark};
use crate::reap::names::quarantine_name;

/// Names that are tried beside a taken one.
const BESIDE_MAX: u32 = 100;

/// The longest name that file systems take.
const NAME_BYTES_MAX: usize = 255;

/// Note on what is being restored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(in crate::reap) struct Note {
    pub(in crate::reap) manifest: Manifest,
    /// Unix milliseconds of the restoration, and of the end of its pins.
    at: i64,
    until: i64,
    pub(in crate::reap) by: Principal,
    /// True if the pins are set.
    pub(in crate::reap) is_pinned: bool,
    /// Parts that are to be in their places then, by number, and the paths in the root.
    pub(in crate::reap) places: Vec<(u32, Bytes)>,
}

impl Note {
    pub(in crate::reap) fn until(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.until)
    }

    /// Reads the note on the thing `id`; `None` if there is none, or it was cut off: then nothing
    /// had moved.
    pub(in crate::reap) fn read(dir: &TrashDir, id: u64) -> Result<Option<Self>, FsError> {
        match dir.read_file(&note_name(id), BYTES_MAX) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.errno == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, dir: &TrashDir) -> Result<(), FsError> {
        let bytes = serde_json::to_vec(self).expect("invariant: a note has only text and numbers");
        dir.write_file(&note_name(self.manifest.id()), &bytes)
    }

    /// The line in the ledger of the parts `is_back` says are back; `None` if none are.
    pub(in crate::reap) fn line(
        &self,
        root: &Path,
        id: u64,
        is_back: impl Fn(u32) -> bool,
    ) -> Option<Line> {
        let back = self.places.iter().filter(|(number, _)| is_back(*number));
        let back: Vec<&(u32, Bytes)> = back.collect();
        let full = |path: &Bytes| {
            Some(
                path.rel()?
                    .below(root)
                    .into_os_string()
                    .into_encoded_bytes(),
            )
        };
        let (path, path_b64) = pack(&full(&back.first()?.1)?);
        let paths = back
            .iter()
            .filter_map(|(_, path)| Some(pack(&full(path)?).0));
        let parts = self.manifest.parts.iter();
        let parts = parts.filter(|part| back.iter().any(|(number, _)| *number == part.number));
        let (files, bytes) = parts.fold((0, 0_u64), |(files, bytes), part| {
            (files + part.files, bytes.saturating_add(part.bytes))
        });
        Some(Line {
            id,
            at: Timestamp::from_unix_ms(self.at),
            path,
            path_b64,
            paths: if back.len() > 1 {
                paths.collect()
            } else {
                Vec::new()
            },
            late_ms: 0,
            files,
            bytes,
            result: Mark::Restored,
            by: self.by.clone(),
            run: None,
            ..self.manifest.line.clone()
        })
    }
}

/// A thing that is to go back, as it was planned.
pub(in crate::reap) struct Plan {
    pub(in crate::reap) note: Note,
    pub(in crate::reap) result: Restored,
    /// Numbers of the parts that have moved.
    moved: Vec<u32>,
    /// Parts that an earlier restoration without a daemon has brought back.
    earlier: Vec<(u32, Bytes)>,
}

/// Times and requester of a restoration.
#[derive(Clone, Debug)]
pub(in crate::reap) struct Order {
    pub(in crate::reap) beside: bool,
    pub(in crate::reap) by: Principal,
    pub(in crate::reap) at: Timestamp,
    /// End of the pins.
    pub(in crate::reap) until: Timestamp,
}

/// Restorer of things of one trash.
pub(in crate::reap) struct Restorer<'a> {
    pub(in crate::reap) root: &'a RootDir,
    pub(in crate::reap) dir: &'a TrashDir,
    pub(in crate::reap) order: &'a Order,
    /// Directories that were made, and the times that they are to have.
    made: BTreeMap<RelPath, FileTime>,
    /// The directory that the last part went to.
    home: Option<(RelPath, Dir)>,
}

impl<'a> Restorer<'a> {
    pub(in crate::reap) fn new(root: &'a RootDir, dir: &'a TrashDir, order: &'a Order) -> Self {
        Self {
            root,
            dir,
            order,
            made: BTreeMap::new(),
            home: None,
        }
    }

    /// Finds out where the parts of the thing `id` go.
    pub(in crate::reap) fn plan(&self, id: u64) -> Result<Plan, String> {
        let manifest = match self.dir.read(id) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Err("it is not in the trash any more".to_owned()),
            Err(error @ (ReadError::Fs(_) | ReadError::Damaged(_))) => {
                return Err(format!("its manifest: {error}"));
            }
        };
        let mut plan = Plan {
            result: Restored {
                id,
                root: manifest.line.root.clone(),
                restored: Vec::new(),
                taken: Vec::new(),
                errors: Vec::new(),
                files: 0,
                bytes: 0,
            },
            note: Note {
                at: self.order.at.unix_ms(),
                until: self.order.until.unix_ms(),
                by: self.order.by.clone(),
                is_pinned: false,
                places: Vec::new(),
                manifest,
            },
            moved: Vec::new(),
            earlier: Vec::new(),
        };
        let note = Note::read(self.dir, id).map_err(|error| error.to_string())?;
        let earlier = note.map(|note| note.places).unwrap_or_default();
        let parts = plan.note.manifest.parts.clone();
        for part in &parts {
            match self.dir.look(&quarantine_name(id, part.number)) {
                // It is back already, or was taken out by hand.
                Ok(None) => {
                    let before = earlier.iter().filter(|(number, _)| *number == part.number);
                    plan.earlier.extend(before.cloned());
                    continue;
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    plan.result.errors.push(error.to_string());
                    continue;
                }
            }
            match self.place_of(id, part) {
                Ok(Some(place)) => plan
                    .note
                    .places
                    .push((part.number, Bytes::of(place.as_bytes()))),
                Ok(None) => plan.result.taken.push(self.full(part)),
                Err(error) => plan.result.errors.push(error),
            }
        }
        Ok(plan)
    }

    fn full(&self, part: &ManifestPart) -> PathBuf {
        let path = part.path.rel().unwrap_or_default();
        path.below(self.root.path())
    }

    /// Returns the path for a part; `None` when its name is taken, and it is not to go beside it.
    fn place_of(&self, id: u64, part: &ManifestPart) -> Result<Option<RelPath>, String> {
        let path = part.path.rel().ok_or("its path is none in the root")?;
        let (above, name) = path.split().ok_or("its path is the root")?;
        let home = match self.root.dir(&above) {
            Ok(home) => home,
            Err(error) if error.errno == Errno::NOENT => return Ok(Some(path)),
            Err(error) => return Err(error.to_string()),
        };
        let is_free = |name: &[u8]| match home.look(name) {
            Ok(found) => Ok(found.is_none()),
            Err(error) => Err(error.to_string()),
        };
        if is_free(name)? {
            return Ok(Some(path));
        }
        if !self.order.beside {
            return Ok(None);
        }
        for number in 1..=BESIDE_MAX {
            let name = beside(name, id, number);
            if is_free(&name)? {
                return Ok(Some(above.join(&name)));
            }
        }
        Ok(None)
    }

    /// Writes the notes, and with `is_final` has them on the disk: they have to last until the next
    /// start of the daemon.
    pub(in crate::reap) fn write_notes(
        &self,
        plans: &[Plan],
        is_final: bool,
    ) -> Result<(), FsError> {
        for plan in plans {
            let places = plan.earlier.iter().chain(&plan.note.places).cloned();
            let note = Note {
                places: places.collect(),
                ..plan.note.clone()
            };
            note.write(self.dir)?;
        }
        if is_final {
            self.dir.sync_file_system()?;
        }
        Ok(())
    }

    /// Moves the parts of a thing home.
    pub(in crate::reap) fn bring_back(&mut self, plan: &mut Plan) {
        let id = plan.note.manifest.id();
        let places = plan.note.places.clone();
        for (number, place) in places {
            let Some(place) = place.rel() else {
                continue;
            };
            let full = place.below(self.root.path());
            match self.move_home(&plan.note.manifest, (id, number), &place) {
                Ok(()) => {
                    plan.result.restored.push(full);
                    plan.moved.push(number);
                    let mut parts = plan.note.manifest.parts.iter();
                    if let Some(part) = parts.find(|part| part.number == number) {
                        plan.result.files += part.files;
                        plan.result.bytes = plan.result.bytes.saturating_add(part.bytes);
                    }
                }
                Err(error) if error.errno == Errno::EXIST => plan.result.taken.push(full),
                Err(error) => plan.result.errors.push(error.to_string()),
            }
        }
    }

    fn move_home(
        &mut self,
        manifest: &Manifest,
        (id, number): (u64, u32),
        place: &RelPath,
    ) -> Result<(), FsError> {
        let Some((above, name)) = place.split() else {
            return Ok(());
        };
        if self.home.as_ref().is_none_or(|(path, _)| *path != above) {
            self.home = Some((above.clone(), self.dir_of(manifest, &above)?));
        }
        let (_, home) = self.home.as_ref().expect("invariant: it was just opened");
        self.dir.move_to(&quarantine_name(id, number), home, name)
    }

    /// Opens the directory at `path`; makes those that are missing as they were.
    fn dir_of(&mut self, manifest: &Manifest, path: &RelPath) -> Result<Dir, FsError> {
        match self.root.dir(path) {
            Err(error) if error.errno == Errno::NOENT => {}
            opened => return opened,
        }
        let (mut dir, mut at) = (self.root.dir(&RelPath::root())?, RelPath::root());
        for name in path.components() {
            at = at.join(name);
            dir = match dir.open_beneath(name) {
                Err(error) if error.errno == Errno::NOENT => {
                    let was = attributes(manifest, &at);
                    let made = match dir.make_dir_as(name, was.unwrap_or_else(default_attributes)) {
                        Err(error) if error.errno == Errno::EXIST => dir.open_beneath(name)?,
                        made => made?,
                    };
                    if let Some(was) = was {
                        self.made.insert(at.clone(), was.mtime);
                    }
                    made
                }
                opened => opened?,
            };
        }
        Ok(dir)
    }

    /// Ends the restoration of a thing: its manifest goes if nothing of it is in the trash any
    /// more, and its note unless that has to last. Returns true if nothing of it is left.
    pub(in crate::reap) fn end(&self, plan: &Plan, keeps_note: bool) -> bool {
        let id = plan.note.manifest.id();
        let left = plan.note.manifest.parts.iter();
        let mut left = left.map(|part| self.dir.look(&quarantine_name(id, part.number)));
        let is_gone = left.all(|look| matches!(look, Ok(None)));
        let mut ended = Ok(());
        if is_gone {
            ended = self.dir.discard(&manifest_name(id));
        }
        if !keeps_note || (plan.moved.is_empty() && plan.earlier.is_empty()) {
            ended = ended.and(self.dir.discard(&note_name(id)));
        }
        if let Err(error) = ended {
            tracing::warn!(%error, "a file beside what was restored is left; the next start removes it");
        }
        is_gone
    }

    /// Gives the directories that were made the times that they had. Returns the directories into
    /// which something came.
    pub(in crate::reap) fn finish(self) {
        for (path, mtime) in self.made.iter().rev() {
            let dir = self.root.dir(path);
            if let Err(error) = dir.and_then(|dir| dir.set_mtime(*mtime)) {
                tracing::debug!(%error, "a directory that was made again has the time of now");
            }
        }
    }
}

impl Plan {
    /// The line in the ledger of what has moved.
    pub(in crate::reap) fn line(&self, root: &Path, id: u64) -> Option<Line> {
        self.note
            .line(root, id, |number| self.moved.contains(&number))
    }

    /// Returns true if a part has moved.
    pub(in crate::reap) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }
}

/// A name beside `name`, which is taken.
fn beside(name: &[u8], id: u64, number: u32) -> Vec<u8> {
    let ending = match number {
        1 => format!(".restored-{id}"),
        number => format!(".restored-{id}-{number}"),
    };
    let room = NAME_BYTES_MAX - ending.len();
    [&name[..name.len().min(room)], ending.as_bytes()].concat()
}

fn attributes(manifest: &Manifest, path: &RelPath) -> Option<DirAttributes> {
    let bytes = Bytes::of(path.as_bytes());
    let mut above = manifest.above.iter();
    above
        .find(|above| above.path == bytes)
        .map(|above| above.was)
}

/// Attributes of a directory of which nothing is known.
fn default_attributes() -> DirAttributes {
    DirAttributes {
        mode: 0o700,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: FileTime::default(),
    }
}

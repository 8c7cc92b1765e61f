//! What is about to be moved into a quarantine, as a line of a file: enough to know it again there.

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::core::facts::{Facts, FileKey, Kind};
use crate::core::path::RelPath;
use crate::core::time::FileTime;
use crate::fs::RootDir;
use crate::ledger::line::{Line, pack, unpack};

/// Which directory a quarantine is. With its birth an inode's number is unique beyond its file system, where that keeps births; a
/// device's number is another one after the next start of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct QuarantineId {
    ino: u64,
    pub(super) btime: Option<FileTime>,
}

impl QuarantineId {
    /// Of the directory that was seen as `facts`.
    pub(super) fn of(facts: &Facts) -> Self {
        Self {
            ino: facts.key.ino,
            btime: facts.btime,
        }
    }
}

/// One thing that goes into the quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Intent<L = Line> {
    /// Which part of the unit, from 0.
    pub(super) part: u32,
    /// The root's directory.
    pub(super) root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root_b64: Option<String>,
    /// Which directory the root was: the empty mount point of a disk that is away has the same path.
    pub(super) root_ino: u64,
    /// The quarantine that the thing goes into; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quarantine: Option<QuarantineId>,
    /// Its path in the root.
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path_b64: Option<String>,
    pub(super) dir: bool,
    pub(super) key: FileKey,
    pub(super) size: u64,
    pub(super) mtime: FileTime,
    pub(super) btime: Option<FileTime>,
    /// Whether open files are held.
    pub(super) skip_open: bool,
    /// What the ledger is to say.
    pub(super) line: L,
}

impl<L> Intent<L> {
    pub(super) fn new(
        (root, quarantine): (&RootDir, QuarantineId),
        path: &RelPath,
        part: u32,
        facts: &Facts,
        skip_open: bool,
        line: L,
    ) -> Self {
        let root_ino = root.key().ino;
        let (root, root_b64) = pack(root.path().as_os_str().as_encoded_bytes());
        let (path, path_b64) = pack(path.as_bytes());
        Self {
            part,
            root,
            root_b64,
            root_ino,
            quarantine: Some(quarantine),
            path,
            path_b64,
            dir: facts.kind == Kind::Dir,
            key: facts.key,
            size: facts.size,
            mtime: facts.mtime,
            btime: facts.btime,
            skip_open,
            line,
        }
    }
}

impl Intent {
    pub(super) fn is_of(&self, place: &Place) -> bool {
        let root = unpack(&self.root, self.root_b64.as_deref());
        self.root_ino == place.key.ino && root == place.path.as_os_str().as_encoded_bytes()
    }

    /// Whether its thing was moved into the quarantine `id`, as far as it says.
    pub(super) fn is_in(&self, id: Option<QuarantineId>) -> bool {
        self.quarantine.is_none() || self.quarantine == id
    }

    pub(super) fn is_dir(&self) -> bool {
        self.dir
    }

    pub(super) fn path(&self) -> Option<RelPath> {
        RelPath::parse(&unpack(&self.path, self.path_b64.as_deref()))
    }

    /// Whether the thing that was seen as `facts` is the one that was meant. A device may have another number after the
    /// machine was started again.
    pub(super) fn means(&self, facts: &Facts) -> bool {
        let file = !self.dir;
        self.dir == (facts.kind == Kind::Dir)
            && self.key.ino == facts.key.ino
            && self.btime == facts.btime
            && (!file || (self.size, self.mtime) == (facts.size, facts.mtime))
    }
}

pub(super) fn decode(text: &[u8]) -> Option<Intent> {
    serde_json::from_slice(text).ok()
}

pub(super) fn encode(bytes: &mut Vec<u8>, intent: &Intent<impl Serialize>) {
    serde_json::to_writer(&mut *bytes, intent)
        .expect("invariant: an intent has only text and numbers");
    bytes.push(b'\n');
}

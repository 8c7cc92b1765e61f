//! Intent: a thing that is about to be moved into a quarantine, as a record in a file: enough to
//! recognize it there.
//!
//! A record is a head, which is `MAGIC`, the body's length and its CRC-32 (little-endian), and the
//! body in the format of postcard.
//!
//! **Invariant:** a record that was cut off or overwritten never decodes: its checksum does not
//! match.

use serde::{Deserialize, Serialize};

use super::location::RootLocation;
use super::parts::Parts;
use crate::core::facts::{Facts, FileKey, Kind};
use crate::core::path::RelPath;
use crate::core::principal::Principal;
use crate::core::time::{FileTime, Timestamp};
use crate::fs::RootDir;
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit};

/// First bytes of every record, the last of which is the version of the format.
const MAGIC: [u8; 4] = [0xf1, b'L', b'I', 1];

/// Bytes of a record before its body: magic, length, checksum.
const HEAD_BYTES: usize = 12;

/// Identity of a quarantine directory. With its birth time an inode number is unique beyond its
/// file system, where that keeps birth times; the number of a device changes when the machine
/// starts again.
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

/// One thing that goes into a quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Intent<'a> {
    /// Number of the removal.
    pub(super) id: u64,
    /// Number of the part of the unit, from 0.
    pub(super) part: u32,
    /// The root's directory.
    pub(super) root: &'a [u8],
    /// Inode of the root: the empty mount point of a disk that is away has the same path.
    pub(super) root_ino: u64,
    /// The quarantine that the thing goes into.
    pub(super) quarantine: Option<QuarantineId>,
    /// Path in the root.
    pub(super) path: &'a [u8],
    pub(super) dir: bool,
    pub(super) key: FileKey,
    pub(super) size: u64,
    pub(super) mtime: FileTime,
    pub(super) btime: Option<FileTime>,
    /// True if open files are held.
    pub(super) skip_open: bool,
    #[serde(borrow)]
    pub(super) line: PartLine<'a>,
}

/// Fields of the ledger line of a part that are known before the part is moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PartLine<'a> {
    pub(super) at: Timestamp,
    /// Name of the part's root.
    pub(super) root: &'a str,
    pub(super) unit: LineUnit,
    pub(super) owner: Option<&'a str>,
    pub(super) rule: &'a str,
    pub(super) since: &'a str,
    pub(super) basis: Timestamp,
    pub(super) deadline: Timestamp,
    /// Of the whole unit.
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) by: Principal,
}

impl<'a> PartLine<'a> {
    /// Of a part in the root that is named `root`, whose unit has the line `line`.
    pub(super) fn of(line: &'a Line, root: &'a str) -> Self {
        Self {
            at: line.at,
            root,
            unit: line.unit,
            owner: line.owner.as_deref(),
            rule: &line.rule,
            since: &line.since,
            basis: line.basis,
            deadline: line.deadline,
            files: line.files,
            bytes: line.bytes,
            by: line.by.clone(),
        }
    }
}

impl<'a> Intent<'a> {
    /// Creates the intent of the part at `path`, of the unit of `line`, in the directory
    /// of the root named `name`, which goes into `quarantine`.
    pub(super) fn new(
        (root, name, quarantine): (&'a RootDir, &'a str, QuarantineId),
        (path, part): (&'a RelPath, u32),
        facts: &Facts,
        skip_open: bool,
        line: &'a Line,
    ) -> Self {
        Self {
            id: line.id,
            part,
            root: root.path().as_os_str().as_encoded_bytes(),
            root_ino: root.key().ino,
            quarantine: Some(quarantine),
            path: path.as_bytes(),
            dir: facts.kind == Kind::Dir,
            key: facts.key,
            size: facts.size,
            mtime: facts.mtime,
            btime: facts.btime,
            skip_open,
            line: PartLine::of(line, name),
        }
    }

    pub(super) fn is_of(&self, place: &RootLocation) -> bool {
        let root = place.path.as_os_str().as_encoded_bytes();
        self.root_ino == place.key.ino && self.root == root
    }

    /// Returns true if its thing may have been moved into the quarantine `id`.
    pub(super) fn is_in(&self, id: Option<QuarantineId>) -> bool {
        self.quarantine.is_none() || self.quarantine == id
    }

    pub(super) fn path(&self) -> Option<RelPath> {
        RelPath::parse(self.path)
    }

    /// Returns true if the thing that was seen as `facts` is the one that was meant. A device may
    /// have another number after the machine was started again.
    pub(super) fn means(&self, facts: &Facts) -> bool {
        let file = !self.dir;
        self.dir == (facts.kind == Kind::Dir)
            && self.key.ino == facts.key.ino
            && self.btime == facts.btime
            && (!file || (self.size, self.mtime) == (facts.size, facts.mtime))
    }

    /// The ledger line of this part alone.
    pub(super) fn line(&self) -> Line {
        let of = &self.line;
        let root: &[u8] = if self.root == b"/" { b"" } else { self.root };
        let (path, path_b64) = pack(&[root, b"/", self.path].concat());
        let (files, bytes) = if self.dir {
            (of.files, of.bytes)
        } else {
            (1, self.size)
        };
        Line {
            id: self.id,
            at: of.at,
            root: of.root.to_owned(),
            path,
            path_b64,
            unit: of.unit,
            owner: of.owner.map(str::to_owned),
            rule: of.rule.to_owned(),
            since: of.since.to_owned(),
            basis: of.basis,
            deadline: of.deadline,
            files,
            bytes,
            by: of.by.clone(),
            ..Line::default()
        }
    }
}

/// Record in the file of intents.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Record<'a> {
    #[serde(borrow)]
    Intent(Intent<'a>),
    /// Parts that are neither in a quarantine nor on their way there; without a number: all parts
    /// of that removal.
    Ended(Vec<Parts>),
    /// Inodes of the files with several names in the part of the intent before it: while it is
    /// removed, each removal of a name moves the change time of the others.
    Links(Vec<u64>),
    /// As an intent, of what goes to the trash.
    #[serde(borrow)]
    TrashIntent(Intent<'a>),
}

/// Fate of a part that has left its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Deletion,
    Trash,
}

impl Fate {
    /// The record of the intent.
    pub(super) fn record(self, intent: Intent<'_>) -> Record<'_> {
        match self {
            Self::Deletion => Record::Intent(intent),
            Self::Trash => Record::TrashIntent(intent),
        }
    }
}

impl<'a> Record<'a> {
    /// Appends the record to `bytes`.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; HEAD_BYTES]);
        *bytes = postcard::to_extend(self, std::mem::take(bytes))
            .expect("invariant: its parts know their length");
        let (head, body) = bytes[start..].split_at_mut(HEAD_BYTES);
        let len =
            u32::try_from(body.len()).expect("invariant: a few paths, or the parts of a unit");
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&len.to_le_bytes());
        head[8..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    }

    /// Returns the first record of `bytes`, and its length; `None` if that is not whole.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let head = head.strip_prefix(&MAGIC)?;
        let word = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
        let len = usize::try_from(word(0)?).ok()?;
        let body = rest.get(..len)?;
        if crc32fast::hash(body) != word(4)? {
            return None;
        }
        Some((postcard::from_bytes(body).ok()?, HEAD_BYTES + len))
    }
}

#[cfg(test)]
pub(super) mod tests;

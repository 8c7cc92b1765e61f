//! Facts of a look at the file system about one thing: the only kind of truth that the core
//! accepts.

use serde::{Deserialize, Serialize};

use super::time::{FileTime, Timestamp};

/// A watched tree. Stays the same for a path for as long as the process lives, over every reload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RootId(pub u16);

/// A rule's place in the configuration, from 0; smaller ones match first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RuleId(pub u16);

/// Identity of a file or directory while it exists: device and inode number.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct FileKey {
    /// Device number, as `statx(2)` gives it: major in the upper half, minor in the lower.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// Kind of the thing that a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A regular file: the only kind that becomes an entry.
    File,
    /// A directory on the same mount as its parent.
    Dir,
    /// A directory that something is mounted on: never entered, never moved.
    Mount,
    /// A symbolic link, socket, FIFO or device: left alone, unless it is in a unit that lapses as
    /// a whole.
    Other,
}

/// One look at one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its kind.
    pub kind: Kind,
    /// Its identity.
    pub key: FileKey,
    /// Number of names that the inode has (`st_nlink`).
    pub nlink: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that it takes (`st_blocks`).
    pub blocks: u64,
    /// Last change of the content.
    pub mtime: FileTime,
    /// Last change of content, name or attributes: cannot be set back.
    pub ctime: FileTime,
    /// Birth; `None` where the file system does not keep it.
    pub btime: Option<FileTime>,
}

/// Bytes of one block, as `st_blocks` counts them.
pub const BLOCK_BYTES: u64 = 512;

/// Returns the blocks that a file of `size` bytes takes on most file systems: whole pages of
/// 4 KiB.
#[must_use]
pub fn usual_blocks(size: u64) -> u64 {
    size.div_ceil(4096) * 8
}

/// Space of a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes that users other than root may still write.
    pub available_bytes: u64,
    /// Number of inodes; 0 where the file system makes them as it needs them.
    pub inodes: u64,
    /// Number of inodes that users other than root may still take.
    pub available_inodes: u64,
}

impl Facts {
    /// The latest of mtime, ctime and btime.
    #[must_use]
    pub fn newest(&self) -> Timestamp {
        let latest = self.mtime.max(self.ctime);
        self.btime.map_or(latest, |born| latest.max(born)).ceil()
    }

    /// Returns what it adds to the latest of a tree.
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest {
            any: self.newest(),
            mtime: self.mtime.ceil(),
        }
    }

    /// Returns true if `self`, seen after a rename, is the very thing that `before` was. The change
    /// time is left out: the rename itself moved it.
    #[must_use]
    pub fn is_same_content(&self, before: &Self) -> bool {
        (self.kind, self.key, self.size, self.mtime, self.btime)
            == (
                before.kind,
                before.key,
                before.size,
                before.mtime,
                before.btime,
            )
    }
}

/// The latest timestamps in a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latest {
    /// Of any kind, arrivals included.
    pub any: Timestamp,
    /// Of changes of contents: of what a file holds, or of the names in a directory.
    pub mtime: Timestamp,
}

impl Latest {
    /// Of nothing.
    pub const NONE: Self = Self::at(Timestamp::MIN);

    /// The same instant for both.
    #[must_use]
    pub const fn at(instant: Timestamp) -> Self {
        Self {
            any: instant,
            mtime: instant,
        }
    }

    /// Of both trees.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            any: self.any.max(other.any),
            mtime: self.mtime.max(other.mtime),
        }
    }

    /// With something in it that arrived at `arrival`, whatever its own timestamps are.
    #[must_use]
    pub fn arrived(self, arrival: Timestamp) -> Self {
        Self {
            any: self.any.max(arrival),
            ..self
        }
    }
}

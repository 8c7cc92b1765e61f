//! One file as the index keeps it, and the numbers of directories and pages.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::core::facts::{Latest, RuleId, usual_blocks};
use crate::core::policy::Class;
use crate::core::time::Timestamp;

/// A directory of the index. Stays with the directory over renames; given anew after it was
/// dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DirId(pub u32);

/// A page of the index. Given anew after the page was freed, perhaps to another directory: see
/// [`super::Page::dir`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PageId(pub u32);

/// One file as the index keeps it. Every value of every field survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes that it takes; [`usual_blocks`] where no limit counts it.
    ///
    /// [`usual_blocks`]: crate::core::facts::usual_blocks
    pub blocks: u64,
    /// Number of its names; 1 where no limit counts it.
    pub nlink: u32,
    /// Inode number; the device is the directory's.
    pub ino: u64,
    /// Last change of the content, rounded up to a millisecond.
    pub mtime: Timestamp,
    /// The timestamp that its rule counts from; the newest one where no rule counts.
    pub basis: Timestamp,
    /// Rule that it falls under, and the unit that it lapses with.
    pub class: Class,
    /// Its own time to live in milliseconds; `None`: no own deadline (kept, unruled, or it goes
    /// with its directory).
    pub expire_ms: Option<i64>,
}

impl Record {
    /// Returns the deadline of an entry that lapses by itself: `basis` plus the time to live,
    /// saturating. Only a [`Class::File`] does: without a rule there is no deadline, whatever
    /// `expire_ms` says.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.own().map(|(_, at)| at)
    }

    /// Returns true if it takes the usual blocks, and has one name.
    pub(super) fn is_plain(&self) -> bool {
        self.nlink == 1 && self.blocks == usual_blocks(self.size)
    }

    /// Share of it in the latest of a tree.
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest {
            any: self.basis,
            mtime: self.mtime,
        }
    }

    /// Rule and deadline of an entry that lapses by itself.
    pub(super) fn own(&self) -> Option<(RuleId, Timestamp)> {
        own(self.class, self.expire_ms).map(|(rule, ms)| (rule, self.basis.plus_ms(ms)))
    }

    /// Returns true if it lapses with its top-level directory.
    pub(super) fn goes_with_dir(&self) -> bool {
        match self.class {
            Class::Dir(_) => true,
            Class::Unruled | Class::Kept(_) | Class::File(_) | Class::Job(_) => false,
        }
    }
}

/// Rule and time to live of entries that lapse by themselves.
pub(super) fn own(class: Class, expire_ms: Option<i64>) -> Option<(RuleId, i64)> {
    match class {
        Class::File(rule) => expire_ms.map(|ms| (rule, ms)),
        Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => None,
    }
}

/// Pages and directories that are not any more as they were when they were last handed out to be
/// saved; some of them may be gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unsaved {
    /// Pages.
    pub pages: BTreeSet<PageId>,
    /// Directories, apart from the entries in them.
    pub dirs: BTreeSet<DirId>,
}

impl Unsaved {
    /// Returns true if nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.dirs.is_empty()
    }
}

/// Outcome for an entry that was to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemoveOutcome {
    /// Removed; the record that the index had.
    Removed(Record),
    /// Not meant; the page and the record that the index has. A page that was merged meanwhile is
    /// among [`super::Writer::take_touched`] under its new number.
    Kept(PageId, Record),
    /// No such entry, or no such directory.
    Absent,
}

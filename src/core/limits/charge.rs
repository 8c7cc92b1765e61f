//! Charges: what the removal of a thing gives back.

use std::collections::BTreeMap;

/// Files and blocks of a thing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Charge {
    /// Number of names of files.
    pub files: u64,
    /// Blocks of 512 bytes of the files with one name.
    pub blocks: u64,
    /// Files with several names, by inode: these are given back with the last name.
    pub links: BTreeMap<u64, LinkCharge>,
}

/// Names of one file in a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkCharge {
    /// Number of its names in the thing.
    pub names: u32,
    /// Number of all its names.
    pub nlink: u32,
    /// Blocks of 512 bytes.
    pub blocks: u64,
}

impl Charge {
    /// Adds a file.
    pub fn add(&mut self, ino: u64, nlink: u32, blocks: u64) {
        self.files += 1;
        if nlink <= 1 {
            self.blocks = self.blocks.saturating_add(blocks);
            return;
        }
        let link = self.links.entry(ino).or_insert(LinkCharge {
            names: 0,
            nlink,
            blocks,
        });
        link.names += 1;
        // Looks may be of different moments: the one with more names frees less.
        link.nlink = link.nlink.max(nlink);
        link.blocks = link.blocks.min(blocks);
    }

    /// Returns the blocks that are given back when nothing else is removed.
    #[must_use]
    pub fn freed(&self) -> u64 {
        let linked = self.links.values();
        let linked = linked.filter(|link| link.names >= link.nlink);
        linked.fold(self.blocks, |sum, link| sum.saturating_add(link.blocks))
    }
}

//! How much memory the index takes: computed from what it allocated, not asked of the system.

use std::mem::size_of;

/// Bytes of memory that the index takes, by what for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryUse {
    /// Packed entries, with the map that finds pages.
    pub pages: usize,
    /// Name indexes of directories with many pages.
    pub names: usize,
    /// Directories: records, names, the table that finds them, units.
    pub directories: usize,
    /// Deadlines by minute, and what is kept per page to find them.
    pub forecasts: usize,
}

impl MemoryUse {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.pages + self.names + self.directories + self.forecasts
    }
}

/// What an allocation of `bytes` takes from the heap: glibc's malloc adds a word, rounds up to 16 bytes and gives
/// out 32 at least. Other allocators' size classes waste more in the middle and less at the ends.
pub(super) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let padded = (bytes + size_of::<usize>()).next_multiple_of(16);
    if padded < 32 { 32 } else { padded }
}

/// What a hash table of `slot`-byte slots takes that has room for `capacity` (hashbrown: a power of two of slots, at most
/// 7/8 of them used, a control byte each).
pub(super) const fn table_bytes(capacity: usize, slot: usize) -> usize {
    allocated((capacity * 8).div_ceil(7) * (slot + 1))
}

/// What a B-tree of `len` pairs takes: nodes of eleven, about two thirds full.
pub(super) const fn tree_bytes<K, V>(len: usize) -> usize {
    len * (size_of::<K>() + size_of::<V>()) * 3 / 2
}

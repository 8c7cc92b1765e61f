//! A hierarchical timer wheel over the wall clock: what is due at which instant.
//!
//! Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987 (scheme 7), with a bitmap
//! of occupied slots a level, so that empty time costs nothing, and with the earliest instant of
//! each slot, so that `next` is exact.
//!
//! An item's level is the highest base-64 digit in which its instant differs from the wheel's own.
//! Eleven levels are all digits of 64 bits: every instant has its place, and there is neither a
//! horizon nor an overflow list.
//!
//! **Invariant:** whatever happened before, `advance(now)` hands out exactly the items with `at <=
//! now`, and `next` is exactly the earliest `at`: the wheel is a priority queue, also when the
//! clock is set back.
//! **Invariant:** an item moves down at most once a level while time goes forward.

use std::mem;

use super::time::Timestamp;

/// Bits of an instant that one level tells apart.
const LEVEL_BITS: u32 = 6;
/// Slots of a level: one bit each in a `u64`.
const SLOTS: usize = 1 << LEVEL_BITS;
/// Levels that cover all 64 bits of an instant.
const LEVELS: usize = u64::BITS.div_ceil(LEVEL_BITS) as usize;

/// Items, each with the instant at which it is due, in a resolution of one millisecond.
///
/// An item takes `size_of::<(Timestamp, T)>()` bytes (16 for a `T` of up to 8 bytes), at most
/// doubled by the growth of its slot; the empty wheel takes 22 KiB. A slot that fires gives its
/// memory back. There is no cancel: what fires and is no longer wanted is for the caller to drop.
///
/// Inserting takes constant time, `next` looks at one bitmap a level. `advance` takes time for what
/// fires, and for what stands in the slots that it enters: those are sorted anew, into smaller
/// ones.
#[derive(Debug)]
pub struct Wheel<T> {
    /// The instant that the levels are laid out around, as a key.
    cursor: u64,
    /// Items that were due already when they were inserted.
    due: Slot<T>,
    /// For each level, which of its slots hold something.
    occupied: [u64; LEVELS],
    /// All slots, level by level.
    slots: Box<[Slot<T>]>,
    len: usize,
}

/// Items whose place in the wheel is the same, in the order in which they came.
#[derive(Debug)]
struct Slot<T> {
    /// The earliest key among the items; without meaning when there are none.
    earliest: u64,
    items: Vec<(Timestamp, T)>,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            cursor: key(now),
            due: Slot::default(),
            occupied: [0; LEVELS],
            slots: (0..LEVELS * SLOTS).map(|_| Slot::default()).collect(),
            len: 0,
        }
    }

    /// Adds `item`, due at `at`. Any instant will do: one that has passed is due at the next
    /// [`Wheel::advance`].
    pub fn insert(&mut self, at: Timestamp, item: T) {
        self.place(at, item);
        self.len += 1;
    }

    /// The earliest instant at which an item is due, which may have passed; `None` when there is no
    /// item.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        if !self.due.items.is_empty() {
            return Some(instant(self.due.earliest));
        }
        // What shares more digits with the cursor is earlier: the first occupied level holds the
        // earliest item.
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        Some(instant(self.slots[level * SLOTS + slot].earliest))
    }

    /// Moves the wheel to `now` and appends every item with `at <= now` to `fired`, in order of
    /// `at`; items of the same instant in the order in which they were inserted.
    ///
    /// `now` may lie before the wheel's time: the clock was set back. What was inserted as due and
    /// is not due by that clock waits again.
    pub fn advance(&mut self, now: Timestamp, fired: &mut Vec<(Timestamp, T)>) {
        let target = key(now);
        let first = fired.len();
        let turned = level_of(self.cursor, target);
        self.cursor = target;
        if let Some(turned) = turned {
            // Only levels up to the highest digit that changed are touched. Below it, all slots
            // stood for the cursor's old digit. In it, slots up to the new digit have come; there
            // are none when the clock was set back.
            for level in 0..turned {
                self.empty(level, u64::MAX, fired);
            }
            self.empty(turned, u64::MAX >> (63 - digit(target, turned)), fired);
        }
        for (at, item) in mem::take(&mut self.due.items) {
            self.sift(at, item, fired);
        }
        let fired = &mut fired[first..];
        self.len -= fired.len();
        // Equal instants always share a slot, which keeps their order; so does a stable sort.
        fired.sort_by_key(|&(at, _)| at);
    }

    /// Number of items that are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if no item is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes all items out of those slots of `level` that `mask` names: each fires or finds its new
    /// place.
    fn empty(&mut self, level: usize, mask: u64, fired: &mut Vec<(Timestamp, T)>) {
        let mut taken = self.occupied[level] & mask;
        self.occupied[level] &= !mask;
        while taken != 0 {
            let slot = taken.trailing_zeros() as usize;
            taken &= taken - 1;
            for (at, item) in mem::take(&mut self.slots[level * SLOTS + slot].items) {
                self.sift(at, item, fired);
            }
        }
    }

    fn sift(&mut self, at: Timestamp, item: T, fired: &mut Vec<(Timestamp, T)>) {
        if key(at) <= self.cursor {
            fired.push((at, item));
        } else {
            self.place(at, item);
        }
    }

    fn place(&mut self, at: Timestamp, item: T) {
        let key = key(at);
        match level_of(self.cursor, key) {
            Some(level) if key > self.cursor => {
                let slot = digit(key, level);
                self.occupied[level] |= 1 << slot;
                self.slots[level * SLOTS + slot].push(key, at, item);
            }
            Some(_) | None => self.due.push(key, at, item),
        }
    }
}

impl<T> Slot<T> {
    fn push(&mut self, key: u64, at: Timestamp, item: T) {
        self.earliest = if self.items.is_empty() {
            key
        } else {
            self.earliest.min(key)
        };
        self.items.push((at, item));
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            earliest: 0,
            items: Vec::new(),
        }
    }
}

/// The instant as an unsigned number of the same order.
fn key(at: Timestamp) -> u64 {
    at.unix_ms().cast_unsigned() ^ (1 << 63)
}

/// The instant that `key` stands for.
fn instant(key: u64) -> Timestamp {
    Timestamp::from_unix_ms((key ^ (1 << 63)).cast_signed())
}

/// The highest base-64 digit in which the two differ; `None` when they are the same.
fn level_of(a: u64, b: u64) -> Option<usize> {
    Some(((a ^ b).checked_ilog2()? / LEVEL_BITS) as usize)
}

/// The base-64 digit of `key` at `level`.
fn digit(key: u64, level: usize) -> usize {
    let digit = key.unbounded_shr(LEVEL_BITS * u32::try_from(level).unwrap_or(u32::MAX)) % 64;
    usize::try_from(digit).expect("invariant: a remainder of 64")
}

#[cfg(test)]
mod tests;

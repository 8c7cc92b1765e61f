//! A count of files and the sum of their bytes.
//!
//! **Invariant:** exact for up to 2³² − 1 files of any size: sizes are hostile input, and what was added can be taken
//! away again without a trace.

use std::ops::{AddAssign, SubAssign};

/// Files and bytes, in 16 bytes of memory: the sum of the sizes has 96 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    low: u64,
    high: u32,
    files: u32,
}

impl Tally {
    /// Counts one file of `size` bytes.
    pub(super) fn add(&mut self, size: u64) {
        *self += Self::one(size);
    }

    /// Takes one file of `size` bytes away. It must have been counted.
    pub(super) fn remove(&mut self, size: u64) {
        *self -= Self::one(size);
    }

    /// How many files.
    pub(super) fn files(self) -> u64 {
        u64::from(self.files)
    }

    /// Their bytes, at most [`u64::MAX`].
    pub(super) fn bytes(self) -> u64 {
        if self.high == 0 { self.low } else { u64::MAX }
    }

    /// Whether nothing is counted.
    pub(super) fn is_empty(self) -> bool {
        self.files == 0
    }

    fn one(size: u64) -> Self {
        Self {
            low: size,
            high: 0,
            files: 1,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let (low, carry) = self.low.overflowing_add(other.low);
        self.low = low;
        self.high += other.high + u32::from(carry);
        self.files += other.files;
    }
}

impl SubAssign for Tally {
    fn sub_assign(&mut self, other: Self) {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        self.low = low;
        self.high -= other.high + u32::from(borrow);
        self.files -= other.files;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_away_again() {
        let mut tally = Tally::default();
        for size in [u64::MAX, 5, u64::MAX, 0] {
            tally.add(size);
        }
        assert_eq!((tally.files(), tally.bytes()), (4, u64::MAX));
        tally.remove(u64::MAX);
        tally.remove(u64::MAX);
        assert_eq!((tally.files(), tally.bytes()), (2, 5));
        tally.remove(5);
        tally.remove(0);
        assert!(tally.is_empty());
        assert_eq!(tally, Tally::default());
    }
}

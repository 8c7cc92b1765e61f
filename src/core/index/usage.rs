//! A count of files and the sum of their bytes.
//!
//! **Invariant:** exact for up to 2³² files of any size: sizes are hostile input, and what was
//! added can be taken away again without a trace.

use std::ops::{AddAssign, SubAssign};

/// Files and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Usage {
    files: u64,
    /// Wide enough for the sizes of 2³² files.
    bytes: u128,
}

impl Usage {
    /// Counts one file of `size` bytes.
    pub(super) fn add(&mut self, size: u64) {
        *self += Self::one(size);
    }

    /// Counts `files` of `bytes` bytes in all.
    pub(super) fn add_many(&mut self, files: u64, bytes: u64) {
        let bytes = bytes.into();
        *self += Self { files, bytes };
    }

    /// Takes one file of `size` bytes away. It must have been counted.
    pub(super) fn remove(&mut self, size: u64) {
        *self -= Self::one(size);
    }

    /// Returns the number of files.
    pub(super) fn files(self) -> u64 {
        self.files
    }

    /// Returns their bytes, at most [`u64::MAX`].
    pub(super) fn bytes(self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(u64::MAX)
    }

    fn one(size: u64) -> Self {
        Self {
            files: 1,
            bytes: size.into(),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Usage {
    fn sub_assign(&mut self, other: Self) {
        self.files -= other.files;
        self.bytes -= other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_away_again() {
        let mut usage = Usage::default();
        for size in [u64::MAX, 5, u64::MAX, 0] {
            usage.add(size);
        }
        assert_eq!((usage.files(), usage.bytes()), (4, u64::MAX));
        usage.remove(u64::MAX);
        usage.remove(u64::MAX);
        assert_eq!((usage.files(), usage.bytes()), (2, 5));
        usage.remove(5);
        usage.remove(0);
        assert_eq!(usage, Usage::default());
    }
}

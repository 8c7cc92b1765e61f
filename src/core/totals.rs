//! Files, bytes, units and jobs that were removed, by day, root and rule, and the place in the
//! ledger up to which they were counted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::jobs::Status;

/// A place between two lines of the ledger. Its text is opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Cursor {
    /// The segment's number.
    pub segment: u64,
    /// Offset in it of the newer line.
    pub offset: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.segment, self.offset)
    }
}

impl FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (segment, offset) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self {
            segment: segment.parse()?,
            offset: offset.parse()?,
        })
    }
}

/// Subject of a sum.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TotalKey {
    /// The day in UTC, as `2026-11-28`.
    pub day: String,
    /// The root's name; of a job in several roots the first one's.
    pub root: String,
    /// The rule's name.
    pub rule: String,
}

/// A sum of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// Files, directories and jobs that went as a whole.
    pub units: i64,
    /// Regular files.
    pub files: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Files that were displaced: they are in the quarantine.
    pub displaced: i64,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.units = self.units.saturating_add(other.units);
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.displaced = self.displaced.saturating_add(other.displaced);
    }
}

/// Subject of a number of removals of what a job owned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CleanedKey {
    /// Day, root and rule of the removals.
    pub removal: TotalKey,
    /// The name of the jobs' source; empty if no source knew them.
    pub source: String,
    /// The day in UTC on which the jobs ended; empty if their source does not tell.
    pub ended: String,
}

/// Sums of the ledger's lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Sums by day, root and rule.
    pub sums: BTreeMap<TotalKey, Sum>,
    /// Numbers of removals of all that a job owned under a rule.
    pub cleaned: BTreeMap<CleanedKey, i64>,
}

impl Totals {
    /// Adds `sum` to what is summed up under `key`.
    pub fn add(&mut self, key: TotalKey, sum: Sum) {
        *self.sums.entry(key).or_default() += sum;
    }

    /// Adds `jobs` to the number of cleaned jobs under `key`.
    pub fn add_cleaned(&mut self, key: CleanedKey, jobs: i64) {
        let known = self.cleaned.entry(key).or_default();
        *known = known.saturating_add(jobs);
    }
}

/// Subject of a number of jobs that have ended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndedKey {
    /// The day in UTC on which the jobs ended; empty if their source does not tell.
    pub day: String,
    /// The source's name.
    pub source: String,
    /// Status.
    pub status: Status,
}

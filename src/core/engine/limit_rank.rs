//! Places of things in the order of a limit.
//!
//! **Invariant:** the order is the same in every scan of the same tree.

use std::cmp::Ordering;

use crate::core::facts::RuleId;
use crate::core::index::{DirId, PageId, Record};
use crate::core::jobs::SourceId;
use crate::core::policy::Order;
use crate::core::time::Timestamp;

/// A thing in the order of a limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Subject {
    Entry(PageId, u16),
    Dir(DirId),
    Job(SourceId, u32, RuleId),
}

/// Place of a thing in the order of a limit. Inode numbers decide between those of one instant:
/// they are the same in every scan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    pub(super) first: i64,
    pub(super) second: i64,
    pub(super) ino: u64,
    pub(super) subject: Subject,
}

/// A thing with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) rank: Rank,
    pub(super) record: Option<Record>,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Member {}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// A group of members that are opened together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Group {
    Page(PageId),
    /// A directory or a job, which is its only member.
    One(Rank),
}

/// Ranks of what has this timestamp and takes so many blocks.
pub(super) fn ranks(order: Order, basis: Timestamp, blocks: u64) -> (i64, i64) {
    match order {
        Order::Oldest => (basis.unix_ms(), 0),
        Order::Largest => (descending(blocks), basis.unix_ms()),
    }
}

/// A number that is smaller for more blocks.
pub(super) fn descending(blocks: u64) -> i64 {
    -i64::try_from(blocks).unwrap_or(i64::MAX)
}

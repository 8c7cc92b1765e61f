//! Claims that are refused: which file each means is not known, so it owns everything that it might
//! own.
//!
//! **Invariant:** while a job that has not ended has a refused claim, nothing of its source is an
//! orphan. Whether it has ended or not, nothing that bears a name that the claim may mean is
//! without an owner.

use std::collections::BTreeSet;

use super::claims;
use super::row::JobRow;
use crate::core::facts::RootId;
use crate::core::index::hash::name_hash;
use crate::core::path::RelPath;
use crate::core::policy::{Policy, Source};

/// Names kept for one source, some 30 MB. A job whose names do not fit counts as one that may mean
/// any.
const NAMES_MAX: usize = 1_000_000;

/// While a source has more refused claims than this, new ones are counted and not told one by one.
const REPORTED_MAX: u64 = 100;

/// Refused claims of one row.
#[derive(Default)]
pub(super) struct RowRefusals {
    /// Each claim, with the reason.
    pub(super) claims: Vec<(String, String)>,
    /// The hashes of the names that they may mean.
    names: BTreeSet<u64>,
    /// True if one of them may mean any file.
    is_nameless: bool,
}

/// The jobs of one source that have refused claims, by their numbers.
#[derive(Debug, Default)]
pub(super) struct RefusalTable {
    all: BTreeSet<u32>,
    live: BTreeSet<u32>,
    nameless: BTreeSet<u32>,
    names: BTreeSet<(u64, u32)>,
    claims: u64,
    /// The hashes of the last names of what jobs claim that have not ended: a link on the way may
    /// lead to another file.
    live_names: BTreeSet<(u64, u32)>,
}

impl RowRefusals {
    /// Returns what is refused of the `files` of the job `id`. `are_unread`: the source has a value
    /// there that could not be read.
    pub(super) fn of(
        policy: &Policy,
        source: &Source,
        id: &str,
        files: &[impl AsRef<str>],
        are_unread: bool,
    ) -> Self {
        let mut refused = Self::default();
        if are_unread {
            let why = match id {
                JobRow::UNNAMED => "there are rows whose id is neither text nor an integer",
                _ => "the value of files cannot be read",
            };
            refused.claims.push((String::new(), why.to_owned()));
            refused.is_nameless = true;
        }
        for file in files.iter().map(AsRef::as_ref) {
            let Err(why) = claims::resolve(policy, source, file) else {
                continue;
            };
            match claims::names(source, file) {
                Some(names) => refused.names.extend(names.iter().map(|name| hash(name))),
                None => refused.is_nameless = true,
            }
            refused.claims.push((file.to_owned(), why));
        }
        refused
    }
}

impl RefusalTable {
    /// Returns true if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns true if each of them is told.
    pub(super) fn are_few(&self) -> bool {
        self.claims <= REPORTED_MAX
    }

    /// Adds what the job `no` claims, unless it is over.
    pub(super) fn add_live(&mut self, no: u32, is_over: bool, claimed: &[(RootId, RelPath)]) {
        if !is_over {
            let names = claimed
                .iter()
                .filter_map(|(_, path)| path.split().map(|(_, name)| hash(name)));
            self.live_names.extend(names.map(|name| (name, no)));
        }
    }

    /// Takes out what [`RefusalTable::add_live`] added.
    pub(super) fn take_live(&mut self, no: u32, claimed: &[(RootId, RelPath)]) {
        if self.live_names.is_empty() {
            return;
        }
        for (_, path) in claimed {
            if let Some((_, name)) = path.split() {
                self.live_names.remove(&(hash(name), no));
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds what is refused in the row of the job `no`.
    pub(super) fn add(&mut self, no: u32, is_over: bool, refused: &RowRefusals) {
        if refused.claims.is_empty() {
            return;
        }
        self.all.insert(no);
        self.claims += refused.claims.len() as u64;
        if !is_over {
            self.live.insert(no);
        }
        if refused.is_nameless || self.names.len() + refused.names.len() > NAMES_MAX {
            self.nameless.insert(no);
        } else {
            self.names
                .extend(refused.names.iter().map(|&name| (name, no)));
        }
    }

    /// Takes out what [`RefusalTable::add`] added.
    pub(super) fn take(&mut self, no: u32, refused: &RowRefusals) {
        if !self.all.remove(&no) {
            return;
        }
        self.claims -= refused.claims.len() as u64;
        self.live.remove(&no);
        self.nameless.remove(&no);
        for &name in &refused.names {
            self.names.remove(&(name, no));
        }
    }

    /// Returns what these refusals hold, to be compared: whether every orphan, and how many names.
    pub(super) fn extent(&self) -> (bool, usize) {
        let holds_all = !self.live.is_empty() || !self.nameless.is_empty();
        (holds_all, self.names.len())
    }

    /// Bytes of memory, about.
    pub(super) fn memory(&self) -> usize {
        /// Bytes that a tree keeps for a key of up to 16 bytes, about.
        const KEY: usize = 24;
        let keys = [&self.all, &self.live, &self.nameless].map(BTreeSet::len);
        let keys: usize = keys.iter().sum();
        (keys + self.names.len() + self.live_names.len()) * KEY
    }

    /// Number of refused claims, and of the jobs that make them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.claims, self.all.len() as u64)
    }

    /// The jobs that have not ended and claim a path that ends in `name`, and few others.
    pub(super) fn live_claimants(&self, name: &[u8]) -> impl Iterator<Item = u32> {
        let hash = hash(name);
        let range = self.live_names.range((hash, 0)..=(hash, u32::MAX));
        range.map(|&(_, no)| no)
    }

    /// A job whose refused claim may mean what has `path`.
    pub(super) fn claimant(&self, path: &[u8], is_orphan: bool) -> Option<u32> {
        if self.all.is_empty() {
            return None;
        }
        let of_name = |name: &[u8]| {
            let name = hash(name);
            let mut range = self.names.range((name, 0)..=(name, u32::MAX));
            range.next().map(|&(_, no)| no)
        };
        let named = path.split(|&byte| byte == b'/').find_map(of_name);
        let any = || self.live.first().or(self.nameless.first()).copied();
        named.or_else(|| is_orphan.then(any).flatten())
    }

    pub(super) fn example(&self) -> Option<u32> {
        self.live.first().or(self.all.first()).copied()
    }
}

fn hash(name: &[u8]) -> u64 {
    name_hash(0, name)
}

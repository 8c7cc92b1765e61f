//! The jobs of one source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashTable;

use super::claims;
use super::owner::Job;
use super::packed::{self, pack, unpack};
use super::refusals::{RefusalTable, RowRefusals};
use super::row::{JobKey, JobRow, SourceId, Status};
use crate::core::facts::RootId;
use crate::core::index::hash::name_hash;
use crate::core::path::RelPath;
use crate::core::policy::{Policy, Source};

/// Effect of a row on what is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::core) struct Change {
    /// The job's number.
    pub(in crate::core) no: u32,
    /// True if it decides otherwise than before, or is new.
    pub(in crate::core) changed: bool,
    /// Paths that it claimed before, and does not any more.
    pub(in crate::core) unclaimed: Vec<(RootId, RelPath)>,
    /// Claims that are refused, each with the reason, unless the source has too many: told when
    /// they are new.
    pub(in crate::core) refused: Vec<(String, String)>,
    /// True if refused claims hold less than before.
    pub(in crate::core) is_eased: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SourceJobs {
    rows: Vec<Option<Box<[u8]>>>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
    /// The hash of where each claim leads, with the job's number: a tree, since any number of jobs
    /// may claim the same path.
    claims: BTreeSet<(u32, u32)>,
    refusals: RefusalTable,
    /// Number of claims that lead into each root.
    roots: BTreeMap<RootId, u64>,
    kinds: Vec<Arc<str>>,
    counts: [u64; Status::ALL.len()],
    bytes: usize,
    order: Option<Arc<[u32]>>,
}

impl SourceJobs {
    /// Returns how many jobs there are; what stands for rows without an id is none.
    pub(super) fn len(&self) -> u64 {
        let all = (self.rows.len() - self.free.len()) as u64;
        all - u64::from(self.unnamed().is_some())
    }

    fn unnamed(&self) -> Option<u32> {
        self.find(JobRow::UNNAMED)
    }

    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("invariant: numbers fit")
    }

    pub(super) fn counts(&self) -> [u64; Status::ALL.len()] {
        let mut counts = self.counts;
        let running = &mut counts[Status::Running as usize];
        *running = running.saturating_sub(u64::from(self.unnamed().is_some()));
        counts
    }

    pub(super) fn has(&self, no: u32) -> bool {
        self.row(no).is_some()
    }

    pub(super) fn id(&self, no: u32) -> String {
        self.row(no).map(packed::id).unwrap_or_default()
    }

    pub(super) fn memory(&self) -> usize {
        /// Bytes that the allocator adds to a row, about.
        const HEAD: usize = 8;
        /// Bytes that a tree keeps for a claim, about.
        const CLAIM: usize = 12;
        let rows = self.rows.capacity() * size_of::<Option<Box<[u8]>>>();
        let heads = (self.rows.len() - self.free.len()) * HEAD;
        rows + heads
            + self.bytes
            + self.free.capacity() * size_of::<u32>()
            + self.by_id.allocation_size()
            + self.claims.len() * CLAIM
            + self.refusals.memory()
    }

    pub(super) fn find(&self, id: &str) -> Option<u32> {
        let is_it = |no: &u32| self.row(*no).is_some_and(|row| packed::is_of(row, id));
        self.by_id.find(id_hash(id), is_it).copied()
    }

    pub(super) fn is_same(&self, no: u32, row: &JobRow) -> bool {
        let kind = match &row.kind {
            None => None,
            Some(kind) => match self.kinds.iter().position(|known| **known == **kind) {
                None => return false,
                Some(place) => u16::try_from(place).ok(),
            },
        };
        self.row(no).is_some_and(|known| *known == *pack(row, kind))
    }

    pub(super) fn job(&self, source: SourceId, no: u32) -> Job {
        let row = unpack(
            self.row(no)
                .expect("invariant: asked for a job that is known"),
        );
        let kind = row.kind.and_then(|kind| self.kinds.get(usize::from(kind)));
        Job {
            key: JobKey {
                source,
                id: row.id(),
            },
            kind: kind.cloned(),
            status: row.status,
            moments: row.moments(),
            unreadable: row.is_unreadable(),
        }
    }

    /// Calls `each` with every job that claims `path` in `root`, or a directory that it is in.
    pub(super) fn claimants(
        &self,
        policy: &Policy,
        of: &Source,
        root: RootId,
        path: &[u8],
        mut each: impl FnMut(u32),
    ) {
        if !self.claims_in(root) {
            return;
        }
        let ends = path.iter().enumerate().filter(|&(_, &b)| b == b'/');
        for end in ends.map(|(at, _)| at).chain([path.len()]) {
            let path = &path[..end];
            let hash = claim_hash(root, path);
            for &(_, no) in self.claims.range((hash, 0)..=(hash, u32::MAX)) {
                let all = self.claimed(policy, of, no);
                if all.iter().any(|(r, p)| *r == root && p.as_bytes() == path) {
                    each(no);
                }
            }
        }
    }

    pub(super) fn claims_in(&self, root: RootId) -> bool {
        self.roots.contains_key(&root)
    }

    /// Returns where the claims of the job with the number `no` lead.
    pub(super) fn claimed(&self, policy: &Policy, of: &Source, no: u32) -> Vec<(RootId, RelPath)> {
        let row = self.row(no).map(unpack);
        row.map_or(Vec::new(), |row| paths(policy, of, row.files()))
    }

    pub(super) fn put(&mut self, policy: &Policy, of: Option<&Source>, row: &JobRow) -> Change {
        let kind = row.kind.as_deref().and_then(|kind| self.kind(kind));
        let bytes = pack(row, kind);
        let known = self.find(&row.id);
        if let Some(no) = known
            && self.row(no).is_some_and(|known| *known == *bytes)
        {
            return Change {
                no,
                changed: false,
                unclaimed: Vec::new(),
                refused: Vec::new(),
                is_eased: false,
            };
        }
        let extent = self.refusals.extent();
        let before = known.map_or(Vec::new(), |no| self.take(policy, of, no));
        let no = known.unwrap_or_else(|| self.slot());
        self.bytes += bytes.len();
        self.counts[row.status as usize] += 1;
        self.rows[no as usize] = Some(bytes);
        if known.is_none() {
            self.order = None;
            let rows = &self.rows;
            let hasher = |no: &u32| {
                let row = rows[*no as usize].as_deref();
                id_hash(&row.map(packed::id).unwrap_or_default())
            };
            self.by_id.insert_unique(id_hash(&row.id), no, hasher);
        }
        let mut refused = Vec::new();
        let mut now = Vec::new();
        if let Some(of) = of {
            now = paths(policy, of, &row.files);
            self.claim(no, &now);
            self.refusals.add_live(no, row.status.is_over(), &now);
            let found = RowRefusals::of(policy, of, &row.id, &row.files, row.has_unread_files);
            self.refusals.add(no, row.status.is_over(), &found);
            if self.refusals.are_few() {
                refused = found.claims;
            }
        }
        let unclaimed = before
            .into_iter()
            .filter(|claim| now.binary_search(claim).is_err())
            .collect();
        Change {
            no,
            changed: true,
            unclaimed,
            refused,
            is_eased: is_less(self.refusals.extent(), extent),
        }
    }

    /// Forgets a job; gives back where its claims led, and whether refused claims hold less than
    /// before.
    pub(super) fn remove(
        &mut self,
        policy: &Policy,
        of: Option<&Source>,
        id: &str,
    ) -> Option<(Vec<(RootId, RelPath)>, bool)> {
        let no = self.find(id)?;
        let extent = self.refusals.extent();
        let claimed = self.take(policy, of, no);
        if let Ok(slot) = self.by_id.find_entry(id_hash(id), |&other| other == no) {
            slot.remove();
        }
        self.rows[no as usize] = None;
        self.free.push(no);
        self.order = None;
        Some((claimed, is_less(self.refusals.extent(), extent)))
    }

    /// Finds all claims anew.
    pub(super) fn reclaim(&mut self, policy: &Policy, of: &Source) {
        self.claims.clear();
        self.roots.clear();
        self.refusals.clear();
        for no in 0..self.slots() {
            let Some(row) = self.row(no) else { continue };
            let is_over = packed::status(row).is_over();
            let now = self.claimed(policy, of, no);
            self.claim(no, &now);
            self.refusals.add_live(no, is_over, &now);
            let refused = self.refused(policy, of, no);
            self.refusals.add(no, is_over, &refused);
        }
    }

    /// The numbers in the order of the ids, kept until one comes or goes.
    pub(super) fn in_order(&mut self) -> Arc<[u32]> {
        if let Some(order) = &self.order {
            return Arc::clone(order);
        }
        let unnamed = self.unnamed();
        let is_job = |no: &u32| self.has(*no) && Some(*no) != unnamed;
        let mut order: Vec<u32> = (0..self.slots()).filter(is_job).collect();
        order.sort_by_cached_key(|&no| self.id(no));
        let order: Arc<[u32]> = order.into();
        self.order = Some(Arc::clone(&order));
        order
    }

    /// The refused claims of all jobs.
    pub(super) fn refusals(&self) -> &RefusalTable {
        &self.refusals
    }

    /// Returns what is refused in the row of the job `no`.
    pub(super) fn refused(&self, policy: &Policy, of: &Source, no: u32) -> RowRefusals {
        let row = self.row(no).map(unpack);
        row.map_or_else(RowRefusals::default, |row| {
            RowRefusals::of(policy, of, &row.id(), row.files(), row.has_unread_files())
        })
    }

    pub(super) fn row(&self, no: u32) -> Option<&[u8]> {
        self.rows.get(no as usize)?.as_deref()
    }

    fn slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            self.slots() - 1
        })
    }

    /// The number of a kind. A source with more kinds than there are numbers has jobs without a
    /// kind: no rule for kinds is for them.
    fn kind(&mut self, kind: &str) -> Option<u16> {
        let known = self.kinds.iter().position(|known| **known == *kind);
        let number = u16::try_from(known.unwrap_or(self.kinds.len())).ok()?;
        if known.is_none() {
            self.kinds.push(kind.into());
        }
        Some(number)
    }

    /// Takes the row of a job out of all sums and tables but that of ids; gives back where its
    /// claims led.
    fn take(&mut self, policy: &Policy, of: Option<&Source>, no: u32) -> Vec<(RootId, RelPath)> {
        let claimed = of.map_or(Vec::new(), |of| self.claimed(policy, of, no));
        self.refusals.take_live(no, &claimed);
        if let Some(of) = of.filter(|_| !self.refusals.is_empty()) {
            let refused = self.refused(policy, of, no);
            self.refusals.take(no, &refused);
        }
        for (root, path) in &claimed {
            self.claims
                .remove(&(claim_hash(*root, path.as_bytes()), no));
            if let Some(count) = self.roots.get_mut(root) {
                *count -= 1;
                if *count == 0 {
                    self.roots.remove(root);
                }
            }
        }
        if let Some(row) = self.rows[no as usize].as_deref() {
            self.counts[packed::status(row) as usize] -= 1;
            self.bytes -= row.len();
        }
        claimed
    }

    fn claim(&mut self, no: u32, paths: &[(RootId, RelPath)]) {
        for (root, path) in paths {
            self.claims.insert((claim_hash(*root, path.as_bytes()), no));
            *self.roots.entry(*root).or_insert(0) += 1;
        }
    }
}

/// Returns where `files` lead, each place once, in order.
fn paths(policy: &Policy, of: &Source, files: &[impl AsRef<str>]) -> Vec<(RootId, RelPath)> {
    let mut all: Vec<(RootId, RelPath)> = Vec::new();
    for file in files {
        let Ok((root, path)) = claims::resolve(policy, of, file.as_ref()) else {
            continue;
        };
        let covered = claims::covered(of, &path);
        all.extend(covered.into_iter().map(|path| (root, path)));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns true if refused claims of which one extent is known hold something less than those of
/// `before`.
fn is_less((holds_all, names): (bool, usize), before: (bool, usize)) -> bool {
    (before.0 && !holds_all) || names < before.1
}

fn id_hash(id: &str) -> u64 {
    name_hash(0, id.as_bytes())
}

/// 32 bits are enough: what is found by them is compared.
fn claim_hash(root: RootId, path: &[u8]) -> u32 {
    let hash = name_hash(u32::from(root.0) + 1, path);
    u32::try_from(hash >> 32).expect("invariant: half of it")
}

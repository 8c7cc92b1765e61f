//! The jobs of all sources: read by all, changed by the engine alone.
//!
//! A job is a slot with its packed row: some 70 bytes with a UUID for an id, the slots of the
//! tables that find it included.
//!
//! **Invariant:** no lock is held over a call into others' code, nor while more than a few rows are
//! unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use parking_lot::{RwLock, RwLockReadGuard};

use super::claims;
use super::owner::{Job, JobLookup, Owner};
use super::row::{JobKey, JobRow, SourceId, Status};
use super::source_jobs::{Change, SourceJobs};
use crate::core::facts::{RootId, RuleId};
use crate::core::path::RelPath;
use crate::core::policy::{Policy, Root};
use crate::core::time::Timestamp;

/// Difference between a row and what is known of its job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowDiff {
    /// None. With the job's number in its source, by which a reader can tick it off: small, and
    /// given again when the job is gone.
    Same(u32),
    /// The job is known, and the row decides otherwise.
    Changed(u32),
    /// The job is not known.
    New,
}

/// The jobs of all sources.
#[derive(Debug, Default)]
pub struct Jobs {
    sources: RwLock<BTreeMap<SourceId, SourceJobs>>,
    /// Sources of which it cannot be believed that a job is gone.
    doubted: RwLock<BTreeSet<SourceId>>,
    /// Jobs whose ownership has changed since everything they own was claimed.
    outdated: RwLock<BTreeSet<JobKey>>,
    /// News of each source that were sent to the engine, and that it has not taken in yet.
    under_way: RwLock<BTreeMap<SourceId, u64>>,
}

impl Jobs {
    /// For tests of other parts: jobs of `source` with these rows.
    #[cfg(test)]
    pub(crate) fn of_rows(policy: &Policy, source: SourceId, rows: &[JobRow]) -> Self {
        let jobs = Self::default();
        for row in rows {
            jobs.put(policy, source, row);
        }
        jobs
    }

    /// Owner of the file or directory at `path` in `root`: the jobs that claim it, and the one that
    /// the root's template captures.
    #[must_use]
    pub fn owner(&self, policy: &Policy, root: RootId, path: &[u8]) -> Owner {
        let Some(known) = policy.roots.get(&root) else {
            return Owner::Nobody;
        };
        let sources = self.sources.read();
        let mut jobs: Vec<Job> = Vec::new();
        let mut numbers = BTreeSet::new();
        for (&source, table) in sources.iter() {
            if let Some(of) = policy.sources.get(&source) {
                table.claimants(policy, of, root, path, |no| {
                    if numbers.insert((source, no)) {
                        jobs.push(table.job(source, no));
                    }
                });
            }
        }
        let mut first = None;
        if let Some(source) = known.source
            && let Some(of) = policy.sources.get(&source)
        {
            let table = sources.get(&source);
            for id in captured(known, path) {
                let no = table.and_then(|table| Some((table, table.find(&id)?)));
                if let Some((table, no)) = no
                    && numbers.insert((source, no))
                {
                    jobs.push(table.job(source, no));
                }
                first = first.or(Some(id).filter(|id| of.is_id(id)));
            }
        }
        match (jobs.is_empty(), known.source) {
            (false, _) => Owner::Jobs(jobs),
            (true, None) => Owner::Nobody,
            (true, Some(source)) => Owner::Unknown {
                source,
                captured: first,
            },
        }
    }

    /// Returns when what is at `path` in `root` lapses with its job under `rule`; `basis` is its
    /// own newest timestamp. `None`: never.
    #[must_use]
    pub fn deadline(
        &self,
        policy: &Policy,
        root: RootId,
        path: &[u8],
        rule: RuleId,
        basis: Timestamp,
    ) -> Option<Timestamp> {
        if !policy.rule(rule).since.is_of_job() {
            return policy.job_deadline(rule, None, basis);
        }
        let owner = self.owner(policy, root, path);
        let (_, job) = policy.decide(root, path, &owner);
        policy.job_deadline(rule, job, basis)
    }

    /// The jobs whose rows are to be read again before what is at `path` goes: those that own it,
    /// and every one that the root's template can read in it. A job that is not known yet may be
    /// among them.
    #[must_use]
    pub fn readings(&self, policy: &Policy, root: RootId, path: &[u8]) -> Vec<JobKey> {
        let mut keys = self.owner(policy, root, path).keys();
        let known = policy.roots.get(&root);
        if let Some((known, source)) = known.and_then(|known| Some((known, known.source?)))
            && let Some(of) = policy.sources.get(&source)
        {
            for id in captured(known, path).filter(|id| of.is_id(id)) {
                let key = JobKey { source, id };
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }

    /// Returns what is known of a job.
    #[must_use]
    pub fn job(&self, key: &JobKey) -> Option<Job> {
        let job = |table: &SourceJobs| Some(table.job(key.source, table.find(&key.id)?));
        self.of_source(key.source, job)?
    }

    /// The job that has the number `no` in its source.
    #[must_use]
    pub fn numbered(&self, source: SourceId, no: u32) -> Option<Job> {
        let job = |table: &SourceJobs| table.has(no).then(|| table.job(source, no));
        self.of_source(source, job)?
    }

    /// The number that a job has in its source.
    #[must_use]
    pub fn number(&self, key: &JobKey) -> Option<u32> {
        self.of_source(key.source, |table| table.find(&key.id))?
    }

    /// Returns true if what is known of a job is what its source says now, and was known when
    /// everything it owns was claimed. That a job is gone counts only while its source is believed.
    #[must_use]
    pub fn agrees(&self, key: &JobKey, fresh: &JobLookup) -> bool {
        if self.outdated.read().contains(key) {
            return false;
        }
        match fresh {
            JobLookup::Row(row) if row.id == key.id => {
                matches!(self.known(key.source, row), RowDiff::Same(_))
            }
            // What stands for such rows is no row itself.
            JobLookup::Gone if key.id == JobRow::UNNAMED || self.number(key).is_none() => {
                !self.doubted.read().contains(&key.source)
            }
            JobLookup::Row(_) | JobLookup::Gone | JobLookup::Unknown(_) => false,
        }
    }

    /// Returns true if `row` says what is known, for a source that reads all of its rows again.
    #[must_use]
    pub fn known(&self, source: SourceId, row: &JobRow) -> RowDiff {
        let known = |table: &SourceJobs| {
            let no = table.find(&row.id)?;
            Some(if table.is_same(no, row) {
                RowDiff::Same(no)
            } else {
                RowDiff::Changed(no)
            })
        };
        self.of_source(source, known)
            .flatten()
            .unwrap_or(RowDiff::New)
    }

    /// The ids of up to `most` jobs of `source` whose numbers are from `from` on and not ticked
    /// off, and the number to go on from; `None`: there are no more.
    pub fn unticked(
        &self,
        source: SourceId,
        from: u32,
        most: usize,
        is_ticked: &dyn Fn(u32) -> bool,
    ) -> (Vec<String>, Option<u32>) {
        /// So many slots are looked at under one lock.
        const SLOTS_MAX: u32 = 16_384;
        let unticked = |table: &SourceJobs| {
            let end = table.slots().min(from.saturating_add(SLOTS_MAX));
            let mut ids = Vec::new();
            for no in from..end {
                if ids.len() == most {
                    return (ids, Some(no));
                }
                if table.has(no) && !is_ticked(no) {
                    ids.push(table.id(no));
                }
            }
            (ids, (end < table.slots()).then_some(end))
        };
        self.of_source(source, unticked).unwrap_or_default()
    }

    /// Returns how many jobs `source` has.
    #[must_use]
    pub fn count(&self, source: SourceId) -> u64 {
        self.of_source(source, SourceJobs::len).unwrap_or_default()
    }

    /// Returns how many jobs of `source` stand how, in the order of [`Status::ALL`].
    #[must_use]
    pub fn counts(&self, source: SourceId) -> [u64; Status::ALL.len()] {
        self.of_source(source, SourceJobs::counts)
            .unwrap_or_default()
    }

    /// Bytes of memory that the jobs of `source` take, about.
    #[must_use]
    pub fn memory(&self, source: SourceId) -> usize {
        self.of_source(source, SourceJobs::memory)
            .unwrap_or_default()
    }

    /// Up to `most` jobs of `source` after the id `after`, in the order of their ids, for those who
    /// list them.
    #[must_use]
    pub fn list(&self, source: SourceId, after: Option<&str>, most: usize) -> Vec<Job> {
        let order = self
            .sources
            .write()
            .get_mut(&source)
            .map(SourceJobs::in_order);
        let order = order.unwrap_or_default();
        let list = |table: &SourceJobs| {
            let is_before = |after: &str| {
                order.partition_point(|&no| !table.has(no) || *table.id(no) <= *after)
            };
            let known = order[after.map_or(0, is_before)..].iter().copied();
            let known = known.filter(|&no| table.has(no)).take(most);
            known.map(|no| table.job(source, no)).collect()
        };
        self.of_source(source, list).unwrap_or_default()
    }

    /// Returns where the files that a job of `source` claims are, or why a claim is refused.
    #[must_use]
    pub fn resolve_claims(
        &self,
        policy: &Policy,
        source: SourceId,
        files: &[String],
    ) -> Vec<(String, Result<PathBuf, String>)> {
        let Some(of) = policy.sources.get(&source) else {
            return Vec::new();
        };
        let lead = |file: &String| {
            claims::resolve(policy, of, file).map(|(root, path)| {
                let root = policy.roots.get(&root);
                root.map(|root| path.below(&root.path)).unwrap_or_default()
            })
        };
        files
            .iter()
            .map(|file| (file.clone(), lead(file)))
            .collect()
    }

    /// The paths that the job with the number `no` claims, with those that are derived from them.
    #[must_use]
    pub fn claimed(&self, policy: &Policy, source: SourceId, no: u32) -> Vec<(RootId, RelPath)> {
        let of = policy.sources.get(&source);
        let claimed = |table: &SourceJobs| Some(table.claimed(policy, of?, no));
        self.of_source(source, claimed)
            .flatten()
            .unwrap_or_default()
    }

    /// Returns true if jobs of `source` may own anything in `root`: by the root's template, by a
    /// claim, or by one that is refused.
    #[must_use]
    pub fn governs(&self, policy: &Policy, source: SourceId, root: RootId) -> bool {
        let (Some(of), Some(known)) = (policy.sources.get(&source), policy.roots.get(&root)) else {
            return false;
        };
        let files = of.files_root.as_ref().filter(|_| of.claims);
        let touches =
            |files: &PathBuf| files.starts_with(&known.path) || known.path.starts_with(files);
        if known.source == Some(source) || files.is_some_and(touches) {
            return true;
        }
        // A source without a root of its own: what it claims may be anywhere.
        let is_rootless = files.is_none()
            && !policy
                .roots
                .values()
                .any(|root| root.source == Some(source));
        let claims = |table: &SourceJobs| {
            table.claims_in(root) || (is_rootless && !table.refusals().is_empty())
        };
        self.of_source(source, claims).unwrap_or_default()
    }

    /// Returns true if a job of `source` claims anything in `root`.
    #[must_use]
    pub fn claims_in(&self, source: SourceId, root: RootId) -> bool {
        self.of_source(source, |table| table.claims_in(root))
            .unwrap_or_default()
    }

    /// Asks the table of `source`, if there is one.
    pub(super) fn of_source<T>(
        &self,
        source: SourceId,
        ask: impl FnOnce(&SourceJobs) -> T,
    ) -> Option<T> {
        self.sources.read().get(&source).map(ask)
    }

    /// The tables of all sources. Not to be held over a call that takes them again.
    pub(super) fn tables(&self) -> RwLockReadGuard<'_, BTreeMap<SourceId, SourceJobs>> {
        self.sources.read()
    }

    /// From now on it can, or cannot, be believed of `source` that a job is gone. For the engine
    /// alone.
    pub(in crate::core) fn doubt(&self, source: SourceId, is_doubted: bool) {
        let mut doubted = self.doubted.write();
        if is_doubted {
            doubted.insert(source);
        } else {
            doubted.remove(&source);
        }
    }

    /// Marks the claim of everything that a job owns as made from outdated knowledge. For the
    /// engine alone.
    pub(in crate::core) fn outdate_claim(&self, key: JobKey) {
        self.outdated.write().insert(key);
    }

    /// Forgets the mark of [`Self::outdate_claim`]: the job has no claim any more. For the engine
    /// alone.
    pub(in crate::core) fn end_claim(&self, key: &JobKey) {
        self.outdated.write().remove(key);
    }

    /// Notes that news of `source` are about to be sent to the engine.
    pub fn on_news_sent(&self, source: SourceId) {
        *self.under_way.write().entry(source).or_default() += 1;
    }

    /// Notes that the engine has taken in news of `source`. For the engine alone.
    pub(in crate::core) fn on_news_taken_in(&self, source: SourceId) {
        if let Some(count) = self.under_way.write().get_mut(&source) {
            *count = count.saturating_sub(1);
        }
    }

    /// Returns true if the engine has taken in all news of `source` that were sent.
    #[must_use]
    pub fn has_taken_in_all(&self, source: SourceId) -> bool {
        self.under_way
            .read()
            .get(&source)
            .is_none_or(|&count| count == 0)
    }

    /// Takes in a row. For the engine alone.
    pub(in crate::core) fn put(&self, policy: &Policy, source: SourceId, row: &JobRow) -> Change {
        let of = policy.sources.get(&source);
        let mut sources = self.sources.write();
        sources.entry(source).or_default().put(policy, of, row)
    }

    /// Forgets a job; gives back where its claims led, and whether refused claims hold less than
    /// before. For the engine alone.
    pub(in crate::core) fn remove(
        &self,
        policy: &Policy,
        source: SourceId,
        id: &str,
    ) -> Option<(Vec<(RootId, RelPath)>, bool)> {
        let of = policy.sources.get(&source);
        let mut sources = self.sources.write();
        sources.get_mut(&source)?.remove(policy, of, id)
    }

    /// Finds all claims anew, after roots changed; forgets sources that are no more. For the engine
    /// alone.
    pub(in crate::core) fn reload(&self, policy: &Policy) {
        let mut sources = self.sources.write();
        sources.retain(|source, _| policy.sources.contains_key(source));
        for (source, table) in sources.iter_mut() {
            if let Some(of) = policy.sources.get(source) {
                table.reclaim(policy, of);
            }
        }
    }

    /// The numbers of all jobs of `source`, free ones among them: below this.
    #[must_use]
    pub fn slots(&self, source: SourceId) -> u32 {
        self.of_source(source, SourceJobs::slots)
            .unwrap_or_default()
    }
}

/// The jobs that the root's template captures from `path`, a file's or a directory's. Where it can
/// be read in several ways (a job `a_b` and `{job}_{name}`), all of them: that of the template
/// first, then those with longer ids.
fn captured<'p>(root: &'p Root, path: &'p [u8]) -> impl Iterator<Item = String> + 'p {
    let readings = root.owner.as_ref().map(|template| template.jobs(path));
    let text = |id: &[u8]| std::str::from_utf8(id).ok().map(str::to_owned);
    readings.into_iter().flatten().filter_map(text)
}

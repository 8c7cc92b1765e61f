//! All that a job owns, gathered from the index when it is due, and when all of it has arrived.
//!
//! Sources and watchers report independently: that a job has ended may be known before its last
//! file is, and that a file belongs to a job before the file has been looked at for that. All that
//! a job owns is removed as one and its record follows, so it is gathered only when everything that
//! was reported, or ordered to be looked at, before that moment is in the index.
//!
//! **Invariant:** only what the index has under this very rule and job is gathered; the reaper
//! looks at all of it again.
//! **Invariant:** between the last news of a job and the gathering of what it owns a barrier began
//! and came through.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::limits::BarrierState;
use super::source_state::SourceState;
use super::timers::Timer;
use crate::core::claim::Piece;
use crate::core::effect::Effect;
use crate::core::facts::{FileKey, Latest, RootId, RuleId};
use crate::core::index::{DirId, Record};
use crate::core::jobs::{Job, JobKey, Owner, SourceId};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Verdict};
use crate::core::time::{Now, Timestamp};

/// Paths of one root that were gathered, to find one that is within another without comparing all
/// of them.
#[derive(Default)]
struct Taken(BTreeSet<Box<[u8]>>);

impl Taken {
    /// Returns true if `path` was not taken yet, neither itself nor with a directory around it.
    fn insert(&mut self, path: &RelPath) -> bool {
        let bytes = path.as_bytes();
        let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        // The root's own directory is around everything.
        let mut around = std::iter::once(&[][..]).chain(slashes.map(|(at, _)| &bytes[..at]));
        !around.any(|dir| self.0.contains(dir)) && self.0.insert(bytes.into())
    }
}

/// All that a job owns and a rule takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct JobFileSet {
    pub(super) pieces: Vec<Piece>,
    /// The latest timestamps of all of it.
    pub(super) latest: Latest,
    pub(super) files: u64,
    /// Number of them in each root.
    pub(super) files_in: BTreeMap<RootId, u64>,
    pub(super) bytes: u64,
    /// First instant at which another job lets go what it keeps now.
    pub(super) later: Option<Timestamp>,
}

impl Engine {
    /// All that `job` owns and `rule` takes, as far as the index knows.
    pub(super) fn gather(&self, job: &Job, rule: RuleId, now: Timestamp) -> JobFileSet {
        let mut gathered = JobFileSet {
            pieces: Vec::new(),
            latest: Latest::NONE,
            files: 0,
            files_in: BTreeMap::new(),
            bytes: 0,
            later: None,
        };
        let roots: Vec<RootId> = self
            .roots
            .keys()
            .copied()
            .filter(|&root| self.policy.rule(rule).applies_to(root))
            .collect();
        for root in roots {
            let before = gathered.files;
            let mut taken = Taken::default();
            for path in self.owned_paths(root, &job.key) {
                if taken.insert(&path) {
                    self.gather_path((job, rule), root, &path, now, &mut gathered);
                }
            }
            gathered.files_in.insert(root, gathered.files - before);
        }
        gathered
    }

    /// Paths in `root` at which the job may own something: its directory, names that can be read to
    /// be its, and what it claims. Some may not exist, or be within others.
    pub(super) fn owned_paths(&self, root: RootId, key: &JobKey) -> Vec<RelPath> {
        let mut paths: Vec<RelPath> = self.job_dir(root, key).into_iter().collect();
        for (dir, names) in self.flat_entries(root, key) {
            if let Some((_, at)) = self.index.dir_path(dir) {
                paths.extend(names.iter().map(|name| at.join(name)));
            }
        }
        let no = self.jobs.number(key);
        let claimed = no.map(|no| self.jobs.claimed(&self.policy, key.source, no));
        let claimed = claimed.into_iter().flatten();
        paths.extend(claimed.filter_map(|(of, path)| (of == root).then_some(path)));
        paths
    }

    fn gather_path(
        &self,
        by: (&Job, RuleId),
        root: RootId,
        path: &RelPath,
        now: Timestamp,
        into: &mut JobFileSet,
    ) {
        if let Some(dir) = self.index.dir_id(root, path.as_bytes()) {
            self.gather_dir(by, root, (dir, path), now, into);
            return;
        }
        let Some((dir, record)) = self.index.find(root, path.as_bytes()) else {
            return;
        };
        if self.goes_with(by, root, path.as_bytes(), &record, now, &mut into.later) {
            into.latest = into.latest.max(record.latest());
            into.files += 1;
            into.bytes = into.bytes.saturating_add(record.size);
            into.pieces.push(Piece {
                root,
                path: path.clone(),
                key: FileKey {
                    dev: self.dev_of(dir),
                    ino: record.ino,
                },
                is_dir: false,
            });
        }
    }

    fn gather_dir(
        &self,
        (job, rule): (&Job, RuleId),
        root: RootId,
        (dir, path): (DirId, &RelPath),
        now: Timestamp,
        into: &mut JobFileSet,
    ) {
        let (mut all, mut going, mut bytes) = (0u64, 0u64, 0u64);
        let mut latest = Latest::NONE;
        for dir in self.index.subtree(dir) {
            let Some((_, at)) = self.index.dir_path(dir) else {
                continue;
            };
            if let Some(known) = self.index.dir(dir) {
                latest = latest.max(known.facts.latest());
            }
            for (_, page) in self.index.snapshot_of(dir) {
                for (name, record) in page.entries() {
                    all += 1;
                    let path = at.join(name);
                    let by = (job, rule);
                    if self.goes_with(by, root, path.as_bytes(), &record, now, &mut into.later) {
                        going += 1;
                        bytes = bytes.saturating_add(record.size);
                        latest = latest.max(record.latest());
                    }
                }
            }
        }
        // An empty directory goes with its job when the rule would take what is in it.
        let is_empty_one = all == 0 && {
            let inside = path.join(b"\x01");
            let owner = Owner::Jobs(vec![job.clone()]);
            self.policy.classify(root, inside.as_bytes(), &owner) == Class::Job(rule)
        };
        let key = self.index.dir(dir).map(|known| known.facts.key);
        if (going > 0 || is_empty_one)
            && let Some(key) = key
        {
            into.latest = into.latest.max(latest);
            into.files += going;
            into.bytes = into.bytes.saturating_add(bytes);
            into.pieces.push(Piece {
                root,
                path: path.clone(),
                key,
                is_dir: true,
            });
        }
    }

    /// Returns true if the entry at `path` goes with the job under the rule, as far as all of its
    /// owners are concerned.
    fn goes_with(
        &self,
        (job, rule): (&Job, RuleId),
        root: RootId,
        path: &[u8],
        record: &Record,
        now: Timestamp,
        later: &mut Option<Timestamp>,
    ) -> bool {
        if record.class != Class::Job(rule) {
            return false;
        }
        let owner = self.owner(root, path);
        let (class, decides) = self.policy.decide(root, path, &owner);
        if class != Class::Job(rule) || decides.is_none_or(|decides| decides.key != job.key) {
            return false;
        }
        if owner.with_say().count() == 1 {
            return true;
        }
        match self.policy.consent(root, path, record.basis, &owner) {
            // For its own deadline the job is looked at anyway.
            Verdict::Lapse { at, .. } if at > now => {
                *later = Some(later.map_or(at, |later| later.min(at)));
                false
            }
            Verdict::Lapse { .. } => true,
            Verdict::Keep | Verdict::Hold { .. } => false,
        }
    }
}

/// Jobs with news that are kept one by one; beyond this, all jobs count as having news. One
/// has 16 bytes.
const UPDATED_MAX: usize = 10_000;

/// The number of a job.
type JobNo = (SourceId, u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BarrierWait {
    /// Jobs that wait, each with whether the barrier that is under way began after its last news.
    waiting: BTreeMap<JobNo, bool>,
    /// Jobs that may be gathered, until there is news of them.
    through: BTreeSet<JobNo>,
    /// True if a barrier is under way.
    is_asked: bool,
    /// Jobs with news since the last barrier that came through began; `None`: all. Before the
    /// first barrier nothing is known.
    updated: Option<BTreeSet<JobNo>>,
    /// Likewise since the barrier that is under way began.
    updated_meanwhile: Option<BTreeSet<JobNo>>,
}

impl BarrierWait {
    /// There is news of a job, or something that it owns is to be looked at.
    pub(super) fn renew(&mut self, job: JobNo) {
        self.through.remove(&job);
        if let Some(covered) = self.waiting.get_mut(&job) {
            *covered = false;
        }
        for updated in [&mut self.updated, &mut self.updated_meanwhile] {
            updated.as_mut().map(|jobs| jobs.insert(job));
            updated.take_if(|jobs| jobs.len() > UPDATED_MAX);
        }
    }

    /// Takes note that what the job owns is held: files may come before it is gathered again.
    pub(super) fn hold(&mut self, job: JobNo) {
        self.through.remove(&job);
    }

    /// It is found out anew whose everything is.
    pub(super) fn renew_all(&mut self) {
        self.through.clear();
        self.waiting
            .values_mut()
            .for_each(|covered| *covered = false);
        (self.updated, self.updated_meanwhile) = (None, None);
    }

    /// Returns true if there was no news of the job since the last barrier that came through began.
    pub(super) fn is_known(&self, job: JobNo) -> bool {
        let updated = self.updated.as_ref();
        updated.is_some_and(|jobs| !jobs.contains(&job))
    }
}

impl Engine {
    /// Returns true if what the job owns can be gathered. If not, it is looked at again when it
    /// can.
    pub(super) fn has_arrived(&mut self, source: SourceId, no: u32) -> bool {
        let is_partial = self.is_partial(source);
        let arriving = &mut self.arriving;
        if !is_partial && arriving.through.contains(&(source, no)) {
            return true;
        }
        arriving.waiting.entry((source, no)).or_insert(false);
        self.ask_for_arrivals();
        false
    }

    /// Returns true if more of the reading of `source` that was reported last is to come.
    pub(super) fn is_partial(&self, source: SourceId) -> bool {
        self.sources
            .get(source)
            .is_some_and(SourceState::is_partial)
    }

    /// Asks for a barrier if a job or an order waits for one and none is under way.
    pub(super) fn ask_for_arrivals(&mut self) {
        let waits = |source: SourceId| {
            let jobs = (source, 0)..=(source, u32::MAX);
            self.arriving.waiting.range(jobs).next().is_some()
        };
        // Those of a source that is being read wait for the end of that.
        let mut sources = self.sources.keys().copied();
        let is_waited_for = sources.any(|source| waits(source) && !self.is_partial(source));
        drop(sources);
        let is_wanted = is_waited_for
            || self.has_order_to_cover()
            || self.limits.barrier == BarrierState::Wanted;
        if is_wanted && !self.arriving.is_asked {
            self.begin_barrier();
        }
    }

    /// Asks for a barrier: everything that was reported until now, or ordered to be looked at, is
    /// in the index when it is through.
    pub fn begin_barrier(&mut self) {
        self.arriving.is_asked = true;
        self.arriving.updated_meanwhile = Some(BTreeSet::new());
        for covered in self.arriving.waiting.values_mut() {
            *covered = true;
        }
        self.cover_orders();
        self.cover_limits();
        self.effects.push(Effect::Barrier);
    }

    /// Everything that happened before the engine's own barrier is in the index.
    pub(super) fn on_barrier_through(&mut self, now: Now) {
        if !std::mem::take(&mut self.arriving.is_asked) {
            return;
        }
        self.arriving.updated = self.arriving.updated_meanwhile.take();
        self.orders.on_barrier_through();
        self.on_limits_covered();
        let covered: Vec<JobNo> = self
            .arriving
            .waiting
            .extract_if(.., |_, covered| *covered)
            .map(|(job, _)| job)
            .collect();
        for (source, no) in covered {
            self.arriving.through.insert((source, no));
            self.timers.arm(Timer::Job(source, no), now.wall);
        }
        // Before the next barrier begins: what is judged now is judged by this one.
        self.carry_out_known(now);
        self.ask_for_arrivals();
    }
}

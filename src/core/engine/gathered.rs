//! All that a job owns, gathered from the index when it is due.
//!
//! **Invariant:** only what the index has under this very rule and job is gathered; the reaper
//! looks at all of it again.

use std::collections::{BTreeMap, BTreeSet};

use super::state::Engine;
use crate::core::claim::Piece;
use crate::core::facts::{FileKey, Latest, RootId, RuleId};
use crate::core::index::{DirId, Record};
use crate::core::jobs::{Job, Owner};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Verdict};
use crate::core::time::Timestamp;

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
        let no = self.jobs.number(&job.key);
        let claimed = no.map_or(Vec::new(), |no| {
            self.jobs.claimed(&self.policy, job.key.source, no)
        });
        for root in roots {
            let before = gathered.files;
            let mut taken = Taken::default();
            let mut gather = |path: &RelPath| {
                if taken.insert(path) {
                    self.gather_path((job, rule), root, path, now, &mut gathered);
                }
            };
            if let Some(path) = self.job_dir(root, &job.key) {
                gather(&path);
            }
            for (dir, names) in self.flat_entries(root, &job.key) {
                if let Some((_, at)) = self.index.dir_path(dir) {
                    for name in names {
                        gather(&at.join(&name));
                    }
                }
            }
            for (_, path) in claimed.iter().filter(|(of, _)| *of == root) {
                gather(path);
            }
            gathered.files_in.insert(root, gathered.files - before);
        }
        gathered
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

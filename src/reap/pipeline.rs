//! The one way of everything that is removed: files, directories, all that a job owns, directories
//! that a removal emptied.
//!
//! Claims are carried out in rounds. A round looks at as many claims as it has room for, writes
//! their intents at once, moves them into the quarantine, looks at them again there, records them
//! with one sync of the ledger, and disposes of them.
//!
//! **Invariant:** all parts of a claim leave their places, or all are put back, in however many
//! roots they are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::HashMap;

use super::abort::Abort;
use super::candidate::{Candidate, Candidates, Snapshot, Target};
use super::context::{ClaimBatch, Lane};
use super::intent::{Fate, Intent};
use super::judge::line;
use super::look::{Handles, Look};
use super::open_roots::Roots;
use super::rows::{JobLookupCache, owner_name};
use super::trash::store::TrashDir;
use crate::core::claim::{Claim, Outcome, Reaped};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::path::RelPath;
use crate::core::policy::{Disposal, SkipOpen};
use crate::fs::{Dir, DirAttributes, FsError};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit};

/// Number of files after which a round is full: they wait for one sync of the ledger together.
pub(super) const ROUND_FILES_MAX: u64 = 1024;

/// Context of the claims of one batch, at every step.
pub(super) struct Pipeline<'a> {
    look: Look<'a>,
    pub(super) lane: &'a Lane,
    pub(super) roots: &'a Roots,
}

impl<'a> Deref for Pipeline<'a> {
    type Target = Look<'a>;

    fn deref(&self) -> &Look<'a> {
        &self.look
    }
}

/// One round, and what came of it so far.
pub(super) struct Round {
    pub(super) handles: Handles,
    pub(super) done: Vec<Reaped>,
    /// Lines of what was displaced, for the next sync of the ledger.
    pub(super) displaced: Vec<Line>,
    /// Removals that are through, and those that an error left in the quarantine.
    pub(super) ended: Vec<u64>,
    pub(super) left: Vec<u64>,
    /// Number of names that were removed, by file.
    pub(super) removed_links: HashMap<FileKey, u32>,
    /// Jobs of which everything is gone, with the quarantines that it went through.
    pub(super) finished: Vec<(u64, Vec<Arc<Dir>>)>,
    /// Directories above what goes to the trash, as they were before the moves; `None`: they could
    /// not be looked at.
    pub(super) above: BTreeMap<(RootId, RelPath), Option<DirAttributes>>,
    /// The trashes that things are moved to.
    pub(super) trashes: BTreeMap<RootId, TrashDir>,
}

impl Round {
    /// Returns the trash in `quarantine` of `root`, opened once.
    pub(super) fn trash_of(
        &mut self,
        root: RootId,
        quarantine: &Dir,
    ) -> Result<&TrashDir, FsError> {
        match self.trashes.entry(root) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(TrashDir::make(quarantine)?)),
        }
    }

    /// Answers the claim of a candidate that is not removed.
    pub(super) fn answer(&mut self, one: Box<Candidate>, abort: Abort) {
        // A directory that was emptied has no claim.
        if one.emptied_by.is_none()
            && let Some(outcome) = abort.or(one.seen.changed()).outcome()
        {
            self.done.push(Reaped {
                claim: one.claim,
                outcome,
            });
        }
    }
}

/// Carries out claims that need the same roots. Those that are left to the sweepers are answered by
/// them.
pub(super) fn reap(lane: &Lane, work: ClaimBatch) -> Vec<Reaped> {
    let Some((work, places)) = lane.places_of(work) else {
        return Vec::new();
    };
    let roots = Roots::open(lane, places);
    let root_of = |id| roots.get(id).map(|opened| &opened.root);
    let pipeline = Pipeline {
        look: Look {
            looks: lane,
            policy: &work.policy,
            root_of: &root_of,
            clock: work.since,
        },
        lane,
        roots: &roots,
    };
    pipeline.run(work.claims)
}

impl Pipeline<'_> {
    fn run(&self, claims: Vec<Claim>) -> Vec<Reaped> {
        let (mut done, mut pending) = (Vec::new(), VecDeque::new());
        let mut rows = JobLookupCache::new(self.lane, self.policy);
        // Before any lease is taken: a source may let us wait.
        for claim in claims {
            if self.lane.is_stopping() {
                return done;
            }
            let hold = self.unfinished(&claim);
            match hold.map_or_else(|| rows.agree(&claim.owners), Err) {
                Ok(()) => pending.push_back(claim),
                Err(hold) => done.push(Reaped {
                    claim,
                    outcome: Outcome::Held(hold),
                }),
            }
        }
        // Files of which another thread has another name come last, when they can be waited for.
        for may_wait in std::iter::once(false).chain(std::iter::repeat(true)) {
            let mut busy = VecDeque::new();
            while !pending.is_empty() {
                if self.lane.is_stopping() {
                    return done;
                }
                let mut round = Round {
                    handles: Handles::new(may_wait),
                    done: Vec::new(),
                    displaced: Vec::new(),
                    ended: Vec::new(),
                    left: Vec::new(),
                    finished: Vec::new(),
                    removed_links: HashMap::new(),
                    above: BTreeMap::new(),
                    trashes: BTreeMap::new(),
                };
                let seen = self.look_at(&mut pending, &mut busy, &mut rows, &mut round);
                self.carry_out(seen, &mut round);
                done.append(&mut round.done);
            }
            pending = busy;
            if pending.is_empty() {
                break;
            }
        }
        done
    }

    /// Takes the first look at as many claims as the round has room for. Those that are `busy` are
    /// for a later round.
    fn look_at(
        &self,
        pending: &mut VecDeque<Claim>,
        busy: &mut VecDeque<Claim>,
        rows: &mut JobLookupCache<'_>,
        round: &mut Round,
    ) -> Candidates {
        let (mut candidates, mut files) = (Vec::new(), 0);
        while files < ROUND_FILES_MAX
            && round.handles.leases.has_room()
            && let Some(claim) = pending.pop_front()
        {
            match self.look.look(&claim, rows, &mut round.handles) {
                Ok(seen) => {
                    let line = self.line(&claim, &seen);
                    files += line.files;
                    candidates.push(Box::new(Candidate {
                        claim,
                        seen,
                        line,
                        emptied_by: None,
                    }));
                }
                Err(Abort::Busy) => busy.push_back(claim),
                Err(Abort::Full) => {
                    pending.push_front(claim);
                    break;
                }
                Err(abort) => {
                    if let Some(outcome) = abort.outcome() {
                        round.done.push(Reaped { claim, outcome });
                    }
                }
            }
        }
        candidates
    }

    fn carry_out(&self, candidates: Candidates, round: &mut Round) {
        let quarantined = self.quarantine(candidates, round);
        self.record(quarantined, round);
        self.prune(round);
        let all_of = |id| (id, None);
        self.lane.intents.end(round.ended.drain(..).map(all_of));
        self.lane.intents.leave(round.left.drain(..).map(all_of));
        for (id, dirs) in round.finished.drain(..) {
            self.lane.tell_if_finished(id, LineUnit::Job, dirs);
        }
    }

    /// The hold of a job whose record would say that all is gone while something of it, recorded
    /// earlier, is in a quarantine still, or can come back from a trash.
    pub(super) fn unfinished(&self, claim: &Claim) -> Option<Hold> {
        let job = claim.owners.first().filter(|_| self.has_record(claim))?;
        // Its files may go to the trash now: its record does not go with them.
        let disposal = self.policy.rule(claim.rule).disposal;
        if (claim.pieces.is_empty() || disposal == Disposal::Delete)
            && let Some(hold) = self.lane.hold_by_trash(self.policy, job)
        {
            return Some(hold);
        }
        self.lane.intents.has_left(&job.id).then(|| Hold::Unreadable {
            error: "what it owned was recorded as removed, and some of it is still in a quarantine: it could not be removed yet, or that \
                    directory (.lapsed) is away\nthe log says why; it is tried again by itself"
                .to_owned(),
        })
    }

    fn line(&self, claim: &Claim, seen: &Snapshot) -> Line {
        let removed = || {
            let targets = seen.targets.iter();
            targets.filter(|target| !target.parts.is_empty())
        };
        let decides = self.deciding_job(claim, &seen.owner);
        let owner = owner_name(self.policy, claim, &seen.owner, decides);
        let first = removed().next();
        let place = first.map(|target| (target.root, &target.path));
        let id = self.lane.ledger.next_id();
        let unit = claim.unit.into();
        let line = line(self.policy, claim, owner, id, seen.due, place, unit);
        let (files, bytes) = seen.sums();
        let paths = if removed().count() > 1 {
            let full = |target: &Target| {
                let root = &self.policy.roots[&target.root].path;
                pack(target.path.below(root).as_os_str().as_encoded_bytes()).0
            };
            removed().map(full).collect()
        } else {
            Vec::new()
        };
        Line {
            files,
            bytes,
            paths,
            ..line
        }
    }

    /// Writes the intents of all candidates, with one system call.
    pub(super) fn write_intents(&self, candidates: &[Box<Candidate>]) -> std::io::Result<()> {
        let parts = candidates.iter().flat_map(|one| {
            let parts = (0..).zip(one.seen.parts());
            parts.map(move |(number, (target, part))| {
                let path = target.path_of(part);
                (one, number, (target, part), path)
            })
        });
        let parts: Vec<_> = parts.collect();
        let intents = parts
            .iter()
            .filter_map(|(one, number, (target, part), path)| {
                let facts = target.facts_of(*part);
                let opened = self.roots.get(target.root).ok()?;
                let root = &self.policy.roots[&target.root].name;
                let asks = self.skip_open(&one.claim) != SkipOpen::Never;
                let from = (&opened.root, &**root, opened.quarantine_id);
                let place = (&**path, *number);
                let intent = Intent::new(from, place, facts, asks, &one.line);
                let fate = if self.is_trashed(one) {
                    Fate::Trash
                } else {
                    Fate::Deletion
                };
                Some((fate, intent, target.links(*part)))
            });
        self.lane.intents.write(intents)
    }
}

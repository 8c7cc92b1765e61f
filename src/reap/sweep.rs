//! Removal of recorded units from the quarantine: deepest first, by two threads if there are many
//! files.
//!
//! **Invariant:** only what the second look saw is removed, and only while it is the same and
//! closed. What has appeared or changed since is displaced.
//! **Invariant:** the last look at a file, and its removal, are at a name directly in the
//! quarantine, which no other process can reach.
//! **Invariant:** an error of the file system displaces nothing: what it stopped is tried again,
//! here with exponential backoff, and by the next start.
//! **Invariant:** a unit is reported as finished only when all of it is gone or displaced.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::back::{RestoreOutcome, set_aside};
use super::context::Lane;
use super::names::{QuarantineName, quarantine_name};
use super::parts::{Part, Parts};
use super::pending::{PendingDeletion, Sweep};
use super::removal::{Fate, remove_file};
use crate::clock;
use crate::core::claim::Reaped;
use crate::core::time::FileTime;
use crate::core::trash::{PurgeOutcome, Purged, TrashNews};
use crate::fs::chain::Chain;
use crate::fs::tree::Tree;
use crate::fs::{Dir, FsError};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit, Mark};

/// Maximum number of names, with their attributes (~150 bytes each), that wait for a lane's
/// sweepers: ~30 MB.
pub(super) const WAITING_NAMES_MAX: usize = 200_000;

/// Number of names from which a unit is left to the sweepers, where a second thread helps: to start
/// it costs as much as to remove a few. Smaller ones are removed by the thread that has recorded
/// them, which has their leases in hand: some milliseconds.
pub(super) const SMALL_NAMES: usize = 256;

/// Number of directories that a thread takes at once: enough that it seldom walks down, few enough
/// that both threads end together.
const DIRS_AT_ONCE: usize = 8;

/// Exponential backoff of a unit that an error stopped, from this time up to [`RETRY_MAX`]: each
/// try looks at all that is left of the unit.
pub(super) const RETRY_MIN: Duration = Duration::from_secs(1);
/// See [`RETRY_MIN`].
pub(super) const RETRY_MAX: Duration = Duration::from_mins(10);

/// Maximum number of names in units that wait to be tried again. Further units are left to the next
/// start.
const RETRIED_NAMES_MAX: usize = 200_000;

/// A part whose files are to be removed, by its place in the sweep: the files of one of its
/// directories, or itself.
struct Step {
    part: usize,
    dir: Option<u32>,
}

/// One try to remove a unit.
struct Sweeping<'a> {
    lane: &'a Lane,
    sweep: &'a Sweep,
    /// Number of names through which files have left.
    turns: AtomicU64,
    /// See [`files::unwritten_since`].
    unwritten_since: FileTime,
    /// Number of files that were kept.
    kept: AtomicU64,
    /// First thing that was displaced: its root, by its place in the sweep, and its path.
    displaced: Mutex<Option<(usize, PathBuf)>>,
    /// Parts that an error stopped, by their numbers, with the first error.
    failed: Mutex<BTreeMap<u32, String>>,
}

/// Result of one try to remove a unit.
struct Swept {
    /// The answer for its claim, unless it has been given.
    answer: Option<Reaped>,
    /// Likewise for a thing of the trash.
    purged: Option<Purged>,
    /// Parts of which nothing is in a quarantine any more.
    ended: Vec<Parts>,
    /// Its unit and the quarantines that it went through, if all of it is gone.
    finished: Option<(LineUnit, Vec<Arc<Dir>>)>,
}

/// Removes units, and ends their intents together. Returns the answers for their claims.
pub(super) fn sweep_all(lane: &Lane, sweeps: impl IntoIterator<Item = Sweep>) -> Vec<Reaped> {
    let (mut answers, mut ended, mut finished) = (Vec::new(), Vec::new(), Vec::new());
    let mut purged = Vec::new();
    for sweep in sweeps {
        let id = sweep.line.id;
        let Some(swept) = sweep_one(lane, sweep) else {
            continue;
        };
        answers.extend(swept.answer);
        purged.extend(swept.purged);
        ended.extend(swept.ended);
        finished.extend(swept.finished.map(|(unit, dirs)| (id, unit, dirs)));
    }
    lane.intents.end(ended);
    for (id, unit, dirs) in finished {
        lane.tell_if_finished(id, unit, dirs);
    }
    if !purged.is_empty() {
        for Purged { root, id, .. } in &purged {
            lane.hooks.trash.remove(*root, *id);
        }
        (lane.hooks.trash_news)(TrashNews::Purged(purged));
    }
    answers
}

/// Removes a unit, unless the lane is stopped meanwhile.
fn sweep_one(lane: &Lane, mut sweep: Sweep) -> Option<Swept> {
    let sweeping = Sweeping {
        lane,
        sweep: &sweep,
        turns: AtomicU64::new(u64::from(sweep.failures) << 32),
        unwritten_since: files::unwritten_since(),
        kept: AtomicU64::new(0),
        displaced: Mutex::default(),
        failed: Mutex::default(),
    };
    sweeping.remove_lone_files();
    let steps = sweeping.steps();
    let next = AtomicUsize::new(0);
    let remove = || sweeping.remove_files(&steps, &next);
    if sweep.weight() >= SMALL_NAMES {
        std::thread::scope(|scope| {
            scope.spawn(remove);
            remove();
        });
    } else {
        remove();
    }
    if lane.is_stopping() {
        lane.intents.leave(sweep.parts());
        return None;
    }
    sweeping.remove_dirs();
    sweeping.set_rest_aside();
    let has_displaced = sweeping.displaced.lock().is_some();
    sweeping.record_displaced();
    let failed = sweeping.failed.into_inner();
    let ended = if failed.is_empty() && !sweep.after_crash {
        vec![(sweep.line.id, None)]
    } else {
        // Recovery hands a unit over part by part.
        let done = |(_, part): &Parts| part.is_none_or(|part| !failed.contains_key(&part));
        sweep.parts().filter(done).collect()
    };
    let answer = sweep.answer.take();
    let purged = sweep.purged.take().map(|purged| Purged {
        outcome: if has_displaced {
            PurgeOutcome::Displaced
        } else {
            purged.outcome
        },
        ..purged
    });
    let finished = if let Some(error) = failed.values().next() {
        sweep
            .pending
            .retain(|part| failed.contains_key(&part.number));
        retry(lane, sweep, error);
        None
    } else {
        let dirs = sweep.roots.into_iter().map(|root| root.quarantine);
        Some((sweep.line.unit, dirs.collect()))
    };
    Some(Swept {
        answer,
        purged,
        ended,
        finished,
    })
}

/// Has a unit that an error stopped tried again.
fn retry(lane: &Lane, mut sweep: Sweep, error: &str) {
    let id = sweep.line.id;
    let pause = (RETRY_MIN * 2_u32.pow(sweep.failures.min(16))).min(RETRY_MAX);
    sweep.failures += 1;
    sweep.leases.get_mut().clear();
    let path = String::from_utf8_lossy(&sweep.line.path_bytes()).into_owned();
    let left: Vec<Parts> = sweep.parts().collect();
    let weight = sweep.weight();
    lane.intents.postpone(id);
    let until = clock::now().boot + pause;
    if lane.sweeps.defer(sweep, weight, until, RETRIED_NAMES_MAX) {
        tracing::warn!(
            path,
            error,
            retry_in = %humantime::format_duration(pause),
            "a recorded removal cannot be finished yet; it is tried again"
        );
    } else {
        lane.intents.leave(left);
        tracing::warn!(
            path,
            error,
            "a recorded removal cannot be finished yet; the next start tries it again"
        );
    }
}

impl Sweeping<'_> {
    fn tree(&self, part: &PendingDeletion) -> &Tree {
        &self.sweep.trees[part.tree]
    }

    fn quarantine(&self, part: &PendingDeletion) -> &Dir {
        &self.sweep.roots[part.root].quarantine
    }

    fn name(&self, part: &PendingDeletion) -> QuarantineName {
        quarantine_name(self.sweep.line.id, part.number)
    }

    /// Notes that an error stops the part.
    fn fail(&self, part: &PendingDeletion, error: String) {
        let mut failed = self.failed.lock();
        failed.entry(part.number).or_insert(error);
    }

    /// Returns everything that has files, deepest first.
    fn steps(&self) -> Vec<Step> {
        let steps = self.sweep.pending.iter().enumerate().map(|(at, part)| {
            let tree = self.tree(part);
            let dirs: Vec<Option<u32>> = match part.part {
                Part::File { .. } => vec![None],
                Part::Dir(top) => {
                    let below = tree.below(top).into_iter().rev();
                    let full = below.filter(|&dir| !tree.dir(dir).files.is_empty());
                    full.map(Some).collect()
                }
            };
            dirs.into_iter().map(move |dir| Step { part: at, dir })
        });
        steps.flatten().collect()
    }

    fn remove_files(&self, steps: &[Step], next: &AtomicUsize) {
        let mut chain: Option<(usize, Chain<'_>)> = None;
        loop {
            let from = next.fetch_add(DIRS_AT_ONCE, Ordering::Relaxed);
            let Some(steps) = steps.get(from..).filter(|steps| !steps.is_empty()) else {
                return;
            };
            for step in steps.iter().take(DIRS_AT_ONCE) {
                let part = &self.sweep.pending[step.part];
                if let Some(dir) = step.dir {
                    let (_, chain) = match &mut chain {
                        Some(open) if open.0 == step.part => open,
                        other => other.insert((step.part, self.chain_of(part))),
                    };
                    self.remove_files_of(part, chain, dir);
                } else {
                    let facts = part.part.facts(self.tree(part));
                    let fate =
                        remove_file(self.sweep, self.quarantine(part), &self.name(part), facts);
                    self.check_fate(part, fate);
                }
                if self.lane.is_stopping() {
                    return;
                }
            }
        }
    }

    /// Returns a chain of directories down the part, which is in the quarantine under its number.
    fn chain_of(&self, part: &PendingDeletion) -> Chain<'_> {
        let top = match part.part {
            Part::Dir(top) => top,
            Part::File { dir, .. } => dir,
        };
        let quarantine = &self.sweep.roots[part.root].quarantine;
        Chain::new(quarantine, top, &self.name(part))
    }

    /// Removes the files of one directory.
    fn remove_files_of(&self, part: &PendingDeletion, chain: &mut Chain<'_>, at: u32) {
        let tree = self.tree(part);
        match chain.go(tree, at) {
            Ok(dir) => self.remove_files_from(part, dir, &tree.dir(at).files),
            // After a crash, and at a later try, a directory may have been removed already.
            Err(error) if error.is_absence() => {}
            Err(error) => self.fail(part, error.to_string()),
        }
    }

    fn check_fate(&self, part: &PendingDeletion, fate: Fate) {
        match fate {
            Fate::Gone => return,
            Fate::Changed => {}
            Fate::Failed(error) => self.fail(part, error),
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes the directories of the parts, as far as they are empty.
    fn remove_dirs(&self) {
        for part in &self.sweep.pending {
            let Part::Dir(top) = part.part else {
                continue;
            };
            let tree = self.tree(part);
            let mut chain = self.chain_of(part);
            for at in tree.below(top).into_iter().skip(1).rev() {
                let dir = tree.dir(at);
                let removed = chain
                    .go(tree, dir.parent)
                    .and_then(|parent| parent.remove_dir(&dir.name));
                self.check_removed(part, removed);
            }
            let removed = self.quarantine(part).remove_dir(&self.name(part));
            self.check_removed(part, removed);
        }
    }

    /// Ignores that a directory is not empty: its part is still there then, and is set aside.
    fn check_removed(&self, part: &PendingDeletion, removed: Result<(), FsError>) {
        match removed {
            Err(error) if !error.is_absence() && !is_not_empty(&error) => {
                self.fail(part, error.to_string());
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Gives the remains of the parts displaced names, and records them; not of those that an error
    /// stopped.
    fn set_rest_aside(&self) {
        for part in &self.sweep.pending {
            if self.failed.lock().contains_key(&part.number) {
                continue;
            }
            let (root, quarantined) = (&self.sweep.roots[part.root], self.name(part));
            match root.quarantine.look(&quarantined) {
                Ok(None) => continue,
                Ok(Some(_)) => {}
                Err(error) => {
                    self.fail(part, error.to_string());
                    continue;
                }
            }
            let path = part.path.below(&root.path);
            let name = part
                .path
                .parent_and_name()
                .map_or(&[][..], |(_, name)| name);
            let why = "something in it changed or was opened";
            self.set_aside(part, &quarantined, name, path, why);
        }
    }

    /// Gives what is in the quarantine as `quarantined` a displaced name. Returns false if an error
    /// prevents it.
    fn set_aside(
        &self,
        part: &PendingDeletion,
        quarantined: &[u8],
        name: &[u8],
        path: PathBuf,
        why: &str,
    ) -> bool {
        match set_aside(self.quarantine(part), quarantined, name, &path, why) {
            RestoreOutcome::Home | RestoreOutcome::Displaced => {
                self.displaced.lock().get_or_insert((part.root, path));
                true
            }
            RestoreOutcome::Stuck => {
                let left = path.display();
                self.fail(part, format!("cannot rename what is left of \"{left}\""));
                false
            }
        }
    }

    /// Records the first thing that was displaced, if any was.
    fn record_displaced(&self) {
        let Some((root, path)) = self.displaced.lock().take() else {
            return;
        };
        let root = &self.sweep.roots[root];
        let unit = &self.sweep.line;
        let (path, path_b64) = match unit.unit {
            // Its pieces are in many places: the line names the first that was displaced.
            LineUnit::Job => pack(path.as_os_str().as_encoded_bytes()),
            LineUnit::File | LineUnit::Dir | LineUnit::EmptyDir => {
                (unit.path.clone(), unit.path_b64.clone())
            }
        };
        self.lane.record_displaced(&[Line {
            id: self.lane.ledger.next_id(),
            root: root.name.clone(),
            path,
            path_b64,
            paths: Vec::new(),
            files: self.kept.load(Ordering::Relaxed),
            bytes: 0,
            result: Mark::Displaced,
            ..unit.clone()
        }]);
    }
}

fn is_not_empty(error: &FsError) -> bool {
    matches!(error.errno, Errno::NOTEMPTY | Errno::EXIST)
}

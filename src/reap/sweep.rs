//! The end of what lies in the quarantine and is recorded: removal, deepest first, by two threads where it pays.
//!
//! **Invariant:** only what the second look saw is removed, and only while it is still the same and closed. What appeared
//! or changed since stays, displaced.
//! **Invariant:** an error of the file system displaces nothing: what it stopped is tried again, here with exponential backoff, and by
//! the next start.
//! **Invariant:** a unit is told as finished when all of it is gone or displaced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::back::{RestoreOutcome, set_aside};
use super::judge::{OpenState, ask, ask_after_crash};
use super::names::{QuarantineName, quarantine_name};
use super::parts::Part;
use super::place::Shared;
use crate::clock;
use crate::core::claim::Reaped;
use crate::core::facts::Facts;
use crate::core::hold::Hold;
use crate::core::path::RelPath;
use crate::core::policy::SkipOpen;
use crate::fs::chain::Chain;
use crate::fs::lease::WhenBusy;
use crate::fs::tree::Tree;
use crate::fs::{Dir, FsError};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit, Mark};

/// Names, with what was seen of them (~150 bytes each), that may wait for a lane's sweepers: ~30 MB.
pub(super) const WAITING_NAMES_MAX: usize = 200_000;

/// From so many files on a second thread helps: starting it costs as much as removing a few.
const SPLIT_FILES_MIN: u64 = 256;

/// A thread takes so many directories at once: enough that it seldom walks down, few enough that both end together.
const DIRS_AT_ONCE: usize = 8;

/// The first pause before what an error stopped is tried again, and the longest: each try looks at all of the unit that is left.
pub(super) const RETRY_MIN: Duration = Duration::from_secs(1);
pub(super) const RETRY_MAX: Duration = Duration::from_mins(10);

/// Names in units that wait to be tried again. Units beyond them are left to the next start.
const RETRIED_NAMES_MAX: usize = 200_000;

/// A root that parts lie in.
#[derive(Debug)]
pub(super) struct Stand {
    /// The quarantine that they were moved into, wherever it is by now.
    pub(super) quarantine: Arc<Dir>,
    /// The root's path.
    pub(super) path: PathBuf,
    /// Its name.
    pub(super) root: String,
}

/// A part that is to be removed, and its number.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) number: u32,
    /// In the quarantine of which of the sweep's roots it lies.
    pub(super) stand: usize,
    /// Of which of the sweep's trees it is.
    pub(super) tree: usize,
    pub(super) part: Part,
    /// Where it was in the root.
    pub(super) path: RelPath,
}

/// A unit that is to be removed from the quarantine.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) stands: Vec<Stand>,
    pub(super) trees: Vec<Tree>,
    pub(super) doomed: Vec<Doomed>,
    pub(super) skip_open: SkipOpen,
    /// The line that is in the ledger.
    pub(super) line: Line,
    /// The answer after the first try; recovery and later tries have none to give.
    pub(super) answer: Option<Reaped>,
    /// Whether an earlier process moved it: what that one had open the kernel may be closing still.
    pub(super) after_crash: bool,
    /// How often an error stopped it.
    pub(super) failures: u32,
}

/// What became of one file.
enum Fate {
    Gone,
    /// It is another one by now, or open.
    Changed,
    /// The file system refuses.
    Failed(String),
}

/// A step of the removal of files.
enum Step {
    /// The files of one directory of a part.
    Dir { doomed: usize, at: u32 },
    /// A part that is a file.
    File { doomed: usize },
}

/// A try to remove a unit.
struct Sweeping<'a> {
    shared: &'a Shared,
    sweep: &'a Sweep,
    /// How many files stayed.
    stayed: AtomicU64,
    /// Parts that an error stopped, by their numbers, with the first error.
    failed: Mutex<BTreeMap<u32, String>>,
}

/// Removes a unit; returns the answer for its claim, unless the removal was interrupted or was answered before.
pub(super) fn sweep(shared: &Shared, mut sweep: Sweep) -> Option<Reaped> {
    let id = sweep.line.id;
    let sweeping = Sweeping {
        shared,
        sweep: &sweep,
        stayed: AtomicU64::new(0),
        failed: Mutex::default(),
    };
    let steps = sweeping.steps();
    let next = AtomicUsize::new(0);
    let remove = || sweeping.remove_files(&steps, &next);
    if sweep.line.files >= SPLIT_FILES_MIN {
        std::thread::scope(|scope| {
            scope.spawn(remove);
            remove();
        });
    } else {
        remove();
    }
    if shared.is_stopping() {
        shared.intents.leave_parts(id, &numbers(&sweep));
        return None;
    }
    sweeping.remove_dirs();
    sweeping.set_rest_aside();
    let failed = sweeping.failed.into_inner();
    let (left, done): (Vec<u32>, Vec<u32>) = numbers(&sweep)
        .into_iter()
        .partition(|part| failed.contains_key(part));
    if left.is_empty() && !sweep.after_crash {
        shared.intents.done([id]);
    } else {
        // Recovery hands a unit over part by part.
        shared.intents.done_parts(id, &done);
    }
    let answer = sweep.answer.take();
    if let Some(error) = failed.into_values().next() {
        sweep.doomed.retain(|part| left.contains(&part.number));
        retry(shared, sweep, &error);
    } else {
        let dirs = sweep.stands.into_iter().map(|stand| stand.quarantine);
        shared.tell_if_finished(id, sweep.line.unit, dirs.collect());
    }
    answer
}

fn numbers(sweep: &Sweep) -> Vec<u32> {
    sweep.doomed.iter().map(|part| part.number).collect()
}

/// Has what an error stopped be tried again.
fn retry(shared: &Shared, mut sweep: Sweep, error: &str) {
    let id = sweep.line.id;
    let pause = (RETRY_MIN * 2_u32.pow(sweep.failures.min(16))).min(RETRY_MAX);
    sweep.failures += 1;
    let path = String::from_utf8_lossy(&sweep.line.path_bytes()).into_owned();
    let left = numbers(&sweep);
    let weight = sweep.weight();
    shared.intents.postpone(id);
    let until = clock::now().boot + pause;
    if shared.sweeps.defer(sweep, weight, until, RETRIED_NAMES_MAX) {
        tracing::warn!(
            path,
            error,
            "a recorded removal cannot be finished yet; it is tried again in {}",
            humantime::format_duration(pause)
        );
    } else {
        shared.intents.leave_parts(id, &left);
        tracing::warn!(
            path,
            error,
            "a recorded removal cannot be finished yet; the next start tries it again"
        );
    }
}

impl Sweeping<'_> {
    fn tree(&self, doomed: &Doomed) -> &Tree {
        &self.sweep.trees[doomed.tree]
    }

    fn stand(&self, doomed: &Doomed) -> &Stand {
        &self.sweep.stands[doomed.stand]
    }

    fn quarantine(&self, doomed: &Doomed) -> &Dir {
        &self.stand(doomed).quarantine
    }

    fn lain(&self, doomed: &Doomed) -> QuarantineName {
        quarantine_name(self.sweep.line.id, doomed.number)
    }

    /// Notes that an error stops the part.
    fn fail(&self, doomed: &Doomed, error: String) {
        let mut failed = self.failed.lock();
        failed.entry(doomed.number).or_insert(error);
    }

    /// Everything that has files, deepest first.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (doomed, part) in self.sweep.doomed.iter().enumerate() {
            let tree = self.tree(part);
            match part.part {
                Part::File { .. } => steps.push(Step::File { doomed }),
                Part::Dir(top) => steps.extend(
                    tree.below(top)
                        .into_iter()
                        .rev()
                        .filter(|&at| !tree.dir(at).files.is_empty())
                        .map(|at| Step::Dir { doomed, at }),
                ),
            }
        }
        steps
    }

    fn remove_files(&self, steps: &[Step], next: &AtomicUsize) {
        let all = &self.sweep.doomed;
        let mut chain: Option<(usize, Chain<'_>)> = None;
        loop {
            let from = next.fetch_add(DIRS_AT_ONCE, Ordering::Relaxed);
            let Some(steps) = steps.get(from..).filter(|steps| !steps.is_empty()) else {
                return;
            };
            for step in steps.iter().take(DIRS_AT_ONCE) {
                let (Step::File { doomed } | Step::Dir { doomed, .. }) = *step;
                let part = &all[doomed];
                match *step {
                    Step::File { .. } => {
                        let facts = part.part.facts(self.tree(part));
                        let lain = self.lain(part);
                        self.remove_file(part, self.quarantine(part), &lain, facts);
                    }
                    Step::Dir { at, .. } => {
                        if chain.as_ref().is_none_or(|(of, _)| *of != doomed) {
                            chain = Some((doomed, self.chain_of(part)));
                        }
                        let (_, chain) = chain.as_mut().expect("invariant: just made");
                        self.remove_files_of(part, chain, at);
                    }
                }
                if self.shared.is_stopping() {
                    return;
                }
            }
        }
    }

    /// A way down the part `doomed`, which stands in the quarantine under its number.
    fn chain_of<'d>(&'d self, doomed: &Doomed) -> Chain<'d> {
        let top = match doomed.part {
            Part::Dir(top) => top,
            Part::File { dir, .. } => dir,
        };
        Chain::new(
            &self.sweep.stands[doomed.stand].quarantine,
            top,
            &self.lain(doomed),
        )
    }

    /// Removes the files of one directory.
    fn remove_files_of(&self, doomed: &Doomed, chain: &mut Chain<'_>, at: u32) {
        let tree = self.tree(doomed);
        match chain.go(tree, at) {
            Ok(dir) => {
                for (name, facts) in &tree.dir(at).files {
                    if self.shared.is_stopping() {
                        return;
                    }
                    self.remove_file(doomed, dir, name, facts);
                }
            }
            // After a crash, and when it is tried again, the way may be shorter than it was: what is gone is gone.
            Err(error) if error.is_absence() => {}
            Err(error) => self.fail(doomed, error.to_string()),
        }
    }

    fn remove_file(&self, doomed: &Doomed, dir: &Dir, name: &[u8], facts: &Facts) {
        match remove_file(self.sweep, dir, name, facts) {
            Fate::Gone => return,
            Fate::Changed => {}
            Fate::Failed(error) => self.fail(doomed, error),
        }
        self.stayed.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes the directories of the parts, as far as they are empty.
    fn remove_dirs(&self) {
        for doomed in &self.sweep.doomed {
            let Part::Dir(top) = doomed.part else {
                continue;
            };
            let tree = self.tree(doomed);
            let mut chain = self.chain_of(doomed);
            for at in tree.below(top).into_iter().skip(1).rev() {
                let dir = tree.dir(at);
                let removed = chain
                    .go(tree, dir.parent)
                    .and_then(|parent| parent.remove_dir(&dir.name));
                self.check_removed(doomed, removed);
            }
            let removed = self.quarantine(doomed).remove_dir(&self.lain(doomed));
            self.check_removed(doomed, removed);
        }
    }

    /// A directory that is not empty holds what stays: that shows when its part is still there.
    fn check_removed(&self, doomed: &Doomed, removed: Result<(), FsError>) {
        match removed {
            Err(error) if !error.is_absence() && !is_not_empty(&error) => {
                self.fail(doomed, error.to_string());
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Gives what is left of the parts displaced names, and says so in the ledger; not of those that an error stopped.
    fn set_rest_aside(&self) {
        let mut aside = None;
        for doomed in &self.sweep.doomed {
            if self.failed.lock().contains_key(&doomed.number) {
                continue;
            }
            let (stand, quarantine) = (self.stand(doomed), self.quarantine(doomed));
            let lain = self.lain(doomed);
            match quarantine.look(&lain) {
                Ok(None) => continue,
                Ok(Some(_)) => {}
                Err(error) => {
                    self.fail(doomed, error.to_string());
                    continue;
                }
            }
            let path = doomed.path.below(&stand.path);
            let name = doomed
                .path
                .split()
                .map_or_else(Vec::new, |(_, name)| name.to_vec());
            let why = "something in it changed or was opened";
            match set_aside(quarantine, &lain, &name, &path, why) {
                RestoreOutcome::Home | RestoreOutcome::Displaced => {
                    aside.get_or_insert((stand, path));
                }
                RestoreOutcome::Stuck => {
                    let left = path.display();
                    self.fail(doomed, format!("cannot rename what is left of \"{left}\""));
                }
            }
        }
        if let Some((stand, path)) = aside {
            self.record_displaced(stand, &path);
        }
    }

    fn record_displaced(&self, stand: &Stand, path: &Path) {
        let unit = &self.sweep.line;
        let (path, path_b64) = match unit.unit {
            // Its pieces lie in many places: the first that was displaced stands for all.
            LineUnit::Job => pack(path.as_os_str().as_encoded_bytes()),
            LineUnit::File | LineUnit::Dir | LineUnit::EmptyDir => {
                (unit.path.clone(), unit.path_b64.clone())
            }
        };
        let line = Line {
            id: self.shared.ledger.next_id(),
            root: stand.root.clone(),
            path,
            path_b64,
            paths: Vec::new(),
            files: self.stayed.load(Ordering::Relaxed),
            bytes: 0,
            result: Mark::Displaced,
            ..unit.clone()
        };
        if let Err(error) = self.shared.ledger.append(&[line]) {
            tracing::error!(%error, "what was displaced could not be recorded");
        }
    }
}

/// Removes one file if it is still what was seen, and closed. Its change time may be another one: the removal of another of
/// its names moves it.
fn remove_file(sweep: &Sweep, dir: &Dir, name: &[u8], facts: &Facts) -> Fate {
    let asked = if sweep.after_crash {
        ask_after_crash(sweep.skip_open, dir, name, facts)
    } else {
        ask(sweep.skip_open, dir, name, facts, WhenBusy::Wait)
    };
    let look = || match dir.look(name) {
        Ok(Some(now)) => Ok(now),
        Ok(None) => Err(Fate::Gone),
        Err(error) => Err(Fate::Failed(error.to_string())),
    };
    let lease = match asked {
        // Looked at when it was opened for the lease.
        OpenState::Closed(Some(lease)) => Some(lease),
        OpenState::Closed(None) => match look() {
            Ok(now) if now.is_same_content(facts) => None,
            Ok(_) => return Fate::Changed,
            Err(fate) => return fate,
        },
        OpenState::Replaced => return look().err().unwrap_or(Fate::Changed),
        OpenState::Held(hold @ Hold::OpenUnknown { .. }) => return Fate::Failed(hold.to_string()),
        OpenState::Held(_) | OpenState::Busy => return Fate::Changed,
    };
    let removed = dir.remove_file(name);
    drop(lease);
    match removed {
        Ok(()) => Fate::Gone,
        Err(error) if error.is_absence() => Fate::Gone,
        Err(error) => Fate::Failed(error.to_string()),
    }
}

fn is_not_empty(error: &FsError) -> bool {
    matches!(error.errno, Errno::NOTEMPTY | Errno::EXIST)
}

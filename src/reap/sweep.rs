//! The end of what lies in the quarantine and is recorded: removal, deepest first, by two threads where it pays.
//!
//! **Invariant:** only what the second look saw is removed, and only while it is still the same and closed. What appeared
//! or changed since stays, displaced.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::back::{Back, set_aside};
use super::intents::lain_name;
use super::judge::{Asked, ask, ask_after_crash};
use super::parts::Part;
use super::place::{Place, Shared};
use crate::core::claim::Reaped;
use crate::core::facts::{Facts, Kind};
use crate::core::path::RelPath;
use crate::core::policy::SkipOpen;
use crate::fs::chain::Chain;
use crate::fs::lease::WhenBusy;
use crate::fs::tree::Tree;
use crate::fs::{Dir, RootDir, quarantine};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit, Mark};

/// So many files, with what was seen of them (about 150 bytes each), may wait for the sweeper.
pub(super) const WAITING_FILES_MAX: usize = 200_000;

/// From so many files on a second thread helps: starting it costs as much as removing a few.
const SPLIT_FILES_MIN: u64 = 256;

/// A thread takes so many directories at once: enough that it seldom walks down, few enough that both end together.
const DIRS_AT_ONCE: usize = 8;

/// A root that parts lie in.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) place: Place,
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
    /// What to answer when it is through; recovery has nobody to answer.
    pub(super) answer: Option<Reaped>,
}

/// A step of the removal of files.
enum Step {
    /// The files of one directory of a part.
    Dir { doomed: usize, at: u32 },
    /// A part that is a file.
    File { doomed: usize },
}

/// A sweep with the quarantines of its roots; `None`: the root went away.
struct Sweeping<'a> {
    shared: &'a Shared,
    sweep: &'a Sweep,
    quarantines: Vec<Option<Dir>>,
    /// How many files stayed.
    stayed: AtomicU64,
}

/// Removes a unit; the answer for its claim, unless it was interrupted.
pub(super) fn sweep(shared: &Shared, sweep: Sweep) -> Option<Reaped> {
    let id = sweep.line.id;
    let parts: Vec<u32> = sweep.doomed.iter().map(|doomed| doomed.number).collect();
    let sweeping = Sweeping {
        shared,
        quarantines: sweep.stands.iter().map(quarantine_of).collect(),
        sweep: &sweep,
        stayed: AtomicU64::new(0),
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
        shared.intents.leave_parts(id, &parts);
        return None;
    }
    sweeping.remove_dirs();
    let left = sweeping.set_rest_aside();
    if left.is_empty() && sweep.answer.is_some() {
        shared.intents.done([id]);
    } else {
        // Recovery hands a unit over part by part.
        let is_left = |part: &u32| left.contains(part);
        let (left, done): (Vec<u32>, Vec<u32>) = parts.into_iter().partition(is_left);
        shared.intents.done_parts(id, &done);
        shared.intents.leave_parts(id, &left);
    }
    sweep.answer
}

fn quarantine_of(stand: &Stand) -> Option<Dir> {
    let found = RootDir::open_as(&stand.place.path, stand.place.key)
        .ok()
        .and_then(|root| quarantine::find(&root).ok().flatten());
    if found.is_none() {
        tracing::warn!(
            path = %stand.place.path.display(),
            "the root went away; the removal is finished when it is back"
        );
    }
    found
}

impl Sweeping<'_> {
    fn tree(&self, doomed: &Doomed) -> &Tree {
        &self.sweep.trees[doomed.tree]
    }

    fn quarantine(&self, doomed: &Doomed) -> Option<&Dir> {
        self.quarantines[doomed.stand].as_ref()
    }

    fn lain(&self, doomed: &Doomed) -> Vec<u8> {
        lain_name(self.sweep.line.id, doomed.number)
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
                let Some(quarantine) = self.quarantine(part) else {
                    continue;
                };
                let left = match *step {
                    Step::File { .. } => {
                        let facts = part.part.facts(self.tree(part));
                        let lain = self.lain(part);
                        u64::from(!remove_file(self.sweep, quarantine, &lain, facts))
                    }
                    Step::Dir { at, .. } => {
                        if chain.as_ref().is_none_or(|(of, _)| *of != doomed) {
                            chain = Some((doomed, self.chain_of(quarantine, part)));
                        }
                        let (_, chain) = chain.as_mut().expect("invariant: just made");
                        self.remove_files_of(self.tree(part), chain, at)
                    }
                };
                self.stayed.fetch_add(left, Ordering::Relaxed);
                if self.shared.is_stopping() {
                    return;
                }
            }
        }
    }

    /// A way down the part `doomed`, which stands in the quarantine under its number.
    fn chain_of<'d>(&self, quarantine: &'d Dir, doomed: &Doomed) -> Chain<'d> {
        let top = match doomed.part {
            Part::Dir(top) => top,
            Part::File { dir, .. } => dir,
        };
        Chain::new(quarantine, top, &self.lain(doomed))
    }

    /// Removes the files of one directory; returns how many stayed.
    fn remove_files_of(&self, tree: &Tree, chain: &mut Chain<'_>, at: u32) -> u64 {
        let files = &tree.dir(at).files;
        let dir = match chain.go(tree, at) {
            Ok(dir) => dir,
            Err(error) => {
                // After a crash the way may be shorter than it was: what is gone is gone.
                tracing::debug!(%error, "a directory of a unit cannot be reached");
                return 0;
            }
        };
        let mut left = 0;
        for (name, facts) in files {
            if self.shared.is_stopping() {
                break;
            }
            left += u64::from(!remove_file(self.sweep, dir, name, facts));
        }
        left
    }

    /// Removes the directories of the parts, as far as they are empty.
    fn remove_dirs(&self) {
        for doomed in &self.sweep.doomed {
            let (Part::Dir(top), Some(quarantine)) = (doomed.part, self.quarantine(doomed)) else {
                continue;
            };
            let tree = self.tree(doomed);
            let mut chain = self.chain_of(quarantine, doomed);
            for at in tree.below(top).into_iter().skip(1).rev() {
                let dir = tree.dir(at);
                // What stays shows below: its part is still there.
                if let Ok(parent) = chain.go(tree, dir.parent) {
                    let _ = parent.remove_dir(&dir.name);
                }
            }
            let _ = quarantine.remove_dir(&self.lain(doomed));
        }
    }

    /// Gives what is left of the parts displaced names, and says so in the ledger. Returns the parts for which that failed.
    fn set_rest_aside(&self) -> BTreeSet<u32> {
        let mut left = BTreeSet::new();
        let mut aside = None;
        for doomed in &self.sweep.doomed {
            let stand = &self.sweep.stands[doomed.stand];
            let Some(quarantine) = self.quarantine(doomed) else {
                left.insert(doomed.number);
                continue;
            };
            let lain = self.lain(doomed);
            if matches!(quarantine.look(&lain), Ok(None)) {
                continue;
            }
            let path = doomed.path.below(&stand.place.path);
            let name = doomed
                .path
                .split()
                .map_or_else(Vec::new, |(_, name)| name.to_vec());
            let why = "something in it changed, was opened or cannot be removed";
            match set_aside(quarantine, &lain, &name, &path, why) {
                Back::Home | Back::Displaced => {
                    aside.get_or_insert((stand, path));
                }
                Back::Stuck => {
                    left.insert(doomed.number);
                }
            }
        }
        if let Some((stand, path)) = aside {
            self.record_displaced(stand, &path);
        }
        left
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
fn remove_file(sweep: &Sweep, dir: &Dir, name: &[u8], facts: &Facts) -> bool {
    match dir.look(name) {
        Ok(Some(now)) if now.is_same_content(facts) => {}
        Ok(None) => return true,
        Ok(Some(_)) | Err(_) => return false,
    }
    let asked = match &sweep.answer {
        Some(_) => ask(sweep.skip_open, dir, name, facts, WhenBusy::Wait),
        None => ask_after_crash(sweep.skip_open, dir, name, facts),
    };
    let lease = match asked {
        Asked::Free(lease) => lease,
        Asked::Held(_) | Asked::Replaced | Asked::Busy => return false,
    };
    if lease.as_ref().is_some_and(|lease| !lease.holds()) {
        return false;
    }
    let removed = dir.remove_file(name);
    drop(lease);
    if let Err(error) = &removed {
        tracing::debug!(%error, "a file of a unit stays");
    }
    removed.is_ok()
}

/// Whether `facts` tell of a change after the thing was moved: such a thing is not what was recorded.
pub(super) fn is_younger(facts: &Facts, line: &Line) -> bool {
    // The line's instant was cut to milliseconds.
    let moved = crate::core::time::FileTime::from(line.at.plus_ms(1));
    matches!(facts.kind, Kind::File | Kind::Other)
        && (facts.mtime > moved
            || facts.ctime > moved
            || facts.btime.is_some_and(|born| born > moved))
}

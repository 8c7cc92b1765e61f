//! The end of what lies in the quarantine and is recorded: removal, deepest first, by two threads where it pays.
//!
//! **Invariant:** only what the second look saw is removed, and only while it is still the same and closed. What appeared
//! or changed since stays, displaced.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::back::{Back, set_aside};
use super::intents::lain_name;
use super::judge::{Asked, ask};
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
use crate::ledger::{Line, Mark};

/// So many files, with what was seen of them (about 150 bytes each), may wait for the sweeper.
pub(super) const WAITING_FILES_MAX: usize = 200_000;

/// From so many files on a second thread helps: starting it costs as much as removing a few.
const SPLIT_FILES_MIN: u64 = 256;

/// A thread takes so many directories at once: enough that it seldom walks down, few enough that both end together.
const DIRS_AT_ONCE: usize = 8;

/// A part that is to be removed, and its number.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) number: u32,
    pub(super) part: Part,
    /// Where it was in the root.
    pub(super) path: RelPath,
}

/// A unit that is to be removed from the quarantine.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) place: Place,
    pub(super) tree: Tree,
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

/// Removes a unit; the answer for its claim, unless it was interrupted.
pub(super) fn sweep(shared: &Shared, sweep: Sweep) -> Option<Reaped> {
    let id = sweep.line.id;
    let opened = RootDir::open_as(&sweep.place.path, sweep.place.key)
        .ok()
        .and_then(|root| quarantine::find(&root).ok().flatten());
    let Some(quarantine) = opened else {
        tracing::warn!(
            path = sweep.line.path,
            "the root went away; the removal is finished when it is back"
        );
        shared.intents.leave([id]);
        return sweep.answer;
    };
    let stayed = AtomicU64::new(0);
    let steps = steps(&sweep);
    let next = AtomicUsize::new(0);
    let remove = || remove_files(shared, &sweep, &quarantine, &steps, &next, &stayed);
    if sweep.line.files >= SPLIT_FILES_MIN {
        std::thread::scope(|scope| {
            scope.spawn(remove);
            remove();
        });
    } else {
        remove();
    }
    if shared.is_stopping() {
        shared.intents.leave([id]);
        return None;
    }
    remove_dirs(&sweep, &quarantine);
    let done = set_rest_aside(shared, &sweep, &quarantine, stayed.into_inner());
    if done && sweep.answer.is_some() {
        shared.intents.done([id]);
    } else if done {
        // Recovery hands a unit over part by part.
        let parts: Vec<u32> = sweep.doomed.iter().map(|doomed| doomed.number).collect();
        shared.intents.done_parts(id, &parts);
    } else {
        shared.intents.leave([id]);
    }
    sweep.answer
}

/// Everything that has files, deepest first.
fn steps(sweep: &Sweep) -> Vec<Step> {
    let mut steps = Vec::new();
    for (doomed, part) in sweep.doomed.iter().enumerate() {
        match part.part {
            Part::File { .. } => steps.push(Step::File { doomed }),
            Part::Dir(top) => steps.extend(
                sweep
                    .tree
                    .below(top)
                    .into_iter()
                    .rev()
                    .filter(|&at| !sweep.tree.dir(at).files.is_empty())
                    .map(|at| Step::Dir { doomed, at }),
            ),
        }
    }
    steps
}

fn remove_files(
    shared: &Shared,
    sweep: &Sweep,
    quarantine: &Dir,
    steps: &[Step],
    next: &AtomicUsize,
    stayed: &AtomicU64,
) {
    let id = sweep.line.id;
    let mut chain: Option<(usize, Chain<'_>)> = None;
    loop {
        let from = next.fetch_add(DIRS_AT_ONCE, Ordering::Relaxed);
        let Some(steps) = steps.get(from..).filter(|steps| !steps.is_empty()) else {
            return;
        };
        for step in steps.iter().take(DIRS_AT_ONCE) {
            let left = match *step {
                Step::File { doomed } => {
                    let part = &sweep.doomed[doomed];
                    let lain = lain_name(id, part.number);
                    let facts = part.part.facts(&sweep.tree);
                    u64::from(!remove_file(sweep, quarantine, &lain, facts))
                }
                Step::Dir { doomed, at } => {
                    if chain.as_ref().is_none_or(|(of, _)| *of != doomed) {
                        chain = Some((doomed, chain_of(sweep, quarantine, &sweep.doomed[doomed])));
                    }
                    let (_, chain) = chain.as_mut().expect("invariant: just made");
                    remove_files_of(shared, sweep, chain, at)
                }
            };
            stayed.fetch_add(left, Ordering::Relaxed);
            if shared.is_stopping() {
                return;
            }
        }
    }
}

/// A way down the part `doomed`, which stands in the quarantine under its number.
fn chain_of<'a>(sweep: &Sweep, quarantine: &'a Dir, doomed: &Doomed) -> Chain<'a> {
    let lain = lain_name(sweep.line.id, doomed.number);
    let top = match doomed.part {
        Part::Dir(top) => top,
        Part::File { dir, .. } => dir,
    };
    Chain::new(quarantine, top, &lain)
}

/// Removes the files of one directory; returns how many stayed.
fn remove_files_of(shared: &Shared, sweep: &Sweep, chain: &mut Chain<'_>, at: u32) -> u64 {
    let files = &sweep.tree.dir(at).files;
    let dir = match chain.go(&sweep.tree, at) {
        Ok(dir) => dir,
        Err(error) => {
            // After a crash the way may be shorter than it was: what is gone is gone.
            tracing::debug!(%error, "a directory of a unit cannot be reached");
            return 0;
        }
    };
    let mut left = 0;
    for (name, facts) in files {
        if shared.is_stopping() {
            break;
        }
        left += u64::from(!remove_file(sweep, dir, name, facts));
    }
    left
}

/// Removes one file if it is still what was seen, and closed. Its change time may be another one: the removal of another of
/// its names moves it.
fn remove_file(sweep: &Sweep, dir: &Dir, name: &[u8], facts: &Facts) -> bool {
    match dir.look(name) {
        Ok(Some(now)) if now.is_same_content(facts) => {}
        Ok(None) => return true,
        Ok(Some(_)) | Err(_) => return false,
    }
    let lease = match ask(sweep.skip_open, dir, name, facts, WhenBusy::Wait) {
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

/// Removes the directories of the parts, as far as they are empty.
fn remove_dirs(sweep: &Sweep, quarantine: &Dir) {
    for doomed in &sweep.doomed {
        let Part::Dir(top) = doomed.part else {
            continue;
        };
        let mut chain = chain_of(sweep, quarantine, doomed);
        for at in sweep.tree.below(top).into_iter().skip(1).rev() {
            let dir = sweep.tree.dir(at);
            // What stays shows below: its part is still there.
            if let Ok(parent) = chain.go(&sweep.tree, dir.parent) {
                let _ = parent.remove_dir(&dir.name);
            }
        }
        let _ = quarantine.remove_dir(&lain_name(sweep.line.id, doomed.number));
    }
}

/// Gives what is left of the parts displaced names, and says so in the ledger. Whether that succeeded.
fn set_rest_aside(shared: &Shared, sweep: &Sweep, quarantine: &Dir, stayed: u64) -> bool {
    let mut aside = 0;
    let mut all = true;
    for doomed in &sweep.doomed {
        let lain = lain_name(sweep.line.id, doomed.number);
        if matches!(quarantine.look(&lain), Ok(None)) {
            continue;
        }
        let path = doomed.path.below(&sweep.place.path);
        let name = doomed
            .path
            .split()
            .map_or_else(Vec::new, |(_, name)| name.to_vec());
        let why = "something in it changed, was opened or cannot be removed";
        match set_aside(quarantine, &lain, &name, &path, why) {
            Back::Home | Back::Displaced => aside += 1,
            Back::Stuck => all = false,
        }
    }
    if aside > 0 {
        let line = Line {
            id: shared.ledger.next_id(),
            files: stayed,
            bytes: 0,
            result: Mark::Displaced,
            ..sweep.line.clone()
        };
        if let Err(error) = shared.ledger.append(&[line]) {
            tracing::error!(%error, "what was displaced could not be recorded");
        }
    }
    all
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

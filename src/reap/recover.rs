//! What a crash left in a quarantine: finished, put back, or set aside.
//!
//! **Invariant:** only what has a readable intent *and* a ledger line is removed. Every step can be cut off and done again.
//! **Invariant:** an error of the file system settles nothing: it is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::back::{DISPLACED, RestoreOutcome, put_back, set_aside};
use super::intent::{Intent, QuarantineId};
use super::names::parse_quarantine_name;
use super::parts::Part;
use super::place::{Large, Place, Shared};
use super::sweep::{Doomed, RETRY_MAX, RETRY_MIN, Stand, Sweep};
use crate::clock;
use crate::core::facts::{Facts, Kind, RootId};
use crate::core::hold::Hold;
use crate::core::policy::SkipOpen;
use crate::fs::tree::Tree;
use crate::fs::{Dir, RootDir, quarantine};
use crate::ledger::line::pack;
use crate::ledger::{By, Line, LineUnit, Mark};

/// What was done for one thing.
enum Done {
    /// It is where it belongs, gone, or set aside.
    Settled,
    /// The sweeper has it.
    HandedOver,
    /// It is still there.
    Left,
}

struct Recovery<'a> {
    shared: &'a Shared,
    root_id: RootId,
    place: &'a Place,
    root: &'a RootDir,
    quarantine: &'a Arc<Dir>,
    /// The numbers that have a ledger line.
    recorded: BTreeSet<u64>,
}

/// Puts the quarantine of the root at `place` in order, then lets its claims go on.
pub(super) fn recover(shared: &Shared, root_id: RootId, place: &Place) {
    let hold = match RootDir::open_as(&place.path, place.key) {
        Ok(root) => match shared.find_quarantine(root_id, place, &root) {
            Ok(Some(_)) => None,
            Ok(None) => {
                // Of those that do not say where they were moved to: they never were, or are gone.
                for (id, parts) in shared.intents.take_up(place, None) {
                    let numbers: Vec<u32> = parts.iter().map(|intent| intent.part).collect();
                    shared.intents.done_parts(id, &numbers);
                    shared.tell_if_finished(id, parts[0].line.unit, Vec::new());
                }
                if tell_elsewhere(shared, place, None) == 0 {
                    claim_root(shared, root_id, place, &root)
                } else {
                    None
                }
            }
            Err(hold) => Some(hold),
        },
        // The watchers tell when it is back.
        Err(_) => None,
    };
    shared.recovered(root_id, place);
    (shared.hooks.recovered)(root_id, hold);
}

/// Makes and locks the quarantine of a root that has none, so that the first process on a root owns it, not the first that has
/// something to remove. Returns the hold of a root that another process owns. A quarantine that cannot be made is told by the
/// first removal that needs it.
///
/// Once for each root: an application that deletes a root and makes it again would meet a quarantine that comes while it deletes,
/// and fail. There the first removal makes it.
fn claim_root(shared: &Shared, id: RootId, place: &Place, root: &RootDir) -> Option<Hold> {
    if !shared.quarantines.claim(&place.path) {
        return None;
    }
    match shared.quarantine(id, place, root) {
        Err(hold @ Hold::RootInUse { .. }) => Some(hold),
        Ok(_) | Err(_) => None,
    }
}

/// Warns of removals that cannot be finished, because the quarantine that they lie in is not at its place. Returns their number.
fn tell_elsewhere(shared: &Shared, place: &Place, id: Option<QuarantineId>) -> usize {
    let count = shared.intents.count_elsewhere(place, id);
    if count > 0 {
        tracing::warn!(
            root = %place.path.display(),
            count,
            "removals cannot be finished: the directory .lapsed that they lie in was renamed or is away, and another is at its place or \
             none; they are finished once it is back in its place, before anything is removed there"
        );
    }
    count
}

/// Tries once more to settle what an error left in the quarantine of the root at `place`, if it is there still.
pub(super) fn retry(shared: &Shared, root_id: RootId, place: &Place, pause: Duration) {
    let placed = shared.places.lock();
    let here = placed.get(&root_id).filter(|root| root.place == *place);
    let quarantine = here.and_then(|root| root.quarantine.clone());
    drop(placed);
    if let Some(quarantine) = quarantine
        && let Ok(root) = RootDir::open_as(&place.path, place.key)
        && let Err(hold) = settle_after(shared, root_id, place, (&root, &quarantine), pause)
    {
        tracing::warn!(root = %place.path.display(), "{hold}");
        retry_later(shared, root_id, place, pause);
    }
}

fn retry_later(shared: &Shared, root: RootId, place: &Place, pause: Duration) {
    let place = place.clone();
    let again = Large::Retry {
        root,
        place,
        pause: (pause * 2).min(RETRY_MAX),
    };
    let until = clock::now().boot + pause;
    shared.large.defer(again, 1, until, usize::MAX);
}

/// Finishes, puts back or sets aside what lies in the quarantine of the root at `place`, which this process has just locked. What an
/// error leaves there is tried again later.
///
/// # Errors
/// Where the quarantine or the ledger cannot be read: nothing is touched then.
pub(super) fn settle(
    shared: &Shared,
    root_id: RootId,
    place: &Place,
    root: &RootDir,
    quarantine: &Arc<Dir>,
) -> Result<(), Hold> {
    settle_after(shared, root_id, place, (root, quarantine), RETRY_MIN)
}

fn settle_after(
    shared: &Shared,
    root_id: RootId,
    place: &Place,
    (root, quarantine): (&RootDir, &Arc<Dir>),
    pause: Duration,
) -> Result<(), Hold> {
    let unreadable = |error: &dyn std::fmt::Display| Hold::NoQuarantine {
        error: format!("cannot put the quarantine in order: {error}; it is tried again by itself"),
    };
    let facts = quarantine.facts().map_err(|error| unreadable(&error))?;
    let id = QuarantineId::of(&facts);
    let intents = shared.intents.take_up(place, Some(id));
    tell_elsewhere(shared, place, Some(id));
    let recovery = Recovery {
        recorded: BTreeSet::new(),
        shared,
        root_id,
        place,
        root,
        quarantine,
    };
    match recovery.settle(&intents) {
        Ok(left) => {
            for (id, parts) in &intents {
                let unit = parts[0].line.unit;
                let parts = || parts.iter().map(|intent| intent.part);
                let kept = |part: u32| left.get(&(*id, part)).copied();
                let done: Vec<u32> = parts().filter(|part| kept(*part).is_none()).collect();
                if !done.is_empty() {
                    shared.intents.done_parts(*id, &done);
                    shared.tell_if_finished(*id, unit, vec![Arc::clone(quarantine)]);
                }
                // The sweeper still needs those that it was given.
                let waiting = parts().filter(|part| kept(*part) == Some(Kept::Waiting));
                let waiting: Vec<u32> = waiting.collect();
                if !waiting.is_empty() {
                    shared.intents.leave_parts(*id, &waiting);
                }
            }
            if left.values().any(|kept| *kept == Kept::Waiting) {
                retry_later(shared, root_id, place, pause);
            }
            Ok(())
        }
        Err(error) => {
            for (id, parts) in &intents {
                let parts: Vec<u32> = parts.iter().map(|intent| intent.part).collect();
                shared.intents.leave_parts(*id, &parts);
            }
            Err(unreadable(&error))
        }
    }
}

/// Why an intent is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Waiting,
    Sweeping,
}

impl Recovery<'_> {
    fn settle(
        mut self,
        intents: &BTreeMap<u64, Vec<Intent>>,
    ) -> Result<BTreeMap<(u64, u32), Kept>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut things: Vec<(Vec<u8>, Facts)> = Vec::new();
        self.quarantine
            .list(|name, facts| {
                if !name.starts_with(DISPLACED.as_bytes()) {
                    things.push((name.to_vec(), facts));
                }
            })
            .map_err(|error| words(&error))?;
        let asked = intents.keys().copied().collect();
        let recorded = self.shared.ledger.contains(&asked);
        self.recorded = recorded.map_err(|error| words(&error))?;
        let mut kept = BTreeMap::new();
        // Directories that were emptied went after, and go back before, what lay in them: the later number first.
        things.sort_by_key(|(name, _)| std::cmp::Reverse(parse_quarantine_name(name)));
        for (name, facts) in things {
            let number = parse_quarantine_name(&name);
            let intent = number.and_then(|(id, part)| {
                let meant = |intent: &&Intent| intent.part == part && intent.means(&facts);
                intents.get(&id)?.iter().find(meant)
            });
            let (Some((id, part)), Some(intent)) = (number, intent) else {
                // What this very process is at work on is left to the thread that is.
                let is_taken = |id, part| {
                    let mut parts = intents.get(&id).into_iter().flatten();
                    parts.any(|intent| intent.part == part)
                };
                let ours = |id, part| !is_taken(id, part) && self.shared.intents.is_live(id, part);
                if !number.is_some_and(|(id, part)| ours(id, part)) {
                    self.unknown(&name, &facts, intents);
                }
                continue;
            };
            let done = if self.recorded.contains(&id) {
                self.finish(intent, &name, facts)
            } else {
                self.give_back(intent, (id, part))
            };
            match done {
                Done::Settled => {}
                Done::HandedOver => {
                    kept.insert((id, part), Kept::Sweeping);
                }
                Done::Left => {
                    kept.insert((id, part), Kept::Waiting);
                }
            }
        }
        Ok(kept)
    }

    /// Sets aside, and records, what has no intent that could be read.
    fn unknown(&self, name: &[u8], facts: &Facts, intents: &BTreeMap<u64, Vec<Intent>>) {
        if matches!(self.quarantine.look(name), Ok(None)) {
            // A thread was at work on it, and is through.
            return;
        }
        let path = self.quarantine.path().join(super::place::os(name));
        let why = "nothing is known of where it comes from";
        if set_aside(self.quarantine, name, name, &path, why) == RestoreOutcome::Stuck {
            return;
        }
        let mut known = intents.values().flatten();
        let root = known.next().map(|intent| intent.line.root.clone());
        let now = clock::now().wall;
        let (path, path_b64) = pack(path.as_os_str().as_encoded_bytes());
        self.append(Line {
            id: self.shared.ledger.next_id(),
            at: now,
            root: root.unwrap_or_else(|| self.place.path.display().to_string()),
            path,
            path_b64,
            unit: match facts.kind {
                Kind::Dir => LineUnit::Dir,
                Kind::File | Kind::Mount | Kind::Other => LineUnit::File,
            },
            owner: None,
            rule: String::new(),
            since: String::new(),
            basis: now,
            deadline: now,
            late_ms: 0,
            files: u64::from(facts.kind == Kind::File),
            bytes: 0,
            result: Mark::Displaced,
            by: By::Rule,
            job: None,
            paths: Vec::new(),
            further_lines: 0,
            part: 0,
            pin: None,
        });
    }

    fn give_back(&self, intent: &Intent, number: (u64, u32)) -> Done {
        let Some(path) = intent.path() else {
            return Done::Left;
        };
        let Some((parent, name)) = path.split() else {
            return Done::Left;
        };
        let home = self.root.dir(&parent);
        let full = path.below(&self.place.path);
        let back = put_back(self.quarantine, number, home.as_ref(), name, &full);
        match back {
            RestoreOutcome::Home => {
                tracing::info!(path = %full.display(), "put back: its removal was cut off before it was recorded");
            }
            RestoreOutcome::Displaced => self.record_displaced(intent),
            RestoreOutcome::Stuck => return Done::Left,
        }
        let changed = if intent.is_dir() { &path } else { &parent };
        (self.shared.hooks.put_back)(self.root_id, changed);
        Done::Settled
    }

    fn record_displaced(&self, intent: &Intent) {
        self.append(Line {
            id: self.shared.ledger.next_id(),
            result: Mark::Displaced,
            ..intent.line.clone()
        });
    }

    fn append(&self, line: Line) {
        if let Err(error) = self.shared.ledger.append(&[line]) {
            tracing::error!(%error, "what was displaced could not be recorded");
        }
    }

    /// Has the sweeper finish a removal that is in the ledger. What is younger than it stays.
    fn finish(&self, intent: &Intent, lain: &[u8], facts: Facts) -> Done {
        let (tree, part) = match (intent.line.unit, facts.kind) {
            (LineUnit::EmptyDir, _) => (Tree::of_dir(lain, facts), Part::Dir(0)),
            (LineUnit::File | LineUnit::Dir | LineUnit::Job, Kind::Dir) => {
                let stop = || self.shared.is_stopping();
                let mut tree = match Tree::walk(self.quarantine, lain, facts, &stop) {
                    Ok(tree) => tree,
                    Err(error) => {
                        tracing::error!(
                            ?error,
                            "a recorded removal cannot be finished yet; it is tried again"
                        );
                        return Done::Left;
                    }
                };
                tree.retain_files(|facts| !is_younger(facts, &intent.line));
                (tree, Part::Dir(0))
            }
            (LineUnit::File | LineUnit::Dir | LineUnit::Job, _) => {
                let part = Part::File { dir: 0, file: 0 };
                (Tree::of_file(b"", facts, lain, facts), part)
            }
        };
        let files = (0..tree.len())
            .map(|at| tree.dir(at).files.len() as u64)
            .sum();
        let sweep = Sweep {
            stands: vec![Stand {
                quarantine: Arc::clone(self.quarantine),
                path: self.place.path.clone(),
                root: intent.line.root.clone(),
            }],
            trees: vec![tree],
            doomed: vec![Doomed {
                number: intent.part,
                stand: 0,
                tree: 0,
                part,
                path: intent.path().unwrap_or_default(),
            }],
            skip_open: skip_open(intent),
            line: Line {
                files,
                ..intent.line.clone()
            },
            answer: None,
            after_crash: true,
            failures: 0,
        };
        self.shared.sweeps.push(sweep);
        Done::HandedOver
    }
}

/// Whether `facts` tell of a change after the thing was moved: such a thing is not what was recorded.
fn is_younger(facts: &Facts, line: &Line) -> bool {
    // The line's instant was cut to milliseconds.
    let moved = crate::core::time::FileTime::from(line.at.plus_ms(1));
    matches!(facts.kind, Kind::File | Kind::Other)
        && (facts.mtime > moved
            || facts.ctime > moved
            || facts.btime.is_some_and(|born| born > moved))
}

fn skip_open(intent: &Intent) -> SkipOpen {
    if intent.skip_open {
        SkipOpen::IfKnown
    } else {
        SkipOpen::Never
    }
}

/// How many displaced things lie in the quarantine of the root at `place`.
pub(super) fn displaced(place: &Place) -> u64 {
    let names = || {
        let root = RootDir::open_as(&place.path, place.key).ok()?;
        let quarantine = quarantine::find(&root).ok()??;
        let mut count = 0;
        let prefix = DISPLACED.as_bytes();
        quarantine
            .list(|name, _| count += u64::from(name.starts_with(prefix)))
            .ok()?;
        Some(count)
    };
    names().unwrap_or_default()
}

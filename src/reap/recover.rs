//! What a crash left in a quarantine: finished, put back, or set aside.
//!
//! **Invariant:** only what has a readable intent *and* a ledger line is removed. Every step can be cut off and done again.

use std::collections::{BTreeMap, BTreeSet};

use super::back::{Back, DISPLACED, put_back, set_aside};
use super::intents::{Intent, parse_lain_name};
use super::judge::{Asked, ask_after_crash};
use super::parts::Part;
use super::place::{Place, Shared};
use super::sweep::{Doomed, Stand, Sweep, is_younger};
use crate::core::facts::{Facts, Kind, RootId};
use crate::core::hold::Hold;
use crate::core::policy::SkipOpen;
use crate::fs::error::FsError;
use crate::fs::tree::Tree;
use crate::fs::{Dir, RootDir, quarantine};
use crate::ledger::{Line, LineUnit, Mark};

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
    quarantine: &'a Dir,
    /// The numbers that have a ledger line.
    recorded: BTreeSet<u64>,
}

/// Puts the quarantine of the root at `place` in order, then lets its claims go on.
pub(super) fn recover(shared: &Shared, root_id: RootId, place: &Place) {
    let hold = match RootDir::open_as(&place.path, place.key) {
        Ok(root) => match shared.find_quarantine(root_id, place, &root) {
            Ok(Some(_)) => None,
            Ok(None) => {
                // What was meant to be moved there never was, or is gone.
                for (id, parts) in shared.intents.take_up(place) {
                    let parts: Vec<u32> = parts.iter().map(|intent| intent.part).collect();
                    shared.intents.done_parts(id, &parts);
                }
                None
            }
            Err(hold) => Some(hold),
        },
        // The watchers tell when it is back.
        Err(_) => None,
    };
    shared.recovered(root_id, place);
    (shared.hooks.recovered)(root_id, hold);
}

/// Finishes, puts back or sets aside what lies in the quarantine of the root at `place`, which this process has just locked.
///
/// # Errors
/// Where the quarantine or the ledger cannot be read: nothing is touched then.
pub(super) fn settle(
    shared: &Shared,
    root_id: RootId,
    place: &Place,
    root: &RootDir,
    quarantine: &Dir,
) -> Result<(), Hold> {
    let intents = shared.intents.take_up(place);
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
                let parts = || parts.iter().map(|intent| intent.part);
                let kept = |part: u32| left.get(&(*id, part)).copied();
                let done: Vec<u32> = parts().filter(|part| kept(*part).is_none()).collect();
                shared.intents.done_parts(*id, &done);
                // The sweeper still needs those that it was given.
                let waiting = parts().filter(|part| kept(*part) == Some(Kept::Waiting));
                shared
                    .intents
                    .leave_parts(*id, &waiting.collect::<Vec<u32>>());
            }
            Ok(())
        }
        Err(error) => {
            for (id, parts) in &intents {
                let parts: Vec<u32> = parts.iter().map(|intent| intent.part).collect();
                shared.intents.leave_parts(*id, &parts);
            }
            Err(Hold::NoQuarantine {
                error: format!(
                    "cannot put the quarantine in order: {error}; it is tried again by itself"
                ),
            })
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
        things.sort_by_key(|(name, _)| std::cmp::Reverse(parse_lain_name(name)));
        for (name, facts) in things {
            let number = parse_lain_name(&name);
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
                    self.unknown(&name);
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

    /// Sets aside what has no intent that could be read.
    fn unknown(&self, name: &[u8]) {
        if matches!(self.quarantine.look(name), Ok(None)) {
            // A thread was at work on it, and is through.
            return;
        }
        let path = self.quarantine.path().join(super::place::os(name));
        let why = "nothing is known of where it comes from";
        set_aside(self.quarantine, name, name, &path, why);
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
            Back::Home => {
                tracing::info!(path = %full.display(), "put back: its removal was cut off before it was recorded");
            }
            Back::Displaced => self.record_displaced(intent),
            Back::Stuck => return Done::Left,
        }
        let changed = if intent.is_dir() { &path } else { &parent };
        (self.shared.hooks.put_back)(self.root_id, changed);
        Done::Settled
    }

    fn record_displaced(&self, intent: &Intent) {
        let line = Line {
            id: self.shared.ledger.next_id(),
            result: Mark::Displaced,
            ..intent.line.clone()
        };
        if let Err(error) = self.shared.ledger.append(&[line]) {
            tracing::error!(%error, "what was displaced could not be recorded");
        }
    }

    /// Finishes a removal that is in the ledger.
    fn finish(&self, intent: &Intent, lain: &[u8], facts: Facts) -> Done {
        match intent.line.unit {
            LineUnit::EmptyDir => match self.quarantine.remove_dir(lain) {
                Ok(()) => Done::Settled,
                Err(_) => self.displaced(intent, lain),
            },
            LineUnit::File | LineUnit::Dir | LineUnit::Job if facts.kind == Kind::Dir => {
                self.sweep_dir(intent, lain, facts)
            }
            LineUnit::File | LineUnit::Dir | LineUnit::Job => {
                self.finish_file(intent, lain, &facts)
            }
        }
    }

    fn finish_file(&self, intent: &Intent, lain: &[u8], facts: &Facts) -> Done {
        let skip_open = skip_open(intent);
        match ask_after_crash(skip_open, self.quarantine, lain, facts) {
            Asked::Free(_lease) => match self.quarantine.remove_file(lain) {
                Ok(()) => Done::Settled,
                Err(error) => self.unfinished(&error),
            },
            Asked::Held(_) | Asked::Replaced | Asked::Busy => self.displaced(intent, lain),
        }
    }

    fn unfinished(&self, error: &FsError) -> Done {
        tracing::error!(%error, root = %self.place.path.display(), "a recorded removal cannot be finished yet");
        Done::Left
    }

    fn displaced(&self, intent: &Intent, lain: &[u8]) -> Done {
        let path = intent.path().unwrap_or_default();
        let name = path
            .split()
            .map_or_else(Vec::new, |(_, name)| name.to_vec());
        let full = path.below(&self.place.path);
        let why = "it changed or was opened after its removal was cut off";
        match set_aside(self.quarantine, lain, &name, &full, why) {
            Back::Home | Back::Displaced => {
                self.record_displaced(intent);
                Done::Settled
            }
            Back::Stuck => Done::Left,
        }
    }

    /// Hands a directory to the sweeper; what is younger than its removal stays.
    fn sweep_dir(&self, intent: &Intent, lain: &[u8], facts: Facts) -> Done {
        let stop = || self.shared.is_stopping();
        let mut tree = match Tree::walk(self.quarantine, lain, facts, &stop) {
            Ok(tree) => tree,
            Err(error) => {
                tracing::error!(?error, "a recorded removal cannot be finished yet");
                return Done::Left;
            }
        };
        tree.retain_files(|facts| !is_younger(facts, &intent.line));
        let files = (0..tree.len())
            .map(|at| tree.dir(at).files.len() as u64)
            .sum();
        let sweep = Sweep {
            stands: vec![Stand {
                place: self.place.clone(),
                root: intent.line.root.clone(),
            }],
            trees: vec![tree],
            doomed: vec![Doomed {
                number: intent.part,
                stand: 0,
                tree: 0,
                part: Part::Dir(0),
                path: intent.path().unwrap_or_default(),
            }],
            skip_open: skip_open(intent),
            line: Line {
                files,
                ..intent.line.clone()
            },
            answer: None,
        };
        self.shared.sweeps.push(sweep);
        Done::HandedOver
    }
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

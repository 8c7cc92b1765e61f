//! Recovery: what a crash left in a quarantine is finished, put back, or set aside.
//!
//! **Invariant:** only what has a readable intent *and* a ledger line is removed. Every step can be
//! cut off and done again.
//! **Invariant:** an error of the file system settles nothing: it is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::back::{DISPLACED, RestoreOutcome, put_back, set_aside};
use super::intent::{Intent, QuarantineId};
use super::intents::Taken;
use super::names::parse_quarantine_name;
use super::parts::Part;
use super::pending::{Sweep, SweepRoot};
use super::pipeline::ROUND_FILES_MAX;
use super::place::{Lane, RootLocation, SlowWork};
use super::quarantines::WhenMissing;
use super::sweep::{RETRY_MAX, WAITING_NAMES_MAX};
use super::unit::UNIT_NAMES_MAX;
use crate::clock;
use crate::core::facts::{Facts, Kind, RootId};
use crate::core::hold::Hold;
use crate::core::policy::SkipOpen;
use crate::core::time::{FileTime, Timestamp};
use crate::fs::tree::Tree;
use crate::fs::{Dir, RootDir};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit, Mark};

/// Result of settling one thing.
enum Settled {
    /// It is back in its place, gone, or displaced.
    Done,
    /// A sweeper removes it.
    Sweeping,
    /// An error left it where it is.
    Left,
}

/// Intents whose things lie in the quarantine, by number and part.
type TakenUp = BTreeMap<(u64, u32), Taken>;

struct Recovery<'a> {
    lane: &'a Lane,
    root_id: RootId,
    place: &'a RootLocation,
    root: &'a RootDir,
    quarantine: &'a Arc<Dir>,
    intents: &'a TakenUp,
    /// The numbers that have a ledger line.
    recorded: BTreeSet<u64>,
    /// The removal whose parts are being collected for the sweepers.
    collected: Option<Sweep>,
}

/// Puts the quarantine of the root at `place` in order, then lets its claims go on.
pub(super) fn recover(lane: &Lane, root_id: RootId, place: &RootLocation) {
    let hold = match RootDir::open_as(&place.path, place.key) {
        Ok(root) => match lane.find_quarantine(root_id, place, &root, WhenMissing::Leave) {
            Ok(Some(_)) => None,
            Ok(None) => claim_root(lane, root_id, place, &root),
            Err(hold) => Some(hold),
        },
        // The watchers tell when it is back.
        Err(_) => None,
    };
    lane.recovered(root_id, place);
    (lane.hooks.recovered)(root_id, hold);
}

/// Makes and locks the quarantine of a root that has none, so that the first process on a root owns
/// it, not the first that has something to remove. Returns the hold of a root that another process
/// owns. A quarantine that cannot be made is told by the first removal that needs it.
///
/// Once for each root: an application that deletes a root and makes it again would meet a
/// quarantine that comes while it deletes, and fail. There the first removal makes it.
fn claim_root(lane: &Lane, id: RootId, place: &RootLocation, root: &RootDir) -> Option<Hold> {
    // Of intents that do not name their quarantine: the things were never moved, or are gone.
    match lane.intents.take_up(place, None) {
        Ok(unmoved) => end_all(lane, &unmoved, unmoved.keys().copied(), None),
        Err(error) => return Some(unsettled(&error)),
    }
    if warn_elsewhere(lane, place, None) > 0 || !lane.quarantines.claim(&place.path) {
        return None;
    }
    match lane.quarantine(id, place, root) {
        Err(hold @ Hold::RootInUse { .. }) => Some(hold),
        Ok(_) | Err(_) => None,
    }
}

/// Warns of removals that cannot be finished, because the quarantine that they lie in is not at its
/// place. Returns their number.
fn warn_elsewhere(lane: &Lane, place: &RootLocation, id: Option<QuarantineId>) -> usize {
    let count = lane.intents.count_elsewhere(place, id);
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

/// Tries once more to settle what an error left in the quarantine of the root at `place`, if it is
/// there still.
pub(super) fn retry(lane: &Lane, root_id: RootId, place: &RootLocation, pause: Duration) {
    let placed = lane.places.lock();
    let here = placed.get(&root_id).filter(|root| root.place == *place);
    let quarantine = here.and_then(|root| root.quarantine.clone());
    drop(placed);
    if let Some(quarantine) = quarantine
        && let Ok(root) = RootDir::open_as(&place.path, place.key)
        && let Err(hold) = settle(lane, root_id, place, (&root, &quarantine), pause)
    {
        tracing::warn!(root = %place.path.display(), "{hold}");
        retry_later(lane, root_id, place, pause);
    }
}

fn retry_later(lane: &Lane, root: RootId, place: &RootLocation, pause: Duration) {
    let place = place.clone();
    let again = SlowWork::Retry {
        root,
        place,
        pause: (pause * 2).min(RETRY_MAX),
    };
    let until = clock::now().boot + pause;
    lane.large.defer(again, 1, until, usize::MAX);
}

/// Finishes, puts back or sets aside what lies in the quarantine of the root at `place`, which this
/// process has locked. What an error leaves there is tried again after `pause`.
///
/// # Errors
/// If the quarantine, the intents or the ledger cannot be read: nothing is touched then.
pub(super) fn settle(
    lane: &Lane,
    root_id: RootId,
    place: &RootLocation,
    (root, quarantine): (&RootDir, &Arc<Dir>),
    pause: Duration,
) -> Result<(), Hold> {
    let facts = quarantine.facts().map_err(|error| unsettled(&error))?;
    let id = QuarantineId::of(&facts);
    let intents = lane.intents.take_up(place, Some(id));
    let intents = intents.map_err(|error| unsettled(&error))?;
    warn_elsewhere(lane, place, Some(id));
    let recovery = Recovery {
        lane,
        root_id,
        place,
        root,
        quarantine,
        intents: &intents,
        recorded: BTreeSet::new(),
        collected: None,
    };
    let leave = |numbers: &mut dyn Iterator<Item = &(u64, u32)>| {
        let parts = numbers.map(|&(id, part)| (id, Some(part)));
        lane.intents.leave(parts);
    };
    match recovery.settle() {
        Ok(remaining) => {
            let done = intents
                .keys()
                .filter(|number| !remaining.contains_key(number));
            end_all(lane, &intents, done.copied(), Some(quarantine));
            // The sweeper still needs those that it was given.
            let left = || {
                remaining
                    .iter()
                    .filter(|(_, settled)| matches!(settled, Settled::Left))
            };
            leave(&mut left().map(|(number, _)| number));
            if left().next().is_some() {
                retry_later(lane, root_id, place, pause);
            }
            Ok(())
        }
        Err(error) => {
            leave(&mut intents.keys());
            Err(unsettled(&error))
        }
    }
}

fn unsettled(error: &dyn std::fmt::Display) -> Hold {
    Hold::NoQuarantine {
        error: format!("cannot put the quarantine in order: {error}; it is tried again by itself"),
    }
}

/// Forgets these intents, and tells of the removals that are through with them.
fn end_all(
    lane: &Lane,
    intents: &TakenUp,
    ended: impl Iterator<Item = (u64, u32)>,
    quarantine: Option<&Arc<Dir>>,
) {
    let mut parts: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (id, part) in ended {
        parts.entry(id).or_default().push(part);
    }
    for (id, parts) in parts {
        lane.intents.end(parts.iter().map(|part| (id, Some(*part))));
        let unit = intents[&(id, parts[0])].intent().line.unit;
        lane.tell_if_finished(id, unit, quarantine.cloned().into_iter().collect());
    }
}

impl Recovery<'_> {
    /// Settles everything; returns what remains in the quarantine.
    fn settle(mut self) -> Result<BTreeMap<(u64, u32), Settled>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut things: Vec<(Vec<u8>, Facts)> = Vec::new();
        self.quarantine
            .list(|name, facts| {
                if !name.starts_with(DISPLACED.as_bytes()) {
                    things.push((name.to_vec(), facts));
                }
            })
            .map_err(|error| words(&error))?;
        let ids = self.intents.keys().map(|(id, _)| *id).collect();
        let recorded = self.lane.ledger.contains(&ids);
        self.recorded = recorded.map_err(|error| words(&error))?;
        let mut remaining = BTreeMap::new();
        // Directories that were emptied went after, and go back before, what lay in them: the later
        // number first.
        things.sort_by_key(|(name, _)| std::cmp::Reverse(parse_quarantine_name(name)));
        for (name, facts) in things {
            let number = parse_quarantine_name(&name);
            let taken = number.and_then(|number| self.intents.get(&number));
            let meant = taken
                .map(Taken::intent)
                .filter(|intent| intent.means(&facts));
            let Some(intent) = meant else {
                // What this very process is at work on is left to the thread that is.
                let in_flight = |(id, part)| taken.is_none() && self.lane.intents.is_live(id, part);
                if !number.is_some_and(in_flight) {
                    self.displace_unknown(&name, &facts);
                }
                continue;
            };
            let settled = if self.recorded.contains(&intent.id) {
                let links = taken.map(Taken::links).unwrap_or_default();
                self.finish((&intent, &links), &name, facts)
            } else {
                self.give_back(&intent)
            };
            match settled {
                Settled::Done => {}
                Settled::Left | Settled::Sweeping => {
                    remaining.insert((intent.id, intent.part), settled);
                }
            }
        }
        self.dispatch();
        Ok(remaining)
    }

    /// Sets aside, and records, what has no intent that could be read.
    fn displace_unknown(&self, name: &[u8], facts: &Facts) {
        if matches!(self.quarantine.look(name), Ok(None)) {
            // A thread was at work on it, and is through.
            return;
        }
        let path = self.quarantine.path().join(super::place::os(name));
        let why = "nothing is known of where it comes from";
        if set_aside(self.quarantine, name, name, &path, why) == RestoreOutcome::Stuck {
            return;
        }
        let known = self.intents.values().next();
        let root = known.map(|taken| taken.intent().line.root.to_owned());
        let now = clock::now().wall;
        let (path, path_b64) = pack(path.as_os_str().as_encoded_bytes());
        self.lane.record_displaced(&[Line {
            id: self.lane.ledger.next_id(),
            at: now,
            root: root.unwrap_or_else(|| self.place.path.display().to_string()),
            path,
            path_b64,
            unit: match facts.kind {
                Kind::Dir => LineUnit::Dir,
                Kind::File | Kind::Mount | Kind::Other => LineUnit::File,
            },
            basis: now,
            deadline: now,
            files: u64::from(facts.kind == Kind::File),
            result: Mark::Displaced,
            ..Line::default()
        }]);
    }

    fn give_back(&self, intent: &Intent<'_>) -> Settled {
        let Some(path) = intent.path() else {
            return Settled::Left;
        };
        let Some((parent, name)) = path.split() else {
            return Settled::Left;
        };
        let home = self.root.dir(&parent);
        let full = path.below(&self.place.path);
        let number = (intent.id, intent.part);
        let back = put_back(self.quarantine, number, home.as_ref(), name, &full);
        match back {
            RestoreOutcome::Home => {
                tracing::info!(path = %full.display(), "put back: its removal was cut off before it was recorded");
            }
            RestoreOutcome::Displaced => self.lane.record_displaced(&[Line {
                id: self.lane.ledger.next_id(),
                result: Mark::Displaced,
                ..intent.line()
            }]),
            RestoreOutcome::Stuck => return Settled::Left,
        }
        let changed = if intent.dir { &path } else { &parent };
        (self.lane.hooks.put_back)(self.root_id, changed);
        Settled::Done
    }

    /// Has the sweeper finish a removal that is in the ledger. Files that are younger than it are
    /// kept.
    fn finish(
        &mut self,
        (intent, links): (&Intent<'_>, &BTreeSet<u64>),
        quarantined: &[u8],
        facts: Facts,
    ) -> Settled {
        let (tree, part) = match (intent.line.unit, facts.kind) {
            (LineUnit::EmptyDir, _) => (Tree::of_dir(quarantined, facts), Part::Dir(0)),
            (LineUnit::File | LineUnit::Dir | LineUnit::Job, Kind::Dir) => {
                let stop = || self.lane.is_stopping();
                let mut tree =
                    match Tree::walk(self.quarantine, quarantined, facts, UNIT_NAMES_MAX, &stop) {
                        Ok(tree) => tree,
                        Err(error) => {
                            tracing::error!(
                                ?error,
                                "a recorded removal cannot be finished yet; it is tried again"
                            );
                            return Settled::Left;
                        }
                    };
                tree.retain_files(|facts| !is_younger(facts, intent.line.at, links));
                (tree, Part::Dir(0))
            }
            (LineUnit::File | LineUnit::Dir | LineUnit::Job, _) => {
                let part = Part::File { dir: 0, file: 0 };
                (Tree::of_file(b"", facts, quarantined, facts), part)
            }
        };
        let of_dirs = (0..tree.len()).map(|at| tree.dir(at).files.len() as u64);
        let files: u64 = of_dirs.sum();
        let of_another =
            |sweep: &Sweep| sweep.line.id != intent.id || sweep.line.files >= ROUND_FILES_MAX;
        if self.collected.as_ref().is_some_and(of_another) {
            self.dispatch();
        }
        let sweep = self.collected.get_or_insert_with(|| {
            let line = Line {
                files: 0,
                ..intent.line()
            };
            let mut sweep = Sweep::new(line, skip_open(intent), None);
            sweep.roots.push(SweepRoot {
                quarantine: Arc::clone(self.quarantine),
                path: self.place.path.clone(),
                name: intent.line.root.to_owned(),
            });
            sweep
        });
        sweep.line.files += files;
        let path = intent.path().unwrap_or_default();
        sweep.add(0, tree, [(intent.part, part, path)]);
        Settled::Sweeping
    }

    /// Hands what was collected to the sweepers, once they have room for it.
    fn dispatch(&mut self) {
        if let Some(sweep) = self.collected.take() {
            let weight = sweep.weight();
            self.lane.sweeps.put(sweep, weight, WAITING_NAMES_MAX);
        }
    }
}

/// Returns true if `facts` show a change after the instant `at`, at which the thing was about to be
/// moved: then it is not what was recorded. The change times of `links` do not count: the removal
/// of their other names has moved them.
fn is_younger(facts: &Facts, at: Timestamp, links: &BTreeSet<u64>) -> bool {
    // The instant was cut to milliseconds.
    let moved = FileTime::from(at.plus_ms(1));
    matches!(facts.kind, Kind::File | Kind::Other)
        && (facts.mtime > moved
            || (facts.ctime > moved && !links.contains(&facts.key.ino))
            || facts.btime.is_some_and(|born| born > moved))
}

fn skip_open(intent: &Intent<'_>) -> SkipOpen {
    if intent.skip_open {
        SkipOpen::IfKnown
    } else {
        SkipOpen::Never
    }
}

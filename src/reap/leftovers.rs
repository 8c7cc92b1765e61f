//! Leftovers of a crash in one quarantine, each of which is finished, put back or displaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::back::{RestoreOutcome, put_back, set_aside};
use super::context::Lane;
use super::intent::{Fate, Intent};
use super::intents::Taken;
use super::judge::{OpenState, ask_after_crash};
use super::location::{RootLocation, os};
use super::names::{parse_quarantine_name, parse_removal_name};
use super::origin::DISPLACED;
use super::parts::{Part, UNIT_NAMES_MAX};
use super::pending::{Sweep, SweepRoot};
use super::pipeline::ROUND_FILES_MAX;
use super::sweep::WAITING_NAMES_MAX;
use super::trash::store::{TRASH, TrashDir};
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
pub(super) enum Settled {
    /// It is back in its place, gone, or displaced.
    Done,
    /// A sweeper removes it.
    Sweeping,
    /// An error left it where it is.
    Left,
}

/// Intents whose things lie in the quarantine, by number and part.
pub(super) type TakenUp = BTreeMap<(u64, u32), Taken>;

/// See the module.
pub(super) struct Leftovers<'a> {
    pub(super) lane: &'a Lane,
    pub(super) root_id: RootId,
    pub(super) place: &'a RootLocation,
    pub(super) root: &'a RootDir,
    pub(super) quarantine: &'a Arc<Dir>,
    pub(super) intents: &'a TakenUp,
    /// The numbers that have a ledger line.
    pub(super) recorded: BTreeSet<u64>,
    /// The removal whose parts are being collected for the sweepers.
    pub(super) collected: Option<Sweep>,
}

impl Leftovers<'_> {
    /// Settles everything; returns what remains in the quarantine.
    pub(super) fn settle(mut self) -> Result<BTreeMap<(u64, u32), Settled>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut things: Vec<(Vec<u8>, Facts)> = Vec::new();
        self.quarantine
            .list(|name, facts| {
                if !name.starts_with(DISPLACED.as_bytes()) && name != TRASH {
                    things.push((name.to_vec(), facts));
                }
            })
            .map_err(|error| words(&error))?;
        let ids = self.intents.keys().map(|(id, _)| *id).collect();
        let recorded = self.lane.ledger.contains(&ids);
        self.recorded = recorded.map_err(|error| words(&error))?;
        let mut remaining = BTreeMap::new();
        things.retain(|(name, facts)| {
            let Some((number, is_meant)) = parse_removal_name(name, facts) else {
                return true;
            };
            if let Settled::Left = self.finish_file(number, is_meant, name, facts) {
                remaining.insert(number, Settled::Left);
            }
            false
        });
        // Directories that were emptied went after, and go back before, what lay in them: the later
        // number first.
        things.sort_by_key(|(name, _)| std::cmp::Reverse(parse_quarantine_name(name)));
        for (name, facts) in things {
            let number = parse_quarantine_name(&name);
            if number.is_some_and(|number| remaining.contains_key(&number)) {
                continue;
            }
            let taken = number.and_then(|number| self.intents.get(&number));
            let meant = taken
                .map(Taken::intent)
                .filter(|intent| intent.means(&facts));
            let Some(intent) = meant else {
                if !number.is_some_and(|number| self.is_in_flight(number)) {
                    let why = "nothing is known of where it comes from";
                    self.displace(&name, &facts, why);
                }
                continue;
            };
            let fate = taken.map_or(Fate::Deletion, Taken::fate);
            let settled = match (self.recorded.contains(&intent.id), fate) {
                (true, Fate::Deletion) => {
                    let links = taken.map(Taken::links).unwrap_or_default();
                    self.finish((&intent, &links), &name, facts)
                }
                (true, Fate::Trash) => self.move_to_trash(&intent, &name, &facts),
                (false, Fate::Deletion | Fate::Trash) => self.give_back(&intent),
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

    /// Returns true if this very process is at work on the part: it is left to the thread that is.
    fn is_in_flight(&self, number: (u64, u32)) -> bool {
        !self.intents.contains_key(&number) && self.lane.intents.is_live(number.0, number.1)
    }

    /// Removes the file of a part that the sweeper had moved to a name of its own, if it is the one
    /// that the name means. Its change time tells nothing: that move changed it.
    fn finish_file(
        &self,
        number: (u64, u32),
        is_meant: bool,
        name: &[u8],
        facts: &Facts,
    ) -> Settled {
        if self.is_in_flight(number) {
            return Settled::Done;
        }
        let intent = self.intents.get(&number).map(Taken::intent);
        let ctimes = BTreeSet::from([facts.key.ino]);
        let Some(intent) = intent.filter(|intent| {
            is_meant
                && self.recorded.contains(&intent.id)
                && !is_younger(facts, intent.line.at, &ctimes)
        }) else {
            self.displace(name, facts, "it is not the file whose removal was recorded");
            return Settled::Done;
        };
        match ask_after_crash(skip_open(&intent), self.quarantine, name, facts) {
            OpenState::Closed(_lease) => match self.quarantine.remove_file(name) {
                Err(error) if !error.is_absence() => {
                    tracing::error!(%error, "a recorded removal cannot be finished yet; it is tried again");
                    Settled::Left
                }
                Ok(()) | Err(_) => Settled::Done,
            },
            OpenState::Held(Hold::OpenUnknown { .. }) => Settled::Left,
            OpenState::Held(_) | OpenState::Replaced | OpenState::Busy => {
                self.displace(name, facts, "it was opened while it was removed");
                Settled::Done
            }
        }
    }

    /// Sets aside, and records, what cannot be finished or put back.
    fn displace(&self, name: &[u8], facts: &Facts, why: &str) {
        if matches!(self.quarantine.look(name), Ok(None)) {
            // A thread was at work on it, and is through.
            return;
        }
        let path = self.quarantine.path().join(os(name));
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

    /// Moves a thing to the trash, if its manifest is there.
    fn move_to_trash(&self, intent: &Intent<'_>, name: &[u8], facts: &Facts) -> Settled {
        let moved = TrashDir::make(self.quarantine).and_then(|trash| {
            if !trash.has_manifest(intent.id)? {
                return Ok(false);
            }
            self.quarantine.move_to(name, &trash, name)?;
            Ok(true)
        });
        match moved {
            Ok(true) => Settled::Done,
            Ok(false) => {
                self.displace(name, facts, "its manifest in the trash is missing");
                Settled::Done
            }
            Err(error) => {
                tracing::error!(%error, "it cannot be moved to the trash yet; it is tried again");
                Settled::Left
            }
        }
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
        if path.is_in_quarantine() {
            return Settled::Done;
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
pub(super) fn is_younger(facts: &Facts, at: Timestamp, links: &BTreeSet<u64>) -> bool {
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

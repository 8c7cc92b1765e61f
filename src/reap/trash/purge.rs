//! The way out of the trash: what is past its window is moved into the quarantine, looked at again,
//! recorded, and deleted by the sweepers, as everything else.
//!
//! **Invariant:** only what its manifest describes is deleted, and only what has not changed since
//! it was removed. Everything else is displaced.
//! **Invariant:** a crash at any step puts it back into the trash, or has its deletion finished:
//! its intent names the place in the trash.

mod checks;

use std::sync::Arc;

use super::manifest::{Manifest, ManifestPart};
use super::store::{ReadError, TRASH_PATH, TrashDir, manifest_name};
use crate::core::facts::Facts;
use crate::core::hold::{Hold, Recovery};
use crate::core::path::RelPath;
use crate::core::policy::{Policy, SkipOpen};
use crate::core::trash::{PurgeOrder, PurgeOutcome, Purged, TrashNews};
use crate::fs::tree::Tree;
use crate::fs::{FsError, RootDir};
use crate::ledger::Line;
use crate::reap::context::Lane;
use crate::reap::intent::{Fate, Intent};
use crate::reap::judge::BoundedClock;
use crate::reap::names::{QuarantineName, quarantine_name};
use crate::reap::open_roots::OpenRoot;
use crate::reap::parts::Part;
use crate::reap::pending::{Sweep, SweepRoot};
use crate::reap::sweep::{SMALL_NAMES, WAITING_NAMES_MAX, sweep_all};

/// Carries out an order of the engine, and tells it.
pub(in crate::reap) fn carry_out(
    lane: &Lane,
    policy: &Policy,
    order: &PurgeOrder,
    since: BoundedClock,
) {
    let (done, _) = purge(lane, policy, order, since);
    if !done.is_empty() {
        (lane.hooks.trash_news)(TrashNews::Purged(done));
    }
}

/// Deletes things of a trash. Returns the answers for those that stay, and for those that the
/// sweepers delete and tell of themselves.
pub(in crate::reap) fn purge(
    lane: &Lane,
    policy: &Policy,
    order: &PurgeOrder,
    since: BoundedClock,
) -> (Vec<Purged>, Vec<Purged>) {
    let opened = match open(lane, policy, order) {
        Ok(opened) => opened,
        Err(hold) => {
            let answer = |id: &u64| Purged {
                root: order.root,
                id: *id,
                outcome: PurgeOutcome::Held(hold.clone()),
                jobs: Box::default(),
            };
            return (order.ids.iter().map(answer).collect(), Vec::new());
        }
    };
    let (root, trash) = opened;
    let mut purge = Purge {
        lane,
        order,
        clock: since,
        root: &root,
        trash: &trash,
        done: Vec::new(),
    };
    let turn = lane.lock_quarantine(order.root);
    let moving = turn.lock();
    let swept = purge.record();
    drop(moving);
    let done = std::mem::take(&mut purge.done);
    let leaving: Vec<Purged> = swept.iter().filter_map(|one| one.purged.clone()).collect();
    let is_small = |sweep: &Sweep| sweep.weight() < SMALL_NAMES;
    let (small, large): (Vec<Sweep>, Vec<Sweep>) = swept.into_iter().partition(is_small);
    for sweep in large {
        let weight = sweep.weight();
        lane.sweeps.put(sweep, weight, WAITING_NAMES_MAX);
    }
    sweep_all(lane, small);
    (done, leaving)
}

fn open(lane: &Lane, policy: &Policy, order: &PurgeOrder) -> Result<(OpenRoot, TrashDir), Hold> {
    let place = {
        let places = lane.places.lock();
        let known = places.get(&order.root).ok_or(Hold::RootMissing)?;
        known.place.clone()
    };
    if let Some(hold) = lane.hooks.pauses.hold(policy, order.root) {
        return Err(hold);
    }
    if !lane.hooks.trash.is_known(order.root) {
        return Err(Hold::InTrash { until: None });
    }
    let root = RootDir::open_as(&place.path, place.key).map_err(|error| unreadable(&error))?;
    let (quarantine, quarantine_id) = lane.quarantine(order.root, &place, &root)?;
    let trash = TrashDir::make(&quarantine).map_err(|error| unreadable(&error))?;
    let opened = OpenRoot {
        id: order.root,
        place,
        root,
        quarantine,
        quarantine_id,
    };
    Ok((opened, trash))
}

struct Purge<'a> {
    lane: &'a Lane,
    order: &'a PurgeOrder,
    clock: BoundedClock,
    root: &'a OpenRoot,
    trash: &'a TrashDir,
    done: Vec<Purged>,
}

/// A thing on its way out.
struct Leaving {
    manifest: Manifest,
    line: Line,
    /// Its parts that are there, and what was displaced of the others.
    parts: Vec<(ManifestPart, Facts)>,
    has_displaced: bool,
    /// After the second look: each part as it is to be deleted.
    trees: Vec<(u32, Tree, Part, RelPath)>,
}

impl Leaving {
    fn quarantined(&self, part: &ManifestPart) -> QuarantineName {
        quarantine_name(self.line.id, part.number)
    }

    fn trashed(&self, part: &ManifestPart) -> QuarantineName {
        quarantine_name(self.manifest.id(), part.number)
    }
}

impl Purge<'_> {
    /// Moves and records what may go; returns what is to be swept.
    fn record(&mut self) -> Vec<Sweep> {
        let ids = self.order.ids.iter();
        let leaving: Vec<Leaving> = ids.filter_map(|&id| self.look(id)).collect();
        if let Err(error) = self.write_intents(&leaving) {
            let error = self.lane.intents.failed(&error);
            for one in leaving {
                let error = error.clone();
                self.hold(&one.manifest, Hold::LedgerUnavailable { error });
            }
            return Vec::new();
        }
        let mut moved = Vec::with_capacity(leaving.len());
        for mut one in leaving {
            match self.move_out(&one).and_then(|()| self.look_again(&mut one)) {
                Ok(()) => moved.push(one),
                Err(hold) => self.put_back(&one, hold),
            }
        }
        let lines = moved.iter().map(|one| &one.line);
        if let Err(error) = self.lane.ledger.append(lines) {
            let error = error.to_string();
            for one in moved {
                let error = error.clone();
                self.put_back(&one, Hold::LedgerUnavailable { error });
            }
            return Vec::new();
        }
        moved.into_iter().map(|one| self.sweep_of(one)).collect()
    }

    /// Looks at a thing in the trash; answers for it when it is not to go.
    fn look(&mut self, id: u64) -> Option<Leaving> {
        let manifest = match self.trash.read(id) {
            Ok(Some(manifest)) => manifest,
            // It was emptied by hand.
            Ok(None) => {
                let known = self.lane.hooks.trash.remove(self.order.root, id);
                let jobs = known.map(|known| known.jobs).unwrap_or_default();
                self.answer(id, PurgeOutcome::Gone { files: 0, bytes: 0 }, jobs);
                return None;
            }
            Err(error @ (ReadError::Fs(_) | ReadError::Damaged(_))) => {
                let error = format!("its manifest in the trash: {error}");
                let held = PurgeOutcome::Held(Hold::Unreadable { error });
                self.answer(id, held, Box::default());
                return None;
            }
        };
        match self.check(&manifest) {
            Ok(leaving) if leaving.parts.is_empty() => {
                self.forget(&manifest);
                let outcome = if leaving.has_displaced {
                    PurgeOutcome::Displaced
                } else {
                    PurgeOutcome::Gone { files: 0, bytes: 0 }
                };
                self.answer(id, outcome, manifest.jobs.into_boxed_slice());
                None
            }
            Ok(leaving) => Some(leaving),
            Err(hold) => {
                self.hold(&manifest, hold);
                None
            }
        }
    }

    fn write_intents(&self, leaving: &[Leaving]) -> std::io::Result<()> {
        // What changed after its removal is younger than this.
        let lines: Vec<Line> = leaving
            .iter()
            .map(|one| Line {
                at: one.manifest.line.at,
                ..one.line.clone()
            })
            .collect();
        let trash = RelPath::parse(TRASH_PATH).expect("invariant: it is a path");
        let places = leaving.iter().flat_map(|one| {
            let names = one.parts.iter().map(|(part, _)| one.trashed(part));
            names
                .map(|name| trash.join(&name))
                .collect::<Vec<RelPath>>()
        });
        let places: Vec<RelPath> = places.collect();
        let all = leaving.iter().zip(&lines);
        let all = all.flat_map(|(one, line)| one.parts.iter().map(move |part| (one, line, part)));
        let intents = all.zip(&places).map(|((one, line, (part, facts)), place)| {
            let from = (&self.root.root, &*line.root, self.root.quarantine_id);
            let asks = one.manifest.skip_open;
            let intent = Intent::new(from, (place, part.number), facts, asks, line);
            (Fate::Deletion, intent, part.links.clone())
        });
        self.lane.intents.write(intents)
    }

    fn move_out(&self, one: &Leaving) -> Result<(), Hold> {
        for (part, _) in &one.parts {
            let to = one.quarantined(part);
            let moved = self
                .trash
                .move_to(&one.trashed(part), &self.root.quarantine, &to);
            moved.map_err(|error| Hold::Denied {
                error: error.to_string(),
                ends: Recovery::RetryOnly,
            })?;
        }
        Ok(())
    }

    /// Puts what was moved back into the trash.
    fn put_back(&mut self, one: &Leaving, hold: Hold) {
        let mut is_back = true;
        for (part, _) in one.parts.iter().rev() {
            let name = one.quarantined(part);
            let back = self
                .root
                .quarantine
                .move_to(&name, self.trash, &one.trashed(part));
            match back {
                Err(error) if error.errno != rustix::io::Errno::NOENT => {
                    tracing::error!(%error, "left in the quarantine; the next start puts it back into the trash");
                    is_back = false;
                }
                Ok(()) | Err(_) => {}
            }
        }
        let all = [(one.line.id, None)];
        if is_back {
            self.lane.intents.end(all);
        } else {
            self.lane.intents.leave(all);
        }
        self.hold(&one.manifest, hold);
    }

    fn sweep_of(&mut self, one: Leaving) -> Sweep {
        let skip_open = if one.manifest.skip_open {
            SkipOpen::IfKnown
        } else {
            SkipOpen::Never
        };
        // The deletion is recorded: nothing of it can come back any more.
        if let Err(error) = self.trash.discard(&manifest_name(one.manifest.id())) {
            tracing::debug!(%error, "a manifest is left; the next start finds nothing of its name");
        }
        let (files, bytes) = (one.line.files, one.line.bytes);
        let mut sweep = Sweep::new(one.line, skip_open, None);
        sweep.after_crash = false;
        sweep.purged = Some(Purged {
            root: self.order.root,
            id: one.manifest.id(),
            outcome: PurgeOutcome::Gone { files, bytes },
            jobs: one.manifest.jobs.clone().into_boxed_slice(),
        });
        sweep.roots.push(SweepRoot {
            quarantine: Arc::clone(&self.root.quarantine),
            path: self.root.place.path.clone(),
            name: one.manifest.line.root.clone(),
        });
        for (number, tree, part, path) in one.trees {
            sweep.add(0, tree, [(number, part, path)]);
        }
        sweep
    }

    /// Forgets a thing of which nothing is left.
    fn forget(&self, manifest: &Manifest) {
        if let Err(error) = self.trash.discard(&manifest_name(manifest.id())) {
            tracing::debug!(%error, "a manifest is left");
        }
        self.lane.hooks.trash.remove(self.order.root, manifest.id());
    }

    fn hold(&mut self, manifest: &Manifest, hold: Hold) {
        self.answer(manifest.id(), PurgeOutcome::Held(hold), Box::default());
    }

    fn answer(&mut self, id: u64, outcome: PurgeOutcome, jobs: Box<[crate::core::trash::JobName]>) {
        self.done.push(Purged {
            root: self.order.root,
            id,
            outcome,
            jobs,
        });
    }
}

fn unreadable(error: &FsError) -> Hold {
    Hold::Unreadable {
        error: error.to_string(),
    }
}

//! Claims of units, top-level directories and all that a job owns: look, move all parts, look again, record; the sweeper removes.
//!
//! **Invariant:** all parts of a unit leave their places, or all are put back, in however many roots they lie.

use std::ops::Deref;

use super::found::End;
use super::homes::Homes;
use super::intent::Intent;
use super::judge::line;
use super::look::UnitLook;
use super::openers::Openers;
use super::parts::{Body, Seen};
use super::place::{Roots, Shared, Work};
use super::rows::{Rows, owner_name};
use crate::core::claim::{Claim, Reaped, Unit};
use crate::core::hold::Hold;
use crate::core::jobs::Job;
use crate::core::policy::SkipOpen;
use crate::fs::descriptors;
use crate::ledger::Line;
use crate::ledger::line::pack;

/// So many files at most wait for one sync of the ledger, which they share.
const TOGETHER_FILES_MAX: u64 = 1024;

/// A unit that lies in the quarantine, was looked at there, and may go when it is recorded.
pub(super) struct Moved {
    pub(super) claim: Claim,
    pub(super) seen: Seen,
    pub(super) line: Line,
    /// Where its parts came from: they may have to go back.
    pub(super) homes: Homes,
}

/// What claims of units need at every step.
pub(super) struct Units<'a> {
    look: UnitLook<'a>,
    pub(super) shared: &'a Shared,
    pub(super) roots: &'a Roots,
}

impl<'a> Deref for Units<'a> {
    type Target = UnitLook<'a>;

    fn deref(&self) -> &UnitLook<'a> {
        &self.look
    }
}

/// Carries out claims of units that lie in the same roots. Those that are removed are answered by the sweeper.
pub(super) fn reap(shared: &Shared, work: Work) -> Vec<Reaped> {
    let Some((work, places)) = shared.places_of(work) else {
        return Vec::new();
    };
    let roots = Roots::open(shared, places);
    let root_of = |id| roots.get(id).map(|opened| &opened.root);
    let units = Units {
        look: UnitLook {
            looks: shared,
            policy: &work.policy,
            root_of: &root_of,
            since: work.since,
        },
        shared,
        roots: &roots,
    };
    let mut rows = Rows::new(shared, &work.policy);
    let (mut moved, mut done) = (Vec::new(), Vec::new());
    for claim in &work.claims {
        if shared.is_stopping() {
            break;
        }
        match units.carry_out(claim, &mut rows) {
            Ok(one) => moved.push(one),
            Err(End::Answer(outcome)) => done.push(Reaped {
                claim: claim.clone(),
                outcome,
            }),
            Err(End::Stopped) => break,
        }
        let homes: usize = moved.iter().map(|one| one.homes.len()).sum();
        let files: u64 = moved.iter().map(|one| one.line.files).sum();
        if homes >= descriptors::dirs_max() || files >= TOGETHER_FILES_MAX {
            units.record(std::mem::take(&mut moved), &mut done);
        }
    }
    units.record(moved, &mut done);
    done
}

impl Units<'_> {
    /// Takes a unit out of its place; else what that means for its claim.
    fn carry_out(&self, claim: &Claim, rows: &mut Rows<'_>) -> Result<Moved, End> {
        if let Some(hold) = self.unfinished(claim) {
            return Err(hold.into());
        }
        let mut openers = Openers::new(
            self.policy.rule(claim.rule).skip_open,
            self.shared.leases_max,
        );
        let mut seen = self.look(claim, rows, &mut openers)?;
        let line = self.line(claim, &seen);
        let id = line.id;
        if let Err(error) = self.write_intents(claim, &seen, &line) {
            let error = self.shared.intents.failed(&error);
            return Err(Hold::Unrecorded { error }.into());
        }
        match self.take_out(claim, &mut seen, line, &mut openers) {
            Ok((line, homes)) => Ok(Moved {
                claim: claim.clone(),
                seen,
                line,
                homes,
            }),
            Err((end, stuck)) => {
                self.settle(id, stuck);
                Err(end)
            }
        }
    }

    /// The hold of a job whose record would say that all is gone while something of it, recorded earlier, is in a quarantine still.
    fn unfinished(&self, claim: &Claim) -> Option<Hold> {
        let has_record = claim.unit == Unit::Job && self.has_record(claim);
        let job = claim.owners.first().filter(|_| has_record)?;
        self.shared.intents.has_left(&job.id).then(|| Hold::Unreadable {
            error: "what it owned was recorded as removed, and some of it is still in a quarantine: it could not be removed yet, or that \
                    directory (.lapsed) is away\nthe log says why; it is tried again by itself"
                .to_owned(),
        })
    }

    pub(super) fn settle(&self, id: u64, stuck: bool) {
        if stuck {
            self.shared.intents.leave([id]);
        } else {
            self.shared.intents.done([id]);
        }
    }

    /// The job by which the unit goes.
    pub(super) fn decides<'s>(&self, claim: &Claim, seen: &'s Seen) -> Option<&'s Job> {
        match claim.unit {
            Unit::File | Unit::Dir => {
                let name = claim.path.as_bytes();
                let found = self.policy.dir_rule(claim.root, name, &seen.owner);
                found.and_then(|(_, job)| job)
            }
            Unit::Job => seen.owner.jobs().first(),
        }
    }

    fn line(&self, claim: &Claim, seen: &Seen) -> Line {
        let owner = owner_name(self.policy, claim, &seen.owner, self.decides(claim, seen));
        let id = self.shared.ledger.next_id();
        let going = || seen.bodies.iter().filter(|body| !body.parts.is_empty());
        let first = going()
            .next()
            .map(|body| (body.root, body.path(body.whole())));
        let place = first.as_ref().map(|(root, path)| (*root, path));
        let unit = claim.unit.into();
        let line = line(self.policy, claim, owner, id, seen.due, place, unit);
        let (files, bytes) = seen.sums();
        let paths = if going().count() > 1 {
            going().map(|body| self.full(body)).collect()
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

    /// The absolute path of a piece, for people.
    fn full(&self, body: &Body) -> String {
        let root = &self.policy.roots[&body.root].path;
        let path = body.path(body.whole()).below(root);
        pack(path.as_os_str().as_encoded_bytes()).0
    }

    fn write_intents(&self, claim: &Claim, seen: &Seen, line: &Line) -> std::io::Result<()> {
        let asks = self.policy.rule(claim.rule).skip_open != SkipOpen::Never;
        // Each part has what the line says of the unit as a whole, and not what it says of the other parts.
        let unit = line.without_pieces();
        let intents = (0..)
            .zip(seen.parts())
            .filter_map(|(number, (body, part))| {
                let opened = self.roots.get(body.root).ok()?;
                let root = &self.policy.roots[&body.root];
                let (path, facts) = (body.path(part), part.facts(&body.tree));
                let place = match claim.unit {
                    Unit::File | Unit::Dir => claim.path.below(&root.path),
                    Unit::Job => path.below(&root.path),
                };
                let (place, place_b64) = pack(place.as_os_str().as_encoded_bytes());
                let line = Line {
                    root: root.name.clone(),
                    path: place,
                    path_b64: place_b64,
                    ..unit.clone()
                };
                let into = (&opened.root, opened.quarantine_id);
                Some(Intent::new(into, &path, number, facts, asks, line))
            });
        self.shared.intents.write(intents)
    }
}

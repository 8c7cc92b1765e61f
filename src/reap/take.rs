//! A unit's way out of its place, the look at it in the quarantine, and the way back.
//!
//! **Invariant:** all parts leave their places, or all are put back.

use std::collections::BTreeMap;

use super::back::{Back, put_back, refused};
use super::found::{End, unreadable};
use super::homes::{Homes, InPlace};
use super::look::{all_spared, spared};
use super::names::lain_name;
use super::openers::Openers;
use super::parts::{Body, Part, Seen, number};
use super::rows::Rows;
use super::unit::Units;
use crate::clock;
use crate::core::claim::{Claim, Outcome, Unit};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::ledger::line::pack;
use crate::ledger::{Line, Mark};

impl Units<'_> {
    /// Moves all parts, and looks again. On any failure all go back; then tells whether one of them is stuck.
    pub(super) fn take_out(
        &self,
        claim: &Claim,
        seen: &mut Seen,
        mut line: Line,
        openers: &mut Openers,
    ) -> Result<(Line, Homes), (End, bool)> {
        let mut homes = Homes::default();
        for (place, (body, part)) in seen.parts().enumerate() {
            let place = number(place);
            let moved = self.move_part(claim, body, part, (line.id, place), &mut homes);
            if let Err(outcome) = moved {
                return Err(self.back(seen, place, &mut homes, &line, outcome.into()));
            }
        }
        line.at = clock::now().wall;
        line.late_ms = line.at.ms_since(claim.due);
        match self.look_again(claim, seen, &mut line, openers) {
            Ok(()) => Ok((line, homes)),
            Err(end) => Err(self.back(seen, seen.count(), &mut homes, &line, end)),
        }
    }

    /// The second look, at what lies in the quarantine. The rows of jobs last: it may take a while to come there.
    fn look_again(
        &self,
        claim: &Claim,
        seen: &mut Seen,
        line: &mut Line,
        openers: &mut Openers,
    ) -> Result<(), End> {
        if line.at < seen.due.deadline || !self.are_in_place(seen)? {
            return Err(all_spared(&seen.bodies).into());
        }
        openers.moved(seen.parts().filter_map(|(body, part)| match part {
            Part::Dir(_) => None,
            Part::File { .. } => Some(part.facts(&body.tree).key),
        }));
        let stop = || self.shared.is_stopping();
        for (place, (body, part)) in seen.parts().enumerate() {
            let lain = lain_name(line.id, number(place));
            let opened = self.roots.get(body.root)?;
            let looked = openers.look_at(
                &opened.root,
                body,
                part,
                Some((&opened.quarantine, &lain)),
                &stop,
            );
            looked.map_err(|found| found.end(spared(body)))?;
        }
        let mut rows = Rows::new(self.shared, self.policy);
        self.confirm(claim, seen, &mut rows)?;
        let record = self.policy.rule(claim.rule).record;
        let job = self.decides(claim, seen);
        line.job = job.and_then(|job| rows.line_job(&job.key, record));
        Ok(())
    }

    /// Whether the directories that the parts came out of still are where they were.
    fn are_in_place(&self, seen: &Seen) -> Result<bool, Outcome> {
        let mut asked: BTreeMap<RootId, InPlace<'_>> = BTreeMap::new();
        for (body, part) in seen.parts() {
            let root = &self.roots.get(body.root)?.root;
            let in_place = asked.entry(body.root).or_insert_with(|| InPlace::new(root));
            let path = body.path(part);
            let (parent, _) = path.split().expect("invariant: a part is not the root");
            if !in_place.is(&parent, body.home(part)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn move_part(
        &self,
        claim: &Claim,
        body: &Body,
        part: Part,
        (id, number): (u64, u32),
        homes: &mut Homes,
    ) -> Result<(), Outcome> {
        let opened = self.roots.get(body.root)?;
        let path = body.path(part);
        let (parent, name) = path.split().expect("invariant: a part is not the root");
        let dir = homes.open(opened, &parent).map_err(|error| {
            if error.is_absence() {
                spared(body)
            } else {
                unreadable(&error)
            }
        })?;
        if matches!(part, Part::Dir(_)) {
            (self.shared.hooks.before_move)(body.root, &path);
        }
        let moved = dir.move_to(name, &opened.quarantine, &lain_name(id, number));
        moved.map_err(|error| {
            if matches!(part, Part::Dir(_)) {
                (self.shared.hooks.put_back)(body.root, &path);
            }
            match refused(&error, dir, name) {
                // Of a job one thing is gone, and the others may not be.
                Outcome::Gone if claim.unit == Unit::Job => spared(body),
                outcome => outcome,
            }
        })
    }

    /// Puts the first `moved` parts back. What cannot go back is displaced, and recorded.
    pub(super) fn back(
        &self,
        seen: &Seen,
        moved: u32,
        homes: &mut Homes,
        line: &Line,
        end: End,
    ) -> (End, bool) {
        let (mut displaced, mut stuck) = (Vec::new(), false);
        let parts: Vec<(u32, (&Body, Part))> = (0..moved).zip(seen.parts()).collect();
        for (number, (body, part)) in parts.into_iter().rev() {
            let Ok(opened) = self.roots.get(body.root) else {
                continue;
            };
            let path = body.path(part);
            let (parent, name) = path.split().expect("invariant: a part is not the root");
            let home = homes.open(opened, &parent);
            let home = home.as_ref().map(|home| &**home);
            let full = path.below(opened.root.path());
            match put_back(&opened.quarantine, (line.id, number), home, name, &full) {
                Back::Home => {}
                Back::Displaced => {
                    let (files, bytes) = part.count(&body.tree);
                    let (path, path_b64) = pack(full.as_os_str().as_encoded_bytes());
                    displaced.push(Line {
                        id: self.shared.ledger.next_id(),
                        root: self.policy.roots[&body.root].name.clone(),
                        path,
                        path_b64,
                        paths: Vec::new(),
                        files,
                        bytes,
                        result: Mark::Displaced,
                        ..line.clone()
                    });
                }
                Back::Stuck => stuck = true,
            }
            if matches!(part, Part::Dir(_)) {
                (self.shared.hooks.put_back)(body.root, &path);
            }
        }
        if let Err(error) = self.shared.ledger.append(&displaced) {
            tracing::error!(%error, "what was displaced could not be recorded");
        }
        if displaced.is_empty() && !stuck {
            return (end, stuck);
        }
        let end = match end {
            End::Answer(_) => Hold::Displaced.into(),
            End::Stopped => End::Stopped,
        };
        (end, stuck)
    }
}

//! Claims of whole top-level directories: look, move all parts, look again, record; the sweeper removes.
//!
//! **Invariant:** all parts of a unit leave their places, or all are put back.

use super::back::{Back, closed, put_back, refused};
use super::found::{Answer, Stopped, not_walked, unreadable};
use super::homes::{Homes, InPlace};
use super::intents::{Intent, lain_name};
use super::judge::{Judgement, judge, line};
use super::openers::Openers;
use super::parts::{Part, Seen, newest_of, parts};
use super::place::{Opened, Place, Shared, Work, all, open};
use super::sweep::{Doomed, Sweep, WAITING_FILES_MAX};
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped, Removal, Unit};
use crate::core::facts::Kind;
use crate::core::hold::{Ends, Hold};
use crate::core::policy::{Policy, SkipOpen};
use crate::fs::tree::Tree;
use crate::ledger::line::pack;
use crate::ledger::{Line, Mark};

/// So many directories that units came out of are held open until these are recorded,
const TOGETHER_MAX: usize = 64;

/// and so many files wait for it: they share one sync of the ledger.
const TOGETHER_FILES_MAX: u64 = 1024;

/// A unit that lies in the quarantine, was looked at there, and may go when it is recorded.
struct Moved {
    claim: Claim,
    seen: Seen,
    line: Line,
    /// Where its parts came from: they may have to go back.
    homes: Homes,
}

/// What claims of units need at every step.
struct Units<'a> {
    shared: &'a Shared,
    policy: &'a Policy,
    opened: &'a Opened,
    work: &'a Work,
}

/// Carries out claims of units of one root. Those that are removed are answered by the sweeper.
pub(super) fn reap(shared: &Shared, work: Work) -> Vec<Reaped> {
    let Some((work, place)) = shared.place_of(work) else {
        return Vec::new();
    };
    let (opened, place) = match (open(place.as_ref()), place) {
        (Ok(opened), Some(place)) => (opened, place),
        (Ok(_), None) => return all(work.claims, &Outcome::Held(Hold::RootMissing)),
        (Err(outcome), _) => return all(work.claims, &outcome),
    };
    let units = Units {
        shared,
        policy: &work.policy,
        opened: &opened,
        work: &work,
    };
    let (mut moved, mut done) = (Vec::new(), Vec::new());
    for claim in &work.claims {
        if shared.is_stopping() {
            break;
        }
        match units.carry_out(claim) {
            Ok(Ok(one)) => moved.push(one),
            Ok(Err(outcome)) => done.push(Reaped {
                claim: claim.clone(),
                outcome,
            }),
            Err(Stopped) => break,
        }
        let homes: usize = moved.iter().map(|one| one.homes.len()).sum();
        let files: u64 = moved.iter().map(|one| one.line.files).sum();
        if homes >= TOGETHER_MAX || files >= TOGETHER_FILES_MAX {
            units.record(std::mem::take(&mut moved), &place, &mut done);
        }
    }
    units.record(moved, &place, &mut done);
    done
}

impl Units<'_> {
    /// Takes a unit out of its place; else what that means for its claim.
    fn carry_out(&self, claim: &Claim) -> Result<Result<Moved, Outcome>, Stopped> {
        let mut openers = Openers::new(
            self.policy.rule(claim.rule).skip_open,
            self.shared.leases_max,
        );
        let seen = match self.look(claim, &mut openers)? {
            Ok(seen) => seen,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let line = self.line(claim, &seen);
        let id = line.id;
        let intents = self.intents(claim, &seen, &line);
        if let Err(error) = self.shared.intents.write(intents) {
            let error = self.shared.intents.failed(&error);
            return Ok(Err(Outcome::Held(Hold::Unrecorded { error })));
        }
        match self.take_out(claim, &seen, line, &mut openers) {
            Ok((line, homes)) => Ok(Ok(Moved {
                claim: claim.clone(),
                seen,
                line,
                homes,
            })),
            Err((answer, stuck)) => {
                self.settle(id, stuck);
                answer.map(Err)
            }
        }
    }

    fn settle(&self, id: u64, stuck: bool) {
        if stuck {
            self.shared.intents.leave([id]);
        } else {
            self.shared.intents.done([id]);
        }
    }

    /// Records what was moved, with one sync of the ledger, and hands it to the sweepers. What cannot be recorded goes back.
    fn record(&self, moved: Vec<Moved>, place: &Place, done: &mut Vec<Reaped>) {
        let recorded = self.shared.ledger.append(moved.iter().map(|one| &one.line));
        for mut one in moved {
            let Err(error) = &recorded else {
                self.hand_over(one, place);
                continue;
            };
            let error = error.to_string();
            let answer = Ok(Outcome::Held(Hold::Unrecorded { error }));
            let all = one.seen.count();
            let (answer, stuck) = self.back(
                &one.claim,
                &one.seen,
                all,
                &mut one.homes,
                &one.line,
                answer,
            );
            self.settle(one.line.id, stuck);
            if let Ok(outcome) = answer {
                let claim = one.claim;
                done.push(Reaped { claim, outcome });
            }
        }
    }

    /// The first look: the whole tree in its place.
    fn look(&self, claim: &Claim, openers: &mut Openers) -> Result<Result<Seen, Outcome>, Stopped> {
        let top = self.opened.root.top();
        let name = claim.path.as_bytes();
        if claim.path.components().count() != 1 {
            return Ok(Err(Outcome::Gone));
        }
        let facts = match top.look(name) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Ok(Err(Outcome::Gone)),
            Err(error) => return Ok(Err(unreadable(&error))),
        };
        let spared = Outcome::Spared { facts };
        if facts.kind == Kind::Mount {
            let path = claim.path.to_string();
            return Ok(Err(Outcome::Held(Hold::MountInside { path })));
        }
        if facts.kind != Kind::Dir || facts.key != claim.key {
            return Ok(Err(spared));
        }
        let nested = &self.policy.roots[&claim.root].nested;
        if let Some((_, other)) = nested.iter().find(|(path, _)| path.is_within(&claim.path)) {
            let root = self
                .policy
                .roots
                .get(other)
                .map_or_else(String::new, |root| root.name.clone());
            return Ok(Err(Outcome::Held(Hold::RootInside { root })));
        }
        let stop = || self.shared.is_stopping();
        let tree = match Tree::walk(top, name, facts, &stop) {
            Ok(tree) => tree,
            Err(error) => return not_walked(error, spared).map(Err),
        };
        if let Some(at) = tree.find(self.shared.state) {
            let path = String::from_utf8_lossy(&tree.path(at)).into_owned();
            return Ok(Err(Outcome::Held(Hold::StateInside { path })));
        }
        let due = match self.judge(claim, &tree) {
            Judgement::Due(due) => due,
            Judgement::NotDue => {
                let newest = newest_of(&tree);
                let is_news = newest > claim.known;
                return Ok(Err(if is_news {
                    Outcome::Younger { newest }
                } else {
                    spared
                }));
            }
            Judgement::Hold(hold) => return Ok(Err(Outcome::Held(hold))),
        };
        let parts = parts(self.policy, claim, &tree);
        if parts.is_empty() {
            return Ok(Err(Outcome::Kept));
        }
        if let Some(error) = self.locked(&tree, &parts) {
            return Ok(Err(error));
        }
        // Asked in its place as well: a unit in use shall not vanish for an instant.
        for part in &parts {
            if let Err(found) = openers.look_at(self.opened, &tree, *part, None, &stop) {
                return found.outcome(spared).map(Err);
            }
        }
        Ok(Ok(Seen { tree, parts, due }))
    }

    fn judge(&self, claim: &Claim, tree: &Tree) -> Judgement {
        let newest = newest_of(tree).max(claim.known);
        let facts = &tree.dir(0).facts;
        let verdict = self
            .policy
            .dir(claim.root, claim.path.as_bytes(), facts, newest);
        judge(claim, verdict, self.work.since.now())
    }

    /// What holds the unit when a directory in it would not let its content go: better before than half-way.
    fn locked(&self, tree: &Tree, parts: &[Part]) -> Option<Outcome> {
        let root = self.opened.root.path();
        let full = |at: u32| {
            let dir = tree.dir(at);
            !dir.files.is_empty() || !dir.children.is_empty()
        };
        let at = parts
            .iter()
            .filter_map(|part| match *part {
                Part::Dir(top) => Some(tree.below(top)),
                Part::File { .. } => None,
            })
            .flatten()
            .find(|&at| !tree.dir(at).may_change && full(at))?;
        let path = root.join(super::place::os(&tree.path(at)));
        let me = rustix::process::geteuid().as_raw();
        Some(Outcome::Held(Hold::Denied {
            error: format!(
                "{}\ngive user id {me} write and search permission on that directory, or run the service as its owner",
                closed(&path)
            ),
            ends: Ends::Told,
        }))
    }

    fn line(&self, claim: &Claim, seen: &Seen) -> Line {
        let owner = (self.shared.hooks.owner)(self.policy, claim.root, claim.path.as_bytes());
        let id = self.shared.ledger.next_id();
        let unit = Unit::Dir.into();
        let line = line(self.policy, claim, owner, id, seen.due, &claim.path, unit);
        let counts = seen.parts.iter().map(|part| part.count(&seen.tree));
        let (files, bytes) = counts.fold((0, 0u64), |(files, bytes), (f, b)| {
            (files + f, bytes.saturating_add(b))
        });
        Line {
            files,
            bytes,
            ..line
        }
    }

    fn intents<'l>(&self, claim: &Claim, seen: &Seen, line: &'l Line) -> Vec<Intent<&'l Line>> {
        let root = &self.opened.root;
        let skip_open = self.policy.rule(claim.rule).skip_open;
        (0..)
            .zip(&seen.parts)
            .map(|(number, part)| {
                let (path, facts) = (part.path(&seen.tree), part.facts(&seen.tree));
                let asks = skip_open != SkipOpen::Never;
                Intent::new(root, &path, number, facts, asks, line)
            })
            .collect()
    }

    /// Moves all parts, and looks again. On any failure all go back; then tells whether one of them is stuck.
    fn take_out(
        &self,
        claim: &Claim,
        seen: &Seen,
        mut line: Line,
        openers: &mut Openers,
    ) -> Result<(Line, Homes), (Answer, bool)> {
        let spared = Outcome::Spared {
            facts: seen.tree.dir(0).facts,
        };
        let mut homes = Homes::default();
        for (number, part) in (0..).zip(&seen.parts) {
            let moved = self.move_part(claim, &seen.tree, *part, (line.id, number), &mut homes);
            if let Err(outcome) = moved {
                return Err(self.back(claim, seen, number, &mut homes, &line, Ok(outcome)));
            }
        }
        let all = seen.count();
        line.at = clock::now().wall;
        line.late_ms = line.at.ms_since(claim.due);
        let due = self.judge(claim, &seen.tree) == Judgement::Due(seen.due);
        if !due || line.at < seen.due.deadline || !self.are_in_place(seen) {
            return Err(self.back(claim, seen, all, &mut homes, &line, Ok(spared)));
        }
        for (number, part) in (0..).zip(&seen.parts) {
            let lain = lain_name(line.id, number);
            let stop = || self.shared.is_stopping();
            let again = openers.look_at(self.opened, &seen.tree, *part, Some(&lain), &stop);
            if let Err(found) = again {
                let answer = found.outcome(spared);
                return Err(self.back(claim, seen, all, &mut homes, &line, answer));
            }
        }
        Ok((line, homes))
    }

    /// Whether the directories that the parts came out of still are where they were.
    fn are_in_place(&self, seen: &Seen) -> bool {
        let root = &self.opened.root;
        let mut in_place = InPlace::new(root);
        seen.parts.iter().all(|part| {
            let path = part.path(&seen.tree);
            let (parent, _) = path.split().expect("invariant: a part is not the root");
            let home = match *part {
                Part::Dir(0) => root.key(),
                Part::Dir(at) => seen.tree.dir(seen.tree.dir(at).parent).facts.key,
                Part::File { dir, .. } => seen.tree.dir(dir).facts.key,
            };
            in_place.is(&parent, home)
        })
    }

    fn move_part(
        &self,
        claim: &Claim,
        tree: &Tree,
        part: Part,
        (id, number): (u64, u32),
        homes: &mut Homes,
    ) -> Result<(), Outcome> {
        let path = part.path(tree);
        let (parent, name) = path.split().expect("invariant: a part is not the root");
        let dir = homes.open(&self.opened.root, &parent).map_err(|error| {
            if error.is_absence() {
                let facts = tree.dir(0).facts;
                Outcome::Spared { facts }
            } else {
                unreadable(&error)
            }
        })?;
        if matches!(part, Part::Dir(_)) {
            (self.shared.hooks.before_move)(claim.root, &path);
        }
        let moved = dir.move_to(name, &self.opened.quarantine, &lain_name(id, number));
        moved.map_err(|error| {
            if matches!(part, Part::Dir(_)) {
                (self.shared.hooks.put_back)(claim.root, &path);
            }
            refused(&error, dir, name)
        })
    }

    /// Puts the first `moved` parts back. What cannot go back is displaced, and recorded.
    fn back(
        &self,
        claim: &Claim,
        seen: &Seen,
        moved: u32,
        homes: &mut Homes,
        line: &Line,
        answer: Answer,
    ) -> (Answer, bool) {
        let root = &self.opened.root;
        let (mut displaced, mut stuck) = (Vec::new(), false);
        for (number, part) in (0..moved).zip(&seen.parts).rev() {
            let path = part.path(&seen.tree);
            let (parent, name) = path.split().expect("invariant: a part is not the root");
            let home = homes.open(root, &parent);
            let home = home.as_ref().map(|home| &**home);
            let full = path.below(root.path());
            let quarantine = &self.opened.quarantine;
            match put_back(quarantine, (line.id, number), home, name, &full) {
                Back::Home => {}
                Back::Displaced => {
                    let (files, bytes) = part.count(&seen.tree);
                    let (path, path_b64) = pack(full.as_os_str().as_encoded_bytes());
                    displaced.push(Line {
                        id: self.shared.ledger.next_id(),
                        path,
                        path_b64,
                        files,
                        bytes,
                        result: Mark::Displaced,
                        ..line.clone()
                    });
                }
                Back::Stuck => stuck = true,
            }
            if matches!(part, Part::Dir(_)) {
                (self.shared.hooks.put_back)(claim.root, &path);
            }
        }
        if let Err(error) = self.shared.ledger.append(&displaced) {
            tracing::error!(%error, "what was displaced could not be recorded");
        }
        if displaced.is_empty() && !stuck {
            return (answer, stuck);
        }
        (answer.map(|_| Outcome::Held(Hold::Displaced)), stuck)
    }

    fn hand_over(&self, moved: Moved, place: &Place) {
        let Moved {
            claim, seen, line, ..
        } = moved;
        let removal = Removal {
            at: line.at,
            deadline: line.deadline,
            files: line.files,
            bytes: line.bytes,
            id: line.id,
            pruned: Vec::new(),
            partial: seen.parts != [Part::Dir(0)],
        };
        let weight = usize::try_from(line.files).unwrap_or(usize::MAX);
        let sweep = Sweep {
            place: place.clone(),
            doomed: (0..)
                .zip(seen.parts)
                .map(|(number, part)| Doomed {
                    number,
                    path: part.path(&seen.tree),
                    part,
                })
                .collect(),
            tree: seen.tree,
            skip_open: self.policy.rule(claim.rule).skip_open,
            line,
            answer: Some(Reaped {
                claim,
                outcome: Outcome::Removed(removal),
            }),
        };
        self.shared.sweeps.put(sweep, weight, WAITING_FILES_MAX);
    }
}

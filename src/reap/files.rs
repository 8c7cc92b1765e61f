//! Claims of single files, many at a time.
//!
//! **Invariant:** the lease is taken before the file leaves its place and kept until it is gone, so that nobody opens it
//! unnoticed in between.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use super::back::{Back, put_back, refused};
use super::file_look::{Dirs, FileLook, Pick, Picked};
use super::homes::InPlace;
use super::intent::Intent;
use super::judge::{Judgement, line};
use super::names::lain_name;
use super::place::{Opened, Roots, Shared, Work, all};
use super::prune;
use super::rows::{Rows, owner_name};
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped, Unit};
use crate::core::facts::Facts;
use crate::core::hold::Hold;
use crate::core::jobs::Job;
use crate::core::policy::SkipOpen;
use crate::fs::Dir;
use crate::fs::lease::WhenBusy;
use crate::ledger::{Line, Mark};

/// What a batch of claims needs at every step.
pub(super) struct Batch<'a> {
    look: FileLook<'a>,
    pub(super) shared: &'a Shared,
    pub(super) opened: &'a Opened,
}

impl<'a> Deref for Batch<'a> {
    type Target = FileLook<'a>;

    fn deref(&self) -> &FileLook<'a> {
        &self.look
    }
}

/// A file that lies in the quarantine and may go.
pub(super) struct Lain {
    pub(super) picked: Picked,
    pub(super) line: Line,
    /// The look at it there.
    seen: Facts,
}

/// What it means for a claim that its file stays; when it had left its place, where it is now, with its line.
type Stays = (Outcome, Option<(Back, Box<Line>)>);

/// Carries out claims of files of one root.
pub(super) fn reap(shared: &Shared, work: Work) -> Vec<Reaped> {
    let Some((work, places)) = shared.places_of(work) else {
        return Vec::new();
    };
    let roots = Roots::open(shared, places);
    let only = work.claims.first().map(|claim| roots.get(claim.root));
    let opened = match only {
        Some(Ok(opened)) => opened,
        Some(Err(outcome)) => return all(work.claims, &outcome),
        None => return Vec::new(),
    };
    let batch = Batch {
        look: FileLook {
            looks: shared,
            policy: &work.policy,
            root: &opened.root,
            since: work.since,
        },
        shared,
        opened,
    };
    let (mut done, mut asked) = (Vec::new(), Vec::new());
    // Before any lease is taken: a source may let us wait.
    let mut rows = Rows::new(shared, &work.policy);
    for claim in &work.claims {
        if shared.is_stopping() {
            return done;
        }
        match rows.agree(&claim.owners) {
            Ok(()) => asked.push(claim),
            Err(hold) => done.push(Reaped {
                claim: claim.clone(),
                outcome: Outcome::Held(hold),
            }),
        }
    }
    let mut later = Vec::new();
    let mut claims = asked.into_iter().peekable();
    while claims.peek().is_some() && !shared.is_stopping() {
        let (mut dirs, mut picked) = (Dirs::new(), Vec::new());
        while let Some(claim) = claims.peek() {
            match batch.pick(claim, &mut dirs, WhenBusy::Refuse) {
                Pick::Picked(one) => picked.push(*one),
                Pick::Answer(outcome) => done.push(Reaped {
                    claim: (*claim).clone(),
                    outcome,
                }),
                Pick::Later => later.push((*claim).clone()),
                Pick::Full => break,
            }
            claims.next();
            if picked.len() >= shared.leases_max {
                break;
            }
        }
        batch.carry_out(picked, &mut done);
    }
    for claim in later {
        if shared.is_stopping() {
            break;
        }
        // No lease is held here, so waiting for another thread's cannot make it wait for us.
        match batch.pick(&claim, &mut Dirs::new(), WhenBusy::Wait) {
            Pick::Picked(one) => batch.carry_out(vec![*one], &mut done),
            Pick::Answer(outcome) => done.push(Reaped { claim, outcome }),
            Pick::Later | Pick::Full => {}
        }
    }
    done
}

impl Batch<'_> {
    fn carry_out(&self, picked: Vec<Picked>, done: &mut Vec<Reaped>) {
        if picked.is_empty() {
            return;
        }
        let intended: Vec<(Picked, Line)> = picked
            .into_iter()
            .map(|one| {
                let line = self.line(&one);
                (one, line)
            })
            .collect();
        let ids: Vec<u64> = intended.iter().map(|(_, line)| line.id).collect();
        let intents = intended.iter().map(|(one, line)| {
            let asks = self.skip_open(&one.claim) != SkipOpen::Never;
            let into = (&self.opened.root, self.opened.quarantine_id);
            Intent::new(into, &one.claim.path, 0, &one.facts, asks, line)
        });
        if let Err(error) = self.shared.intents.write(intents) {
            let hold = Hold::Unrecorded {
                error: self.shared.intents.failed(&error),
            };
            done.extend(intended.into_iter().map(|(one, _)| Reaped {
                claim: one.claim,
                outcome: Outcome::Held(hold.clone()),
            }));
            return;
        }
        let (mut lain, mut stuck) = (Vec::new(), Vec::new());
        let mut displaced = Vec::new();
        let mut stays = |claim: Claim, (outcome, back): Stays| {
            match back {
                Some((Back::Displaced, line)) => displaced.push(*line),
                Some((Back::Stuck, line)) => stuck.push(line.id),
                Some((Back::Home, _)) | None => {}
            }
            done.push(Reaped { claim, outcome });
        };
        let turn = self.shared.turn(self.opened.id);
        let moving = turn.lock();
        for (one, line) in intended {
            match self.take_out(&one, line) {
                Ok((line, seen)) => lain.push(Lain {
                    picked: one,
                    line,
                    seen,
                }),
                Err(why) => stays(one.claim, why),
            }
        }
        drop(moving);
        for Lain { picked, line, .. } in self.carried_away(&mut lain) {
            let why = self.back(&picked, line, Outcome::Gone);
            stays(picked.claim, why);
        }
        for (Lain { picked, line, .. }, outcome) in self.not_confirmed(&mut lain) {
            let why = self.back(&picked, line, outcome);
            stays(picked.claim, why);
        }
        let from = done.len();
        self.record_and_remove(lain, &displaced, &mut stuck, done);
        self.shared
            .intents
            .done(ids.into_iter().filter(|id| !stuck.contains(id)));
        self.shared.intents.leave(stuck);
        if self.policy.roots[&self.opened.id].prune_empty_dirs {
            prune::prune(self, &mut done[from..]);
        }
    }

    fn line(&self, one: &Picked) -> Line {
        let claim = &one.claim;
        let owner = owner_name(self.policy, claim, &one.owner, self.decides(one));
        let id = self.shared.ledger.next_id();
        let (place, unit) = (Some((claim.root, &claim.path)), Unit::File.into());
        let line = line(self.policy, claim, owner, id, one.due, place, unit);
        Line {
            files: 1,
            bytes: one.facts.size,
            ..line
        }
    }

    /// The job by which it goes.
    fn decides<'o>(&self, one: &'o Picked) -> Option<&'o Job> {
        let claim = &one.claim;
        let path = claim.path.as_bytes();
        self.policy.decide(claim.root, path, &one.owner).1
    }

    /// Asks once more, now that all is out of its place, what the jobs' rows say, who owns what, and whether somebody pinned it.
    /// Takes out of `lain` what is not due by all that, with what that means for its claim.
    fn not_confirmed(&self, lain: &mut Vec<Lain>) -> Vec<(Lain, Outcome)> {
        let mut rows = Rows::new(self.shared, self.policy);
        let mut stays = Vec::new();
        for mut one in std::mem::take(lain) {
            match self.confirm(&mut rows, &mut one) {
                Ok(()) => lain.push(one),
                Err(outcome) => stays.push((one, outcome)),
            }
        }
        stays
    }

    fn confirm(&self, rows: &mut Rows<'_>, one: &mut Lain) -> Result<(), Outcome> {
        let Picked {
            claim, facts, due, ..
        } = &one.picked;
        rows.agree(&claim.owners).map_err(Outcome::Held)?;
        let owner = self.owner(claim, &one.seen)?;
        if self.judge(claim, facts, &owner) != Judgement::Due(*due) || one.line.at < due.deadline {
            return Err(Outcome::Spared { facts: one.seen });
        }
        one.picked.owner = owner;
        let record = self.policy.rule(one.picked.claim.rule).record;
        let job = self.decides(&one.picked);
        one.line.job = job.and_then(|job| rows.line_job(&job.key, record));
        Ok(())
    }

    /// Takes out of `lain` what came out of directories that are no longer where they were: whoever carried one away took
    /// everything that was in it, and it may be outside of the root by now.
    fn carried_away(&self, lain: &mut Vec<Lain>) -> Vec<Lain> {
        let mut in_place = InPlace::new(&self.opened.root);
        // One batch opens a directory once, so that what it was opened as, and where, goes for all that came out of it.
        let mut asked: BTreeMap<*const Dir, bool> = BTreeMap::new();
        let is_away = |one: &mut Lain| {
            let Picked { claim, dir, .. } = &one.picked;
            *asked.entry(Rc::as_ptr(dir)).or_insert_with(|| {
                let home = claim.path.split().map(|(parent, _)| parent);
                let key = dir.facts().map(|facts| facts.key);
                !matches!((home, key), (Some(home), Ok(key)) if in_place.is(&home, key))
            })
        };
        lain.extract_if(.., is_away).collect()
    }

    /// The move into the quarantine, and the second look there.
    fn take_out(&self, one: &Picked, mut line: Line) -> Result<(Line, Facts), Stays> {
        let quarantine = &self.opened.quarantine;
        let lain = lain_name(line.id, 0);
        one.dir
            .move_to(&one.name, quarantine, &lain)
            .map_err(|error| (refused(&error, &one.dir, &one.name), None))?;
        line.at = clock::now().wall;
        line.late_ms = line.at.ms_since(one.claim.due);
        let seen = quarantine.look(&lain);
        let opened = one.lease.as_ref().is_some_and(|lease| !lease.holds());
        let outcome = match seen {
            _ if opened => Outcome::Held(Hold::Open { path: None }),
            Ok(Some(facts)) if facts.is_same_content(&one.facts) => return Ok((line, facts)),
            Ok(Some(facts)) => Outcome::Spared { facts },
            Ok(None) | Err(_) => Outcome::Spared { facts: one.facts },
        };
        Err(self.back(one, line, outcome))
    }

    /// Puts a file back, with what that means for its claim.
    pub(super) fn back(&self, one: &Picked, mut line: Line, outcome: Outcome) -> Stays {
        let path = one.dir.path().join(super::place::os(&one.name));
        let quarantine = &self.opened.quarantine;
        let back = put_back(quarantine, (line.id, 0), Ok(&one.dir), &one.name, &path);
        line.result = Mark::Displaced;
        match back {
            Back::Home => (outcome, Some((back, Box::new(line)))),
            Back::Displaced | Back::Stuck => {
                (Outcome::Held(Hold::Displaced), Some((back, Box::new(line))))
            }
        }
    }
}

//! Claims of single files, many at a time.
//!
//! **Invariant:** the lease is taken before the file leaves its place and kept until it is gone, so that nobody opens it
//! unnoticed in between.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::back::{Back, put_back, refused};
use super::homes::InPlace;
use super::intent::Intent;
use super::judge::{Asked, Due, Judgement, Since, ask, judge, line};
use super::names::lain_name;
use super::place::{Opened, Roots, Shared, Work, all, unreached};
use super::prune;
use super::rows::{Rows, is_of, owner_name};
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped, Unit};
use crate::core::facts::{Facts, Kind};
use crate::core::hold::{Ends, Hold};
use crate::core::jobs::{Job, Owner};
use crate::core::path::RelPath;
use crate::core::policy::{Policy, SkipOpen};
use crate::fs::lease::{Lease, WhenBusy};
use crate::fs::{Dir, FsError, descriptors};
use crate::ledger::{Line, Mark};

/// What a batch of claims needs at every step.
pub(super) struct Batch<'a> {
    pub(super) shared: &'a Shared,
    pub(super) policy: &'a Policy,
    pub(super) opened: &'a Opened,
    since: Since,
}

/// A file that may go, in its place still.
pub(super) struct Picked {
    pub(super) claim: Claim,
    dir: Rc<Dir>,
    name: Vec<u8>,
    facts: Facts,
    owner: Owner,
    due: Due,
    pub(super) lease: Option<Lease>,
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

enum Pick {
    Picked(Box<Picked>),
    Answer(Outcome),
    /// Another name of the same file is at work.
    Later,
    /// Too many directories are open.
    Full,
}

type Dirs = BTreeMap<RelPath, Rc<Dir>>;

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
        shared,
        policy: &work.policy,
        opened,
        since: work.since,
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
    /// The first look: whether the claim names what stands there, and the policy lets it go.
    fn pick(&self, claim: &Claim, dirs: &mut Dirs, when_busy: WhenBusy) -> Pick {
        let Some((parent, name)) = claim.path.split() else {
            return Pick::Answer(Outcome::Gone);
        };
        let dir = match dirs.get(&parent) {
            Some(dir) => dir.clone(),
            None if dirs.len() >= descriptors::dirs_max() => return Pick::Full,
            None => match self.opened.root.dir(&parent) {
                Ok(dir) => dirs.entry(parent).or_insert(Rc::new(dir)).clone(),
                Err(error) => return Pick::Answer(not_looked_at(&error)),
            },
        };
        let facts = match dir.look(name) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Pick::Answer(Outcome::Gone),
            Err(error) => return Pick::Answer(not_looked_at(&error)),
        };
        let owner = match self.owner(claim, &facts) {
            Ok(owner) => owner,
            Err(outcome) => return Pick::Answer(outcome),
        };
        let due = match self.judge(claim, &facts, &owner) {
            Judgement::Due(due) if facts.kind == Kind::File && facts.key == claim.key => due,
            Judgement::Hold(hold) if facts.key == claim.key => {
                return Pick::Answer(Outcome::Held(hold));
            }
            Judgement::Due(_) | Judgement::Hold(_) | Judgement::NotDue => {
                return Pick::Answer(Outcome::Spared { facts });
            }
        };
        let lease = match ask(self.skip_open(claim), &dir, name, &facts, when_busy) {
            Asked::Free(lease) => lease,
            Asked::Held(hold) => return Pick::Answer(Outcome::Held(hold)),
            Asked::Replaced => return Pick::Answer(Outcome::Spared { facts }),
            Asked::Busy => return Pick::Later,
        };
        Pick::Picked(Box::new(Picked {
            claim: claim.clone(),
            name: name.to_vec(),
            dir,
            facts,
            owner,
            due,
            lease,
        }))
    }

    /// Whose it is; else what it means that this is not who the claim was made about, or that it is pinned.
    fn owner(&self, claim: &Claim, facts: &Facts) -> Result<Owner, Outcome> {
        let hooks = &self.shared.hooks;
        let owner = (hooks.owner)(self.policy, claim.root, claim.path.as_bytes());
        if !is_of(&owner, claim) {
            return Err(Outcome::Spared { facts: *facts });
        }
        let now = self.since.now();
        let pin = hooks
            .pins
            .find(self.policy, claim.root, &claim.path, &owner, now);
        let refused = || {
            let path = claim.path.as_bytes();
            let is_owned = !owner.jobs().is_empty();
            (!is_owned).then(|| (hooks.refused)(self.policy, claim.root, path, claim.rule))?
        };
        match pin.map(|pin| pin.hold()).or_else(refused) {
            Some(hold) => Err(Outcome::Held(hold)),
            None => Ok(owner),
        }
    }

    fn judge(&self, claim: &Claim, facts: &Facts, owner: &Owner) -> Judgement {
        let path = claim.path.as_bytes();
        let verdict = self
            .policy
            .file(claim.root, path, facts, claim.known, owner);
        judge(claim, verdict, self.since.now())
    }

    fn skip_open(&self, claim: &Claim) -> SkipOpen {
        self.policy.rule(claim.rule).skip_open
    }

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

fn not_looked_at(error: &FsError) -> Outcome {
    if error.is_absence() {
        return Outcome::Gone;
    }
    if error.is_shortage() {
        return unreached(error);
    }
    let mend = if error.is_denial() {
        "\ngive the service's user search permission on it and on the directories above it"
    } else {
        ""
    };
    Outcome::Held(Hold::Denied {
        error: format!("{error}{mend}"),
        ends: Ends::Told,
    })
}

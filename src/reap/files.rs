//! Claims of single files, many at a time.
//!
//! **Invariant:** the lease is taken before the file leaves its place and kept until it is gone, so that nobody opens it
//! unnoticed in between.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::back::{Back, put_back, refused};
use super::homes::InPlace;
use super::intents::{Intent, lain_name};
use super::judge::{Asked, Due, Judgement, ask, judge, line};
use super::place::{Opened, Shared, Work, all, open};
use super::prune;
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped, Removal, Unit};
use crate::core::facts::{Facts, Kind};
use crate::core::hold::{Ends, Hold};
use crate::core::path::RelPath;
use crate::core::policy::{Policy, SkipOpen};
use crate::fs::lease::{Lease, WhenBusy};
use crate::fs::{Dir, FsError};
use crate::ledger::{Line, Mark};

/// So many directories are open at once for one batch.
const DIRS_MAX: usize = 64;

/// What a batch of claims needs at every step.
pub(super) struct Batch<'a> {
    pub(super) shared: &'a Shared,
    pub(super) policy: &'a Policy,
    pub(super) opened: &'a Opened,
    pub(super) work: &'a Work,
}

/// A file that may go, in its place still.
struct Picked {
    claim: Claim,
    dir: Rc<Dir>,
    name: Vec<u8>,
    facts: Facts,
    due: Due,
    lease: Option<Lease>,
}

/// A file that lies in the quarantine and may go.
struct Lain {
    picked: Picked,
    line: Line,
}

/// What it means for a claim that its file stays; when it had left its place, where it is now, with its line.
type Stays = (Outcome, Option<(Back, Box<Line>)>);

enum Pick {
    Picked(Picked),
    Answer(Outcome),
    /// Another name of the same file is at work.
    Later,
    /// Too many directories are open.
    Full,
}

type Dirs = BTreeMap<RelPath, Rc<Dir>>;

/// Carries out claims of files of one root.
pub(super) fn reap(shared: &Shared, work: Work) -> Vec<Reaped> {
    let Some((work, place)) = shared.place_of(work) else {
        return Vec::new();
    };
    let opened = match open(place.as_ref()) {
        Ok(opened) => opened,
        Err(outcome) => return all(work.claims, &outcome),
    };
    let batch = Batch {
        shared,
        policy: &work.policy,
        opened: &opened,
        work: &work,
    };
    let mut done = Vec::new();
    let mut later = Vec::new();
    let mut claims = work.claims.iter().peekable();
    while claims.peek().is_some() && !shared.is_stopping() {
        let (mut dirs, mut picked) = (Dirs::new(), Vec::new());
        while let Some(claim) = claims.peek() {
            match batch.pick(claim, &mut dirs, WhenBusy::Refuse) {
                Pick::Picked(one) => picked.push(one),
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
            Pick::Picked(one) => batch.carry_out(vec![one], &mut done),
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
            None if dirs.len() >= DIRS_MAX => return Pick::Full,
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
        let due = match self.judge(claim, &facts) {
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
        Pick::Picked(Picked {
            claim: claim.clone(),
            name: name.to_vec(),
            dir,
            facts,
            due,
            lease,
        })
    }

    fn judge(&self, claim: &Claim, facts: &Facts) -> Judgement {
        let verdict = self
            .policy
            .file(claim.root, claim.path.as_bytes(), facts, claim.known);
        judge(claim, verdict, self.work.since.now())
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
            let root = &self.opened.root;
            Intent::new(root, &one.claim.path, 0, &one.facts, asks, line)
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
        let turn = self.shared.turn(self.work.root);
        let moving = turn.lock();
        for (one, line) in intended {
            match self.take_out(&one, line) {
                Ok(line) => lain.push(Lain { picked: one, line }),
                Err(why) => stays(one.claim, why),
            }
        }
        drop(moving);
        for Lain { picked, line } in self.carried_away(&mut lain) {
            let why = self.back(&picked, line, Outcome::Gone);
            stays(picked.claim, why);
        }
        let from = done.len();
        self.record_and_remove(lain, &displaced, &mut stuck, done);
        self.shared
            .intents
            .done(ids.into_iter().filter(|id| !stuck.contains(id)));
        self.shared.intents.leave(stuck);
        if self.policy.roots[&self.work.root].prune_empty_dirs {
            prune::prune(self, &mut done[from..]);
        }
    }

    fn line(&self, one: &Picked) -> Line {
        let claim = &one.claim;
        let owner = (self.shared.hooks.owner)(self.policy, claim.root, claim.path.as_bytes());
        let id = self.shared.ledger.next_id();
        let unit = Unit::File.into();
        let line = line(self.policy, claim, owner, id, one.due, &claim.path, unit);
        Line {
            files: 1,
            bytes: one.facts.size,
            ..line
        }
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
    fn take_out(&self, one: &Picked, mut line: Line) -> Result<Line, Stays> {
        let quarantine = &self.opened.quarantine;
        let lain = lain_name(line.id, 0);
        one.dir
            .move_to(&one.name, quarantine, &lain)
            .map_err(|error| (refused(&error, &one.dir, &one.name), None))?;
        line.at = clock::now().wall;
        line.late_ms = line.at.ms_since(one.claim.due);
        let seen = quarantine.look(&lain);
        let same = matches!(&seen, Ok(Some(now)) if now.is_same_content(&one.facts));
        let opened = one.lease.as_ref().is_some_and(|lease| !lease.holds());
        let due = self.judge(&one.claim, &one.facts) == Judgement::Due(one.due)
            && line.at >= one.due.deadline;
        if same && due && !opened {
            return Ok(line);
        }
        let outcome = match seen {
            _ if opened => Outcome::Held(Hold::Open { path: None }),
            Ok(Some(facts)) => Outcome::Spared { facts },
            Ok(None) | Err(_) => Outcome::Spared { facts: one.facts },
        };
        Err(self.back(one, line, outcome))
    }

    /// Puts a file back, with what that means for its claim.
    fn back(&self, one: &Picked, mut line: Line, outcome: Outcome) -> Stays {
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

    fn record_and_remove(
        &self,
        lain: Vec<Lain>,
        displaced: &[Line],
        stuck: &mut Vec<u64>,
        done: &mut Vec<Reaped>,
    ) {
        let lines = lain.iter().map(|one| &one.line).chain(displaced);
        let recorded = self.shared.ledger.append(lines);
        let (mut amended, mut leases) = (Vec::new(), Vec::new());
        let turn = self.shared.turn(self.work.root);
        let removing = turn.lock();
        for Lain { mut picked, line } in lain {
            let outcome = match &recorded {
                Ok(()) => self.remove(&picked, line, stuck, &mut amended),
                Err(error) => {
                    let hold = Hold::Unrecorded {
                        error: error.to_string(),
                    };
                    let id = line.id;
                    let (outcome, back) = self.back(&picked, line, Outcome::Held(hold));
                    if let Some((Back::Stuck, _)) = back {
                        stuck.push(id);
                    }
                    outcome
                }
            };
            leases.push(picked.lease.take());
            done.push(Reaped {
                claim: picked.claim,
                outcome,
            });
        }
        drop(removing);
        // With its descriptor a file ends: half of the work, for which nobody has to wait.
        drop(leases);
        if let Err(error) = self.shared.ledger.append(&amended) {
            tracing::error!(%error, "the ledger could not be amended");
        }
    }

    /// Removes what is recorded. Somebody may have opened it in the very instant, through another of its names: then it goes
    /// back, and the ledger is amended.
    fn remove(
        &self,
        picked: &Picked,
        line: Line,
        stuck: &mut Vec<u64>,
        amended: &mut Vec<Line>,
    ) -> Outcome {
        let (id, at, deadline) = (line.id, line.at, line.deadline);
        if picked.lease.as_ref().is_some_and(|lease| !lease.holds()) {
            let (outcome, back) = self.back(picked, line, Outcome::Held(Hold::Open { path: None }));
            if let Some((back, line)) = back {
                let result = match back {
                    Back::Home => Mark::PutBack,
                    Back::Displaced => Mark::Displaced,
                    Back::Stuck => {
                        stuck.push(id);
                        return outcome;
                    }
                };
                amended.push(Line {
                    id: self.shared.ledger.next_id(),
                    result,
                    ..*line
                });
            }
            return outcome;
        }
        if let Err(error) = self.opened.quarantine.remove_file(&lain_name(id, 0)) {
            tracing::error!(%error, "recorded as removed, but still in the quarantine; the next start finishes it");
            stuck.push(id);
        }
        Outcome::Removed(Removal {
            at,
            deadline,
            files: line.files,
            bytes: line.bytes,
            id,
            pruned: Vec::new(),
            partial: false,
        })
    }
}

fn not_looked_at(error: &FsError) -> Outcome {
    if error.is_absence() {
        return Outcome::Gone;
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

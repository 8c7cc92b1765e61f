//! The reaper, and the person who brings things back.

use std::collections::BTreeSet;

use lapsed::core::claim::{Claim, Outcome, Reaped, Removal};
use lapsed::core::engine::Input;
use lapsed::core::hold::Hold;
use lapsed::core::jobs::{JobChange, JobLookup};
use lapsed::core::path::RelPath;
use lapsed::core::pins::{Pin, PinTarget};
use lapsed::core::time::Timestamp;
use lapsed::core::trash::{PurgeOutcome, Purged, TrashNews, Trashed};

use super::{DB, PIN_MS, ROOT, Sim, TOLERANCE_MS, Thing, UNDO_MS, name_of};

impl Sim {
    /// The reaper carries out one claim.
    pub(super) fn reap(&mut self) {
        if self.claims.is_empty() {
            return;
        }
        let at = self.random.usize(..self.claims.len());
        let claim = self.claims.swap_remove(at);
        let job = claim.owners[0].id.clone();
        let outcome = self.carry_out(&claim, &job);
        let is_forgotten = !self.rows.contains_key(&job);
        self.input(Input::Reaped(vec![Reaped { claim, outcome }]));
        if is_forgotten {
            self.input(Input::Forgotten(DB));
            self.tell(vec![JobChange::Gone(vec![job])]);
        }
    }

    fn carry_out(&mut self, claim: &Claim, job: &str) -> Outcome {
        let now = self.now().wall;
        let row = self.rows.get(job).cloned().map(Box::new);
        let fresh = row.map_or(JobLookup::Gone, JobLookup::Row);
        if fresh == JobLookup::Gone || !self.engine.jobs().agrees(&claim.owners[0], &fresh) {
            return Outcome::Held(Hold::SourceDown {
                source: "db".to_owned(),
                why: "it has changed".to_owned(),
            });
        }
        let going = |path: &RelPath| claim.pieces.iter().any(|piece| path.is_within(&piece.path));
        let going: BTreeSet<RelPath> = self
            .files
            .keys()
            .filter(|path| going(path))
            .cloned()
            .collect();
        if let Some(pin) = self.pin_on(job, going.iter(), now) {
            return Outcome::Held(pin.hold());
        }
        if going.is_empty() {
            return self.forget(claim, job, now);
        }
        for path in &going {
            let file = &self.files[path];
            assert!(
                file.pinned_until.is_none_or(|until| until <= now),
                "{path} came back and lapses at once"
            );
        }
        self.next += 1;
        let row = Trashed {
            id: self.next,
            at: now,
            until: now.plus_ms(UNDO_MS),
            files: going.len() as u64,
            bytes: 0,
            run: None,
            jobs: [name_of(job)].into(),
        };
        let until = row.until;
        // As the reaper: into the table before the line.
        self.trash.insert(ROOT, row.clone());
        for path in &going {
            self.files.remove(path);
            self.dirty.insert(path.clone());
        }
        let thing = Thing {
            job: job.to_owned(),
            files: going,
            since: self.boot,
            row,
        };
        self.disk.insert(self.next, thing);
        self.count("trashed");
        removed(claim, now, Some(until))
    }

    /// Removes a record alone, if the reaper's own look at the trash lets it.
    fn forget(&mut self, claim: &Claim, job: &str, now: Timestamp) -> Outcome {
        if !self.is_read {
            return Outcome::Held(Hold::InTrash { until: None });
        }
        if let Some(until) = self.trash.until(&name_of(job)) {
            return Outcome::Held(Hold::InTrash { until: Some(until) });
        }
        let can_come_back = self
            .disk
            .values()
            .any(|thing| thing.job == job && !thing.files.is_empty());
        assert!(
            !can_come_back,
            "the row of {job} is forgotten, and its files can come back"
        );
        let of_job = |path: &&RelPath| path.top() == Some(job.as_bytes());
        let is_back = self.files.keys().any(|path| of_job(&path));
        assert!(
            !is_back,
            "the row of {job} is forgotten, and its files are there"
        );
        self.rows.remove(job);
        self.count("forgotten");
        removed(claim, now, None)
    }

    fn pin_on<'p>(
        &self,
        job: &str,
        mut paths: impl Iterator<Item = &'p RelPath>,
        now: Timestamp,
    ) -> Option<Pin> {
        let at = |path: &RelPath| self.pins.at(&path.below("/root".as_ref()), now);
        self.pins
            .of_job("db", job, now)
            .or_else(|| paths.find_map(at))
    }

    /// The reaper deletes something, or cannot.
    pub(super) fn purge(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let order = self.orders.remove(0);
        let purged: Vec<Purged> = order.ids.iter().map(|&id| self.purge_one(id)).collect();
        self.input(Input::Trash(TrashNews::Purged(purged)));
    }

    fn purge_one(&mut self, id: u64) -> Purged {
        let (now, is_hard) = (self.now().wall, self.random.u32(..8) == 0);
        let mut answer = Purged {
            root: ROOT,
            id,
            outcome: PurgeOutcome::Gone { files: 0, bytes: 0 },
            jobs: Box::default(),
        };
        let Some(thing) = self.disk.get(&id) else {
            self.trash.remove(ROOT, id);
            return answer;
        };
        answer.jobs = [name_of(&thing.job)].into();
        let pin = self.pin_on(&thing.job, thing.files.iter(), now);
        let hold = match pin {
            Some(pin) => Some(pin.hold()),
            None if now < thing.row.until => Some(Hold::RecheckMismatch),
            None if is_hard => Some(Hold::Unreadable {
                error: "of the disk".to_owned(),
            }),
            None => None,
        };
        if let Some(hold) = hold {
            answer.outcome = PurgeOutcome::Held(hold);
            return answer;
        }
        let stayed_ms = i64::try_from((self.boot - thing.since).as_millis()).unwrap();
        assert!(
            stayed_ms + TOLERANCE_MS >= UNDO_MS,
            "{id} is deleted after {stayed_ms} ms in the trash"
        );
        self.disk.remove(&id);
        self.trash.remove(ROOT, id);
        self.count("purged");
        answer
    }

    /// A person brings something back. The process may be killed at every step.
    pub(super) fn restore(&mut self) {
        let ids: Vec<u64> = self.disk.keys().copied().collect();
        if ids.is_empty() || !self.is_read {
            return;
        }
        let id = ids[self.random.usize(..ids.len())];
        let (job, files) = (self.disk[&id].job.clone(), self.disk[&id].files.clone());
        if files.is_empty() {
            return;
        }
        let now = self.now().wall;
        let until = now.plus_ms(PIN_MS);
        let targets = files
            .iter()
            .map(|path| PinTarget::Path(path.below("/root".as_ref())));
        let of_job = PinTarget::Job {
            source: "db".to_owned(),
            id: job.clone(),
        };
        for target in targets.chain([of_job]) {
            self.next += 1;
            let pin = Pin {
                id: self.next,
                target,
                who: "somebody".to_owned(),
                why: "undo".to_owned(),
                set_at: now,
                until,
            };
            self.pins.set(pin.clone());
            self.input(Input::Ask(Box::new(move |engine, now| {
                engine.pin(pin, now);
            })));
        }
        if self.random.u32(..10) == 0 {
            return self.crash();
        }
        for path in files {
            if self.files.contains_key(&path) {
                // Its name is taken: it stays in the trash.
                continue;
            }
            self.put(path.clone());
            self.files.get_mut(&path).unwrap().pinned_until = Some(until);
            self.disk.get_mut(&id).unwrap().files.remove(&path);
            if self.random.u32(..20) == 0 {
                return self.crash();
            }
        }
        self.count("restored");
        let jobs = vec![name_of(&job)];
        self.input(Input::Trash(TrashNews::Restored(jobs.clone())));
        if self.random.u32(..10) == 0 {
            return self.crash();
        }
        if self.disk[&id].files.is_empty() {
            self.disk.remove(&id);
            self.trash.remove(ROOT, id);
        }
        self.input(Input::Trash(TrashNews::Restored(jobs)));
    }
}

fn removed(claim: &Claim, now: Timestamp, trashed: Option<Timestamp>) -> Outcome {
    Outcome::Removed(Removal {
        at: now,
        deadline: claim.due,
        files: claim.pieces.len() as u64,
        bytes: 0,
        id: 1,
        pruned: Vec::new(),
        partial: false,
        share: None,
        trashed,
    })
}

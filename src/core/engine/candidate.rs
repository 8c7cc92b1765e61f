//! Candidates: what would be removed with an item, and why.

use super::item::Item;
use super::lapse::Lapse;
use super::state::Engine;
use crate::core::claim::{Actor, Claim, Piece};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Record};
use crate::core::jobs::Job;
use crate::core::path::RelPath;
use crate::core::report::{CleanItem, CleanJob};
use crate::core::time::Timestamp;

/// An item that may be due, as the index and the sources have it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) item: Item,
    /// Its root: of all that a job owns, that of the first part.
    pub(super) root: RootId,
    pub(super) path: RelPath,
    /// Of all that a job owns, that of the first part.
    pub(super) key: FileKey,
    pub(super) lapse: Lapse,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Of a job, all that goes.
    pub(super) pieces: Vec<Piece>,
    /// Owner of all of it, for [`Item::Job`].
    pub(super) job: Option<Job>,
}

impl Candidate {
    /// The entry `name` of `dir`, which is at `at` in `root`.
    pub(super) fn of_file(
        (root, at): (RootId, &RelPath),
        (dir, dev): (DirId, u64),
        (name, record): (&[u8], Record),
        lapse: Lapse,
    ) -> Self {
        Self {
            item: Item::file(dir, name),
            root,
            path: at.join(name),
            key: FileKey {
                dev,
                ino: record.ino,
            },
            lapse,
            files: 1,
            bytes: record.size,
            pieces: Vec::new(),
            job: None,
        }
    }

    /// The line of a report about it.
    pub(super) fn report(&self, hold: Option<Hold>) -> CleanItem {
        CleanItem {
            root: self.root,
            path: self.path.clone(),
            unit: self.item.unit(),
            rule: self.lapse.rule,
            deadline: self.lapse.deadline,
            files: self.files,
            bytes: self.bytes,
            hold,
            job: self.job.as_ref().map(|job| CleanJob {
                key: job.key.clone(),
                status: job.status,
            }),
        }
    }
}

impl Engine {
    /// The top-level directory `dir`, if it lapses as a whole.
    pub(super) fn dir_candidate(&self, dir: DirId) -> Option<Candidate> {
        let unit = self.index.unit(dir)?;
        let (root, path) = self.index.dir_path(dir)?;
        Some(Candidate {
            item: Item::Dir(dir),
            root,
            path,
            key: self.index.dir(dir)?.facts.key,
            lapse: Lapse {
                rule: unit.rule,
                basis: unit.basis,
                deadline: unit.deadline?,
            },
            files: unit.files,
            bytes: unit.bytes,
            pieces: Vec::new(),
            job: None,
        })
    }

    /// The order to remove a candidate.
    pub(super) fn claim_of(
        &self,
        of: Candidate,
        due: Timestamp,
        retention_ms: Option<i64>,
        actor: Actor,
    ) -> Claim {
        let owners = match &of.job {
            Some(job) => vec![job.key.clone()],
            None => self
                .jobs
                .readings(&self.policy, of.root, of.path.as_bytes()),
        };
        Claim {
            root: of.root,
            path: of.path,
            owners,
            unit: of.item.unit(),
            pieces: of.pieces,
            key: of.key,
            rule: of.lapse.rule,
            known: of.lapse.basis,
            retention_ms,
            due,
            actor,
        }
    }

    /// Gives out a claim. What has come to stand at its path while another claim is under way there
    /// is looked at again when that is answered.
    pub(super) fn give_out(&mut self, item: Item, claim: Claim) {
        if let Item::Job(source, no, _) = item {
            self.arriving.renew((source, no));
        }
        self.holds_mut().claim(item.clone());
        self.claims.give_out(item, claim);
    }

    /// The device that the files of a directory are on: its own, no mount being entered.
    pub(super) fn dev_of(&self, dir: DirId) -> u64 {
        self.index.dir(dir).map_or(0, |dir| dir.facts.key.dev)
    }
}

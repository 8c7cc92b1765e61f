//! From what a look saw to an entry, and to the unit that it is in.
//!
//! **Invariant:** an arrival is never forgotten while its entry is known: a floor under its newest
//! timestamp.

use std::time::Duration;

use super::Engine;
use super::item::Item;
use crate::core::claim::Unit;
use crate::core::facts::{Facts, Latest, RootId, usual_blocks};
use crate::core::index::{DirId, Record, UnitRule};
use crate::core::jobs::Owner;
use crate::core::observed::Discovery;
use crate::core::path::RelPath;
use crate::core::policy::{Class, Since, Verdict};
use crate::core::time::{FileTime, Now, Timestamp};

/// A new entry whose change time is older than this has been moved in with the directory around it:
/// it arrives now. One that is younger arrived when its change time says, which is exact and costs
/// nothing.
const ARRIVAL_AFTER: Duration = Duration::from_secs(2);

impl Engine {
    /// Owner of the file or directory at `path`.
    pub(super) fn owner(&self, root: RootId, path: &[u8]) -> Owner {
        self.jobs.owner(&self.policy, root, path)
    }

    pub(super) fn previous(&self, dir: DirId, name: &[u8]) -> Option<Record> {
        self.index.find_in(dir, name).map(|(_, record)| record)
    }

    /// Floor under the newest timestamp of a file, besides what the file system says.
    pub(super) fn floor(
        &self,
        previous: Option<Record>,
        facts: &Facts,
        discovery: Discovery,
        now: Now,
    ) -> Timestamp {
        match (previous, discovery) {
            (Some(record), _) if record.ino == facts.key.ino => match record.class {
                Class::File(rule) if self.policy.rule(rule).since != Since::Newest => {
                    Timestamp::MIN
                }
                Class::Unruled
                | Class::Kept(_)
                | Class::Dir(_)
                | Class::File(_)
                | Class::Job(_) => record.basis,
            },
            (_, Discovery::Event) if facts.ctime.ceil().after(ARRIVAL_AFTER) < now.wall => now.wall,
            (Some(_) | None, Discovery::Event | Discovery::Crawl) => Timestamp::MIN,
        }
    }

    /// The entry that a look makes.
    pub(super) fn record(
        &self,
        root: RootId,
        path: &[u8],
        facts: &Facts,
        floor: Timestamp,
    ) -> Record {
        let owner = self.owner(root, path);
        let (class, job) = self.policy.decide(root, path, &owner);
        let moments = job.map(|job| &job.moments);
        let newest = facts.newest().max(floor);
        let (basis, expire_ms) = match class {
            Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => (newest, None),
            Class::File(id) => {
                let rule = self.policy.rule(id);
                match self
                    .policy
                    .verdict(id, rule.since.of(facts, floor, moments))
                {
                    Verdict::Lapse { basis, .. } => (basis, rule.expire_ms),
                    Verdict::Keep | Verdict::Hold { .. } => (newest, None),
                }
            }
        };
        let is_limited = self.policy.is_limited(root);
        Record {
            size: facts.size,
            blocks: if is_limited {
                facts.blocks
            } else {
                usual_blocks(facts.size)
            },
            nlink: if is_limited { facts.nlink } else { 1 },
            ino: facts.key.ino,
            mtime: facts.mtime.ceil(),
            basis,
            class,
            expire_ms,
        }
    }

    /// Carries what was seen in `dir` to the top-level directory that lapses as a whole, if there
    /// is one.
    pub(super) fn observe_unit(&mut self, root: RootId, dir: &RelPath, latest: Latest, now: Now) {
        let Some(top) = dir.top() else { return };
        if let Some(id) = self.index.dir_id(root, top) {
            self.set_unit(root, top, id, latest, now);
        }
    }

    pub(super) fn set_unit(
        &mut self,
        root: RootId,
        top: &[u8],
        id: DirId,
        latest: Latest,
        now: Now,
    ) {
        let latest = self
            .index
            .unit(id)
            .map_or(latest, |unit| unit.latest.max(latest));
        self.put_unit(root, top, id, latest, now);
    }

    /// As [`Engine::set_unit`]; nothing that was known of the tree counts any more.
    fn put_unit(&mut self, root: RootId, top: &[u8], id: DirId, latest: Latest, now: Now) {
        let before = self.index.unit(id);
        let owner = self.owner(root, top);
        let rule = self.policy.dir_rule(root, top, &owner);
        let Some(dir) = self.index.dir(id) else {
            return;
        };
        // A rule for files takes the directory only when it is empty.
        let takes = |rule| self.policy.rule(rule).unit != Unit::File || dir.files_beneath == 0;
        let Some((rule_id, job)) = rule.filter(|(rule, _)| takes(*rule)) else {
            if before.is_some() {
                self.change_unit(id, None, now);
            }
            return;
        };
        let rule = self.policy.rule(rule_id);
        let latest = latest.max(dir.facts.latest());
        let basis = match rule.since {
            Since::Newest => Some(latest.any),
            Since::NewestMtime => Some(latest.mtime),
            Since::Mtime => Some(dir.facts.mtime().ceil()),
            Since::Ctime => Some(dir.facts.ctime().ceil()),
            Since::Btime => dir.facts.btime().map(FileTime::ceil),
            Since::CreatedAt | Since::CompletedAt | Since::LastActivity | Since::ExpiresAt => {
                job.and_then(|job| rule.since.of_job(&job.moments))
            }
        };
        let expire_ms = basis.and(rule.expire_ms);
        let basis = basis.unwrap_or(latest.any);
        let changed = before
            .is_none_or(|unit| (unit.rule, unit.basis, unit.latest) != (rule_id, basis, latest));
        if changed {
            let unit = UnitRule {
                rule: rule_id,
                basis,
                latest,
                expire_ms,
            };
            self.change_unit(id, Some(unit), now);
            self.lift(&Item::Dir(id));
            self.hold_fresh_unit(root, id, now);
            self.arm_unit(id, now);
        }
    }

    /// Takes note that something in `dir` has an older time than before: it was set, or an old file
    /// took the place of a young one.
    pub(super) fn note_older(&mut self, root: RootId, dir: &RelPath) {
        let Some(id) = dir.top().and_then(|top| self.index.dir_id(root, top)) else {
            return;
        };
        let unit = self.index.unit(id);
        if unit.is_some_and(|unit| self.policy.rule(unit.rule).since == Since::NewestMtime) {
            self.older.insert(id);
        }
    }

    /// Reads the latest change of contents off the trees in which something has an older time than
    /// before.
    pub(super) fn refresh_content_mtimes(&mut self, now: Now) {
        for id in std::mem::take(&mut self.older) {
            let (Some((root, top)), Some(unit)) = (self.index.dir_path(id), self.index.unit(id))
            else {
                continue;
            };
            let latest = Latest {
                mtime: self.latest_mtime(id),
                ..unit.latest
            };
            self.put_unit(root, top.as_bytes(), id, latest, now);
        }
    }

    /// The latest mtime in the tree of `top`.
    pub(super) fn latest_mtime(&self, top: DirId) -> Timestamp {
        let mut latest = Timestamp::MIN;
        for dir in self.index.subtree(top) {
            if let Some(known) = self.index.dir(dir) {
                latest = latest.max(known.facts.mtime().ceil());
            }
            for (_, page) in self.index.snapshot_of(dir) {
                let mtimes = page.entries().map(|(_, record)| record.mtime);
                latest = mtimes.fold(latest, Timestamp::max);
            }
        }
        latest
    }
}

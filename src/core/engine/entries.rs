//! From what a look saw to an entry, and to the unit that it lies in.
//!
//! **Invariant:** an arrival is never forgotten while its entry is known: a floor under its newest timestamp.

use std::time::Duration;

use super::held::UNIT;
use super::state::Engine;
use crate::core::facts::{Facts, RootId};
use crate::core::index::{DirId, Record, UnitRule};
use crate::core::observed::Discovery;
use crate::core::path::RelPath;
use crate::core::policy::{Class, Since, Verdict};
use crate::core::time::{FileTime, Now, Timestamp};

/// A new entry whose change time is older than this has been moved in with the directory around it: it arrives now. One that
/// is younger arrived when its change time says, which is exact and costs nothing.
const ARRIVAL_AFTER: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn previous(&self, dir: DirId, name: &[u8]) -> Option<Record> {
        self.index.find_in(dir, name).map(|(_, record)| record)
    }

    /// What the newest timestamp of a file cannot be below, besides what the file system says.
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
                Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::File(_) => record.basis,
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
        let class = self.policy.classify(root, path);
        let newest = facts.newest().max(floor);
        let (basis, expire_ms) = match class {
            Class::Unruled | Class::Kept(_) | Class::Dir(_) => (newest, None),
            Class::File(id) => {
                let rule = self.policy.rule(id);
                match self.policy.verdict(id, rule.since.of(facts, floor)) {
                    Verdict::Lapse { basis, .. } => (basis, rule.expire_ms),
                    Verdict::Keep | Verdict::Hold { .. } => (newest, None),
                }
            }
        };
        Record {
            size: facts.size,
            ino: facts.key.ino,
            mtime: facts.mtime.ceil(),
            basis,
            class,
            expire_ms,
        }
    }

    /// Carries what was seen in `dir` to the top-level directory that lapses as a whole, if there is one.
    pub(super) fn observe_unit(
        &mut self,
        root: RootId,
        dir: &RelPath,
        newest: Timestamp,
        now: Now,
    ) {
        let Some(top) = dir.top() else { return };
        if let Some(id) = self.index.dir_id(root, top) {
            self.set_unit(root, top, id, newest, now);
        }
    }

    pub(super) fn set_unit(
        &mut self,
        root: RootId,
        top: &[u8],
        id: DirId,
        newest: Timestamp,
        now: Now,
    ) {
        let before = self.index.unit(id);
        let Some(rule_id) = self.policy.dir_rule(root, top) else {
            if before.is_some() {
                self.writer.set_unit(id, None);
            }
            return;
        };
        let Some(dir) = self.index.dir(id) else {
            return;
        };
        let rule = self.policy.rule(rule_id);
        let newest = before
            .map_or(newest, |unit| unit.newest.max(newest))
            .max(dir.facts.newest);
        let basis = match rule.since {
            Since::Newest => Some(newest),
            Since::Mtime => Some(dir.facts.mtime.ceil()),
            Since::Ctime => Some(dir.facts.ctime.ceil()),
            Since::Btime => dir.facts.btime.map(FileTime::ceil),
        };
        let expire_ms = basis.and(rule.expire_ms);
        let basis = basis.unwrap_or(newest);
        let changed = before
            .is_none_or(|unit| (unit.rule, unit.basis, unit.newest) != (rule_id, basis, newest));
        if changed {
            self.writer.set_unit(
                id,
                Some(UnitRule {
                    rule: rule_id,
                    basis,
                    newest,
                    expire_ms,
                }),
            );
            self.held.lift(id, UNIT);
            self.hold_fresh_unit(root, id, now);
            self.arm_unit(id, now);
        }
    }
}

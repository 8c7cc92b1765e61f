//! Answers to those who ask: status, explanations, and what holds an entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use super::holds::{HoldTable, Refused};
use super::item::Item;
use super::job_holds::JobHolds;
use super::lapse::Lapse;
use super::members::MemberTable;
use super::root_state::RootHolds;
use crate::core::claim::Unit;
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::path::RelPath;
use crate::core::pauses::Pauses;
use crate::core::policy::{Class, JobFilter, Schedule};
use crate::core::report::{Explanation, HeldCount, Mode, RootStatus, Status};
use crate::core::time::{Now, Timestamp};

/// Holds at one instant, to be asked for many entries without asking the engine for each.
#[derive(Clone, Debug)]
pub struct Holds {
    roots: BTreeMap<RootId, RootHolds>,
    own: Arc<HoldTable>,
    guard: ClockGuard,
    unsaved: Option<Hold>,
    jobs: JobHolds,
    pauses: Arc<Pauses>,
    members: Arc<MemberTable>,
    mode: Mode,
    now: Now,
}

impl Holds {
    /// Hold of the entry or unit at `path`, if it is due at `deadline` and held. A hold of its own,
    /// such as being open, is told by the path of the file, or of the top-level directory for a
    /// unit.
    #[must_use]
    pub fn of(
        &self,
        root: RootId,
        path: &RelPath,
        deadline: Option<Timestamp>,
        basis: Timestamp,
        rule: RuleId,
    ) -> Option<Hold> {
        let deadline = deadline.filter(|&deadline| deadline <= self.now.wall)?;
        let of_root = self.roots.get(&root)?.hold(deadline);
        let of_pause = self.pauses.hold(&self.jobs.policy, root);
        of_pause
            .or(of_root)
            .or_else(|| self.unsaved.clone())
            .or_else(|| self.guard.hold(basis, deadline, self.now))
            .or_else(|| self.own_hold(root, path))
            .or_else(|| self.jobs.hold(root, path, rule, self.now.wall))
            .or_else(|| {
                let policy = &self.jobs.policy;
                self.members.hold(policy, (root, rule), path, basis)
            })
            .or_else(|| (self.mode == Mode::DryRun).then_some(Hold::DryRun))
    }

    /// Hold of the file or directory at `path` alone, not of a whole root.
    fn own_hold(&self, root: RootId, path: &RelPath) -> Option<Hold> {
        let index = &self.jobs.index;
        let item = if let Some(dir) = index.dir_id(root, path.as_bytes()) {
            Item::Dir(dir)
        } else {
            let (dir, name) = path.split()?;
            Item::file(index.dir_id(root, dir.as_bytes())?, name)
        };
        let (hold, _) = self.own.hold_of(index, &item)?;
        Some(hold.clone())
    }
}

impl Engine {
    /// The holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Now) -> Holds {
        let roots = self
            .roots
            .iter()
            .map(|(&id, state)| (id, state.holds()))
            .collect();
        Holds {
            roots,
            own: Arc::clone(&self.holds),
            guard: self.guard.clone(),
            unsaved: self.saved.hold(),
            jobs: self.job_holds(),
            pauses: Arc::clone(&self.pauses),
            members: Arc::clone(&self.members),
            mode: self.mode,
            now,
        }
    }

    /// Root and path of one that shares a hold in `dir`; of the directory, when it is not known
    /// which.
    fn path_of_refused(&self, dir: DirId, of: Option<Refused>) -> Option<(RootId, RelPath)> {
        match of {
            Some(Refused::File(hash)) => {
                let name = self.index.named(dir, hash).into_iter().next()?;
                self.path_of(&Item::File(dir, name))
            }
            Some(Refused::Dir(dir)) => self.index.dir_path(dir),
            None => self.index.dir_path(dir),
        }
    }

    /// The state at this instant.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let next = self.next_lapse(now);
        let (removed_files, removed_bytes) = self.removals.files();
        Status {
            mode: self.mode,
            roots: self
                .roots
                .iter()
                .map(|(&id, state)| RootStatus {
                    is_void: self.is_void(id),
                    ..state.status(id)
                })
                .collect(),
            sources: self.source_status(),
            next: next.as_ref().map(|(at, _)| *at),
            next_example: next.and_then(|(_, place)| place),
            in_flight: self.claims.len() as u64,
            held: self.held_counts(now),
            lateness: self.removals.lateness(),
            removed_files,
            removed_bytes,
            clock_jumps: self
                .guard
                .jumps()
                .map(|jump| (jump.at, jump.by_ms))
                .collect(),
        }
    }

    /// The earliest deadline that is still to come, and what has it.
    #[must_use]
    pub fn next_lapse(&self, now: Now) -> Option<(Timestamp, Option<(RootId, RelPath)>)> {
        let unit = self
            .roots
            .keys()
            .flat_map(|&root| self.index.units(root))
            .filter(|(_, unit)| self.by_itself(unit.rule))
            .filter_map(|(dir, unit)| Some((unit.deadline.filter(|&at| at > now.wall)?, dir)))
            .min()
            .map(|(at, dir)| (at, self.index.dir_path(dir)));
        let is_wanted = |class| matches!(class, Class::File(rule) if self.by_itself(rule));
        let file = self.index.next_deadline(now.wall, &is_wanted);
        let file = file.map(|(at, dir, name)| (at, self.path_of(&Item::File(dir, name))));
        let job = self.timers.next_job(now.wall).map(|at| (at, None));
        let all = [file, unit, job].into_iter().flatten();
        all.min_by_key(|(at, _)| *at)
    }

    fn by_itself(&self, rule: RuleId) -> bool {
        self.policy.rule(rule).schedule == Schedule::AtDeadline
    }

    /// Counts of what is due and held, by kind. Holds of whole roots are counted by the forecast of
    /// what was due under them.
    fn held_counts(&self, now: Now) -> Vec<HeldCount> {
        let mut counts: BTreeMap<&'static str, HeldCount> = BTreeMap::new();
        let mut count =
            |hold: &Hold, files: u64, example: &dyn Fn() -> Option<(RootId, RelPath)>| {
                let new = || HeldCount {
                    hold: hold.clone(),
                    count: 0,
                    example: example(),
                };
                counts.entry(hold.code()).or_insert_with(new).count += files;
            };
        for (&root, state) in &self.roots {
            let paused = self.paused(root);
            let trip = state.breaker.trip().filter(|_| paused.is_none());
            let until = trip.map_or(now.wall, |trip| trip.at);
            let hold = paused.or_else(|| state.hold(until));
            if let Some(hold) = hold.or_else(|| self.saved.hold()) {
                let due = self.index.forecast(Some(root), until);
                let files = due
                    .iter()
                    .filter(|part| self.by_itself(part.rule))
                    .map(|p| p.files);
                count(&hold, files.sum(), &|| Some((root, RelPath::root())));
            } else {
                self.count_source_holds(root, now, &mut count);
            }
        }
        for (item, hold) in self.holds.iter() {
            count(hold, 1, &|| self.path_of(item));
        }
        for (dir, hold, files, first) in self.holds.iter_shared() {
            count(hold, files as u64, &|| self.path_of_refused(dir, first));
        }
        // What holds a root is worth knowing before anything in it is due.
        let is_said = |held: &HeldCount| held.count > 0 || held.hold.is_of_root();
        counts.into_values().filter(is_said).collect()
    }

    /// Counts what is due in `root` and held by a source: all of it by one that is down, orphans by
    /// a breaker or by a refused claim.
    fn count_source_holds(
        &self,
        root: RootId,
        now: Now,
        count: &mut impl FnMut(&Hold, u64, &dyn Fn() -> Option<(RootId, RelPath)>),
    ) {
        let holds = self.job_holds();
        let down = holds
            .governing(root)
            .find_map(|source| holds.source_down(source));
        let is_tripped = holds.orphans_tripped(root) || self.has_orphan_trip(root);
        if down.is_none() && !is_tripped && !self.jobs.has_refused() {
            return;
        }
        for part in self.index.forecast(Some(root), now.wall) {
            if !self.by_itself(part.rule) {
                continue;
            }
            let is_orphan = self.policy.rule(part.rule).jobs == JobFilter::Nobody;
            let example = &|| Some((root, RelPath::root()));
            match &down {
                Some(hold) => count(hold, part.files, example),
                None if is_orphan && is_tripped => count(&Hold::Breaker, part.files, example),
                None if is_orphan => {
                    // Of no name: what holds all orphans.
                    let refused = self.jobs.refused_hold(&self.policy, root, b"", part.rule);
                    if let Some(hold) = refused {
                        count(&hold, part.files, example);
                    }
                }
                None => {}
            }
        }
    }

    /// Explains the deadline of `path`, of a file or a directory, or why it has none.
    #[must_use]
    pub fn explain(&self, root: RootId, path: &RelPath, now: Now) -> Explanation {
        let owner = self.owner(root, path.as_bytes());
        let found = self.index.find(root, path.as_bytes());
        let class = match found {
            Some((_, record)) => record.class,
            None => self.policy.classify(root, path.as_bytes(), &owner),
        };
        let is_dir = found.is_none() && self.index.dir_id(root, path.as_bytes()).is_some();
        let name = path.parent_and_name().map_or(&[][..], |(_, name)| name);
        let item = found.map(|(dir, _)| Item::file(dir, name));
        let basis = found.map(|(_, record)| record.basis);
        match class {
            Class::Dir(_) => self.explain_dir(root, path, now),
            _ if is_dir => self.explain_dir(root, path, now),
            Class::Unruled | Class::Kept(_) => never(class),
            Class::File(id) => {
                let deadline = found.and_then(|(_, record)| record.deadline());
                let explanation = self.explain_item((root, item), id, basis, deadline, now);
                Explanation {
                    class,
                    unit: Some(Unit::File),
                    ..explanation
                }
            }
            Class::Job(id) => {
                let rule = self.policy.rule(id);
                let (_, job) = self.policy.decide(root, path.as_bytes(), &owner);
                let basis = match job.and_then(|job| rule.since.of_job(&job.moments)) {
                    None if !rule.since.is_of_job() => basis,
                    basis => basis,
                };
                let deadline = basis.zip(rule.expire_ms).map(|(at, ms)| at.plus_ms(ms));
                let mut explanation = self.explain_item((root, item), id, basis, deadline, now);
                let no = job.and_then(|job| Some((job.key.source, self.jobs.number(&job.key)?)));
                if let Some((source, no)) = no
                    && let Some(held) = self.holds.get(&Item::Job(source, no, id))
                    && !explanation.holds.contains(&held.hold)
                {
                    explanation.holds.push(held.hold.clone());
                }
                Explanation {
                    class,
                    unit: Some(Unit::Job),
                    ..explanation
                }
            }
        }
    }

    fn explain_dir(&self, root: RootId, path: &RelPath, now: Now) -> Explanation {
        let top = path.top().unwrap_or_default();
        let owner = self.owner(root, top);
        let rule = self.policy.dir_rule(root, top, &owner).map(|(id, _)| id);
        let Some((id, rule)) = self.index.dir_id(root, top).zip(rule) else {
            return never(Class::Unruled);
        };
        let class = Class::Dir(rule);
        let Some(unit) = self.index.unit(id) else {
            return never(class);
        };
        let top = RelPath::root().join(top);
        let (item, basis) = ((root, Some(Item::Dir(id))), Some(unit.basis));
        Explanation {
            class,
            unit: Some(Unit::Dir),
            unit_path: Some(top).filter(|top| top != path),
            ..self.explain_item(item, unit.rule, basis, unit.deadline, now)
        }
    }

    /// Explains the deadline of an item under a rule; without an item, of what the index does not
    /// have.
    fn explain_item(
        &self,
        (root, item): (RootId, Option<Item>),
        id: RuleId,
        basis: Option<Timestamp>,
        deadline: Option<Timestamp>,
        now: Now,
    ) -> Explanation {
        let rule = self.policy.rule(id);
        let holds = match (item, basis.zip(deadline)) {
            (Some(item), Some((basis, deadline))) => {
                let lapse = Lapse::at(deadline, id, basis);
                self.all_holds(root, &item, lapse, now)
            }
            (item, None)
                if rule.expire_ms.is_some() && (item.is_some() || rule.since.is_of_job()) =>
            {
                vec![Hold::NoTimestamp]
            }
            (_, _) => Vec::new(),
        };
        Explanation {
            since: Some(rule.since),
            basis,
            deadline,
            holds,
            ..never(Class::Unruled)
        }
    }
}

/// The explanation of what never lapses by itself.
fn never(class: Class) -> Explanation {
    Explanation {
        class,
        unit: None,
        unit_path: None,
        since: None,
        basis: None,
        deadline: None,
        holds: Vec::new(),
    }
}

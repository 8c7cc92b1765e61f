//! The verdict of the rules on one file, directory or job, and on its owners.
//!
//! **Invariant:** what several jobs own goes only when each of them lets it go.
//! **Invariant:** a job that has not ended, or of which a value cannot be read, loses nothing.

use super::{JobFilter, Policy, Rule, Since, Source};
use crate::core::claim::Unit;
use crate::core::facts::{Facts, Latest, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, Owner};
use crate::core::path::RelPath;
use crate::core::time::Timestamp;

/// Rule that a path falls under, and the unit that it lapses with. First match wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// No rule matches: kept for ever.
    Unruled,
    /// The rule's `keep` names it: kept for ever.
    Kept(RuleId),
    /// It lapses by itself.
    File(RuleId),
    /// It lapses with the top-level directory that it is in.
    Dir(RuleId),
    /// It lapses with all that its job owns.
    Job(RuleId),
}

impl Class {
    /// Its rule, if it has one.
    #[must_use]
    pub const fn rule(self) -> Option<RuleId> {
        match self {
            Self::Unruled => None,
            Self::Kept(rule) | Self::File(rule) | Self::Dir(rule) | Self::Job(rule) => Some(rule),
        }
    }
}

/// Verdict of the policy on one thing. The caller, who has the clock, compares `at` with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stays for ever.
    Keep,
    /// The rule lets it go at `at`, counted from `basis`.
    Lapse {
        /// The deadline.
        at: Timestamp,
        /// The timestamp that decided.
        basis: Timestamp,
        /// The rule.
        rule: RuleId,
    },
    /// The rule would let it go, but what it needs to know is missing.
    Hold {
        /// The rule.
        rule: RuleId,
        /// Missing knowledge.
        why: Hold,
    },
}

impl Verdict {
    /// The deadline of what lapses.
    fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Lapse { at, .. } => Some(*at),
            Self::Keep | Self::Hold { .. } => None,
        }
    }
}

impl Policy {
    /// Finds the first rule that matches the file at `path` in `root`, which is `owner`'s. Of
    /// several owners the one that keeps it longest decides.
    #[must_use]
    pub fn classify(&self, root: RootId, path: &[u8], owner: &Owner) -> Class {
        self.decide(root, path, owner).0
    }

    /// As [`Policy::classify`], with the job that decides, if one does.
    #[must_use]
    pub fn decide<'o>(
        &self,
        root: RootId,
        path: &[u8],
        owner: &'o Owner,
    ) -> (Class, Option<&'o Job>) {
        let alone = |job| self.class_for(root, path, owner, job);
        match owner {
            Owner::Nobody | Owner::Unknown { .. } => (alone(None), None),
            Owner::Jobs(_) => owner
                .with_say()
                .map(|job| (alone(Some(job)), Some(job)))
                .max_by_key(|(class, job)| self.patience(*class, *job))
                .unwrap_or((Class::Unruled, None)),
        }
    }

    /// Rank of the time for which a job keeps what has this class: for ever; as long as its files
    /// say; until an instant.
    fn patience(&self, class: Class, job: Option<&Job>) -> (u8, i64) {
        let (Class::File(id) | Class::Dir(id) | Class::Job(id)) = class else {
            return (3, 0);
        };
        let rule = self.rule(id);
        let Some(expire_ms) = rule.expire_ms.filter(|_| job.is_none_or(Job::can_lose)) else {
            return (2, 0);
        };
        if !rule.since.is_of_job() {
            return (1, expire_ms);
        }
        match job.and_then(|job| rule.since.of_job(&job.moments)) {
            Some(basis) => (0, basis.plus_ms(expire_ms).unix_ms()),
            None => (2, 0),
        }
    }

    fn class_for(&self, root: RootId, path: &[u8], owner: &Owner, job: Option<&Job>) -> Class {
        // It has lost what it could lose, and keeps the rest.
        if job.is_some_and(|job| job.moments.cleaned_at.is_some()) {
            return Class::Unruled;
        }
        if self.roots.get(&root).is_some_and(|root| !root.has(path)) {
            return Class::Unruled;
        }
        if !self.databases.is_empty()
            && RelPath::parse(path).is_some_and(|path| self.databases.contains(&(root, path)))
        {
            return Class::Unruled;
        }
        let top = path
            .iter()
            .position(|&b| b == b'/')
            .map(|slash| &path[..slash]);
        for (id, rule) in self.rules_of(root) {
            let matched = match rule.unit {
                Unit::File if rule.takes(path) => Class::File(id),
                Unit::Job if job.is_some() && rule.takes(path) => Class::Job(id),
                Unit::Dir if top.is_some_and(|name| rule.takes(name)) => Class::Dir(id),
                Unit::File | Unit::Dir | Unit::Job => continue,
            };
            let is_meant = match rule.unit {
                Unit::File | Unit::Job => self.is_meant(rule, root, path, owner, job),
                Unit::Dir => top.is_some_and(|name| self.is_meant(rule, root, name, owner, job)),
            };
            if !is_meant {
                continue;
            }
            let kept = rule
                .keep
                .as_ref()
                .is_some_and(|keep| keep.matches_within(path));
            return if kept { Class::Kept(id) } else { matched };
        }
        Class::Unruled
    }

    /// Returns true if `rule` is for what `owner` owns, or, of several, `job`. `name` is the path
    /// of a file, or the name of a top-level directory.
    fn is_meant(
        &self,
        rule: &Rule,
        root: RootId,
        name: &[u8],
        owner: &Owner,
        job: Option<&Job>,
    ) -> bool {
        match &rule.jobs {
            JobFilter::Nobody => {
                matches!(owner, Owner::Unknown { .. }) && self.may_be_orphan(root, name, rule.unit)
            }
            JobFilter::Anyone => match job {
                Some(job) => rule.is_for(job),
                None => rule.kinds.is_none() && rule.sources.is_none(),
            },
            JobFilter::Standing(statuses) => {
                job.is_some_and(|job| statuses.contains(&job.status) && rule.is_for(job))
            }
        }
    }

    /// Returns true if the root's `orphans` matches a thing at this path.
    #[must_use]
    pub fn may_be_orphan(&self, root: RootId, name: &[u8], unit: Unit) -> bool {
        let Some(orphans) = self.roots.get(&root).and_then(|root| root.orphans.as_ref()) else {
            return false;
        };
        match unit {
            Unit::File | Unit::Job => orphans.captures(name).is_some(),
            Unit::Dir => orphans.captures_within(name).is_some(),
        }
    }

    fn is_hollow_orphan(&self, root: RootId, name: &[u8], owner: &Owner) -> bool {
        matches!(owner, Owner::Unknown { .. }) && self.may_be_orphan(root, name, Unit::Dir)
    }

    /// Finds the first rule by which the top-level directory `name` of `root`, which is `owner`'s,
    /// lapses as a whole, and the job that decides.
    #[must_use]
    pub fn dir_rule<'o>(
        &self,
        root: RootId,
        name: &[u8],
        owner: &'o Owner,
    ) -> Option<(RuleId, Option<&'o Job>)> {
        let alone = |job: Option<&'o Job>| {
            let is_left_out = self.roots.get(&root).is_some_and(|root| !root.has(name));
            if is_left_out || job.is_some_and(|job| job.moments.cleaned_at.is_some()) {
                return None;
            }
            let found = self.rules_of(root).find(|(_, rule)| {
                let kept = || {
                    rule.keep
                        .as_ref()
                        .is_some_and(|keep| keep.matches_within(name))
                };
                // Of orphans an empty directory is removed, too: what is in one has a deadline
                // of its own, and keeps it.
                let takes = match rule.unit {
                    Unit::Dir => self.is_meant(rule, root, name, owner, job),
                    Unit::File => {
                        rule.jobs == JobFilter::Nobody && self.is_hollow_orphan(root, name, owner)
                    }
                    Unit::Job => false,
                };
                takes && rule.takes(name) && !kept()
            });
            found.map(|(id, _)| (id, job))
        };
        match owner {
            Owner::Nobody | Owner::Unknown { .. } => alone(None),
            Owner::Jobs(_) => {
                let all: Option<Vec<_>> = owner.with_say().map(|job| alone(Some(job))).collect();
                let patience =
                    |(id, job): &(RuleId, Option<&Job>)| self.patience(Class::Dir(*id), *job);
                all?.into_iter().max_by_key(patience)
            }
        }
    }

    /// Returns true if any rule lets top-level directories of `root` lapse as a whole.
    #[must_use]
    pub fn has_dir_rules(&self, root: RootId) -> bool {
        let takes_dirs = |rule: &Rule| rule.unit == Unit::Dir || rule.jobs == JobFilter::Nobody;
        self.rules_of(root).any(|(_, rule)| takes_dirs(rule))
    }

    /// The rules by which all that `job` owns lapses as a whole: those that may come to take some
    /// of it, in their order.
    pub fn job_rules<'p>(&'p self, job: &'p Job) -> impl Iterator<Item = (RuleId, &'p Rule)> {
        let standing = |rule: &Rule| match &rule.jobs {
            JobFilter::Anyone => true,
            JobFilter::Nobody => false,
            JobFilter::Standing(statuses) => statuses.contains(&job.status),
        };
        let asks = move |rule: &Rule| {
            rule.sources.is_some()
                || rule.roots.as_ref().is_none_or(|roots| {
                    roots.iter().any(|id| {
                        self.roots
                            .get(id)
                            .is_some_and(|root| root.source == Some(job.key.source))
                    })
                })
        };
        self.each_rule().filter(move |(_, rule)| {
            rule.unit == Unit::Job && standing(rule) && rule.is_for(job) && asks(rule)
        })
    }

    /// Decides about a file that lapses by itself. `known` is a floor under its newest timestamp
    /// (its arrival). Of several owners all must let it go.
    #[must_use]
    pub fn file(
        &self,
        root: RootId,
        path: &[u8],
        facts: &Facts,
        known: Timestamp,
        owner: &Owner,
    ) -> Verdict {
        let (class, job) = self.decide(root, path, owner);
        let Class::File(id) = class else {
            return Verdict::Keep;
        };
        let of =
            |since: Since, job: Option<&Job>| since.of(facts, known, job.map(|job| &job.moments));
        let own = self.verdict(id, of(self.rule(id).since, job));
        // A single owner, or none, has said all.
        if owner.jobs().len() <= 1 {
            return self.of_all(owner, |_| own.clone());
        }
        // The job that decides says by which rule and since when; no other may let it go later.
        match (own, self.agreed(root, path, owner, &of)) {
            (Verdict::Lapse { basis, .. }, Verdict::Lapse { at, .. }) => Verdict::Lapse {
                at,
                basis,
                rule: id,
            },
            (Verdict::Lapse { .. }, Verdict::Hold { why, .. }) => Verdict::Hold { rule: id, why },
            (Verdict::Lapse { .. }, Verdict::Keep) => Verdict::Keep,
            (own, _) => own,
        }
    }

    /// Verdict of all owners on a file that lapses by itself, or with one of them: `newest` is its
    /// newest timestamp, and stands for any other that the file has. Late is safe.
    #[must_use]
    pub fn consent(&self, root: RootId, path: &[u8], newest: Timestamp, owner: &Owner) -> Verdict {
        self.agreed(root, path, owner, &|since, job| {
            if since.is_of_job() {
                since.of_job(&job?.moments)
            } else {
                Some(newest)
            }
        })
    }

    fn agreed(
        &self,
        root: RootId,
        path: &[u8],
        owner: &Owner,
        basis: &dyn Fn(Since, Option<&Job>) -> Option<Timestamp>,
    ) -> Verdict {
        self.of_all(owner, |job| match self.class_for(root, path, owner, job) {
            Class::File(id) | Class::Job(id) => self.verdict(id, basis(self.rule(id).since, job)),
            Class::Unruled | Class::Kept(_) | Class::Dir(_) => Verdict::Keep,
        })
    }

    /// Decides about the top-level directory `name`. `latest` is of its tree, arrivals and
    /// directories included; `facts` is a look at the directory itself.
    #[must_use]
    pub fn dir(
        &self,
        root: RootId,
        name: &[u8],
        facts: &Facts,
        latest: Latest,
        owner: &Owner,
    ) -> Verdict {
        let Some((id, _)) = self.dir_rule(root, name, owner) else {
            return Verdict::Keep;
        };
        let since = self.rule(id).since;
        self.of_all(owner, |job| {
            let moments = job.map(|job| &job.moments);
            self.verdict(id, since.of_tree(facts, latest, moments))
        })
    }

    /// Returns when a file of `job` lapses with it under `rule`; `basis` is its own newest
    /// timestamp. `None`: never.
    #[must_use]
    pub fn job_deadline(
        &self,
        rule: RuleId,
        job: Option<&Job>,
        basis: Timestamp,
    ) -> Option<Timestamp> {
        let rule = self.rule(rule);
        let basis = if rule.since.is_of_job() {
            rule.since.of_job(&job?.moments)?
        } else {
            basis
        };
        Some(basis.plus_ms(rule.expire_ms?))
    }

    /// Decides about all that `job` owns and `rule` takes, by the job's own timestamps, or by the
    /// `latest` of all of it.
    #[must_use]
    pub fn job(&self, rule: RuleId, job: &Job, latest: Latest) -> Verdict {
        let is_done = job.moments.cleaned_at.is_some();
        if is_done || !self.job_rules(job).any(|(id, _)| id == rule) {
            return Verdict::Keep;
        }
        let owner = Owner::Jobs(vec![job.clone()]);
        let since = self.rule(rule).since;
        self.of_all(&owner, |_| {
            self.verdict(rule, since.of_all(latest, &job.moments))
        })
    }

    /// The verdict of rule `id` when `basis` is the timestamp that it asks for.
    #[must_use]
    pub fn verdict(&self, id: RuleId, basis: Option<Timestamp>) -> Verdict {
        match (self.rule(id).life_ms(), basis) {
            (None, _) => Verdict::Keep,
            (Some(_), None) => Verdict::Hold {
                rule: id,
                why: Hold::NoTimestamp,
            },
            (Some(expire_ms), Some(basis)) => Verdict::Lapse {
                at: basis.plus_ms(expire_ms),
                basis,
                rule: id,
            },
        }
    }

    /// Verdict that all owners agree on: the latest deadline, when each has one and can lose
    /// something.
    fn of_all(&self, owner: &Owner, alone: impl Fn(Option<&Job>) -> Verdict) -> Verdict {
        if owner.jobs().is_empty() {
            return alone(None);
        }
        let mut latest: Option<Verdict> = None;
        for job in owner.with_say() {
            let verdict = match (alone(Some(job)), self.held_by(job)) {
                (Verdict::Lapse { rule, .. }, Some(why)) => Verdict::Hold { rule, why },
                (verdict, _) => verdict,
            };
            latest = Some(match latest {
                None => verdict,
                // What one of them keeps stays.
                Some(before) => match (before.deadline(), verdict.deadline()) {
                    (Some(at), Some(later)) if later <= at => before,
                    (Some(_), _) => verdict,
                    (None, _) => before,
                },
            });
        }
        latest.unwrap_or(Verdict::Keep)
    }

    /// Returns the hold that `job` by itself puts on everything that it owns.
    #[must_use]
    pub fn held_by(&self, job: &Job) -> Option<Hold> {
        let id = || job.key.id.clone();
        let is_id = |source: &Source| source.is_id(&job.key.id);
        if !self.sources.get(&job.key.source).is_none_or(is_id) {
            let value = "its id does not match the source's id_pattern".to_owned();
            return Some(Hold::UnreadableJob { job: id(), value });
        }
        if job.unreadable {
            let value = "see `lapsed job get`".to_owned();
            return Some(Hold::UnreadableJob { job: id(), value });
        }
        (!job.status.is_over()).then(|| Hold::Running { job: id() })
    }
}

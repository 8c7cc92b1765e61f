//! The things that a limit would remove now, in their order, and why others are passed over.
//!
//! **Invariant:** nothing is taken that a rule keeps, that is younger than the limit's `min_age`,
//! or that anything holds.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::candidate::Candidate;
use super::item::Item;
use super::lapse::{Lapse, LapseState, Trigger};
use super::limit_rank::{Group, Member, Rank, Subject, descending, ranks};
use super::limits::{SumKey, counts};
use crate::core::claim::{LimitCause, LimitKey, LimitScope, Piece, Unit};
use crate::core::facts::{FileKey, RuleId};
use crate::core::hold::Hold;
use crate::core::index::PageId;
use crate::core::jobs::{Job, SourceId};
use crate::core::limits::{Charge, Goal, LazyOrder, Plan, Verdict};
use crate::core::policy::{Class, Limit, Order, Per};
use crate::core::report::CleanRequest;
use crate::core::time::{Now, Timestamp};

/// Question about a limit.
#[derive(Clone, Copy)]
pub(super) struct Quest<'r> {
    /// Amounts that are to be given back.
    pub(super) goal: Goal,
    /// The part of the limit that is exceeded.
    pub(super) key: LimitKey,
    /// Maximum number of things that are taken.
    pub(super) most: usize,
    /// A clean that asks.
    pub(super) request: Option<&'r CleanRequest>,
    /// Things that are judged already: those that are due give back their charges.
    pub(super) judged: Option<&'r Judged>,
}

/// Things that a clean has judged by their deadlines.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) items: BTreeSet<Item>,
    /// Charges of those that are due, by sum.
    pub(super) due: BTreeMap<SumKey, Vec<Charge>>,
}

/// Things that a limit would remove.
#[derive(Debug, Default)]
pub(super) struct Victims {
    pub(super) taken: Vec<Candidate>,
    /// Number of files of them.
    pub(super) files: u64,
    /// Numbers of things that were passed over, by reason.
    pub(super) passed: BTreeMap<&'static str, u64>,
    /// First instant at which something is old enough that is not yet.
    pub(super) next_age: Option<Timestamp>,
    /// More could be taken.
    pub(super) is_cut: bool,
    /// The mark is reached by what is taken and what is on its way out.
    pub(super) is_reached: bool,
    /// A job comes next of which not everything has arrived.
    pub(super) awaits: Option<(SourceId, u32)>,
    /// Blocks and files that `taken` gives back.
    pub(super) gain: (u64, u64),
}

impl Engine {
    /// Returns what the sum `key` gives up to reach the goal: the smallest part of its order.
    pub(super) fn victims(&self, key: &SumKey, quest: Quest<'_>, now: Now) -> Victims {
        let (scope, limit) = {
            let of = self.limits.get(key.0);
            (of.scope, &of.limit)
        };
        let trigger = Trigger::Limit(limit.min_age_ms, quest.request);
        let mut victims = Victims::default();
        let mut plan = Plan::new(quest.goal);
        for charge in self.limits.going.of(key) {
            plan.add_going(charge);
        }
        let due = quest.judged.and_then(|judged| judged.due.get(key));
        for charge in due.into_iter().flatten() {
            plan.add_going(charge);
        }
        let before = plan.freed();
        let Some(slot) = self.limits.sums.find(key.0, &key.1) else {
            victims.is_reached = true;
            return victims;
        };
        for member in self.ordered(key, limit, trigger) {
            if plan.is_reached() {
                break;
            }
            if victims.taken.len() >= quest.most {
                victims.is_cut = true;
                break;
            }
            let Some((state, found, mut charge)) = self.standing(key, member, trigger, now) else {
                continue;
            };
            let is_judged = |found: &Candidate| {
                quest
                    .judged
                    .is_some_and(|of| of.items.contains(&found.item))
            };
            if found.as_ref().is_some_and(is_judged) {
                continue;
            }
            self.limits.sums.renew_links(slot, &mut charge);
            match state {
                // What a dry run has removed, as far as it goes, counts as going.
                LapseState::Never
                | LapseState::Claimed
                | LapseState::Held {
                    hold: Hold::DryRun, ..
                } => {}
                LapseState::Waits(at) => {
                    victims.next_age = Some(victims.next_age.map_or(at, |next| next.min(at)));
                    *victims.passed.entry("min-age").or_default() += 1;
                    // All that comes later is younger.
                    if limit.order == Order::Oldest {
                        break;
                    }
                }
                LapseState::Held { hold, .. } => {
                    *victims.passed.entry(hold.code()).or_default() += 1;
                }
                LapseState::Due => {
                    let Some(found) = found else { continue };
                    if let Item::Job(source, no, _) = found.item
                        && !self.arriving.is_known((source, no))
                    {
                        victims.awaits = Some((source, no));
                        break;
                    }
                    let names = |ino| self.limits.sums.names_of(slot, ino);
                    match plan.offer(&charge, names) {
                        Verdict::Taken => {
                            victims.files += found.files.max(1);
                            victims.taken.push(Candidate {
                                limit: Some(LimitCause {
                                    scope,
                                    key: quest.key,
                                }),
                                ..found
                            });
                        }
                        Verdict::Useless => {
                            *victims.passed.entry("frees-nothing").or_default() += 1;
                        }
                        Verdict::Floor => {
                            *victims.passed.entry("keep-at-least").or_default() += 1;
                            break;
                        }
                        Verdict::Enough => break,
                    }
                }
            }
        }
        let after = plan.freed();
        victims.gain = (after.0 - before.0, after.1 - before.1);
        victims.is_reached = plan.is_reached();
        victims
    }

    /// Members of a sum in the limit's order.
    pub(super) fn ordered<'e>(
        &'e self,
        key: &'e SumKey,
        limit: &'e Limit,
        trigger: Trigger<'e>,
    ) -> impl Iterator<Item = Member> + 'e {
        let scope = self.limits.get(key.0).scope;
        let is_taken = self.takes(scope, trigger);
        let groups = self.groups(key, limit, &is_taken);
        LazyOrder::new(groups, move |group| match group {
            Group::One(rank) => vec![Member { rank, record: None }],
            Group::Page(page) => self.members_of(page, key, limit, &is_taken),
        })
    }

    /// Returns, by rule, whether the limit may remove what it takes.
    fn takes(&self, scope: LimitScope, trigger: Trigger<'_>) -> Vec<bool> {
        let rules = self.policy.each_rule().map(|(id, rule)| {
            let is_counted = match scope {
                LimitScope::Rule(_, of) => of == id,
                // What is kept for ever is kept from the root's limit, too.
                LimitScope::Root(_) => rule.life_ms().is_some(),
            };
            is_counted && trigger.wants_rule(&self.policy, id)
        });
        rules.collect()
    }

    fn groups(&self, key: &SumKey, limit: &Limit, is_taken: &[bool]) -> Vec<(Member, Group)> {
        let scope = self.limits.get(key.0).scope;
        let bound = |first| Member {
            rank: Rank {
                first,
                second: i64::MIN,
                ino: 0,
                subject: Subject::Entry(PageId(0), 0),
            },
            record: None,
        };
        let slot = self.limits.sums.find(key.0, &key.1);
        let pages = slot
            .into_iter()
            .flat_map(|slot| self.limits.sums.pages_of(slot));
        let pages = pages.map(|(page, part)| {
            let first = match limit.order {
                Order::Oldest => part.first_basis,
                Order::Largest => descending(part.largest),
            };
            (bound(first), Group::Page(page))
        });
        let mut groups: Vec<_> = pages.collect();
        let mut add = |rank| groups.push((Member { rank, record: None }, Group::One(rank)));
        let takes = |rule: RuleId| is_taken.get(usize::from(rule.0)).copied().unwrap_or(false);
        for (dir, unit) in self.index.units(scope.root()) {
            let is_dated =
                unit.deadline.is_some() || self.policy.rule(unit.rule).expire_ms.is_none();
            if !takes(unit.rule) || !is_dated || !self.is_owners(key, &Item::Dir(dir)) {
                continue;
            }
            let blocks = match limit.order {
                Order::Oldest => 0,
                Order::Largest => self.charge_of(key, &Item::Dir(dir), &[]).freed(),
            };
            let ino = self.index.dir(dir).map_or(0, |dir| dir.facts.key.ino);
            let (first, second) = ranks(limit.order, unit.basis, blocks);
            let subject = Subject::Dir(dir);
            add(Rank {
                first,
                second,
                ino,
                subject,
            });
        }
        self.add_jobs(key, limit, &takes, &mut add);
        groups
    }

    fn add_jobs(
        &self,
        key: &SumKey,
        limit: &Limit,
        takes: &dyn Fn(RuleId) -> bool,
        add: &mut dyn FnMut(Rank),
    ) {
        let root = self.limits.get(key.0).scope.root();
        let rules = self.policy.each_rule();
        let wanted: Vec<RuleId> = rules
            .filter(|(id, rule)| rule.unit == Unit::Job && rule.applies_to(root) && takes(*id))
            .map(|(id, _)| id)
            .collect();
        if wanted.is_empty() {
            return;
        }
        for &source in self.policy.sources.keys() {
            for no in 0..self.jobs.slots(source) {
                let job = self.jobs.numbered(source, no).filter(Job::can_lose);
                let Some(job) =
                    job.filter(|job| key.1.is_empty() || *key.1 == *job.key.id.as_bytes())
                else {
                    continue;
                };
                let of_job: Vec<RuleId> =
                    self.policy.job_rules(&job).map(|(rule, _)| rule).collect();
                for rule in of_job.into_iter().filter(|rule| wanted.contains(rule)) {
                    let of = self.policy.rule(rule);
                    let known = of.since.of_job(&job.moments);
                    // Its files tell how old it is, and how large.
                    let owned = (known.is_none() || limit.order == Order::Largest)
                        .then(|| self.gather(&job, rule, Timestamp::MAX));
                    let latest = owned.as_ref().map(|owned| owned.latest);
                    let basis = known.or_else(|| of.since.of_all(latest?, &job.moments));
                    let Some(basis) = basis else { continue };
                    let blocks = owned.map_or(0, |owned| owned.bytes.div_ceil(512));
                    let (first, second) = ranks(limit.order, basis, blocks);
                    let subject = Subject::Job(source, no, rule);
                    add(Rank {
                        first,
                        second,
                        ino: u64::from(no),
                        subject,
                    });
                }
            }
        }
    }

    fn members_of(
        &self,
        id: PageId,
        key: &SumKey,
        limit: &Limit,
        is_taken: &[bool],
    ) -> Vec<Member> {
        let Some(page) = self.index.page(id) else {
            return Vec::new();
        };
        let scope = self.limits.get(key.0).scope;
        let place = (limit.per == Per::Owner).then(|| self.index.dir_path(page.dir()));
        let mut members = Vec::with_capacity(page.len());
        for ((name, record), at) in page.entries().zip(0u16..) {
            let Class::File(rule) = record.class else {
                continue;
            };
            let is_dated = record.expire_ms.is_some() || self.policy.rule(rule).expire_ms.is_none();
            if !counts(scope, record.class) || !is_taken[usize::from(rule.0)] || !is_dated {
                continue;
            }
            if let Some(place) = &place
                && !place.as_ref().is_some_and(|(root, dir)| {
                    let owner = dir.join(name);
                    self.policy.owner(*root, owner.as_bytes()) == Some(&key.1)
                })
            {
                continue;
            }
            let (first, second) = ranks(limit.order, record.basis, record.blocks);
            let rank = Rank {
                first,
                second,
                ino: record.ino,
                subject: Subject::Entry(id, at),
            };
            members.push(Member {
                rank,
                record: Some(record),
            });
        }
        members
    }

    /// Returns true if the limit counts everything, or `item` is of the owner that it is about.
    fn is_owners(&self, key: &SumKey, item: &Item) -> bool {
        key.1.is_empty()
            || self.path_of(item).is_some_and(|(root, path)| {
                let inside = path.join(b"\x01");
                self.policy.owner(root, inside.as_bytes()) == Some(&key.1)
            })
    }

    /// Returns what the removal of `item` gives back of the sum `key`.
    fn charge_of(&self, key: &SumKey, item: &Item, pieces: &[Piece]) -> Charge {
        let mut charges = self.charges_of(item, pieces);
        charges.remove(key).unwrap_or_default()
    }

    /// State of a member, and what its removal gives back.
    pub(super) fn standing(
        &self,
        key: &SumKey,
        member: Member,
        trigger: Trigger<'_>,
        now: Now,
    ) -> Option<(LapseState, Option<Candidate>, Charge)> {
        match (member.rank.subject, member.record) {
            (Subject::Entry(page, at), Some(record)) => {
                let page = self.index.page(page)?;
                let (dir, Class::File(rule)) = (page.dir(), record.class) else {
                    return None;
                };
                let name = page.name(at.into())?;
                let (root, place) = self.index.dir_path(dir)?;
                let regular = record.deadline().unwrap_or(Timestamp::MAX);
                let lapse = Lapse::at(regular, rule, record.basis);
                let file = FileKey {
                    dev: self.dev_of(dir),
                    ino: record.ino,
                };
                let item = Item::file(dir, name);
                let place = (root, place.join(name), file);
                let (state, found) =
                    self.state_of(item, place, lapse, (1, record.size), trigger, now);
                let mut charge = Charge::default();
                charge.add(record.ino, record.nlink, record.blocks);
                Some((state, Some(found), charge))
            }
            (Subject::Entry(..), None) => None,
            (Subject::Dir(dir), _) => {
                let unit = self.index.unit(dir)?;
                let (root, path) = self.index.dir_path(dir)?;
                let regular = unit.deadline.unwrap_or(Timestamp::MAX);
                let lapse = Lapse::at(regular, unit.rule, unit.basis);
                let place = (root, path, self.index.dir(dir)?.facts.key);
                let sums = (unit.files, unit.bytes);
                let item = Item::Dir(dir);
                let charge = self.charge_of(key, &item, &[]);
                let (state, found) = self.state_of(item, place, lapse, sums, trigger, now);
                Some((state, Some(found), charge))
            }
            (Subject::Job(source, no, rule), _) => {
                let job = self.jobs.numbered(source, no).filter(Job::can_lose)?;
                let (state, found) = self.job_state(&job, (no, rule), trigger, now);
                let pieces = found.as_ref().map_or(&[][..], |found| &found.pieces);
                let item = Item::Job(source, no, rule);
                let charge = self.charge_of(key, &item, pieces);
                Some((state, found, charge))
            }
        }
    }
}

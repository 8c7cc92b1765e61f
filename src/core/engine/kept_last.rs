//! Newest members of each group, which rules with `keep_last` keep whatever their age.
//!
//! **Invariant:** a member lapses only while as many newer ones are in the index as its rule keeps,
//! and its claim names them: the reaper looks for each of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use super::item::Item;
use super::members::{Group, Member, MemberTable, Members, Origin};
use super::root_state::RootState;
use crate::core::claim::{NewerMember, Unit};
use crate::core::facts::{FileKey, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Forecast, Index, PageId, UnitRule};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Policy};
use crate::core::time::{Now, Timestamp};

/// Names of newer members that a hold tells.
const NEWER_SHOWN: usize = 10;

/// Number of newest members that `rule` keeps of each group.
fn count_of(policy: &Policy) -> impl Fn(RuleId) -> usize {
    |rule| {
        let rule = policy.rules.get(usize::from(rule.0));
        rule.and_then(|rule| rule.keep_last.as_ref())
            .map_or(0, |keep| keep.count)
    }
}

/// Things that rules with `keep_last` keep, to be asked beside the engine.
#[derive(Clone, Debug)]
pub struct Kept {
    members: Arc<MemberTable>,
    policy: Arc<Policy>,
    index: Arc<Index>,
}

impl Kept {
    /// Returns what would lapse until `until` and is kept as the newest of its group, with its
    /// deadline.
    #[must_use]
    pub fn until(&self, until: Timestamp) -> Vec<(Timestamp, Forecast)> {
        if !self.policy.has_keep_last() {
            return Vec::new();
        }
        let kept = self.members.newest(count_of(&self.policy)).into_iter();
        let lapse = |(group, member): (Arc<Group>, Member)| {
            let rule = self.policy.rules.get(usize::from(group.rule.0))?;
            let at = member.basis.plus_ms(rule.expire_ms?);
            let (files, bytes, units) = match rule.unit {
                _ if at > until => return None,
                Unit::Dir => {
                    let unit = self
                        .index
                        .unit(self.index.dir_id(group.root, &member.path)?)?;
                    (unit.files, unit.bytes, 1)
                }
                Unit::File | Unit::Job => {
                    let (_, record) = self.index.find(group.root, &member.path)?;
                    (1, record.size, 0)
                }
            };
            let part = Forecast {
                root: group.root,
                rule: group.rule,
                files,
                bytes,
                units,
            };
            Some((at, part))
        };
        kept.filter_map(lapse).collect()
    }
}

impl MemberTable {
    /// Hold of the thing at `path`, which the rule keeps for its count of the newest; `None`: it
    /// keeps enough others.
    pub(super) fn hold(
        &self,
        policy: &Policy,
        (root, rule): (RootId, RuleId),
        path: &RelPath,
        basis: Timestamp,
    ) -> Option<Hold> {
        let of = policy.rule(rule);
        let keep = of.keep_last.as_ref()?;
        let name = keep.group(path.as_bytes(), of.unit);
        let (group, member) = member(root, rule, &name, path.as_bytes(), basis);
        let rank = self.rank(&group, &member, keep.count);
        if rank.as_ref().is_some_and(|rank| rank.place > keep.count) {
            return None;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let newer = rank
            .iter()
            .flat_map(|rank| rank.newer.iter().take(NEWER_SHOWN));
        Some(Hold::KeptLast {
            count: keep.count,
            group: (*name != *b"\0").then(|| text(&name)),
            place: rank.as_ref().map(|rank| rank.place),
            newer: newer.map(|newer| text(&newer.path)).collect(),
        })
    }
}

fn member(
    root: RootId,
    rule: RuleId,
    name: &[u8],
    path: &[u8],
    basis: Timestamp,
) -> (Group, Member) {
    let group = Group {
        root,
        rule,
        name: name.into(),
    };
    let path = path.into();
    (group, Member { basis, path })
}

impl Engine {
    /// Hold of a due file or directory because its rule keeps the newest of each group, or because
    /// the group is not known as a whole.
    pub(super) fn hold_by_count<'p>(
        &self,
        root: RootId,
        path: impl FnOnce() -> Option<Cow<'p, RelPath>>,
        lapse: (RuleId, Timestamp),
    ) -> Option<Hold> {
        let (rule, basis) = lapse;
        self.policy.rule(rule).keep_last.as_ref()?;
        let path = path()?;
        let is_whole = self.roots.get(&root).is_some_and(RootState::is_ready);
        let unread = (!is_whole).then_some(Hold::Reconciling);
        unread
            .or_else(|| self.hold_of_unread_group(root))
            .or_else(|| self.members.hold(&self.policy, (root, rule), &path, basis))
    }

    /// The newest members of the group of the thing at `path`, for its claim; empty without
    /// `keep_last`.
    pub(super) fn newest_of_group(
        &self,
        root: RootId,
        rule: RuleId,
        path: &RelPath,
    ) -> Vec<NewerMember> {
        let of = self.policy.rule(rule);
        let Some(keep) = &of.keep_last else {
            return Vec::new();
        };
        let name = keep.group(path.as_bytes(), of.unit);
        let (group, _) = member(root, rule, &name, b"", Timestamp::MIN);
        let newest = self.members.newest_of(&group, keep.count).into_iter();
        let found = newest.filter_map(|member| {
            let path = RelPath::parse(&member.path)?;
            let key = match of.unit {
                Unit::Dir => {
                    self.index
                        .dir(self.index.dir_id(root, path.as_bytes())?)?
                        .facts
                        .key
                }
                Unit::File | Unit::Job => {
                    let (dir, record) = self.index.find(root, path.as_bytes())?;
                    FileKey {
                        dev: self.dev_of(dir),
                        ino: record.ino,
                    }
                }
            };
            let known = member.basis;
            Some(NewerMember { path, key, known })
        });
        found.collect()
    }

    /// Things that rules with `keep_last` keep.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            members: Arc::clone(&self.members),
            policy: Arc::clone(&self.policy),
            index: Arc::clone(&self.index),
        }
    }

    /// Number of files in `root` that are due at `now` and kept as the newest of their groups.
    pub(super) fn kept_due(&self, root: RootId, now: Timestamp) -> u64 {
        let kept = self.kept().until(now).into_iter();
        let kept =
            kept.filter(|(_, part)| part.root == root && self.policy.lapses_by_itself(part.rule));
        kept.map(|(_, part)| part.files).sum()
    }

    /// Counts all pages at the next step: of other rules, or of nothing, nothing is known.
    pub(super) fn count_all_anew(&mut self) {
        self.members.clear();
        if self.policy.has_keep_last() {
            self.timers.touched.extend(self.index.pages());
        }
    }

    /// Brings the groups up to date with the pages that have changed, and has those looked at that
    /// are not among the newest any more.
    pub(super) fn regroup(&mut self, now: Now) {
        let mut touched = self.writer.take_touched();
        if self.policy.has_keep_last() {
            self.timers.touched.append(&mut touched);
            let pages = self.timers.touched.iter();
            let changes = pages.map(|&page| (Origin::Page(page), self.members_of_page(page)));
            let changes = changes.collect();
            self.replace_members(changes, now);
        } else {
            self.timers.touched.append(&mut touched);
        }
    }

    fn replace_members(&mut self, changes: BTreeMap<Origin, Members>, now: Now) {
        let fallen = self.members.replace(changes, count_of(&self.policy));
        for (group, member) in fallen {
            match self.policy.rule(group.rule).unit {
                Unit::Dir => {
                    if let Some(dir) = self.index.dir_id(group.root, &member.path) {
                        self.arm_unit(dir, now);
                    }
                }
                Unit::File | Unit::Job => {
                    let found = self.index.find(group.root, &member.path);
                    let name = member.path.rsplit(|&byte| byte == b'/').next();
                    if let (Some((dir, _)), Some(name)) = (found, name) {
                        self.rearm(&Item::file(dir, name), now);
                    }
                }
            }
        }
    }

    fn members_of_page(&self, page: PageId) -> Members {
        let mut members = Members::new();
        let Some(page) = self.index.page(page) else {
            return members;
        };
        let keeps = |class: Class| match class {
            Class::File(rule) => self
                .policy
                .rules
                .get(usize::from(rule.0))?
                .keep_last
                .as_ref(),
            Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => None,
        };
        if !page.classes().any(|class| keeps(class).is_some()) {
            return members;
        }
        let Some((root, dir)) = self.index.dir_path(page.dir()) else {
            return members;
        };
        for (name, record) in page.entries() {
            let Some((keep, rule)) = keeps(record.class).zip(record.class.rule()) else {
                continue;
            };
            // Without the timestamp that the rule asks for it has no place among the others.
            if record.expire_ms.is_none() {
                continue;
            }
            let path = dir.join(name);
            let group = keep.group(path.as_bytes(), Unit::File);
            let (group, member) = member(root, rule, &group, path.as_bytes(), record.basis);
            members.insert((Arc::new(group), member));
        }
        members
    }

    /// Says how a top-level directory lapses as a whole, or that it does not.
    pub(super) fn change_unit(&mut self, dir: DirId, unit: Option<UnitRule>, now: Now) {
        self.writer.set_unit(dir, unit);
        if self.policy.has_keep_last() {
            self.regroup_unit(dir, now);
        }
    }

    fn regroup_unit(&mut self, dir: DirId, now: Now) {
        let changes = BTreeMap::from([(Origin::Unit(dir), self.members_of_unit(dir))]);
        self.replace_members(changes, now);
    }

    /// Forgets the top-level directories among those that the index has dropped.
    pub(super) fn forget_units(&mut self, dropped: &[DirId], now: Now) {
        if self.policy.has_keep_last() {
            let gone = dropped
                .iter()
                .map(|&dir| (Origin::Unit(dir), Members::new()));
            self.replace_members(gone.collect(), now);
        }
    }

    /// Counts again what is in a directory that was moved with all beneath it.
    pub(super) fn regroup_moved(&mut self, dir: DirId) {
        if self.policy.has_keep_last() {
            let within = self.index.subtree(dir).into_iter();
            let pages = within.flat_map(|dir| self.index.pages_of(dir));
            let pages: Vec<PageId> = pages.collect();
            self.timers.touched.extend(pages);
        }
    }

    /// Looks again at all of `root`, which waited to be counted until everything is known.
    pub(super) fn arm_counted(&mut self, root: RootId, now: Now) {
        if self.policy.has_keep_last() {
            self.regroup(now);
            self.arm_root(root, now);
        }
    }

    fn members_of_unit(&self, dir: DirId) -> Members {
        let found = self.index.unit(dir).and_then(|unit| {
            let rule = self.policy.rules.get(usize::from(unit.rule.0))?;
            let keep = rule.keep_last.as_ref().filter(|_| rule.unit == Unit::Dir)?;
            unit.deadline?;
            let (root, path) = self.index.dir_path(dir)?;
            let name = keep.group(path.as_bytes(), Unit::Dir);
            let (group, member) = member(root, unit.rule, &name, path.as_bytes(), unit.basis);
            Some((Arc::new(group), member))
        });
        found.into_iter().collect()
    }
}

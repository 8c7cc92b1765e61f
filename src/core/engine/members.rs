//! Members of groups under rules with `keep_last`, in the order of their timestamps.
//!
//! **Invariant:** a member that the table does not have is never counted, and never let go: what is
//! missing here is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::core::facts::{RootId, RuleId};
use crate::core::index::{DirId, PageId};
use crate::core::time::Timestamp;

/// Maximum number of members, ~130 bytes each. Whatever is beyond it is kept.
const MEMBERS_MAX: usize = 1_000_000;

/// A group: what one rule takes in one root, as far as its name is the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Group {
    pub(super) root: RootId,
    pub(super) rule: RuleId,
    pub(super) name: Box<[u8]>,
}

/// A member. Of two the greater one is newer: by the timestamp that decides, then by the path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Member {
    pub(super) basis: Timestamp,
    pub(super) path: Arc<[u8]>,
}

/// Place in the index that members are read from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Origin {
    Page(PageId),
    Unit(DirId),
}

/// Members of an origin, each with its group.
pub(super) type Members = BTreeSet<(Arc<Group>, Member)>;

/// A member's standing among the others of its group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rank {
    /// 1 for the newest.
    pub(super) place: usize,
    /// Those that are newer, the newest first.
    pub(super) newer: Vec<Member>,
}

/// All members: read by all, changed by the engine alone.
#[derive(Debug, Default)]
pub(super) struct MemberTable(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    groups: BTreeMap<Arc<Group>, BTreeSet<Member>>,
    origins: BTreeMap<Origin, Members>,
    count: usize,
}

impl Tables {
    /// The oldest of the `count` newest members of `group`; of fewer, the oldest.
    fn oldest_kept(&self, group: &Group, count: usize) -> Option<Member> {
        let members = self.groups.get(group)?;
        let last = count.min(members.len()).checked_sub(1)?;
        members.iter().nth_back(last).cloned()
    }

    fn remove(&mut self, group: &Group, member: &Member) {
        if let Some(members) = self.groups.get_mut(group) {
            members.remove(member);
            if members.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}

impl MemberTable {
    /// Forgets all members: other rules are in force.
    pub(super) fn clear(&self) {
        *self.0.write() = Tables::default();
    }

    /// Replaces what each origin has. Returns the members that were among the newest of their
    /// groups, of which a rule keeps as many as `count_of` says, and are not any more.
    pub(super) fn replace(
        &self,
        origins: BTreeMap<Origin, Members>,
        count_of: impl Fn(RuleId) -> usize,
    ) -> Members {
        let mut tables = self.0.write();
        let (mut gone, mut new) = (Members::new(), Members::new());
        for (origin, mut now) in origins {
            let before = tables.origins.remove(&origin).unwrap_or_default();
            let room = MEMBERS_MAX.saturating_sub(tables.count);
            if let Some(first) = now.difference(&before).nth(room).cloned() {
                drop(now.split_off(&first));
            }
            tables.count += now.len();
            tables.count -= before.len();
            gone.extend(before.difference(&now).cloned());
            new.extend(now.difference(&before).cloned());
            if !now.is_empty() {
                tables.origins.insert(origin, now);
            }
        }
        // What only moved from one origin to another is in both.
        let changed: BTreeSet<Arc<Group>> = gone
            .symmetric_difference(&new)
            .map(|(group, _)| Arc::clone(group))
            .collect();
        let kept: Vec<Option<Member>> = changed
            .iter()
            .map(|group| tables.oldest_kept(group, count_of(group.rule)))
            .collect();
        for (group, member) in gone.difference(&new) {
            tables.remove(group, member);
        }
        for (group, member) in new.difference(&gone) {
            let members = tables.groups.entry(Arc::clone(group)).or_default();
            members.insert(member.clone());
        }
        let mut fallen = Members::new();
        for (group, from) in changed.iter().zip(kept) {
            let until = tables.oldest_kept(group, count_of(group.rule));
            if let (Some(from), Some(until)) = (from, until)
                && from < until
                && let Some(members) = tables.groups.get(group)
            {
                let out = members.range(from..until);
                fallen.extend(out.map(|member| (Arc::clone(group), member.clone())));
            }
        }
        fallen
    }

    /// Standing of `member` among the `count` newest of `group` and itself; `None`: it is not in
    /// the table. A place beyond `count` says no more than that.
    pub(super) fn rank(&self, group: &Group, member: &Member, count: usize) -> Option<Rank> {
        let tables = self.0.read();
        let members = tables
            .groups
            .get(group)
            .filter(|all| all.contains(member))?;
        let newer = members.iter().rev().take_while(|other| *other > member);
        let newer: Vec<Member> = newer.take(count).cloned().collect();
        Some(Rank {
            place: newer.len() + 1,
            newer,
        })
    }

    /// The `count` newest members of `group`, the newest first.
    pub(super) fn newest_of(&self, group: &Group, count: usize) -> Vec<Member> {
        let tables = self.0.read();
        let members = tables.groups.get(group).into_iter().flatten().rev();
        members.take(count).cloned().collect()
    }

    /// The newest members of each group, as many as `count_of` says.
    pub(super) fn newest(&self, count_of: impl Fn(RuleId) -> usize) -> Vec<(Arc<Group>, Member)> {
        let tables = self.0.read();
        let mut newest = Vec::new();
        for (group, members) in &tables.groups {
            let kept = members.iter().rev().take(count_of(group.rule));
            newest.extend(kept.map(|member| (Arc::clone(group), member.clone())));
        }
        newest
    }
}

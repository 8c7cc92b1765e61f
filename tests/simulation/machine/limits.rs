//! Limits, held against plain sums over the index.

use std::collections::BTreeSet;
use std::time::Duration;

use lapsed::core::claim::{Claim, LimitScope, Unit};
use lapsed::core::engine::Input;
use lapsed::core::facts::RuleId;
use lapsed::core::index::{DirId, Record};
use lapsed::core::path::RelPath;
use lapsed::core::policy::{Class, Limit};

use super::Machine;
use crate::rules::ROOT;

/// A file that a limit counts.
struct Counted {
    path: RelPath,
    record: Record,
}

/// What a claim means, by the engine's own names.
pub(super) struct Place {
    dir: DirId,
    /// Empty: the directory.
    name: Vec<u8>,
    /// Inodes of what was in the directory then.
    inside: BTreeSet<u64>,
}

impl Machine {
    /// The files of the index that the limit counts.
    fn counted(&self, scope: LimitScope) -> Vec<Counted> {
        let index = self.engine.index();
        let mut counted = Vec::new();
        for page in index.pages() {
            let page = index.page(page).unwrap();
            let (_, dir) = index.dir_path(page.dir()).unwrap();
            for (name, record) in page.entries() {
                let path = dir.join(name);
                if is_counted(scope, record.class) {
                    counted.push(Counted { path, record });
                }
            }
        }
        counted
    }

    fn limit_of(&self, scope: LimitScope) -> Limit {
        let policy = self.engine.policy();
        let mut all = policy.each_limit();
        let (_, limit) = all.find(|(of, _)| *of == scope).unwrap();
        limit.clone()
    }

    /// Directory and name of what is claimed: they stay when a directory above is renamed.
    pub(super) fn place_of(&self, claim: &Claim) -> Option<Place> {
        let index = self.engine.index();
        let (dir, name) = match claim.unit {
            Unit::File => claim.path.split()?,
            Unit::Dir => (claim.path.clone(), &[][..]),
            Unit::Job => unreachable!("no claim of a job here"),
        };
        let all = self.counted(LimitScope::Root(ROOT));
        let inside = all.iter().filter(|one| one.path.is_within(&claim.path));
        Some(Place {
            dir: index.dir_id(ROOT, dir.as_bytes())?,
            name: name.to_vec(),
            inside: inside.map(|one| one.record.ino).collect(),
        })
    }

    /// True if the reaper has it. What came into a unit since then is not meant.
    fn is_going(&self, one: &Counted) -> bool {
        let index = self.engine.index();
        let (dir, name) = one.path.split().unwrap();
        let dir = index.dir_id(ROOT, dir.as_bytes());
        let top = index.dir_id(ROOT, one.path.top().unwrap_or_default());
        let is_of_unit = matches!(one.record.class, Class::Dir(_));
        let mut places = self.places.values();
        places.any(|place| {
            let is_file = Some(place.dir) == dir && place.name == name;
            let is_unit = is_of_unit && place.name.is_empty() && Some(place.dir) == top;
            is_file || is_unit && place.inside.contains(&one.record.ino)
        })
    }

    /// A limit takes something only while there is too much of what is not on its way out, and takes
    /// the oldest.
    pub(super) fn check_limit_of(&self, claim: &Claim) {
        let Some(cause) = claim.limit else {
            return;
        };
        assert!(!self.unread, "a limit acts on what is not known in full");
        let limit = self.limit_of(cause.scope);
        let mut staying = self.counted(cause.scope);
        staying.retain(|one| !self.is_going(one));
        let blocks: u64 = staying.iter().map(|one| one.record.blocks).sum();
        let is_too_much = staying.len() as u64 > limit.max_files.unwrap_or(u64::MAX)
            || blocks > limit.low_blocks();
        assert!(
            is_too_much,
            "{} files of {blocks} blocks stay, and {claim:?} is taken",
            staying.len()
        );
        let now = self.world.now();
        for one in staying {
            let explained = self.engine.explain(ROOT, &one.path, now);
            let is_older = explained.basis.is_some_and(|basis| basis < claim.known);
            // A directory that was lost and found is another one to the engine.
            let is_claimed = self.claimed.contains(&one.path) || one.path.is_within(&claim.path);
            let is_kept = explained.deadline.is_none() || !explained.holds.is_empty();
            assert!(
                !is_older || is_claimed || is_kept,
                "{} is older than {claim:?}: {explained:?}",
                one.path
            );
        }
    }

    /// When everything has come to rest, no limit is exceeded but by what may not go.
    pub(super) fn check_limits_kept(&mut self) {
        // Past every retry and every pause; what lives long is still there.
        for _ in 0..35 {
            self.world.boot += Duration::from_secs(2);
            self.input(Input::Tick);
            self.come_to_rest();
        }
        let policy = self.engine.policy();
        let scopes: Vec<LimitScope> = policy.each_limit().map(|(scope, _)| scope).collect();
        let now = self.world.now();
        for scope in scopes {
            let limit = self.limit_of(scope);
            let counted = self.counted(scope);
            let blocks: u64 = counted.iter().map(|one| one.record.blocks).sum();
            if counted.len() as u64 <= limit.max_files.unwrap_or(u64::MAX)
                && blocks <= limit.high_blocks()
            {
                continue;
            }
            for one in counted {
                let explained = self.engine.explain(ROOT, &one.path, now);
                let is_young = explained
                    .basis
                    .is_some_and(|basis| basis.plus_ms(limit.min_age_ms) > now.wall);
                let is_kept = explained.deadline.is_none() || !explained.holds.is_empty();
                assert!(
                    is_young || is_kept,
                    "{scope:?} is exceeded, and {} stays: {explained:?} at {now:?}",
                    one.path
                );
            }
        }
    }
}

fn is_counted(scope: LimitScope, class: Class) -> bool {
    let of: Option<RuleId> = match class {
        Class::File(rule) | Class::Dir(rule) | Class::Job(rule) => Some(rule),
        Class::Unruled | Class::Kept(_) => None,
    };
    match scope {
        LimitScope::Root(_) => true,
        LimitScope::Rule(_, rule) => of == Some(rule),
    }
}

//! Answers about limits: how full each is, and where in its order something stands.

use super::Engine;
use super::item::Item;
use super::lapse::{LapseState, Trigger};
use super::limit_rank::{Member, Subject};
use super::limits::SumKey;
use crate::core::claim::Piece;
use crate::core::facts::{BLOCK_BYTES, RootId};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Per};
use crate::core::report::{LimitPhase, LimitPlace, LimitStatus};
use crate::core::time::{Now, Timestamp};

/// Owners that are told of each limit: those that take most.
const OWNERS_MAX: usize = 100;

impl Engine {
    /// Fill of each limit, in the order of [`Policy::each_limit`]; of a limit by owner, the
    /// fullest hundred, by name.
    ///
    /// [`Policy::each_limit`]: crate::core::policy::Policy::each_limit
    #[must_use]
    pub fn limit_status(&self) -> Vec<LimitStatus> {
        let mut all = Vec::new();
        for (no, _) in (0u16..).zip(&self.limits.all) {
            let mut sums: Vec<_> = self
                .limits
                .sums
                .of_limit(no)
                .map(|(owner, slot)| (self.limits.sums.fill(slot), owner))
                .collect();
            if sums.len() > OWNERS_MAX {
                sums.sort_unstable_by_key(|(fill, owner)| {
                    (std::cmp::Reverse((fill.blocks, fill.files)), *owner)
                });
                sums.truncate(OWNERS_MAX);
                sums.sort_unstable_by_key(|(_, owner)| *owner);
            }
            let one = |(_, owner): (_, &[u8])| self.status_of(&(no, owner.into()));
            all.extend(sums.into_iter().filter_map(one));
        }
        all
    }

    /// Limits that would remove something now, with the number of its files: as many as
    /// [`LimitPlace::AHEAD_MAX`] things have at most.
    #[must_use]
    pub fn limit_excess(&self, now: Now) -> Vec<(LimitStatus, u64)> {
        let most = usize::try_from(LimitPlace::AHEAD_MAX).unwrap_or(usize::MAX);
        let numbers = (0u16..).zip(&self.limits.all).map(|(no, _)| no);
        let keys = numbers.flat_map(|no| {
            let owners = self.limits.sums.of_limit(no);
            owners.map(move |(owner, _)| SumKey::from((no, owner.into())))
        });
        let found = keys.filter_map(|key| {
            let files = self.files_in_excess(&key, most, now);
            let status = (files > 0).then(|| self.status_of(&key))??;
            Some((status, files))
        });
        found.collect()
    }

    fn status_of(&self, key: &SumKey) -> Option<LimitStatus> {
        let state = self.limits.get(key.0);
        let fill = self.limits.sums.fill(self.limits.sums.find(key.0, &key.1)?);
        Some(LimitStatus {
            scope: state.scope,
            limit: state.limit.clone(),
            owner: (state.limit.per == Per::Owner).then(|| key.1.clone()),
            files: fill.files,
            bytes: fill.blocks.saturating_mul(BLOCK_BYTES),
            space: state.space.last(),
            phase: self.limit_phase(key),
        })
    }

    /// Places of what is at `path`, or of the directory or job that it goes with, in the order of
    /// each limit that counts it. Looks at [`LimitPlace::AHEAD_MAX`] things at most.
    #[must_use]
    pub fn limit_places(&self, root: RootId, path: &RelPath, now: Now) -> Vec<LimitPlace> {
        let Some((item, pieces)) = self.item_at(root, path) else {
            return Vec::new();
        };
        let keys = self.charges_of(&item, &pieces).into_keys();
        let places = keys.filter_map(|key| self.place_in(&key, &item, now));
        places.collect()
    }

    fn place_in(&self, key: &SumKey, item: &Item, now: Now) -> Option<LimitPlace> {
        let mut place = LimitPlace {
            status: self.status_of(key)?,
            ahead: None,
            next_ahead: None,
            not_before: None,
        };
        let limit = &self.limits.get(key.0).limit;
        let trigger = Trigger::Limit(limit.min_age_ms, None);
        let mut before = None;
        for (member, ahead) in self
            .ordered(key, limit, trigger)
            .zip(0..=LimitPlace::AHEAD_MAX)
        {
            if ahead == LimitPlace::AHEAD_MAX || self.item_of(member).as_ref() == Some(item) {
                place.ahead = Some(ahead);
                place.next_ahead = before.and_then(|of| self.path_of(&self.item_of(of)?));
                if let Some((LapseState::Waits(at), ..)) = self.standing(key, member, trigger, now)
                {
                    place.not_before = Some(at);
                }
                break;
            }
            before = Some(member);
        }
        Some(place)
    }

    fn item_of(&self, member: Member) -> Option<Item> {
        match member.rank.subject {
            Subject::Entry(page, at) => {
                let page = self.index.page(page)?;
                let name = page.name(at.into())?;
                Some(Item::file(page.dir(), name))
            }
            Subject::Dir(dir) => Some(Item::Dir(dir)),
            Subject::Job(source, no, rule) => Some(Item::Job(source, no, rule)),
        }
    }

    /// Returns the item that the path lapses with, and, of a job, what it owns.
    fn item_at(&self, root: RootId, path: &RelPath) -> Option<(Item, Vec<Piece>)> {
        let Some((dir, record)) = self.index.find(root, path.as_bytes()) else {
            let dir = self.index.dir_id(root, path.top()?)?;
            self.index.unit(dir)?;
            return Some((Item::Dir(dir), Vec::new()));
        };
        match record.class {
            Class::Unruled | Class::Kept(_) => None,
            Class::File(_) => {
                let (_, name) = path.parent_and_name()?;
                Some((Item::file(dir, name), Vec::new()))
            }
            Class::Dir(_) => Some((Item::Dir(self.index.dir_id(root, path.top()?)?), Vec::new())),
            Class::Job(rule) => {
                let owner = self.owner(root, path.as_bytes());
                let (_, job) = self.policy.decide(root, path.as_bytes(), &owner);
                let job = job?;
                let no = self.jobs.number(&job.key)?;
                let pieces = self.gather(job, rule, Timestamp::MAX).pieces;
                Some((Item::Job(job.key.source, no, rule), pieces))
            }
        }
    }

    fn limit_phase(&self, key: &SumKey) -> LimitPhase {
        let of = self.limits.get(key.0);
        let run = self.limits.runs.get(key);
        match (&of.hold, run) {
            (Some(hold), Some(_)) => LimitPhase::Held { hold: hold.clone() },
            (_, Some(run)) => run.phase(),
            (_, None) => self.space_phase(key),
        }
    }
}

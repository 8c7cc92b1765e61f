//! The table of what is in the trash of all roots.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::RwLock;

use super::{JobName, THINGS_MAX, TrashFilter, TrashSums, Trashed};
use crate::core::facts::RootId;
use crate::core::jobs::JobKey;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;

/// Number of a thing, and its root: a removal from several roots has one number.
type Key = (u64, RootId);

/// See the module.
#[derive(Debug, Default)]
pub struct Trash {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Newest last.
    things: BTreeMap<Key, Trashed>,
    /// The ends of their windows.
    ends: BTreeSet<(Timestamp, Key)>,
    /// Things of each job.
    jobs: BTreeMap<JobName, BTreeSet<Key>>,
    roots: BTreeMap<RootId, RootTrash>,
}

/// Sums of one root.
#[derive(Clone, Copy, Debug, Default)]
struct RootTrash {
    things: u64,
    files: u64,
    bytes: u64,
    is_known: bool,
    /// It could not be read at the last try.
    has_failed: bool,
}

impl Trash {
    /// Puts a thing in; another of its number and root is replaced.
    pub fn insert(&self, root: RootId, thing: Trashed) {
        let state = &mut *self.state.write();
        let key = (thing.id, root);
        state.remove(key);
        state.ends.insert((thing.until, key));
        for job in &thing.jobs {
            state.jobs.entry(job.clone()).or_default().insert(key);
        }
        let sums = state.roots.entry(root).or_default();
        sums.things += 1;
        sums.files += thing.files;
        sums.bytes = sums.bytes.saturating_add(thing.bytes);
        state.things.insert(key, thing);
    }

    /// Takes a thing out.
    pub fn remove(&self, root: RootId, id: u64) -> Option<Trashed> {
        self.state.write().remove((id, root))
    }

    /// The trash of `root` was read to its end.
    pub fn set_known(&self, root: RootId) {
        self.state.write().roots.entry(root).or_default().is_known = true;
    }

    /// The trash of `root` could not be read: it is tried again.
    pub fn set_failed(&self, root: RootId) {
        self.state.write().roots.entry(root).or_default().has_failed = true;
    }

    /// Returns true if the trash of `root` was read, or could not be.
    #[must_use]
    pub fn was_tried(&self, root: RootId) -> bool {
        let state = self.state.read();
        let of = state.roots.get(&root);
        of.is_some_and(|of| of.is_known || of.has_failed)
    }

    /// Forgets what is known of `root`: it is away, or another directory is at its place.
    pub fn forget(&self, root: RootId) {
        let state = &mut *self.state.write();
        let all = state.things.keys().filter(|(_, of)| *of == root);
        let all: Vec<Key> = all.copied().collect();
        for key in all {
            state.remove(key);
        }
        state.roots.remove(&root);
    }

    /// Returns true if the trash of `root` was read.
    #[must_use]
    pub fn is_known(&self, root: RootId) -> bool {
        let state = self.state.read();
        state.roots.get(&root).is_some_and(|of| of.is_known)
    }

    /// Returns true if so many more things may be moved into it.
    #[must_use]
    pub fn has_room_for(&self, things: usize) -> bool {
        self.state.read().things.len() + things <= THINGS_MAX
    }

    /// Returns true if there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.read().things.is_empty()
    }

    /// Returns the thing.
    #[must_use]
    pub fn get(&self, root: RootId, id: u64) -> Option<Trashed> {
        self.state.read().things.get(&(id, root)).cloned()
    }

    /// Returns the latest end of the windows of what `job` has in the trash.
    #[must_use]
    pub fn until(&self, job: &JobName) -> Option<Timestamp> {
        let state = self.state.read();
        let things = state.jobs.get(job)?.iter();
        let ends = things.filter_map(|key| Some(state.things.get(key)?.until));
        ends.max()
    }

    /// Returns the latest end of the windows of what `job` has in the trash, or a job of another
    /// source that reads the same row.
    #[must_use]
    pub fn until_of(&self, policy: &Policy, job: &JobKey) -> Option<Timestamp> {
        if self.is_empty() {
            return None;
        }
        let source = policy.sources.get(&job.source)?;
        let others = source.same_rows.iter();
        let others = others.filter_map(|id| policy.sources.get(id));
        let names = std::iter::once(source).chain(others).map(|source| JobName {
            source: source.name.clone(),
            id: job.id.clone(),
        });
        names.filter_map(|name| self.until(&name)).max()
    }

    /// Calls `each` with the things whose windows end until `until`, the earliest end first, until
    /// it returns false.
    pub fn each_ended(&self, until: Timestamp, mut each: impl FnMut(RootId, &Trashed) -> bool) {
        let state = self.state.read();
        for (_, key) in state.ends.iter().take_while(|(end, _)| *end <= until) {
            if !state.things.get(key).is_none_or(|thing| each(key.1, thing)) {
                return;
            }
        }
    }

    /// Returns the first end of a window after `after`.
    #[must_use]
    pub fn next_end(&self, after: Timestamp) -> Option<Timestamp> {
        let state = self.state.read();
        let from = (after.plus_ms(1), (0, RootId(0)));
        state.ends.range(from..).next().map(|(end, _)| *end)
    }

    /// Returns the oldest things of `root`, by their removal, until they have `bytes` together.
    #[must_use]
    pub fn oldest(&self, root: RootId, bytes: u64) -> Vec<u64> {
        let state = self.state.read();
        let mut sum = 0_u64;
        let of_root = state.things.iter().filter(|((_, of), _)| *of == root);
        let mut all: Vec<&Trashed> = of_root.map(|(_, thing)| thing).collect();
        all.sort_by_key(|thing| (thing.at, thing.id));
        let needed = all.into_iter().take_while(|thing| {
            let is_needed = sum < bytes;
            sum = sum.saturating_add(thing.bytes);
            is_needed
        });
        needed.map(|thing| thing.id).collect()
    }

    /// Returns the things that `filter` means but for their paths, newest first, from behind
    /// `after` on: at most `limit`.
    #[must_use]
    pub fn list(
        &self,
        filter: &TrashFilter,
        after: Option<(u64, RootId)>,
        limit: usize,
    ) -> Vec<(RootId, Trashed)> {
        let state = self.state.read();
        let end = after.unwrap_or((u64::MAX, RootId(u16::MAX)));
        let newest = state.things.range(..end).rev();
        newest
            .filter(|((_, root), thing)| filter.takes(*root, thing))
            .map(|((_, root), thing)| (*root, thing.clone()))
            .take(limit)
            .collect()
    }

    /// Returns the sums of every root of which something is known.
    #[must_use]
    pub fn sums(&self) -> Vec<TrashSums> {
        let state = self.state.read();
        let first = |root: RootId| {
            let mut ends = state.ends.iter();
            ends.find(|(_, (_, of))| *of == root).map(|(end, _)| *end)
        };
        let sums = state.roots.iter().map(|(&root, of)| TrashSums {
            root,
            things: of.things,
            files: of.files,
            bytes: of.bytes,
            first_end: first(root).filter(|_| of.things > 0),
            is_known: of.is_known,
        });
        sums.collect()
    }
}

impl State {
    fn remove(&mut self, key: Key) -> Option<Trashed> {
        let thing = self.things.remove(&key)?;
        self.ends.remove(&(thing.until, key));
        for job in &thing.jobs {
            if let Some(things) = self.jobs.get_mut(job) {
                things.remove(&key);
                if things.is_empty() {
                    self.jobs.remove(job);
                }
            }
        }
        if let Some(sums) = self.roots.get_mut(&key.1) {
            sums.things -= 1;
            sums.files -= thing.files;
            sums.bytes = sums.bytes.saturating_sub(thing.bytes);
        }
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: RootId = RootId(1);
    const OTHER: RootId = RootId(2);

    fn thing(id: u64, until: i64, job: Option<&str>) -> Trashed {
        let job = job.map(|id| JobName {
            source: "app".to_owned(),
            id: id.to_owned(),
        });
        Trashed {
            id,
            at: Timestamp::from_unix_ms(until - 10),
            until: Timestamp::from_unix_ms(until),
            files: 1,
            bytes: 10,
            run: None,
            jobs: job.into_iter().collect(),
        }
    }

    #[test]
    fn a_job_is_in_the_trash_until_the_last_of_its_things_has_left() {
        let trash = Trash::default();
        trash.insert(ROOT, thing(1, 100, Some("a")));
        trash.insert(OTHER, thing(1, 300, Some("a")));
        trash.insert(ROOT, thing(2, 200, Some("b")));
        trash.insert(ROOT, thing(2, 250, Some("b")));
        let job = |id: &str| JobName {
            source: "app".to_owned(),
            id: id.to_owned(),
        };
        let until = |id: &str| trash.until(&job(id)).map(Timestamp::unix_ms);
        assert_eq!(
            (until("a"), until("b"), until("c")),
            (Some(300), Some(250), None)
        );
        trash.remove(OTHER, 1);
        assert_eq!(until("a"), Some(100));
        trash.forget(ROOT);
        assert_eq!((until("a"), until("b")), (None, None));
        assert!(trash.is_empty() && trash.sums().iter().all(|of| of.things == 0));
    }

    #[test]
    fn the_oldest_things_are_enough_and_not_more() {
        let trash = Trash::default();
        for (id, until) in [(3, 30), (1, 60), (2, 40)] {
            trash.insert(ROOT, thing(id, until, None));
        }
        assert_eq!(trash.oldest(ROOT, 0), [0; 0]);
        assert_eq!(trash.oldest(ROOT, 10), [3]);
        assert_eq!(trash.oldest(ROOT, 11), [3, 2]);
        assert_eq!(trash.oldest(ROOT, u64::MAX), [3, 2, 1]);
        assert_eq!(trash.oldest(OTHER, 1), [0; 0]);
        assert_eq!(
            trash
                .next_end(Timestamp::from_unix_ms(40))
                .map(Timestamp::unix_ms),
            Some(60)
        );
    }

    #[test]
    fn a_list_goes_on_behind_its_last_thing() {
        let trash = Trash::default();
        for id in 1..=5 {
            trash.insert(ROOT, thing(id, 100, Some("a")));
        }
        let ids = |after, limit| -> Vec<u64> {
            let all = trash.list(&TrashFilter::default(), after, limit);
            all.into_iter().map(|(_, thing)| thing.id).collect()
        };
        assert_eq!(ids(None, 2), [5, 4]);
        assert_eq!(ids(Some((4, ROOT)), 9), [3, 2, 1]);
        let filter = TrashFilter {
            job: Some("b".to_owned()),
            ..TrashFilter::default()
        };
        assert!(trash.list(&filter, None, 9).is_empty());
    }
}

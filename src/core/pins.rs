//! Pins: a user keeps a path, or all that a job owns, for a while.
//!
//! **Invariant:** a pin that was acknowledged holds until it ends or a user takes it away: over
//! restarts, and also what comes to its path later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use parking_lot::RwLock;

use super::facts::RootId;
use super::hold::Hold;
use super::jobs::Owner;
use super::path::RelPath;
use super::policy::Policy;
use super::time::Timestamp;

/// Scope of a pin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PinTarget {
    /// Everything that is or appears at this absolute path, and below it.
    Path(PathBuf),
    /// All that a job owns.
    Job {
        /// The name of its source.
        source: String,
        /// Its id there.
        id: String,
    },
}

/// A pin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// Unique, and never given twice.
    pub id: u64,
    /// Its scope.
    pub target: PinTarget,
    /// The user who set it: a name, or a number.
    pub who: String,
    /// The reason.
    pub why: String,
    /// Instant at which it was set.
    pub set_at: Timestamp,
    /// Instant at which it ends.
    pub until: Timestamp,
}

impl Pin {
    /// The hold that it is.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold::Pinned {
            pin: self.id,
            who: self.who.clone(),
            why: self.why.clone(),
            until: self.until,
        }
    }
}

/// All pins: read by all, changed by the engine alone. A question takes time in proportion to the
/// depth of its path and the pins below it, however many others there are.
#[derive(Debug, Default)]
pub struct Pins {
    table: RwLock<Table>,
}

/// Pins, and where each is found.
#[derive(Debug, Default)]
struct Table {
    pins: BTreeMap<u64, Pin>,
    /// Pins of a target. Paths below another one follow it.
    by_target: BTreeMap<PinTarget, BTreeSet<u64>>,
    /// Instants at which pins end.
    ends: BTreeSet<(Timestamp, u64)>,
}

impl Table {
    fn insert(&mut self, pin: Pin) {
        self.remove(pin.id);
        let of_target = self.by_target.entry(pin.target.clone());
        of_target.or_default().insert(pin.id);
        self.ends.insert((pin.until, pin.id));
        self.pins.insert(pin.id, pin);
    }

    fn remove(&mut self, id: u64) -> Option<Pin> {
        let pin = self.pins.remove(&id)?;
        self.ends.remove(&(pin.until, id));
        if let Some(of_target) = self.by_target.get_mut(&pin.target) {
            of_target.remove(&id);
            if of_target.is_empty() {
                self.by_target.remove(&pin.target);
            }
        }
        Some(pin)
    }

    fn of<'t>(&'t self, target: &PinTarget) -> impl Iterator<Item = &'t Pin> + use<'t> {
        let ids = self.by_target.get(target).into_iter().flatten();
        ids.filter_map(|id| self.pins.get(id))
    }

    /// Returns the pins of the path, of the directories above it, and of what is below it.
    fn around(&self, path: &Path) -> impl Iterator<Item = &Pin> {
        let above = path.ancestors().skip(1);
        let above = above.flat_map(|path| self.of(&PinTarget::Path(path.to_owned())));
        let below = self.by_target.range(PinTarget::Path(path.to_owned())..);
        let below = below.take_while(move |(target, _)| match target {
            PinTarget::Path(below) => below.starts_with(path),
            PinTarget::Job { .. } => false,
        });
        let below = below.flat_map(|(_, ids)| ids);
        above.chain(below.filter_map(|id| self.pins.get(id)))
    }
}

impl Pins {
    /// Sets a pin, or changes the one with its number.
    pub fn set(&self, pin: Pin) {
        self.table.write().insert(pin);
    }

    /// Takes a pin away.
    pub fn remove(&self, id: u64) -> Option<Pin> {
        self.table.write().remove(id)
    }

    /// The pin with this number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Pin> {
        self.table.read().pins.get(&id).cloned()
    }

    /// All of them, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Pin> {
        self.table.read().pins.values().cloned().collect()
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.read().pins.is_empty()
    }

    /// Returns the end of the first one, also if it has ended.
    #[must_use]
    pub fn first_end(&self) -> Option<Timestamp> {
        self.table.read().ends.first().map(|(until, _)| *until)
    }

    /// Number of pins that end after `now`.
    #[must_use]
    pub fn count(&self, now: Timestamp) -> usize {
        let table = self.table.read();
        table.ends.range((now, u64::MAX)..).count()
    }

    /// Returns the end of the next one, of those that end after `now`.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let table = self.table.read();
        let next = table.ends.range((now, u64::MAX)..).next();
        next.map(|(until, _)| *until)
    }

    /// The pin that holds all that a job owns at `now`, and longest: of the job itself.
    #[must_use]
    pub fn of_job(&self, source: &str, id: &str, now: Timestamp) -> Option<Pin> {
        let target = PinTarget::Job {
            source: source.to_owned(),
            id: id.to_owned(),
        };
        longest(self.table.read().of(&target), now).cloned()
    }

    /// The pin that holds what is at the absolute path `path`, or something in it, at `now`, and
    /// longest.
    #[must_use]
    pub fn at(&self, path: &Path, now: Timestamp) -> Option<Pin> {
        let table = self.table.read();
        longest(table.around(path), now).cloned()
    }

    /// The pin that holds what is at `path` in `root` and is `owner`'s at `now`, and longest; for a
    /// directory also one that holds anything in it.
    #[must_use]
    pub fn find(
        &self,
        policy: &Policy,
        root: RootId,
        path: &RelPath,
        owner: &Owner,
        now: Timestamp,
    ) -> Option<Pin> {
        let table = self.table.read();
        if table.pins.is_empty() {
            return None;
        }
        // A job without files is in no root: only a pin of the job holds it.
        let full = policy.roots.get(&root).map(|root| path.below(&root.path));
        let of_path = full
            .as_deref()
            .and_then(|full| longest(table.around(full), now));
        let keys = owner.keys();
        let of_jobs = keys.iter().filter_map(|key| {
            let source = policy.sources.get(&key.source)?.name.clone();
            let id = key.id.clone();
            longest(table.of(&PinTarget::Job { source, id }), now)
        });
        of_path
            .into_iter()
            .chain(of_jobs)
            .max_by_key(|pin| pin.until)
            .cloned()
    }
}

/// The pin that ends last, of those that hold at `now`.
fn longest<'p>(pins: impl Iterator<Item = &'p Pin>, now: Timestamp) -> Option<&'p Pin> {
    pins.filter(|pin| pin.until > now)
        .max_by_key(|pin| pin.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn pin(id: u64, target: PinTarget, for_ms: i64) -> Pin {
        Pin {
            id,
            target,
            who: "ada".to_owned(),
            why: "wanted".to_owned(),
            set_at: NOW,
            until: NOW.plus_ms(for_ms),
        }
    }

    fn path(path: &str) -> PinTarget {
        PinTarget::Path(path.into())
    }

    #[test]
    fn pins_above_at_and_below_a_path_are_found_and_no_others() {
        let pins = Pins::default();
        let job = PinTarget::Job {
            source: "db".to_owned(),
            id: "7".to_owned(),
        };
        let targets = [
            path("/r"),
            path("/r/a"),
            path("/r/a b"),
            path("/r/a/b/c"),
            path("/r/a/b"),
            path("/r/ab"),
            path("/s"),
            job,
        ];
        for (id, target) in (1..).zip(targets) {
            pins.set(pin(id, target, 10));
        }
        let around = |of: &str| {
            let table = pins.table.read();
            let mut ids: Vec<u64> = table.around(Path::new(of)).map(|pin| pin.id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(around("/r/a/b"), [1, 2, 4, 5]);
        assert_eq!(around("/r/ab/x"), [1, 6]);
        assert_eq!(around("/r/abc"), [1]);
        assert_eq!(around("/"), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(pins.of_job("db", "7", NOW).unwrap().id, 8);
        assert_eq!(pins.of_job("db", "7", NOW.plus_ms(10)), None);
        assert_eq!(pins.of_job("other", "7", NOW), None);
    }

    #[test]
    fn a_changed_pin_ends_at_its_new_instant_alone() {
        let pins = Pins::default();
        pins.set(pin(1, path("/r"), 10));
        pins.set(pin(2, path("/r"), 30));
        assert_eq!(pins.next_end(NOW), Some(NOW.plus_ms(10)));
        pins.set(pin(1, path("/r"), 20));
        assert_eq!(pins.next_end(NOW), Some(NOW.plus_ms(20)));
        assert_eq!((pins.count(NOW), pins.count(NOW.plus_ms(20))), (2, 1));
        let table = pins.table.read();
        let found = longest(table.around(Path::new("/r")), NOW).unwrap().id;
        assert_eq!(found, 2);
        drop(table);
        assert_eq!(pins.remove(2).map(|pin| pin.id), Some(2));
        assert_eq!(pins.next_end(NOW.plus_ms(20)), None);
        pins.remove(1);
        assert!(pins.is_empty() && pins.table.read().by_target.is_empty());
    }
}

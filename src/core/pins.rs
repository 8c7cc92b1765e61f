//! Pins: a user keeps a path, or all that a job owns, for a while.
//!
//! **Invariant:** a pin that was acknowledged holds until it ends or a user takes it away: over
//! restarts, and also what comes to its path later.

use std::collections::BTreeMap;
use std::path::PathBuf;

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

/// All pins: read by all, changed by the engine alone.
#[derive(Debug, Default)]
pub struct Pins {
    pins: RwLock<BTreeMap<u64, Pin>>,
}

impl Pins {
    /// Sets a pin, or changes the one with its number.
    pub fn set(&self, pin: Pin) {
        self.pins.write().insert(pin.id, pin);
    }

    /// Takes a pin away.
    pub fn remove(&self, id: u64) -> Option<Pin> {
        self.pins.write().remove(&id)
    }

    /// All of them, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Pin> {
        self.pins.read().values().cloned().collect()
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.read().is_empty()
    }

    /// Returns the end of the next one, of those that end after `now`.
    #[must_use]
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let pins = self.pins.read();
        pins.values()
            .map(|pin| pin.until)
            .filter(|&until| until > now)
            .min()
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
        let pins = self.pins.read();
        if pins.is_empty() {
            return None;
        }
        // A job without files is in no root: only a pin of the job holds it.
        let full = policy.roots.get(&root).map(|root| path.below(&root.path));
        let holds = |pin: &&Pin| match &pin.target {
            PinTarget::Path(pinned) => full
                .as_ref()
                .is_some_and(|full| full.starts_with(pinned) || pinned.starts_with(full)),
            PinTarget::Job { source, id } => owner.keys().iter().any(|key| {
                let known = policy.sources.get(&key.source);
                key.id == *id && known.is_some_and(|known| known.name == *source)
            }),
        };
        pins.values()
            .filter(|pin| pin.until > now)
            .filter(holds)
            .max_by_key(|pin| pin.until)
            .cloned()
    }
}

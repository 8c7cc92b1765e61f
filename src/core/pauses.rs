//! Pauses: for a while nothing is removed, in one root or in all of them.
//!
//! **Invariant:** a pause that was acknowledged holds until its end or until a user ends it, over
//! restarts and whatever the wall clock is set to.
//! **Invariant:** the engine alone ends a pause, by removing it from the table. So a reader needs
//! no clock: each pause in the table holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parking_lot::RwLock;

use super::claim::{Claim, Unit};
use super::facts::{RootId, RuleId};
use super::hold::Hold;
use super::policy::Policy;
use super::time::Timestamp;

/// Root that a pause is about: a root of this name or at this path, since the configuration may
/// give a tree another name meanwhile.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PausedRoot {
    /// Its name when the pause began.
    pub name: String,
    /// Its path when the pause began.
    pub path: PathBuf,
}

/// A pause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// Its root; `None`: all roots.
    pub root: Option<PausedRoot>,
    /// The user who ordered it: a name, or a number.
    pub who: String,
    /// The reason.
    pub why: String,
    /// Instant at which it began.
    pub since: Timestamp,
    /// Instant at which it ends.
    pub until: Timestamp,
}

impl Pause {
    /// Name of its root; `None`: all roots.
    #[must_use]
    pub fn root_name(&self) -> Option<&str> {
        self.root.as_ref().map(|root| root.name.as_str())
    }

    /// Returns true if it holds what is in `root`. A root that the policy does not know may be any.
    fn concerns(&self, policy: &Policy, root: RootId) -> bool {
        match (&self.root, policy.roots.get(&root)) {
            (None, _) | (_, None) => true,
            (Some(paused), Some(known)) => paused.name == known.name || paused.path == known.path,
        }
    }

    /// The hold that it is.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold::Paused {
            root: self.root_name().map(str::to_owned),
            who: self.who.clone(),
            why: self.why.clone(),
            until: self.until,
        }
    }
}

/// The pauses that hold, one a root and one for all: read by all, changed by the engine alone.
#[derive(Debug, Default)]
pub struct Pauses {
    pauses: RwLock<BTreeMap<Option<String>, Pause>>,
}

impl Pauses {
    /// A table of these.
    #[must_use]
    pub fn of(pauses: Vec<Pause>) -> Self {
        let table = Self::default();
        for pause in pauses {
            table.set(pause);
        }
        table
    }

    /// Sets a pause in place of the one of the same root.
    pub fn set(&self, pause: Pause) {
        let key = pause.root_name().map(str::to_owned);
        self.pauses.write().insert(key, pause);
    }

    /// Removes `pause`, unless another one has taken its place.
    pub fn remove(&self, pause: &Pause) {
        let mut pauses = self.pauses.write();
        pauses.retain(|_, known| known != pause);
    }

    /// All of them: first the one of all roots, then by the root's name.
    #[must_use]
    pub fn list(&self) -> Vec<Pause> {
        self.pauses.read().values().cloned().collect()
    }

    /// Hold of everything in `root`: of several the one that ends last.
    #[must_use]
    pub fn hold(&self, policy: &Policy, root: RootId) -> Option<Hold> {
        let pauses = self.pauses.read();
        let of_root = pauses.values().filter(|one| one.concerns(policy, root));
        of_root.max_by_key(|one| one.until).map(Pause::hold)
    }

    /// Hold of all that a job owns under `rule`: it waits for each of the rule's roots.
    #[must_use]
    pub fn hold_of_rule(&self, policy: &Policy, rule: RuleId) -> Option<Hold> {
        let pauses = self.pauses.read();
        let rule = policy.rule(rule);
        let concerns = |one: &&Pause| {
            let mut roots = policy.roots.keys();
            one.root.is_none()
                || roots.any(|&root| rule.applies_to(root) && one.concerns(policy, root))
        };
        let of_rule = pauses.values().filter(concerns);
        of_rule.max_by_key(|one| one.until).map(Pause::hold)
    }

    /// Hold of what `claim` names.
    #[must_use]
    pub fn hold_of_claim(&self, policy: &Policy, claim: &Claim) -> Option<Hold> {
        match claim.unit {
            Unit::File | Unit::Dir => self.hold(policy, claim.root),
            Unit::Job => self.hold_of_rule(policy, claim.rule),
        }
    }
}

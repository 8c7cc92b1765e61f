//! Effects of one step, in their order; the last ones say what the next process is to know. While
//! that cannot be saved, everything is held.
//!
//! **Invariant:** what is found before the breaker has looked is not saved: the next process would
//! know it.

use std::collections::BTreeMap;

use super::Engine;
use crate::core::effect::{Effect, Event};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::index::Unsaved;
use crate::core::observed::Name;
use crate::core::path::RelPath;
use crate::core::report::SavedRoot;
use crate::core::time::Now;

/// Effects of the step under way.
#[derive(Default)]
pub(super) struct Effects {
    list: Vec<Effect>,
    /// Events of single observations are wanted.
    are_observations_wanted: bool,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Reports an event.
    pub(super) fn tell(&mut self, event: Event) {
        self.push(Effect::Tell(event));
    }

    /// Reports what a look saw of one file, where that is wanted; `None`: it is gone.
    pub(super) fn tell_observed(
        &mut self,
        root: RootId,
        dir: &RelPath,
        name: &Name,
        size: Option<u64>,
    ) {
        if self.are_observations_wanted {
            let path = dir.join(name);
            self.tell(Event::Observed { root, path, size });
        }
    }

    /// Sets whether single observations are reported.
    pub(super) fn want_observations(&mut self, wanted: bool) {
        self.are_observations_wanted = wanted;
    }

    /// Orders a listing, or a look at a file.
    pub(super) fn relist(&mut self, root: RootId, path: RelPath) {
        self.push(Effect::Relist(root, path));
    }

    /// Returns the effects of the step, which ends.
    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.list)
    }
}

/// State that the last effects said is to be saved.
#[derive(Debug)]
pub(super) struct SaveTracker {
    /// The reason why nothing can be saved: then nothing is removed.
    error: Option<String>,
    /// The clock's history changed in this step.
    is_clock_changed: bool,
    /// Other rules are in force since the last step's end.
    are_rules_changed: bool,
    roots: BTreeMap<RootId, Option<SavedRoot>>,
}

impl SaveTracker {
    /// State of a process that starts from these roots.
    pub(super) fn new(roots: &BTreeMap<RootId, SavedRoot>) -> Self {
        Self {
            error: None,
            is_clock_changed: true,
            are_rules_changed: false,
            roots: roots.iter().map(|(&id, &root)| (id, Some(root))).collect(),
        }
    }

    /// Returns the hold of everything, while nothing can be saved.
    pub(super) fn hold(&self) -> Option<Hold> {
        let error = self.error.clone()?;
        Some(Hold::CacheUnavailable { error })
    }

    pub(super) fn on_clock_changed(&mut self) {
        self.is_clock_changed = true;
    }

    pub(super) fn on_rules_changed(&mut self) {
        self.are_rules_changed = true;
    }

    /// Takes in what is to be saved of a root; returns true if it is something else than before.
    fn renew(&mut self, root: RootId, memory: Option<SavedRoot>) -> bool {
        self.roots.insert(root, memory).unwrap_or(None) != memory
    }
}

impl Engine {
    /// Holds everything while what changes cannot be saved.
    pub(super) fn on_store_state(&mut self, why: Option<String>, now: Now) {
        let was_held = std::mem::replace(&mut self.saved.error, why).is_some();
        match (&self.saved.error, was_held) {
            (Some(error), false) => {
                for &root in self.roots.keys() {
                    let (path, error) = (RelPath::root(), error.clone());
                    let hold = Hold::CacheUnavailable { error };
                    self.effects.tell(Event::Held { root, path, hold });
                }
            }
            (None, true) => {
                self.effects.tell(Event::Saving);
                self.arm_all(now);
            }
            (Some(_), true) | (None, false) => {}
        }
    }

    /// Tells what has to be saved after this step.
    pub(super) fn save(&mut self) {
        for (&root, state) in &self.roots {
            let memory = state.memory();
            if self.saved.renew(root, memory) {
                self.effects.push(Effect::Remember(root, memory));
            }
        }
        let is_over = |root: &RootId, _: &mut _| !self.roots.contains_key(root);
        for (root, memory) in self.saved.roots.extract_if(.., is_over) {
            if memory.is_some() {
                self.effects.push(Effect::Remember(root, None));
            }
        }
        // After what says that the roots do not count as known under them yet.
        if std::mem::take(&mut self.saved.are_rules_changed) {
            self.effects.push(Effect::Ruled);
        }
        // What is found before the breaker has looked would be known to the next process: it waits.
        let is_undecided = self.roots.values().any(|root| root.recovery.is_some());
        let unsaved = if is_undecided {
            Unsaved::default()
        } else {
            self.writer.take_unsaved()
        };
        // A jump that is not known after a restart could take one back that comes then.
        if std::mem::take(&mut self.saved.is_clock_changed) || !unsaved.is_empty() {
            let clock = self.guard.clone();
            self.effects.push(Effect::Changed { unsaved, clock });
        }
    }
}

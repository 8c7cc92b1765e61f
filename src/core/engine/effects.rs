//! Effects of one step, in their order.

use crate::core::facts::RootId;
use crate::core::input::{Effect, Event};
use crate::core::observed::Name;
use crate::core::path::RelPath;

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

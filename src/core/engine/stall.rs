//! What stalls a whole root: a hold that one removal ran into, and every other one would.
//!
//! **Invariant:** a stall ends only by a try: of removals, or of the quarantine, whichever it was.

use super::roots::RootState;
use super::state::Engine;
use super::timers::Timer;
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::input::Event;
use crate::core::path::RelPath;
use crate::core::time::{Now, Timestamp};

/// A hold that one removal ran into and all others would.
#[derive(Debug)]
pub(super) struct Stall {
    pub(super) hold: Hold,
    retry_at: Timestamp,
    tries: u32,
    /// It is being tried again: removals go on, and the next refusal counts as one more try.
    trying: bool,
}

/// What the end of a stall calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retry {
    /// Its time has not come.
    Nothing,
    /// Removals show whether the reason is over.
    Removals,
    /// The reaper is to put the quarantine of this directory in order; the stall lasts until it has.
    Quarantine(FileKey),
}

impl RootState {
    pub(super) fn stall(&self) -> Option<&Stall> {
        self.stall.as_ref().filter(|stall| !stall.trying)
    }

    /// Ends a stall whose time has come, and returns what is to be tried again.
    pub(super) fn end_stall(&mut self, now: Timestamp) -> Retry {
        match (&mut self.stall, self.key) {
            (Some(stall), Some(key)) if !stall.trying && stall.retry_at <= now => {
                if stall.hold.is_of_quarantine() {
                    return Retry::Quarantine(key);
                }
                stall.trying = true;
                Retry::Removals
            }
            _ => Retry::Nothing,
        }
    }

    /// Lets removals try again what the quarantine stalled; returns whether it did stall them.
    fn retry_quarantine(&mut self) -> bool {
        let stall = self.stall.as_mut();
        let stall = stall.filter(|stall| stall.hold.is_of_quarantine() && !stall.trying);
        stall.map(|stall| stall.trying = true).is_some()
    }

    /// A removal went through: whatever stalled the root is over.
    pub(super) fn unstall(&mut self) {
        self.stall = None;
    }
}

impl Engine {
    /// Stalls `root`: every removal in it would run into the same `hold`.
    pub(super) fn stall(&mut self, root: RootId, hold: Hold, now: Now) {
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        let (tries, known) = match &state.stall {
            // Claims that were under way when the root stalled tell nothing new.
            Some(stall) if !stall.trying => return,
            Some(stall) => (stall.tries + 1, stall.hold.code() == hold.code()),
            None => (0, false),
        };
        let retry_at = now.wall.plus_ms(hold.retry_after_ms(tries));
        state.stall = Some(Stall {
            hold: hold.clone(),
            retry_at,
            tries,
            trying: false,
        });
        if !known {
            let path = RelPath::root();
            self.effects.tell(Event::Held { root, path, hold });
        }
        self.timers.arm(Timer::Root(root), retry_at);
    }

    /// The reaper has tried to put the quarantine of `root` in order.
    pub(super) fn on_recovered(&mut self, root: RootId, hold: Option<Hold>, now: Now) {
        let state = self.roots.get_mut(&root);
        let was_stalled = state.is_some_and(RootState::retry_quarantine);
        match hold {
            Some(hold) => self.stall(root, hold, now),
            None if was_stalled => {
                self.arm_root(root, now);
                self.retry_jobs_of_roots(now);
            }
            None => {}
        }
    }
}

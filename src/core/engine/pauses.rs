//! Pauses that begin and end.
//!
//! **Invariant:** a pause ends by itself only when as much time has really passed as it was ordered
//! for, as far as the clock guard can tell. Late is safe.

use super::Engine;
use super::due::Subject;
use super::timers::Timer;
use crate::core::effect::{Effect, Event};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::pauses::Pause;
use crate::core::principal::Principal;
use crate::core::time::Now;

impl Engine {
    /// Holds everything that `pauses` are about from now on.
    pub fn pause(&mut self, pauses: Vec<Pause>, now: Now) {
        for pause in pauses {
            self.pauses.set(pause.clone());
            self.effects.tell(Event::Paused(pause));
        }
        self.check_pauses(now);
    }

    /// Number of claims on what is paused that the reaper has not answered yet: it checks for
    /// pauses before it removes anything.
    #[must_use]
    pub fn paused_claims(&self) -> u64 {
        let is_paused = |(root, _, job): &Subject| match job {
            Some((_, rule)) => self.pauses.hold_of_rule(&self.policy, *rule).is_some(),
            None => self.paused(*root).is_some(),
        };
        let subjects = self.claims.subjects();
        subjects.filter(|subject| is_paused(subject)).count() as u64
    }

    /// Ends these pauses by the word of `by`, unless others have taken their places.
    pub fn resume(&mut self, pauses: &[Pause], by: &Principal, now: Now) {
        for pause in pauses {
            self.pauses.remove(pause);
            self.effects.tell(Event::Resumed {
                pause: pause.clone(),
                by: Some(by.clone()),
            });
        }
        self.arm_paused(now);
    }

    /// Ends the pauses whose time has come, and arms the end of the next.
    pub(super) fn check_pauses(&mut self, now: Now) {
        let mut is_any_over = false;
        for pause in self.pauses.list() {
            let end = self.guard.effective(pause.since, pause.until);
            if end > now.wall {
                self.timers.arm(Timer::Pauses, end);
                continue;
            }
            is_any_over = true;
            self.pauses.remove(&pause);
            self.effects.push(Effect::PauseEnded(pause.clone()));
            self.effects.tell(Event::Resumed { pause, by: None });
        }
        if is_any_over {
            self.arm_paused(now);
        }
    }

    /// Hold of everything in `root` by a pause.
    pub(super) fn paused(&self, root: RootId) -> Option<Hold> {
        self.pauses.hold(&self.policy, root)
    }

    /// Looks again at everything that was paused.
    fn arm_paused(&mut self, now: Now) {
        self.arm_all(now);
        self.arm_held_jobs(|_| true, now);
    }
}

//! Answers of the reaper on their way to the engine.
//!
//! Files that were removed at their deadline are taken in with the engine's next step, so that a
//! removal on its own wakes the engine once: for its deadline.
//!
//! **Invariant:** the engine takes in all answers that wait before any other input.
//! **Invariant:** an answer waits [`DELAY`] at most. Whatever a caller waits for, and what must be
//! judged again, is sent at once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::clock::{self, Alarm};
use crate::core::claim::{Outcome, Reaped, Unit};
use crate::core::engine::Input;
use crate::core::time::Timestamp;

/// Maximum delay of an answer. Until then `status` and the index may still have the file.
const DELAY: Duration = Duration::from_millis(30);

/// Maximum number of answers that wait: more are worth a step of their own.
const WAITING_MAX: usize = 32;

/// See the module.
pub(super) struct Answers {
    inbox: mpsc::Sender<Input>,
    /// Wakes the engine: for its timers, or for what waits here.
    alarm: Alarm,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Reaped>,
    /// Instant at which the engine is woken for what waits.
    due: Option<Timestamp>,
    /// Instant at which the engine wants to be woken.
    wake_at: Option<Timestamp>,
}

impl Answers {
    /// For an engine that reads `inbox`.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub(super) fn new(inbox: mpsc::Sender<Input>) -> std::io::Result<Self> {
        Ok(Self {
            inbox,
            alarm: Alarm::new()?,
            state: Mutex::default(),
        })
    }

    /// Passes answers on. May wait for room in the inbox.
    pub(super) fn put(&self, answers: Vec<Reaped>) {
        let mut state = self.state.lock();
        let may_wait = answers.iter().all(may_wait);
        state.waiting.extend(answers);
        if may_wait && state.waiting.len() <= WAITING_MAX {
            if state.due.is_none() {
                state.due = Some(clock::now().wall.after(DELAY));
                self.arm(&state);
            }
            return;
        }
        let all = state.take();
        drop(state);
        // The daemon ends when nobody takes it in.
        let _ = self.inbox.blocking_send(Input::Reaped(all));
    }

    /// Returns the inputs to step with in place of `input`: what waits goes first.
    pub(super) fn before(&self, input: Input) -> impl Iterator<Item = Input> {
        let mut waiting = self.state.lock().take();
        let inputs = match input {
            input if waiting.is_empty() => [None, Some(input)],
            // Each step looks at the timers.
            Input::Tick => [None, Some(Input::Reaped(waiting))],
            Input::Reaped(more) => {
                waiting.extend(more);
                [None, Some(Input::Reaped(waiting))]
            }
            input => [Some(Input::Reaped(waiting)), Some(input)],
        };
        inputs.into_iter().flatten()
    }

    /// Sets the alarm for the engine, which wants to be woken at `wake_at`.
    pub(super) fn wake_at(&self, wake_at: Option<Timestamp>) {
        let mut state = self.state.lock();
        state.wake_at = wake_at;
        self.arm(&state);
    }

    pub(super) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    fn arm(&self, state: &State) {
        let at = [state.wake_at, state.due].into_iter().flatten().min();
        self.alarm.set(at);
    }
}

impl State {
    fn take(&mut self) -> Vec<Reaped> {
        self.due = None;
        std::mem::take(&mut self.waiting)
    }
}

/// Returns true for a file that was removed because its time had come.
fn may_wait(answer: &Reaped) -> bool {
    let claim = &answer.claim;
    claim.unit == Unit::File
        && claim.actor.request.is_none()
        && matches!(answer.outcome, Outcome::Removed(_))
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::core::claim::{Actor, Claim, Removal};
    use crate::core::facts::{FileKey, RootId, RuleId};
    use crate::core::path::RelPath;

    fn answer(name: &str, unit: Unit, outcome: Outcome) -> Reaped {
        Reaped {
            claim: Claim {
                root: RootId(0),
                path: RelPath::parse(name.as_bytes()).unwrap(),
                owners: Vec::new(),
                pieces: Vec::new(),
                unit,
                key: FileKey::default(),
                rule: RuleId(0),
                known: Timestamp::MIN,
                retention_ms: None,
                limit: None,
                newer: Vec::new(),
                due: Timestamp::MIN,
                actor: Actor::default(),
            },
            outcome,
        }
    }

    fn removed(name: &str) -> Reaped {
        let removal = Removal {
            at: Timestamp::MIN,
            deadline: Timestamp::MIN,
            files: 1,
            bytes: 0,
            id: 1,
            pruned: Vec::new(),
            partial: false,
            share: None,
            trashed: None,
        };
        answer(name, Unit::File, Outcome::Removed(removal))
    }

    fn names(input: Option<Input>) -> String {
        let Some(Input::Reaped(all)) = input else {
            return String::new();
        };
        all.iter().map(|one| one.claim.path.to_string()).collect()
    }

    #[test]
    fn removed_files_wait_for_the_next_step_and_the_alarm_ends_the_wait() {
        let (inbox, mut inputs) = mpsc::channel(1);
        let answers = Answers::new(inbox).unwrap();
        answers.wake_at(None);
        answers.put(vec![removed("a")]);
        answers.put(vec![removed("b")]);
        assert!(inputs.try_recv().is_err());
        // A step that knows nothing of them must not silence the alarm.
        answers.wake_at(None);
        let mut alarm = [PollFd::new(answers.alarm(), PollFlags::IN)];
        let patience = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        assert_eq!(poll(&mut alarm, Some(&patience)), Ok(1));
        let mut steps = answers.before(Input::Tick);
        assert_eq!(names(steps.next()), "ab");
        assert!(steps.next().is_none());
    }

    #[test]
    fn what_waits_is_taken_in_before_any_other_input() {
        let (inbox, _inputs) = mpsc::channel(1);
        let answers = Answers::new(inbox).unwrap();
        answers.put(vec![removed("a")]);
        let mut steps = answers.before(Input::Reaped(vec![removed("b")]));
        assert_eq!(names(steps.next()), "ab");
        assert!(steps.next().is_none());
        answers.put(vec![removed("c")]);
        let mut steps = answers.before(Input::Synced(7));
        assert_eq!(names(steps.next()), "c");
        assert!(matches!(steps.next(), Some(Input::Synced(7))));
    }

    #[test]
    fn all_other_answers_are_sent_at_once_behind_what_waits() {
        let (inbox, mut inputs) = mpsc::channel(1);
        let answers = Answers::new(inbox).unwrap();
        let mut asked = removed("d");
        asked.claim.actor.request = Some(1);
        for one in [
            answer("d", Unit::File, Outcome::Gone),
            Reaped {
                claim: answer("d", Unit::Dir, Outcome::Gone).claim,
                ..removed("d")
            },
            asked,
        ] {
            answers.put(vec![removed("a")]);
            answers.put(vec![one]);
            assert_eq!(names(inputs.try_recv().ok()), "ad");
        }
        answers.put((0..=WAITING_MAX).map(|_| removed("e")).collect());
        assert_eq!(names(inputs.try_recv().ok()).len(), WAITING_MAX + 1);
        let mut steps = answers.before(Input::Tick);
        assert!(matches!(steps.next(), Some(Input::Tick)));
    }
}

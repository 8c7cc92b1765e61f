//! The owner thread: takes inputs one by one, steps the engine, carries out its effects.
//!
//! **Invariant:** nothing here waits for anybody but the queue. The reaper takes any number of
//! claims (the engine bounds them), the watchers any number of orders, the cache any number of
//! changes, the listeners what they can.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::answers::Answers;
use super::event_log::{RemovalLogLimiter, log, tell_of_claims};
use super::parts;
use super::shadow::ShadowRecorder;
use super::sources::Sources;
use super::volumes::VolumeProbe;
use crate::app::{EngineLink, Events};
use crate::cache::{Cache, Rules};
use crate::clock::{self, Alarm};
use crate::core::effect::{Effect, JOBS};
use crate::core::engine::Engine;
use crate::core::engine::Input;
use crate::core::facts::{FileKey, RootId};
use crate::core::report::Mode;
use crate::core::time::Now;
use crate::reap::{Batch, Previewer, Reaper, RootLocation};
use crate::watch::{LOW_PRIORITY_BARRIER, Report, Sink, Watcher};

/// Inputs that wait for the engine. Observations come in batches of about a thousand names, so this
/// bounds both the memory of what waits and how long a question or a deadline stands in line behind
/// them.
pub(super) const INBOX_MAX: usize = 32;

/// Parts that carry out the engine's effects.
pub(super) struct Outlets {
    pub(super) answers: Arc<Answers>,
    /// `None` in a dry run: then nothing can be removed.
    pub(super) reaper: Option<Arc<Reaper>>,
    /// Record of shadow mode.
    pub(super) shadow: Option<ShadowRecorder>,
    /// Examiner of the claims of dry runs.
    pub(super) previewer: Previewer,
    pub(super) watcher: Arc<Watcher>,
    pub(super) cache: Arc<Cache>,
    pub(super) sources: Arc<Sources>,
    pub(super) mode: Mode,
    pub(super) volumes: VolumeProbe,
    pub(super) link: EngineLink,
    pub(super) events: Arc<Events>,
}

/// The running engine.
pub(super) struct Owner {
    inbox: mpsc::Sender<Input>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Owner {
    /// Starts the owner thread.
    ///
    /// # Errors
    /// If the process can have no more threads or descriptors.
    pub(super) fn start(
        mut engine: Engine,
        inbox: mpsc::Sender<Input>,
        mut inputs: mpsc::Receiver<Input>,
        outlets: Outlets,
    ) -> std::io::Result<Self> {
        let wakeup = Arc::new(EngineWaker(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?));
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let _deaf = EndIfPanicked;
                let mut next = None;
                while let Some(first) = next
                    .take()
                    .or_else(|| inputs.try_recv().ok())
                    .or_else(|| next_input(&mut inputs, &wakeup, outlets.answers.alarm()))
                {
                    let input;
                    (input, next) = merged(first, || inputs.try_recv().ok());
                    for input in outlets.answers.before(input) {
                        let now = clock::now();
                        let mut limiter = RemovalLogLimiter::default();
                        for effect in engine.step(now, input) {
                            outlets.carry_out(effect, &engine, now, &mut limiter);
                        }
                        limiter.rest();
                    }
                    engine.tell_observed(outlets.events.wants_observed());
                    outlets.answers.wake_at(engine.wake_at());
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                }
            })?;
        Ok(Self {
            inbox,
            stopping,
            thread,
        })
    }

    /// Ends the thread. Whoever sends inputs must be through: what is still in line is not taken
    /// up.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        // When the queue is full, the owner is awake anyway.
        let _ = self.inbox.try_send(Input::Tick);
        if self.thread.join().is_err() {
            tracing::error!("a thread of the engine ended by a fault of ours");
        }
    }
}

/// Wakes the owner thread from its sleep.
struct EngineWaker(OwnedFd);

impl Wake for EngineWaker {
    fn wake(self: Arc<Self>) {
        // Fails only when the counter is full: then it rings already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

/// Waits for the next input, or for the alarm. Each step looks at the timers, so while inputs come
/// the alarm has nothing to add. `None`: there will be no more inputs.
///
/// Waits in `poll(2)`: a runtime around these two descriptors costs more than a small step.
fn next_input(
    inputs: &mut mpsc::Receiver<Input>,
    wakeup: &Arc<EngineWaker>,
    alarm: &Alarm,
) -> Option<Input> {
    let waker = Waker::from(Arc::clone(wakeup));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(input) = inputs.poll_recv(&mut context) {
            return input;
        }
        let mut fds = [
            PollFd::new(&wakeup.0, PollFlags::IN),
            PollFd::new(alarm, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "cannot wait for the timer");
                return inputs.blocking_recv();
            }
        }
        if !fds[0].revents().is_empty() {
            let _ = rustix::io::read(&wakeup.0, &mut [0; 8]);
        }
        if !fds[1].revents().is_empty() && alarm.acknowledge() {
            return Some(Input::Tick);
        }
    }
}

/// Returns the sink of a watcher whose reports are for the engine.
pub(super) fn sink_into(inbox: &mpsc::Sender<Input>) -> Sink {
    let inbox = inbox.clone();
    Arc::new(move |report| {
        let input = match report {
            Report::Observed(seen) => Input::Observed(seen),
            Report::Synced(token) => Input::Synced(token),
        };
        // Nobody takes it in any more: the daemon ends.
        let _ = inbox.blocking_send(input);
    })
}

/// Adds to `first` what waits behind it and is of its kind, as far as that saves steps: answers of
/// the reaper, which may come one by one. Returns the first input of another kind too: order is
/// kept.
///
/// It ends, however fast they come: the engine gives out no new claims meanwhile.
fn merged(first: Input, mut waiting: impl FnMut() -> Option<Input>) -> (Input, Option<Input>) {
    let Input::Reaped(mut all) = first else {
        return (first, None);
    };
    loop {
        match waiting() {
            Some(Input::Reaped(more)) => all.extend(more),
            other => return (Input::Reaped(all), other),
        }
    }
}

/// A daemon without its engine would look alive and remove nothing: it ends instead, and whoever
/// started it starts it again. What was under way is finished or put back then, as after a crash.
struct EndIfPanicked;

impl Drop for EndIfPanicked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the engine ended by a fault of ours; so does the daemon");
            std::process::exit(1);
        }
    }
}

impl Outlets {
    fn carry_out(
        &self,
        effect: Effect,
        engine: &Engine,
        now: Now,
        limiter: &mut RemovalLogLimiter,
    ) {
        match effect {
            Effect::Claim(claims) => {
                let policy = engine.policy();
                tell_of_claims(&policy, &claims);
                if let Some(reaper) = &self.reaper {
                    reaper.submit(Batch { policy, claims });
                }
            }
            Effect::Preview(claims) => self.previewer.submit(parts::preview(engine, claims)),
            Effect::Purge(order) => {
                if let Some(reaper) = &self.reaper {
                    reaper.purge(engine.policy(), order);
                }
            }
            Effect::Relist(root, dir) => self.watcher.relist(root, dir),
            // A dry run leaves the quarantine as it is, too.
            Effect::Placed(root, key) => {
                if let Some(reaper) = &self.reaper {
                    reaper.set_place(root, place_of(engine, root, key));
                }
            }
            Effect::Remember(root, memory) => {
                let policy = engine.policy();
                let path = policy.roots.get(&root).map(|root| &*root.path);
                self.cache.save_root(root, path, memory);
            }
            Effect::Source(source, memory) => {
                if let Some(known) = engine.policy().sources.get(&source) {
                    self.sources.remember(known.name.clone(), memory);
                }
            }
            Effect::Recorded(id) => self.sources.on_recorded(id),
            Effect::PauseEnded(pause) => self.sources.forget_pause(pause),
            Effect::Changed { unsaved, clock } => self.cache.save_changes(unsaved, clock),
            Effect::Ruled => self
                .cache
                .save_rules(Rules::of(&engine.policy(), self.mode)),
            Effect::AskSpace(root) => {
                let path = engine
                    .policy()
                    .roots
                    .get(&root)
                    .map(|root| root.path.clone());
                self.volumes.ask(root, path);
            }
            Effect::Barrier => self.watcher.sync(JOBS),
            Effect::Synced(LOW_PRIORITY_BARRIER) => self.cache.on_barrier(),
            Effect::Synced(token) => self.link.synced(token),
            Effect::Shadow(event) => {
                if let Some(shadow) = &self.shadow {
                    shadow.put(event, &engine.policy());
                }
            }
            Effect::Tell(event) => {
                if limiter.has_room(&event) {
                    log(&event, engine, now);
                }
                self.events.publish(now.wall, &event, &engine.policy());
            }
        }
    }
}

fn place_of(engine: &Engine, root: RootId, key: Option<FileKey>) -> Option<RootLocation> {
    let policy = engine.policy();
    let path: PathBuf = policy.roots.get(&root)?.path.clone();
    key.map(|key| RootLocation { path, key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::claim::{Actor, Claim, Outcome, Reaped, Unit};
    use crate::core::facts::RuleId;
    use crate::core::path::RelPath;
    use crate::core::time::Timestamp;

    fn reaped(names: &[&str]) -> Input {
        let answer = |name: &&str| Reaped {
            claim: Claim {
                root: RootId(0),
                path: RelPath::parse(name.as_bytes()).unwrap(),
                owners: Vec::new(),
                pieces: Vec::new(),
                unit: Unit::Dir,
                key: FileKey::default(),
                rule: RuleId(0),
                known: Timestamp::MIN,
                retention_ms: None,
                limit: None,
                newer: Vec::new(),
                due: Timestamp::MIN,
                actor: Actor::default(),
            },
            outcome: Outcome::Gone,
        };
        Input::Reaped(names.iter().map(answer).collect())
    }

    #[test]
    fn answers_that_wait_make_one_step_and_pass_nothing_by() {
        let mut inputs = vec![
            reaped(&["a"]),
            reaped(&["b", "c"]),
            Input::Tick,
            reaped(&["d"]),
            Input::Synced(LOW_PRIORITY_BARRIER),
            Input::Tick,
        ]
        .into_iter();
        let mut steps = Vec::new();
        let mut next = None;
        while let Some(first) = next.take().or_else(|| inputs.next()) {
            let input;
            (input, next) = merged(first, || inputs.next());
            steps.push(match input {
                Input::Reaped(all) => all.iter().map(|one| one.claim.path.to_string()).collect(),
                Input::Tick => "tick".to_owned(),
                Input::Synced(_) => "synced".to_owned(),
                _ => unreachable!("not among the inputs"),
            });
        }
        assert_eq!(steps, ["abc", "tick", "d", "synced", "tick"]);
    }
}

//! The owner thread: takes inputs one by one, steps the engine, carries out its effects.
//!
//! **Invariant:** nothing here waits for anybody but the queue. The reaper takes any number of
//! claims (the engine bounds them), the watchers any number of orders, the cache any number of
//! changes, the listeners what they can.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::event_log::{RemovalLogLimiter, log, tell_of_claims};
use super::parts;
use super::sources::Sources;
use crate::app::{EngineLink, Events};
use crate::cache::{Cache, Rules};
use crate::clock::{self, Alarm};
use crate::core::engine::Engine;
use crate::core::facts::{FileKey, RootId};
use crate::core::input::{Effect, Input, JOBS};
use crate::core::report::Mode;
use crate::core::time::Now;
use crate::reap::{Batch, Previewer, Reaper, RootLocation};
use crate::watch::{PATIENT, Watcher};

/// Inputs that wait for the engine. Observations come in batches of about a thousand names, so this
/// bounds both the memory of what waits and how long a question or a deadline stands in line behind
/// them.
pub(super) const INBOX_MAX: usize = 32;

/// Parts that carry out the engine's effects.
pub(super) struct Outlets {
    pub(super) reaper: Arc<Reaper>,
    /// Examiner of the claims of dry runs.
    pub(super) previewer: Previewer,
    pub(super) watcher: Arc<Watcher>,
    pub(super) cache: Arc<Cache>,
    pub(super) sources: Arc<Sources>,
    pub(super) mode: Mode,
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
        // Its own runtime, with nothing else on it: the thread waits for inputs and for the alarm.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        #[expect(
            deprecated,
            reason = "the alarm owns its descriptor while it is registered"
        )]
        let alarm = {
            let _here = runtime.enter();
            AsyncFd::with_interest(Alarm::new()?, Interest::READABLE)?
        };
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
                    .or_else(|| runtime.block_on(next_input(&mut inputs, &alarm)))
                {
                    let input;
                    (input, next) = merged(first, || inputs.try_recv().ok());
                    let now = clock::now();
                    let mut limiter = RemovalLogLimiter::default();
                    for effect in engine.step(now, input) {
                        outlets.carry_out(effect, &engine, now, &mut limiter);
                    }
                    limiter.rest();
                    engine.tell_observed(outlets.events.wants_observed());
                    alarm.get_ref().set(engine.wake_at());
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

/// Waits for the next input, or for the alarm. Each step looks at the timers, so while inputs come
/// the alarm has nothing to add.
async fn next_input(inputs: &mut mpsc::Receiver<Input>, alarm: &AsyncFd<Alarm>) -> Option<Input> {
    loop {
        tokio::select! {
            input = inputs.recv() => return input,
            ready = alarm.readable() => match ready {
                Ok(mut ready) => {
                    ready.clear_ready();
                    if alarm.get_ref().acknowledge() {
                        return Some(Input::Tick);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot wait for the timer");
                    return inputs.recv().await;
                }
            },
        }
    }
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
                self.reaper.submit(Batch { policy, claims });
            }
            Effect::Preview(claims) => self.previewer.submit(parts::preview(engine, claims)),
            Effect::Relist(root, dir) => self.watcher.relist(root, dir),
            // A dry run leaves the quarantine as it is, too.
            Effect::Placed(..) if engine.mode() == Mode::DryRun => {}
            Effect::Placed(root, key) => self.reaper.set_place(root, place_of(engine, root, key)),
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
            Effect::Changed { unsaved, clock } => self.cache.save_changes(unsaved, clock),
            Effect::Ruled => self
                .cache
                .save_rules(Rules::of(&engine.policy(), self.mode)),
            Effect::Barrier => self.watcher.sync(JOBS),
            Effect::Synced(PATIENT) => self.cache.on_barrier(),
            Effect::Synced(token) => self.link.synced(token),
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
            Input::Synced(PATIENT),
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

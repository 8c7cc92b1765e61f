//! `plan` and `clean` without a daemon: one crawl, then the same engine, policy and reaper.
//!
//! **Invariant:** holds the state directory's lock, so it never runs beside a daemon that holds the same state.
//! **Invariant:** nothing lapses by itself here: only what was asked for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::owner::INBOX_MAX;
use super::parts;
use super::recalled;
use super::sources::Sources;
use super::state_dir::StateDir;
use crate::clock;
use crate::config::Settings;
use crate::core::engine::{Engine, Setup};
use crate::core::input::{Effect, Input};
use crate::core::jobs::Jobs;
use crate::core::report::{CleanReport, CleanRequest, Mode, SourcePhase};
use crate::reap::{Batch, Place, Reaper};
use crate::registry::Registry;
use crate::store::{self, Rules};
use crate::watch::{Report, Sink, crawl_once};

/// A tree that was read once, to be asked about and cleaned.
pub struct Once {
    /// Holds everything that the crawl found.
    pub engine: Engine,
    inputs: mpsc::Receiver<Input>,
    reaper: Arc<Reaper>,
    sources: Arc<Sources>,
    _state: StateDir,
}

/// Reads the roots of `settings` once.
///
/// # Errors
/// When a daemon holds the state directory, or a part cannot be started.
///
/// # Panics
/// When the crawl does, which is a fault of ours.
pub fn once(settings: Settings) -> anyhow::Result<Once> {
    let state = StateDir::claim(&settings.state_dir)
        .context("a daemon that runs has to be asked through its socket: is --socket right?")?;
    super::serve::create_roots(&settings)?;
    let registry = Arc::new(Registry::open(&settings.state_dir)?);
    let ledger = parts::ledger(&settings)?;
    let (inbox, inputs) = mpsc::channel(INBOX_MAX);
    let answers = inbox.clone();
    let (jobs, pins) = (Arc::<Jobs>::default(), parts::pins(registry.pins()?));
    let sources = Sources::new(
        Arc::clone(&jobs),
        Arc::clone(&registry),
        &ledger,
        inbox.clone(),
    )?;
    // There are no watches to drop, and nobody to look again.
    let hooks = sources.hooks(
        Arc::clone(&pins),
        move |reaped| {
            let _ = answers.blocking_send(Input::Reaped(reaped));
        },
        |_, _| {},
        |_, _| {},
    );
    let recorded = ledger.last_at();
    // A daemon that ran before knew more than a first look can tell: when files arrived, and what waits for a person.
    let rules = Rules::of(&settings.policy, settings.mode);
    let (memory, clock) = store::peek(&settings.state_dir, &settings.policy, &rules);
    let reaper = Arc::new(Reaper::start(
        &parts::reap_options(&settings),
        ledger,
        hooks,
    )?);
    let options = parts::watch_options(&settings);
    let mode = match settings.mode {
        Mode::DryRun => Mode::DryRun,
        Mode::Live | Mode::OnRequest => Mode::OnRequest,
    };
    let now = clock::now();
    let setup = Setup {
        policy: Arc::new(settings.policy),
        breaker: settings.breaker,
        mode,
        guard: parts::guard(clock, now, recorded),
        memory: Some(memory),
        jobs,
        pins,
        sources: recalled::memories(&registry, &settings.sources)?,
        recording: recalled::unwritten(&registry, &settings.sources)?,
    };
    let mut once = Once {
        engine: Engine::new(setup, now),
        inputs,
        reaper,
        sources: Arc::clone(&sources),
        _state: state,
    };
    let sink: Sink = {
        let inbox = inbox.clone();
        Arc::new(move |report| {
            let _ = match report {
                Report::Observed(seen) => inbox.blocking_send(Input::Observed(seen)),
                Report::Synced(token) => inbox.blocking_send(Input::Synced(token)),
            };
        })
    };
    std::thread::scope(|scope| {
        let asked = &settings.sources;
        let crawl = scope.spawn(move || {
            sources.set(asked);
            let done = crawl_once(&options, &sink);
            let _ = inbox.blocking_send(Input::Synced(CRAWLED));
            done
        });
        once.run_until(|effect| *effect == Effect::Synced(CRAWLED));
        crawl.join().expect("invariant: the crawl does not panic")
    })?;
    once.wait_for_sources();
    Ok(once)
}

/// How long a source may take to be read: what depends on one that takes longer is held.
const SOURCES_WAIT: Duration = Duration::from_mins(1);

/// The token that says that the crawl is through.
const CRAWLED: u64 = 0;

impl Once {
    /// Removes what is due and asked for.
    pub fn clean(&mut self, request: CleanRequest) -> CleanReport {
        let (sender, done) = std::sync::mpsc::channel();
        self.step(Input::Clean(
            request,
            Box::new(move |report| drop(sender.send(report))),
        ));
        loop {
            if let Ok(report) = done.try_recv() {
                return report;
            }
            match self.inputs.blocking_recv() {
                Some(input) => drop(self.step(input)),
                None => return CleanReport::default(),
            }
        }
    }

    /// Waits until each source was read, or cannot be.
    fn wait_for_sources(&mut self) {
        let until = clock::now().boot + SOURCES_WAIT;
        let (bell, rung) = std::sync::mpsc::channel::<()>();
        let is_loading = |once: &Self| {
            let sources = once.engine.status(clock::now()).sources;
            let mut phases = sources.iter().map(|source| &source.phase);
            phases.any(|phase| *phase == SourcePhase::Loading)
        };
        while is_loading(self) && clock::now().boot < until {
            match self.inputs.try_recv() {
                Ok(input) => drop(self.step(input)),
                // Nobody rings: it is only a rest, so that the sources have the processor.
                Err(_) => drop(rung.recv_timeout(Duration::from_millis(5))),
            }
        }
        drop(bell);
    }

    fn run_until(&mut self, end: impl Fn(&Effect) -> bool) {
        while let Some(input) = self.inputs.blocking_recv() {
            if self.step(input).iter().any(&end) {
                return;
            }
        }
    }

    /// Steps the engine and carries out what concerns the reaper; there are no watchers to ask.
    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = self.engine.step(clock::now(), input);
        while self.engine.is_passing() {
            effects.extend(self.engine.step(clock::now(), Input::Tick));
        }
        for effect in &effects {
            match effect {
                Effect::Claim(claims) => {
                    self.reaper.submit(Batch {
                        policy: self.engine.policy(),
                        claims: claims.clone(),
                    });
                }
                // A dry run leaves the quarantine as it is, too.
                Effect::Placed(..) if self.engine.mode() == Mode::DryRun => {}
                Effect::Placed(root, key) => {
                    let policy = self.engine.policy();
                    let path = policy.roots.get(root).map(|root| root.path.clone());
                    self.reaper
                        .set_place(*root, path.zip(*key).map(|(path, key)| Place { path, key }));
                }
                // Nothing is saved here: the next daemon compares.
                Effect::Recorded(id) => self.sources.confirm(*id),
                // Nothing lapses by itself here.
                Effect::Barrier
                | Effect::Source(..)
                | Effect::Remember(..)
                | Effect::Changed { .. }
                | Effect::Ruled
                | Effect::Relist(..)
                | Effect::Synced(_)
                | Effect::Tell(_) => {}
            }
        }
        effects
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.inputs.close();
        self.reaper.stop();
        self.sources.stop();
    }
}

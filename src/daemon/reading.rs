//! One reading of all roots and sources, by an engine of its own.
//!
//! **Invariant:** what it finds is in the engine when [`Reading::read`] comes back; nothing is
//! watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::sources::Sources;
use crate::clock;
use crate::config::SourceSettings;
use crate::core::effect::{Effect, JOBS};
use crate::core::engine::Engine;
use crate::core::engine::Input;
use crate::core::jobs::SourceId;
use crate::core::report::{CleanReport, CleanRequest};
use crate::fs::space;
use crate::watch::{self, Report, Sink, WatchError, crawl_once};

/// Maximum time to read a source; what depends on a slower one is held.
const SOURCES_WAIT: Duration = Duration::from_mins(1);

/// The tokens that say that the sources are asked, and that the crawl is through.
const ASKED: u64 = 0;
const CRAWLED: u64 = 1;

/// Handler of the engine's effects.
pub(super) type EffectHandler<'a> = &'a mut dyn FnMut(&Engine, &Effect);

/// An engine, and what it is told.
pub(super) struct Reading {
    pub(super) engine: Engine,
    inputs: mpsc::Receiver<Input>,
}

impl Reading {
    /// Nothing is read yet.
    pub(super) fn new(engine: Engine, inputs: mpsc::Receiver<Input>) -> Self {
        Self { engine, inputs }
    }

    /// Reads the sources, then the roots as `crawl` says, which tells its findings through the
    /// queue that it comes with. In this order: all files are there that a job had when it was
    /// read, and are judged by whose they are. A job that changes later is held.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn read(
        &mut self,
        (crawl, inbox): (&watch::Options, mpsc::Sender<Input>),
        (sources, asked): (&Sources, &BTreeMap<SourceId, SourceSettings>),
        handle: EffectHandler<'_>,
    ) -> Result<(), WatchError> {
        let sink: Sink = {
            let inbox = inbox.clone();
            Arc::new(move |report| {
                let _ = match report {
                    Report::Observed(seen) => inbox.blocking_send(Input::Observed(seen)),
                    Report::Synced(token) => inbox.blocking_send(Input::Synced(token)),
                };
            })
        };
        self.step_until(handle, (&inbox, ASKED), || sources.set(asked));
        self.wait_for_sources(handle);
        self.step(
            Input::Ask(Box::new(|engine, _| engine.begin_barrier())),
            handle,
        );
        let done = self.step_until(handle, (&inbox, CRAWLED), || crawl_once(crawl, &sink));
        self.step(Input::Synced(JOBS), handle);
        done
    }

    /// Steps the engine while `tell` runs beside it, until all of that has been taken in.
    fn step_until<T: Send>(
        &mut self,
        handle: EffectHandler<'_>,
        (inbox, end): (&mpsc::Sender<Input>, u64),
        tell: impl FnOnce() -> T + Send,
    ) -> T {
        std::thread::scope(|scope| {
            let told = scope.spawn(move || {
                let told = tell();
                let _ = inbox.blocking_send(Input::Synced(end));
                told
            });
            while let Some(input) = self.next() {
                let effects = self.step(input, handle);
                if effects.contains(&Effect::Synced(end)) {
                    break;
                }
            }
            told.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Waits until each source was read, or cannot be.
    fn wait_for_sources(&mut self, handle: EffectHandler<'_>) {
        self.wait_while(SOURCES_WAIT, handle, Engine::is_reading_sources);
    }

    /// Takes inputs in while `waits`, for `limit` at most.
    pub(super) fn wait_while(
        &mut self,
        limit: Duration,
        handle: EffectHandler<'_>,
        waits: impl Fn(&Engine) -> bool,
    ) {
        let until = clock::now().boot + limit;
        let (rest, woken) = std::sync::mpsc::channel::<()>();
        while waits(&self.engine) && clock::now().boot < until {
            match self.inputs.try_recv() {
                Ok(input) => drop(self.step(input, handle)),
                // Nobody rings: it is only a rest, so that the sources have the processor.
                Err(_) => drop(woken.recv_timeout(Duration::from_millis(5))),
            }
        }
        drop(rest);
    }

    /// The next input, which is waited for; `None`: there will be none.
    pub(super) fn next(&mut self) -> Option<Input> {
        self.inputs.blocking_recv()
    }

    /// Steps the engine until it has nothing left to go through, and has its effects handled.
    pub(super) fn step(&mut self, input: Input, handle: EffectHandler<'_>) -> Vec<Effect> {
        let mut effects = self.engine.step(clock::now(), input);
        while self.engine.is_passing() {
            effects.extend(self.engine.step(clock::now(), Input::Tick));
        }
        for effect in &effects {
            handle(&self.engine, effect);
        }
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::AskSpace(root) => Some(*root),
            _ => None,
        });
        for root in asked.collect::<Vec<_>>() {
            let policy = self.engine.policy();
            let path = policy.roots.get(&root).map(|root| &root.path);
            let space = path.and_then(|path| space::space(path).ok());
            effects.extend(self.step(Input::Space(root, space), handle));
        }
        effects
    }

    /// Has the engine carry out `request`, and waits for its report. A source that has changed
    /// since it was read is read first: until then nothing counts as nobody's.
    pub(super) fn clean(
        &mut self,
        request: CleanRequest,
        handle: EffectHandler<'_>,
    ) -> CleanReport {
        self.wait_for_sources(handle);
        let (sender, done) = std::sync::mpsc::channel();
        let done_with = Box::new(move |report| drop(sender.send(report)));
        self.step(
            Input::Clean(self.engine.policy(), request, done_with),
            handle,
        );
        loop {
            if let Ok(report) = done.try_recv() {
                return report;
            }
            match self.next() {
                Some(input) => drop(self.step(input, handle)),
                None => return CleanReport::default(),
            }
        }
    }

    /// Takes no more inputs: whoever tells does not wait any more.
    pub(super) fn close(&mut self) {
        self.inputs.close();
        // What waits for an answer to one of these does not wait any more either.
        while self.inputs.try_recv().is_ok() {}
    }
}

//! The log of a run while it works.
//!
//! What goes is planned by a dry run first; the lines of each thing are told when it is gone.
//!
//! **Invariant:** each line is told once: what was told while the run worked is left out at its
//! end, and what was missed is told there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::Value;
use parking_lot::Mutex;

use super::context::Facts;
use super::declaration::{Adapter, Command};
use super::instant;
use super::log::{Log, Logged};
use super::log_line::{LogLevel, LogMoment};
use super::progress::{LogProgress, RemovedThing};
use super::report::Block;
use super::templates::TemplateError;
use crate::clock;

/// Receiver of what a run removes, at once.
pub type OnRemoved = Box<dyn FnMut(RemovedThing) + Send>;

/// Receiver of what a run is going to remove.
pub type OnPlanned = Box<dyn FnOnce(Facts) -> OnRemoved + Send>;

/// Log of one run, each line of which is printed as soon as it is known.
#[derive(Clone)]
pub struct LiveLog(Arc<Inner>);

struct Inner {
    adapter: Arc<Adapter>,
    command: Arc<Command>,
    level: LogLevel,
    print: Box<dyn Fn(&Logged) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    told: LogProgress,
    /// Names that templates know of the plan.
    context: Value,
    blocks: BTreeMap<RemovedThing, Block>,
    failure: Option<TemplateError>,
}

impl fmt::Debug for LiveLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveLog").finish_non_exhaustive()
    }
}

impl LiveLog {
    /// Log of `command` from `level` on, printed by `print`.
    pub fn new(
        adapter: Arc<Adapter>,
        command: Arc<Command>,
        level: LogLevel,
        print: impl Fn(&Logged) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            adapter,
            command,
            level,
            print: Box::new(print),
            state: Mutex::default(),
        }))
    }

    /// Tells the lines of the beginning. Returns the receiver of the plan, if lines depend on it.
    #[must_use]
    pub fn begin(&self, facts: &Facts) -> Option<OnPlanned> {
        self.0.tell(self.log().begin(facts));
        let is_live = |moment| match moment {
            LogMoment::Query
            | LogMoment::Planned
            | LogMoment::Verdict
            | LogMoment::Job
            | LogMoment::Examined
            | LogMoment::Item => true,
            LogMoment::Start | LogMoment::Problem | LogMoment::Warning | LogMoment::End => false,
        };
        let mut lines = self.0.command.log.iter();
        let has_live = lines.any(|line| is_live(line.on) && line.level >= self.0.level);
        let log = self.clone();
        has_live.then(|| -> OnPlanned { Box::new(move |facts| log.plan(&facts)) })
    }

    /// Tells what is planned.
    fn plan(self, facts: &Facts) -> OnRemoved {
        self.0.tell(self.log().plan(facts, &at()));
        let blocks = facts.view().map(|view| view.blocks()).unwrap_or_default();
        let mut state = self.0.state.lock();
        state.told.is_planned = true;
        state.context = facts.context();
        state.blocks = blocks
            .into_iter()
            .map(|block| (block.thing.clone(), block))
            .collect();
        drop(state);
        Box::new(move |thing| self.on_removed(&thing))
    }

    /// Tells that `thing`, if it is of the plan, is gone.
    fn on_removed(&self, thing: &RemovedThing) {
        let mut state = self.0.state.lock();
        let Some((thing, block)) = state.blocks.remove_entry(thing) else {
            return;
        };
        let lines = self.log().block(&state.context, &block, &at());
        state.told.things.insert(thing);
        drop(state);
        self.0.tell(lines);
    }

    /// Ends it: the rest of the lines is to be told by the report. Returns what was told.
    ///
    /// # Errors
    /// If a template failed.
    pub fn end(&self) -> Result<LogProgress, TemplateError> {
        let mut state = self.0.state.lock();
        state.blocks.clear();
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut state.told)),
        }
    }

    fn log(&self) -> Log<'_> {
        self.0.adapter.log(&self.0.command, self.0.level)
    }
}

impl Inner {
    fn tell(&self, lines: Result<Vec<Logged>, TemplateError>) {
        match lines {
            Ok(lines) => lines.iter().for_each(|line| (self.print)(line)),
            Err(failure) => {
                self.state.lock().failure.get_or_insert(failure);
            }
        }
    }
}

/// This instant, for templates.
fn at() -> Value {
    instant::seconds(&clock::now().wall.to_string()).unwrap_or_default()
}

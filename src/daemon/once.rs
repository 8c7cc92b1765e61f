//! `clean` without a daemon: one crawl, then the same engine, policy and reaper. A dry run is a
//! survey.
//!
//! **Invariant:** holds the state directory's lock, so it never runs beside a daemon that holds the
//! same state.
//! **Invariant:** nothing lapses by itself here: only what was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::interrupts::Interrupts;
use super::owner::INBOX_MAX;
use super::parts;
use super::reading::Reading;
use super::record_writer::start_sources;
use super::records::Patience;
use super::saved_state;
use super::sources::Sources;
use super::state_dir::StateDir;
use crate::adapter::OnRemoved;
use crate::app::AppError;
use crate::app::adapter::removed_thing;
use crate::app::retention;
use crate::app::runs::Recording;
use crate::app::space::space_of;
use crate::cache::{self, Peek, Rules};
use crate::clock;
use crate::config::Settings;
use crate::core::effect::Effect;
use crate::core::engine::{Engine, Input, Setup};
use crate::core::jobs::Jobs;
use crate::core::report::{CleanReport, CleanRequest, Mode};
use crate::core::trash::Trash;
use crate::ledger::Ledger;
use crate::reap::{Batch, Previewer, Reaper, RootLocation};
use crate::registry::Registry;
use crate::types;

/// Maximum time to write one record at the end: longer than a database lets a statement wait. What
/// is not written waits for the next run.
const RECORD_MAX: Duration = Duration::from_secs(5);

/// Maximum time to wait until the trash of each root was read: ~1,000,000 manifests.
const TRASH_WAIT: Duration = Duration::from_secs(30);

/// A tree that was read once, to be asked about and cleaned.
pub struct Once {
    reading: Reading,
    reaper: Arc<Reaper>,
    previewer: Previewer,
    sources: Arc<Sources>,
    interrupts: Interrupts,
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    _state: StateDir,
}

/// Reads the roots of `settings` once.
///
/// # Errors
/// If a daemon holds the state directory, or a part cannot be started.
///
/// # Panics
/// If the crawl panics, which is a bug.
pub fn once(settings: Settings) -> anyhow::Result<Once> {
    let state = StateDir::claim(&settings.state_dir)
        .context("a daemon that runs has to be asked through its socket: is --socket right?")?;
    parts::create_roots(&settings)?;
    let registry = Arc::new(Registry::open(&settings.state_dir)?);
    let ledger = parts::ledger(&settings)?;
    let (inbox, inputs) = mpsc::channel(INBOX_MAX);
    let interrupts = Interrupts::listen(inbox.clone()).context("cannot wait for signals")?;
    let jobs = Arc::<Jobs>::default();
    let (pins, pauses) = parts::kept(&registry)?;
    let (sources, cut_off) = start_sources(
        Arc::clone(&jobs),
        Arc::clone(&registry),
        &ledger,
        inbox.clone(),
        Mode::OnRequest,
    )?;
    // There are no watches to drop, and nobody to look again.
    let trash = Arc::<Trash>::default();
    let kept = (Arc::clone(&pins), Arc::clone(&pauses), Arc::clone(&trash));
    let hooks = sources.hooks(kept, inbox.clone(), |_, _| {}, |_, _| {});
    let recorded = ledger.last_at();
    // A daemon that ran before knew more than a first look can tell: when files arrived, and what
    // waits for a person.
    let rules = Rules::of(&settings.policy, settings.mode);
    let (memory, clock) = cache::peek(&settings.state_dir, &settings.policy, &rules, Peek::InPlace);
    let answers = inbox.clone();
    let previewer = Previewer::start(hooks.clone(), &settings.state_dir, move |reaped| {
        let _ = answers.blocking_send(Input::Previewed(reaped));
    })?;
    let reaper = parts::reaper(&settings, &ledger, hooks)?;
    reaper.finish(cut_off);
    // There is no daemon that counts what earlier runs have removed.
    super::totals::settle_runs(&registry, &ledger, registry.last_run()?);
    super::totals::count_and_drop(&registry, &ledger, &reaper, || false);
    let options = parts::watch_options(&settings);
    let now = clock::now();
    let setup = Setup {
        policy: Arc::new(settings.policy),
        breaker: settings.breaker,
        mode: Mode::OnRequest,
        guard: parts::guard(clock, now, recorded),
        memory: Some(memory),
        jobs,
        pins,
        pauses,
        trash,
        sources: saved_state::memories(&registry, &settings.sources)?,
        recording: saved_state::unwritten(&registry, &settings.sources)?,
    };
    let mut once = Once {
        reading: Reading::new(Engine::new(setup, now), inputs),
        reaper,
        previewer,
        sources,
        interrupts,
        registry,
        ledger,
        _state: state,
    };
    let Once {
        reading,
        reaper,
        sources,
        ..
    } = &mut once;
    reading.read(
        (&options, inbox),
        (sources, &settings.sources),
        &mut |engine, effect| handle_effect(reaper, sources, engine, effect),
    )?;
    Ok(once)
}

impl Once {
    /// Holds everything that the crawl found.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.reading.engine
    }

    /// Returns the space, under other lifetimes.
    ///
    /// # Errors
    /// If they name a rule or a duration that there is not.
    pub fn space(&self, retention: &BTreeMap<String, String>) -> Result<types::Space, AppError> {
        let engine = self.engine();
        let policy = engine.policy();
        let retention = retention::resolve(&policy, retention)?;
        let known = (&**engine.index(), &**engine.jobs());
        Ok(space_of(known, &policy, &retention, clock::now().wall))
    }

    /// Returns the number of jobs of the source `name`.
    #[must_use]
    pub fn jobs_of(&self, name: &str) -> u64 {
        let policy = self.engine().policy();
        let source = policy
            .sources
            .iter()
            .find(|(_, source)| source.name == name);
        source.map_or(0, |(&id, _)| self.engine().jobs().count(id))
    }

    /// Writes the records of what was removed, as far as the sources take them. Returns the sources
    /// after that.
    #[must_use]
    pub fn write_records(&self) -> Vec<types::Source> {
        self.sources.finish_records(Patience::ForEach(RECORD_MAX));
        let mut sources = self.sources.tell_all();
        for source in sources
            .iter_mut()
            .filter(|source| source.waiting_records > 0)
        {
            let late = || "the source did not take it in time; the next run tries again".to_owned();
            source.last_error.get_or_insert_with(late);
        }
        sources
    }

    /// Returns true if the user interrupted it while it removed something.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupts.is_interrupted()
    }

    /// Begins a run.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn begin_run(&self, details: types::RunDetails) -> anyhow::Result<Recording> {
        let id = self.registry.last_run()? + 1;
        let recording = Recording::new(id, details, &self.ledger);
        recording.save_start(&self.registry);
        Ok(recording)
    }

    /// Ends a run: `report` gets its number.
    pub fn end_run(&self, mut recording: Recording, report: &mut types::Report) {
        recording.end(&self.registry, &self.ledger, report);
    }

    /// Removes what is due and asked for. `on_removed` learns of each thing at once.
    pub fn clean(
        &mut self,
        request: CleanRequest,
        mut on_removed: Option<OnRemoved>,
    ) -> CleanReport {
        self.interrupts.removing();
        let (reaper, sources) = (&self.reaper, &self.sources);
        // Records wait for it, and what is past its window is deleted.
        self.reading.wait_while(
            TRASH_WAIT,
            &mut |engine, effect| handle_effect(reaper, sources, engine, effect),
            |_| !reaper.knows_trash(),
        );
        self.reading.clean(request, &mut |engine, effect| {
            handle_effect(reaper, sources, engine, effect);
            if let (Some(on_removed), Effect::Tell(event)) = (&mut on_removed, effect)
                && let Some(thing) = removed_thing(event, &engine.policy())
            {
                on_removed(thing);
            }
        })
    }

    /// Lists what `request`, a dry run, would remove.
    pub fn plan(&mut self, request: CleanRequest) -> CleanReport {
        let previewer = &self.previewer;
        self.reading.clean(request, &mut |engine, effect| {
            if let Effect::Preview(claims) = effect {
                previewer.submit(parts::preview(engine, claims.clone()));
            }
        })
    }
}

/// Carries out what concerns the reaper.
fn handle_effect(reaper: &Reaper, sources: &Sources, engine: &Engine, effect: &Effect) {
    match effect {
        Effect::Claim(claims) => {
            reaper.submit(Batch {
                policy: engine.policy(),
                claims: claims.clone(),
            });
        }
        Effect::Placed(root, key) => {
            let policy = engine.policy();
            let path = policy.roots.get(root).map(|root| root.path.clone());
            reaper.set_place(
                *root,
                path.zip(*key).map(|(path, key)| RootLocation { path, key }),
            );
        }
        Effect::Purge(order) => reaper.purge(engine.policy(), order.clone()),
        // Nothing is saved here: the next daemon compares.
        Effect::Recorded(id) => sources.on_recorded(*id),
        Effect::PauseEnded(pause) => sources.forget_pause(pause.clone()),
        // Nothing lapses by itself here.
        Effect::Barrier
        // The reading asks.
        | Effect::AskSpace(_)
        | Effect::Preview(_)
        | Effect::Source(..)
        | Effect::Remember(..)
        | Effect::Changed { .. }
        | Effect::Ruled
        | Effect::Relist(..)
        | Effect::Synced(_)
        | Effect::Shadow(_)
        | Effect::Tell(_) => {}
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.reading.close();
        self.reaper.stop();
        // Its thread asks the registry, which is closed after it: so a question afterwards finds
        // nothing to put in order.
        self.previewer.end();
        self.sources.stop(Patience::ForEach(RECORD_MAX));
    }
}

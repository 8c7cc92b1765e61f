//! From settings to a running daemon, and down again.
//!
//! **Invariant:** whoever is told "ready" can ask.
//! **Invariant:** signals have a runtime of their own, on which nothing else waits or blocks.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch as flag};

use super::answers::Answers;
use super::cache_parts::{cache_hooks, start_cache, tell_cache};
use super::config_file::ConfigFile;
use super::ending::{END_MAX, Ending, share};
use super::inherited::Inherited;
use super::listeners::Listeners;
use super::notifications::Announcer;
use super::owner::{INBOX_MAX, Outlets, Owner};
use super::parts;
use super::record_writer::start_sources;
use super::records::Patience;
use super::reload::{Fixed, Reload};
use super::restored;
use super::sampling::Sampling;
use super::saved_state;
use super::schedule::Schedule;
use super::settings::describe;
use super::signals::Signals;
use super::sources::Sources;
use super::space::SpaceProbe;
use super::startup_log::log_startup;
use super::state_dir::StateDir;
use super::totals::Counter;
use super::trash_door::LiveTrash;
use super::volumes::VolumeProbe;
use super::watchdog;
use crate::app::daemon::{TellPorts, TellWatches};
use crate::app::{Daemon, EngineLink, Parts};
use crate::cache::{Cache, CacheStats, Loaded};
use crate::clock;
use crate::config::{Environment, LogFormat, LogLevel, Overrides, RootIds, Settings};
use crate::core::engine::Input;
use crate::core::engine::{Engine, Setup};
use crate::core::jobs::Jobs;
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::report::Mode;
use crate::core::trash::Trash;
use crate::fs::descriptors;
use crate::reap::{Hooks, Reaper};
use crate::registry::Registry;
use crate::types;
use crate::watch::Watcher;

/// Threads of the runtime: it only waits for sockets and signals.
const RUNTIME_THREADS: usize = 2;

/// Runs the daemon until it is asked to end. `log` applies the configured level at each reload.
///
/// # Errors
/// If configuration, state directory or socket cannot be used, or a part cannot be started.
pub fn serve(
    settings: Settings,
    overrides: Overrides,
    env: Environment,
    ids: RootIds,
    log: fn(LogLevel, LogFormat),
) -> anyhow::Result<()> {
    let inherited = Inherited::take()?;
    // Raised before anything is shared out.
    let descriptors = descriptors::limit();
    tracing::debug!(descriptors, "open files at once");
    let state = StateDir::claim(&settings.state_dir)?;
    let api = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("api")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let main = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime of the signals")?;
    let config = Config {
        overrides,
        env,
        ids,
        log,
    };
    let result = main.block_on(async {
        // Before the socket exists: a process that sees it may signal this daemon to end.
        let signals = Signals::listen()?;
        run(settings, inherited, config, signals, api.handle()).await
    });
    // Threads that block end with the process, and the lock with it: nothing writes without it.
    api.shutdown_background();
    main.shutdown_background();
    std::mem::forget(state);
    result
}

/// Origin of the configuration for reloads, and the parts that must know of them.
struct Config {
    overrides: Overrides,
    env: Environment,
    ids: RootIds,
    log: fn(LogLevel, LogFormat),
}

async fn run(
    settings: Settings,
    inherited: Inherited,
    config: Config,
    mut signals: Signals,
    api: &Handle,
) -> anyhow::Result<()> {
    let (file, text) = (settings.file.clone(), settings.text.clone());
    let fixed = Fixed::of(&settings);
    // Both may hang in a file system. What a start that is cut off has begun is as after a crash.
    let mut binding =
        api.spawn_blocking(move || Ok((Listeners::bind(&settings, inherited)?, settings)));
    let Some((listeners, settings)) = signals.unless_ended(&mut binding).await? else {
        // The socket that it may have made is removed with it.
        let _ = tokio::time::timeout(END_MAX, binding).await;
        return Ok(());
    };
    let ports = listeners.tell_ports();
    let mut starting = api.spawn_blocking(move || Running::start(settings, ports));
    let Some(running) = signals.unless_ended(&mut starting).await? else {
        return Ok(());
    };
    let (stop, stopped) = flag::channel(false);
    let daemon = Arc::clone(&running.daemon);
    let answering = listeners.serve(api, daemon, &stopped);
    let reload = Reload {
        overrides: config.overrides,
        env: config.env,
        ids: config.ids,
        log: config.log,
        daemon: Arc::clone(&running.daemon),
        watcher: Arc::clone(&running.watcher),
        sources: Arc::clone(&running.sources),
        schedule: running.schedule.signal(),
        fixed,
    };
    let (edited, edits) = mpsc::channel(1);
    let reloading = api.spawn(reload.follow(signals.hangup, edits));
    let config_file = file.and_then(|file| watch_config(&file, text, edited));
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
    watchdog::start(running.daemon.link());
    let mut end = signals.end;
    end.wait().await;
    let mut ending = Ending::begin();
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
    tracing::info!("ending");
    let _ = stop.send(true);
    reloading.abort();
    running.stop(config_file, &mut ending);
    let answered = tokio::time::timeout(ending.left(END_MAX), answering).await;
    if answered.is_err() {
        ending.leave_behind("a listener");
    }
    ending.finish();
    Ok(())
}

/// The running parts, apart from the API.
struct Running {
    owner: Owner,
    schedule: Schedule,
    sampler: Sampling,
    reaper: Arc<Reaper>,
    watcher: Arc<Watcher>,
    cache: Arc<Cache>,
    sources: Arc<Sources>,
    counter: Counter,
    announcer: Announcer,
    daemon: Arc<Daemon>,
}

impl Running {
    fn start(settings: Settings, ports: Box<TellPorts>) -> anyhow::Result<Self> {
        parts::create_roots(&settings)?;
        log_startup(&settings);
        let registry = Arc::new(Registry::open(&settings.state_dir)?);
        let ledger = parts::ledger(&settings)?;
        let (cache, memory, clock) = parts::open_cache(&settings)?.into_parts();
        tell_loaded(cache.stats());
        let (inbox, inputs) = mpsc::channel(INBOX_MAX);
        let watcher = restored::watcher(&settings, &memory, &inbox)?;
        let (jobs, (pins, pauses)) = (Arc::<Jobs>::default(), parts::kept(&registry)?);
        let (sources, cut_off) = start_sources(
            Arc::clone(&jobs),
            Arc::clone(&registry),
            &ledger,
            inbox.clone(),
            settings.mode,
        )?;
        let trash = Arc::<Trash>::default();
        let kept = (Arc::clone(&pins), Arc::clone(&pauses), Arc::clone(&trash));
        let (hooks, answers) = hooks(&inbox, &watcher, &sources, kept)?;
        let previewer = parts::previewer(&settings, &hooks, &inbox)?;
        let reaper = parts::reaper(&settings, &ledger, hooks)?;
        reaper.finish(cut_off);
        let now = clock::now();
        let (shadow, recorder) = parts::shadow(&settings, &memory.index, now.wall)?;
        let (described, policy) = (describe(&settings), Arc::new(settings.policy));
        let setup = Setup {
            policy: Arc::clone(&policy),
            breaker: settings.breaker,
            mode: settings.mode,
            guard: parts::guard(clock, now, ledger.last_at()),
            memory: Some(memory),
            jobs: Arc::clone(&jobs),
            pins: Arc::clone(&pins),
            pauses: Arc::clone(&pauses),
            trash,
            sources: saved_state::memories(&registry, &settings.sources)?,
            recording: saved_state::unwritten(&registry, &settings.sources)?,
        };
        let (events, notifications, announcer) =
            Announcer::start(settings.receivers, &registry, &ledger, now.wall)?;
        let counter = Counter::start(&registry, &ledger, &reaper)?;
        let engine = Engine::new(setup, now);
        let cache = start_cache(cache, &engine, cache_hooks(&inbox, &watcher))?;
        let link = link_of(&inbox, &watcher);
        let daemon = Arc::new(Daemon::new(Parts {
            access: parts::access(settings.group.as_deref(), &registry, &settings.access)?,
            index: Arc::clone(engine.index()),
            jobs,
            pins,
            pauses,
            policy,
            link: link.clone(),
            ledger,
            registry,
            notifications,
            ask_source: sources.asked(),
            sources: sources.report(),
            catch_up: sources.caught_up(),
            is_api: sources.known_as_api(),
            trash: Box::new(LiveTrash(Arc::clone(&reaper))),
            shadow,
            is_shadow: recorder.is_some(),
            events: Arc::clone(&events),
            watches: tell_watches(&watcher),
            cache: tell_cache(&cache),
            space: SpaceProbe::ask(),
            ports,
            started: now.wall,
            settings: described,
            adapter: settings.adapter,
        }));
        let outlets = Outlets {
            answers,
            reaper: (settings.mode != Mode::DryRun).then(|| Arc::clone(&reaper)),
            shadow: recorder,
            previewer,
            watcher: Arc::clone(&watcher),
            cache: Arc::clone(&cache),
            sources: Arc::clone(&sources),
            mode: settings.mode,
            volumes: VolumeProbe::new(inbox.clone()),
            link,
            events,
        };
        let owner =
            Owner::start(engine, inbox, inputs, outlets).context("cannot start the engine")?;
        let schedule = Schedule::start(&daemon, now.wall).context("cannot start the schedules")?;
        sources.set(&settings.sources);
        Ok(Self {
            owner,
            schedule,
            sampler: Sampling::start(&daemon).context("cannot start to take samples")?,
            reaper,
            watcher,
            cache,
            sources,
            counter,
            announcer,
            daemon,
        })
    }

    /// Ends all parts: first those that send, last the engine and the cache.
    fn stop(self, config_file: Option<ConfigFile>, ending: &mut Ending) {
        let Self {
            owner,
            schedule,
            sampler,
            reaper,
            watcher,
            cache,
            sources,
            counter,
            announcer,
            ..
        } = self;
        ending.end("the watch of the configuration", share::CONFIG, move || {
            drop(config_file);
        });
        let asked = Arc::clone(&sources);
        ending.end("the reaper", share::REAPER, move || {
            reaper.close();
            if !reaper.ends_within(share::ANSWERS) {
                // It may be waiting for the answer of a source that hangs.
                asked.interrupt();
            }
            reaper.stop();
        });
        ending.end("a source of jobs", share::SOURCES, move || {
            sources.stop(Patience::InAll(share::RECORDS));
        });
        ending.end("the watcher", share::WATCHER, move || watcher.stop());
        ending.end("the engine", share::ENGINE, move || owner.stop());
        // It may have waited for the engine.
        announcer.stop();
        ending.end("the totals", share::ENGINE, move || counter.stop());
        ending.end("the samples", share::ENGINE, move || sampler.stop());
        ending.end("the schedules", share::ENGINE, move || schedule.stop());
        ending.end("the cache", share::CACHE, move || cache.stop());
    }
}

fn tell_loaded(stats: &CacheStats) {
    let Loaded {
        entries,
        dirs,
        took_ms,
        lost,
    } = &stats.loaded;
    if *dirs > 0 {
        tracing::info!(files = entries, dirs, took_ms, "read what was saved");
    }
    if lost.pages > 0 || lost.dirs > 0 {
        tracing::warn!(
            pages = lost.pages,
            dirs = lost.dirs,
            "a part of what was saved cannot be used; it is read anew"
        );
    }
}

/// The way to the engine, whose barriers go through the watcher.
fn link_of(inbox: &mpsc::Sender<Input>, watcher: &Arc<Watcher>) -> EngineLink {
    let barriers = Arc::clone(watcher);
    EngineLink::new(inbox.clone(), move |token| barriers.sync(token))
}

fn tell_watches(watcher: &Arc<Watcher>) -> Box<TellWatches> {
    let watcher = Arc::clone(watcher);
    Box::new(move || {
        let stats = watcher.stats();
        types::Watches {
            backend: stats.backend.to_owned(),
            count: stats.watches,
            missing: stats.missing,
            limit: stats.limit,
            overflows: stats.overflows,
            events: stats.events,
            waiting_bytes: stats.pending_bytes,
            waiting_listings: stats.pending_listings,
            waiting_looks: stats.pending_looks,
            alive: stats.alive,
        }
    })
}

fn hooks(
    inbox: &mpsc::Sender<Input>,
    watcher: &Arc<Watcher>,
    sources: &Arc<Sources>,
    kept: (Arc<Pins>, Arc<Pauses>, Arc<Trash>),
) -> anyhow::Result<(Hooks, Arc<Answers>)> {
    let (leaving, returning) = (Arc::clone(watcher), Arc::clone(watcher));
    let answers = Arc::new(Answers::new(inbox.clone()).context("cannot set a timer")?);
    let passed_on = Arc::clone(&answers);
    let hooks = Hooks {
        reaped: Arc::new(move |reaped| passed_on.put(reaped)),
        ..sources.hooks(
            kept,
            inbox.clone(),
            move |root, dir| leaving.drop_subtree(root, dir.clone()),
            move |root, dir| returning.relist(root, dir.clone()),
        )
    };
    Ok((hooks, answers))
}

fn watch_config(file: &Path, text: Option<String>, edited: mpsc::Sender<()>) -> Option<ConfigFile> {
    let watched = ConfigFile::watch(file, text, move || {
        // One that waits already is enough.
        let _ = edited.try_send(());
    });
    watched
        .inspect_err(|error| {
            tracing::warn!(
                "cannot watch \"{}\" for edits: {error}; reload with SIGHUP",
                file.display()
            );
        })
        .ok()
}

//! From settings to a running daemon, and down again.
//!
//! **Invariant:** whoever is told "ready" can ask; whoever asks it to end waits no longer than a second.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch as flag};

use super::config_file::ConfigFile;
use super::greeting::greet;
use super::owner::{INBOX_MAX, Outlets, Owner};
use super::parts;
use super::recalled;
use super::reload::{Fixed, Reload};
use super::restored;
use super::schedule::Schedule;
use super::sources::Sources;
use super::state_dir::StateDir;
use crate::api::auth::Actors;
use crate::api::daemon::{TellStore, TellWatches};
use crate::api::json_path::JsonPath;
use crate::api::{Daemon, EngineLink, Events, Listener, Parts, wire};
use crate::clock;
use crate::config::{Environment, LogLevel, Overrides, RootIds, Settings};
use crate::core::engine::{Engine, Setup};
use crate::core::input::Input;
use crate::core::jobs::Jobs;
use crate::core::pins::Pins;
use crate::core::report::Mode;
use crate::reap::{Hooks, Reaper};
use crate::registry::Registry;
use crate::store::{self, Loaded, Opened, Store, StoreStats};
use crate::watch::{PATIENT, Report, Sink, Watcher};

/// Threads of the runtime: it only waits for sockets and signals.
const RUNTIME_THREADS: usize = 2;

/// Open questions have this long to be answered when the daemon ends.
const GRACE: Duration = Duration::from_millis(400);

/// Runs the daemon until it is asked to end. `log` has it log as much as the configuration says, whenever that is read again.
///
/// # Errors
/// When the configuration, the state directory or the socket cannot be used, or a part cannot be started.
pub fn serve(
    settings: Settings,
    overrides: Overrides,
    env: Environment,
    ids: RootIds,
    log: fn(Option<LogLevel>),
) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let state = StateDir::claim(&settings.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("api")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (signals, listener) = {
        let _inside = runtime.enter();
        // Before there is a socket: who sees it may ask this daemon to end, and that has to be heard.
        (Signals::listen()?, Listener::bind(&settings)?)
    };
    create_roots(&settings)?;
    greet(&settings);
    let config = Config {
        overrides,
        env,
        ids,
        log,
    };
    let result = runtime.block_on(run(settings, config, signals, listener));
    runtime.shutdown_timeout(GRACE);
    drop(state);
    result
}

/// Where the configuration comes from when it is read again, and who else has to know of it.
struct Config {
    overrides: Overrides,
    env: Environment,
    ids: RootIds,
    log: fn(Option<LogLevel>),
}

async fn run(
    settings: Settings,
    config: Config,
    mut signals: Signals,
    listener: Listener,
) -> anyhow::Result<()> {
    let (file, text) = (settings.file.clone(), settings.text.clone());
    let fixed = Fixed::of(&settings);
    let starting = tokio::task::spawn_blocking(move || Running::start(settings));
    let running = tokio::select! {
        running = starting => running.context("the start did not end well")??,
        // What it has begun is as after a crash.
        _ = signals.terminate.recv() => return Ok(()),
        _ = signals.interrupt.recv() => return Ok(()),
    };
    let (stop, stopped) = flag::channel(false);
    let api = tokio::spawn(listener.serve(Arc::clone(&running.daemon), stopped));
    let mut reload = Reload {
        overrides: config.overrides,
        env: config.env,
        ids: config.ids,
        log: config.log,
        daemon: Arc::clone(&running.daemon),
        watcher: Arc::clone(&running.watcher),
        sources: Arc::clone(&running.sources),
        schedule: running.schedule.bell(),
        fixed,
    };
    let (edited, mut edits) = mpsc::channel(1);
    let config_file = file.and_then(|file| watch_config(&file, text, edited.clone()));
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => reload.reload("SIGHUP").await,
            Some(()) = edits.recv() => reload.reload("the file has changed").await,
        }
    }
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    tracing::info!("ending");
    let _ = stop.send(true);
    let ended = tokio::task::spawn_blocking(move || {
        drop(config_file);
        running.stop();
    });
    let _ = tokio::time::timeout(GRACE, api).await;
    ended.await.context("a part did not end well")
}

/// What an administrator can say to the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// The running parts, apart from the API.
struct Running {
    owner: Owner,
    schedule: Schedule,
    reaper: Arc<Reaper>,
    watcher: Arc<Watcher>,
    store: Arc<Store>,
    sources: Arc<Sources>,
    daemon: Arc<Daemon>,
}

impl Running {
    fn start(settings: Settings) -> anyhow::Result<Self> {
        let registry = Arc::new(Registry::open(&settings.state_dir)?);
        let ledger = parts::ledger(&settings)?;
        let Opened {
            store,
            memory,
            clock,
        } = parts::open_store(&settings)?;
        tell_loaded(store.stats());
        let (inbox, inputs) = mpsc::channel(INBOX_MAX);
        let watcher = {
            let mut options = parts::watch_options(&settings);
            options.restored = restored::roots(&memory);
            Arc::new(Watcher::start(options, sink_into(&inbox))?)
        };
        let (jobs, pins) = (Arc::<Jobs>::default(), parts::pins(registry.pins()?));
        let sources = Sources::new(
            Arc::clone(&jobs),
            Arc::clone(&registry),
            &ledger,
            inbox.clone(),
            settings.mode,
        )?;
        let reaper = {
            let options = parts::reap_options(&settings);
            let hooks = hooks(&inbox, &watcher, &sources, &pins);
            Arc::new(Reaper::start(&options, Arc::clone(&ledger), hooks)?)
        };
        let now = clock::now();
        let policy = Arc::new(settings.policy);
        let setup = Setup {
            policy: Arc::clone(&policy),
            breaker: settings.breaker,
            mode: settings.mode,
            guard: parts::guard(clock, now, ledger.last_at()),
            memory: Some(memory),
            jobs: Arc::clone(&jobs),
            pins: Arc::clone(&pins),
            sources: recalled::memories(&registry, &settings.sources)?,
            recording: recalled::unwritten(&registry, &settings.sources)?,
        };
        let engine = Engine::new(setup, now);
        let store = store
            .start(Arc::clone(engine.index()), store_hooks(&inbox, &watcher))
            .context("cannot start to save")?;
        let store = Arc::new(store);
        let barriers = Arc::clone(&watcher);
        let link = EngineLink::new(inbox.clone(), move |token| barriers.sync(token));
        let events = Arc::new(Events::new(now.wall));
        let daemon = Arc::new(Daemon::new(Parts {
            index: Arc::clone(engine.index()),
            jobs,
            pins,
            policy,
            link: link.clone(),
            ledger,
            registry,
            ask_source: sources.asked(),
            sources: sources.told(),
            catch_up: sources.caught_up(),
            is_api: sources.known_as_api(),
            events: Arc::clone(&events),
            watches: tell_watches(&watcher),
            store: tell_store(&store),
            actors: Actors::of_process(settings.group.as_deref())?,
            started: now.wall,
        }));
        let outlets = Outlets {
            reaper: Arc::clone(&reaper),
            watcher: Arc::clone(&watcher),
            store: Arc::clone(&store),
            sources: Arc::clone(&sources),
            mode: settings.mode,
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
            reaper,
            watcher,
            store,
            sources,
            daemon,
        })
    }

    /// Ends all parts: first those that send, last the one that takes in.
    fn stop(self) {
        self.reaper.stop();
        self.sources.stop();
        self.watcher.stop();
        self.owner.stop();
        // It may have waited for the engine.
        self.schedule.stop();
        self.store.stop();
    }
}

fn tell_loaded(stats: &StoreStats) {
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

fn store_hooks(inbox: &mpsc::Sender<Input>, watcher: &Arc<Watcher>) -> store::Hooks {
    let (inbox, watcher) = (inbox.clone(), Arc::clone(watcher));
    store::Hooks {
        ask: Box::new(move || watcher.sync(PATIENT)),
        unsaved: Arc::new(move |why| drop(inbox.blocking_send(Input::Unsaved(why)))),
    }
}

fn tell_store(store: &Arc<Store>) -> Box<TellStore> {
    let store = Arc::clone(store);
    Box::new(move || {
        let StoreStats {
            failing,
            pending,
            unstamped,
            size_bytes,
            saved_at,
            saves,
            compactions,
            loaded,
            set_aside,
        } = store.stats();
        wire::Store {
            state: if failing.is_some() { "failing" } else { "ok" }.to_owned(),
            why: failing,
            pending,
            unstamped,
            size_bytes,
            saved_at: saved_at.map(|at| at.to_string()),
            saves,
            compactions,
            loaded: wire::Loaded {
                entries: loaded.entries,
                dirs: loaded.dirs,
                took_ms: loaded.took_ms,
                lost_pages: loaded.lost.pages,
                lost_dirs: loaded.lost.dirs,
            },
            set_aside: set_aside.map(|(path, why)| wire::SetAside {
                path: JsonPath::new(&path),
                why,
            }),
        }
    })
}

fn tell_watches(watcher: &Arc<Watcher>) -> Box<TellWatches> {
    let watcher = Arc::clone(watcher);
    Box::new(move || {
        let stats = watcher.stats();
        wire::Watches {
            backend: stats.backend.to_owned(),
            count: stats.watches,
            missing: stats.missing,
            limit: stats.limit,
            overflows: stats.overflows,
        }
    })
}

fn sink_into(inbox: &mpsc::Sender<Input>) -> Sink {
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

fn hooks(
    inbox: &mpsc::Sender<Input>,
    watcher: &Arc<Watcher>,
    sources: &Arc<Sources>,
    pins: &Arc<Pins>,
) -> Hooks {
    let inbox = inbox.clone();
    let (leaving, returning) = (Arc::clone(watcher), Arc::clone(watcher));
    sources.hooks(
        Arc::clone(pins),
        move |reaped| {
            let _ = inbox.blocking_send(Input::Reaped(reaped));
        },
        move |root, dir| leaving.drop_subtree(root, dir.clone()),
        move |root, dir| returning.relist(root, dir.clone()),
    )
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

/// Makes the directories that the command line names and that are not there, where their parent is.
/// A dry run makes none.
pub(super) fn create_roots(settings: &Settings) -> anyhow::Result<()> {
    if settings.mode == Mode::DryRun {
        return Ok(());
    }
    for path in &settings.create {
        match std::fs::create_dir(path) {
            Ok(()) => tracing::info!("created \"{}\"", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let hint = "make its parent directory first, or watch another path";
                return Err(anyhow::anyhow!(error)
                    .context(format!("cannot create \"{}\"\n{hint}", path.display())));
            }
        }
    }
    Ok(())
}

/// Listing and leasing take descriptors: what the administrator allows at most is ours to use.
fn raise_descriptor_limit() {
    /// More than the crawl's and the reaper's bounds together.
    const WANTED: u64 = 4096;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        if let Err(errno) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("cannot raise the limit of open files to {wanted}: {errno}");
        }
    }
}

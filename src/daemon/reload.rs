//! Other rules while running.
//!
//! **Invariant:** a configuration with a mistake changes nothing; what runs goes on.
//! **Invariant:** what only a restart can change is told whenever the file differs from what runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use super::parts;
use super::removal_notifications;
use super::schedule::ScheduleSignal;
use super::settings::describe;
use super::sources::Sources;
use super::startup_log::log_variables;
use crate::app::Daemon;
use crate::clock;
use crate::config::{
    CacheSettings, Environment, HttpSettings, LedgerSettings, LogFormat, LogLevel, Overrides,
    RootIds, Settings, SourceSettings, Watch, load,
};
use crate::core::engine::Input;
use crate::core::jobs::SourceId;
use crate::core::report::Mode;
use crate::notifications::Receiver;
use crate::watch::Watcher;

/// Inputs of a reload: the same command line and environment, and the file as it is now.
pub(super) struct Reload {
    pub(super) overrides: Overrides,
    pub(super) env: Environment,
    pub(super) ids: RootIds,
    /// Has the daemon log as much as it says.
    pub(super) log: fn(LogLevel, LogFormat),
    pub(super) daemon: Arc<Daemon>,
    pub(super) watcher: Arc<Watcher>,
    pub(super) sources: Arc<Sources>,
    pub(super) schedule: Arc<ScheduleSignal>,
    pub(super) fixed: Fixed,
}

/// Settings that take effect only at a start.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fixed {
    state_dir: PathBuf,
    socket: PathBuf,
    socket_mode: u32,
    http: HttpSettings,
    group: Option<String>,
    mode: Mode,
    shadow: bool,
    watch: Watch,
    ledger: LedgerSettings,
    workers: u64,
    cache: CacheSettings,
}

impl Fixed {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            state_dir: settings.state_dir.clone(),
            socket: settings.socket.clone(),
            socket_mode: settings.socket_mode,
            http: settings.http.clone(),
            group: settings.group.clone(),
            mode: settings.mode,
            shadow: settings.shadow,
            watch: settings.watch,
            ledger: settings.ledger,
            workers: settings.workers,
            cache: settings.cache,
        }
    }

    /// The settings in which `wanted` differs.
    fn differences(&self, wanted: &Self) -> Vec<&'static str> {
        [
            ("state_dir", self.state_dir != wanted.state_dir),
            ("socket", self.socket != wanted.socket),
            ("socket_mode", self.socket_mode != wanted.socket_mode),
            ("[http]", self.http != wanted.http),
            ("group", self.group != wanted.group),
            ("dry_run", self.mode != wanted.mode),
            ("shadow", self.shadow != wanted.shadow),
            ("[watch]", self.watch != wanted.watch),
            ("[ledger]", self.ledger != wanted.ledger),
            ("[reap]", self.workers != wanted.workers),
            ("[store]", self.cache != wanted.cache),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

impl Reload {
    /// Reloads at each hangup signal and each edit of the file, for as long as the daemon runs.
    pub(super) async fn follow(mut self, mut hangup: Signal, mut edits: mpsc::Receiver<()>) {
        let mut requests = self.daemon.take_reloads();
        loop {
            let (why, request) = tokio::select! {
                Some(()) = hangup.recv() => ("SIGHUP", None),
                Some(()) = edits.recv() => ("the file has changed", None),
                Some(request) = requests.recv() => ("a client asks for it", Some(request)),
                else => return,
            };
            notify_reloading();
            let reloaded = self.reload(why).await;
            let _ = sd_notify::notify(false, &[NotifyState::Ready]);
            if let Some(request) = request {
                // Whoever asked may have gone.
                let _ = request.send(reloaded);
            }
        }
    }

    /// Reads the configuration again and puts it in force. Returns the settings that take a
    /// restart, or the mistakes that keep what runs.
    async fn reload(&mut self, why: &str) -> Result<Vec<String>, String> {
        let settings = match self.load().await {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("cannot reload ({why}); what runs goes on\n{error:#}");
                let mistakes = format!("{error:#}");
                self.daemon
                    .on_reload(clock::now().wall, Err(mistakes.clone()));
                return Err(mistakes);
            }
        };
        (self.log)(settings.log_level, settings.log_format);
        tracing::info!("reloading: {why}");
        let fixed = self.fixed.differences(&Fixed::of(&settings));
        let fixed = fixed.into_iter().map(str::to_owned);
        let later: Vec<_> = fixed.chain(settings.postponed.iter().cloned()).collect();
        log_variables(&settings);
        if !later.is_empty() {
            tracing::warn!(
                "{} changed: that takes a restart, until then what runs goes on",
                later.join(", ")
            );
        }
        let described = describe(&settings);
        let roots = parts::watch_roots(&settings.policy);
        let policy = Arc::new(settings.policy);
        let before = self.daemon.policy();
        self.daemon.set_policy(Arc::clone(&policy));
        self.daemon
            .access()
            .set_http(parts::http_access(&settings.access));
        self.daemon
            .on_reload(clock::now().wall, Ok((described, settings.adapter)));
        // The engine forgets what the old rules said before the watchers bring what the new ones
        // need: a crawl that began before that does not count, so it has to have taken the new
        // rules in, not only to have them in its queue.
        let link = self.daemon.link();
        let change = Input::Reload(Arc::clone(&policy), settings.breaker);
        if link.send(change).await.is_err() || link.ask(|_, _| ()).await.is_err() {
            return Err("the daemon is stopping".to_owned());
        }
        self.set_receivers(settings.receivers).await;
        self.schedule.ring();
        self.tell_sources(settings.sources).await;
        self.watcher.set_roots(roots);
        for root in policy
            .roots
            .keys()
            .filter(|root| before.roots.contains_key(root))
        {
            self.watcher.recrawl(*root);
        }
        Ok(later)
    }

    /// Loads the settings, and creates the roots that they ask to create. Either may hang in a file
    /// system or a user database.
    async fn load(&mut self) -> anyhow::Result<Settings> {
        let (overrides, env) = (self.overrides.clone(), self.env.clone());
        let mut ids = self.ids.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let settings = load(&overrides, &env, &mut ids)?;
            if let Err(error) = parts::create_roots(&settings) {
                tracing::warn!("{error:#}");
            }
            Ok((settings, ids))
        });
        let loaded: anyhow::Result<_> = loading
            .await
            .context("the reload panicked; this is a bug")?;
        let (settings, ids) = loaded?;
        self.ids = ids;
        Ok(settings)
    }

    /// Notifies other receivers.
    async fn set_receivers(&self, receivers: Vec<Receiver>) {
        let daemon = Arc::clone(&self.daemon);
        let set = move || {
            let parts = &daemon.parts;
            removal_notifications::set(
                &parts.notifications,
                &parts.registry,
                &parts.ledger,
                receivers,
            );
        };
        if let Err(error) = tokio::task::spawn_blocking(set).await {
            tracing::error!("the receivers of notifications could not be changed: {error}");
        }
    }

    /// Has other sources asked.
    async fn tell_sources(&self, settings: BTreeMap<SourceId, SourceSettings>) {
        let _turn = self.daemon.turn().await;
        let sources = Arc::clone(&self.sources);
        if let Err(error) = tokio::task::spawn_blocking(move || sources.set(&settings)).await {
            tracing::error!("the sources could not be told: {error}");
        }
    }
}

/// Tells the supervisor that a reload begins; it ends with `READY=1`.
fn notify_reloading() {
    // The time is what `Type=notify-reload` wants beside it.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(false, &[NotifyState::Reloading, now]);
    }
}

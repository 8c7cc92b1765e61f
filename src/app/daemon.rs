//! The running daemon as use cases see it.
//!
//! **Invariant:** the policy here is the one that the engine has, or is just about to have: what is
//! read with it copes with ids that it does not know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Semaphore, mpsc};

use super::calendar::Calendar;
use super::events::Events;
use super::link::{EngineLink, REQUESTS_MAX, ReloadRequest};
use super::runs::ActiveRuns;
use super::sampler::Sampler;
use super::totals::RunningTotals;
use super::trash_door::TrashDoor;
use crate::adapter::Adapter;
use crate::app::access::{
    Access, Authorizer, Client, HasRole, OperatorGroup, RequestFacts, Requester,
};
use crate::app::error::AppError;
use crate::clock;
use crate::core::facts::{RootId, RuleId};
use crate::core::index::Index;
use crate::core::jobs::{JobKey, JobLookup, Jobs, SourceId};
use crate::core::path::RelPath;
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;
use crate::ledger::Ledger;
use crate::notifications::Notifications;
use crate::registry::{Registry, ShadowRecord};
use crate::types;
use crate::types::JsonPath;

/// Plans that are made at once: each may go through the whole index, and others have to be answered
/// meanwhile.
pub(crate) const PLANS_MAX: usize = 2;

/// Tells how changes are noticed.
pub type TellWatches = dyn Fn() -> types::Watches + Send + Sync;

/// Tells how what is known is saved.
pub type TellCache = dyn Fn() -> types::Cache + Send + Sync;

/// Tells on which TCP ports the daemon answers. May wait for a disk.
pub type TellPorts = dyn Fn() -> Vec<types::HttpListener> + Send + Sync;

/// Asks the source of a job what it says of it at this moment. May wait for a disk or a network.
pub type AskSource = dyn Fn(&JobKey) -> JobLookup + Send + Sync;

/// Waits until the sources of jobs that can be asked have told what is so when it is called, for a
/// time at most.
pub type CatchUp = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Asks the file systems of these paths for their space; those that do not answer in time are left
/// out.
pub type AskSpace = dyn Fn(Vec<PathBuf>) -> Pin<Box<dyn Future<Output = BTreeMap<PathBuf, types::Volume>> + Send>>
    + Send
    + Sync;

/// Tells how the sources of jobs are. May wait for a disk.
pub type TellSources = dyn Fn() -> Vec<types::Source> + Send + Sync;

/// Tells whether the jobs of a source are told through the API.
pub type IsApi = dyn Fn(SourceId) -> bool + Send + Sync;

/// Parts of a [`Daemon`].
pub struct Parts {
    /// Files.
    pub index: Arc<Index>,
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Pins.
    pub pins: Arc<Pins>,
    /// Pauses.
    pub pauses: Arc<Pauses>,
    /// The rules at the start.
    pub policy: Arc<Policy>,
    /// The way to the engine.
    pub link: EngineLink,
    /// Ledger of removals.
    pub ledger: Arc<Ledger>,
    /// Registry of API jobs, pins and records.
    pub registry: Arc<Registry>,
    /// Receivers of notifications.
    pub notifications: Arc<Notifications>,
    /// Asks the source of a job.
    pub ask_source: Arc<AskSource>,
    /// Tells how the sources of jobs are.
    pub sources: Box<TellSources>,
    /// Has the sources of jobs catch up.
    pub catch_up: Box<CatchUp>,
    /// Tells which sources are told of through the API.
    pub is_api: Box<IsApi>,
    /// The trash.
    pub trash: Box<dyn TrashDoor>,
    /// Record of shadow mode, if there is one.
    pub shadow: Option<Arc<ShadowRecord>>,
    /// True if this daemon is in shadow mode.
    pub is_shadow: bool,
    /// Events.
    pub events: Arc<Events>,
    /// Tells how changes are noticed.
    pub watches: Box<TellWatches>,
    /// Tells how what is known is saved.
    pub cache: Box<TellCache>,
    /// Asks for the space of the roots' file systems.
    pub space: Box<AskSpace>,
    /// Tells on which TCP ports the daemon answers.
    pub ports: Box<TellPorts>,
    /// Access of clients.
    pub access: Access,
    /// Instant of the start.
    pub started: Timestamp,
    /// The settings at the start.
    pub settings: types::Settings,
    /// The surface of an older system at the start.
    pub adapter: Arc<Adapter>,
}

/// The running daemon, as the routes see it.
pub struct Daemon {
    pub(crate) parts: Parts,
    /// Bounds the plans that are made at once.
    pub(crate) plans: Arc<Semaphore>,
    policy: RwLock<Arc<Policy>>,
    settings: RwLock<types::Settings>,
    adapter: RwLock<Arc<Adapter>>,
    configuration: RwLock<types::Configuration>,
    /// Totals of removals.
    pub(crate) totals: RunningTotals,
    /// Samples for charts.
    pub(crate) samples: Sampler,
    turn: tokio::sync::Mutex<()>,
    pub(crate) runs: ActiveRuns,
    pub(crate) reloads: OnceLock<mpsc::Sender<ReloadRequest>>,
}

/// The group of that name does not exist.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no group \"{0}\"\n  create it, or name another one with group = \"…\"")]
pub struct NoSuchGroup(pub String);

impl Authorizer {
    /// The user of this process, root, and the members of `group`.
    ///
    /// # Errors
    /// If there is no such group.
    pub fn of_process(group: Option<&str>) -> Result<Self, NoSuchGroup> {
        let group = group.map(acting_group).transpose()?;
        Ok(Self {
            daemon_uid: rustix::process::geteuid().as_raw(),
            group,
        })
    }
}

fn acting_group(name: &str) -> Result<OperatorGroup, NoSuchGroup> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(OperatorGroup {
            name: name.to_owned(),
            gid: group.gid.as_raw(),
        }),
        Ok(None) | Err(_) => Err(NoSuchGroup(name.to_owned())),
    }
}

impl Daemon {
    /// Returns true if a source has a job with the id `id`.
    pub(crate) fn has_job(&self, id: &str) -> bool {
        let has = |&source: &SourceId| {
            let id = id.to_owned();
            self.parts.jobs.job(&JobKey { source, id }).is_some()
        };
        self.policy().sources.keys().any(has)
    }

    /// A daemon of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let policy = RwLock::new(Arc::clone(&parts.policy));
        let settings = RwLock::new(parts.settings.clone());
        let adapter = RwLock::new(Arc::clone(&parts.adapter));
        let configuration = RwLock::new(types::Configuration {
            file: parts.settings.file.clone(),
            since: parts.started.to_string(),
            failed: None,
        });
        let turn = tokio::sync::Mutex::default();
        let link = parts.link.clone();
        parts.notifications.set_engine(Arc::new(move || {
            let link = link.clone();
            Box::pin(async move { link.ask(|_, _| ()).await.is_ok() })
        }));
        Self {
            parts,
            plans: Arc::new(Semaphore::new(PLANS_MAX)),
            policy,
            settings,
            adapter,
            configuration,
            totals: RunningTotals::default(),
            samples: Sampler::default(),
            turn,
            runs: ActiveRuns::default(),
            reloads: OnceLock::new(),
        }
    }

    /// Access of clients.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.parts.access
    }

    /// Tells who sends `request`.
    ///
    /// # Errors
    /// If nothing shows it, or what it shows is not valid.
    pub fn authenticate(&self, request: &RequestFacts<'_>) -> Result<Client, AppError> {
        self.parts.access.authenticate(request)
    }

    /// Checks that `client` has the role `R`.
    ///
    /// # Errors
    /// If it has not.
    pub async fn authorize<R: HasRole>(&self, client: Client) -> Result<Requester<R>, AppError> {
        self.parts.access.authorize(client).await
    }

    /// The way to the engine.
    #[must_use]
    pub fn link(&self) -> &EngineLink {
        &self.parts.link
    }

    /// Waits for one's turn to change jobs or pins, and has it until the answer is dropped: the
    /// engine hears of changes in the order in which they are on disk.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read())
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> types::Settings {
        let mut settings = self.settings.read().clone();
        let policy = self.policy();
        let calendar = Calendar::new(self.parts.started);
        let now = clock::now().wall;
        for schedule in &mut settings.schedules {
            let known = policy.schedule_named(&schedule.name);
            let times = known.and_then(|known| known.times.as_ref());
            let next = times.and_then(|times| calendar.first_from(times, now.plus_ms(1)));
            schedule.next = next.map(|at| at.to_string());
        }
        settings
    }

    /// The surface of an older system, as the configuration in force declares it.
    pub fn adapter(&self) -> Arc<Adapter> {
        Arc::clone(&self.adapter.read())
    }

    /// Origin of the settings.
    pub(crate) fn configuration(&self) -> types::Configuration {
        self.configuration.read().clone()
    }

    /// Returns the requests to reload, from now on. Only the first call has them.
    pub fn take_reloads(&self) -> mpsc::Receiver<ReloadRequest> {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let _ = self.reloads.set(sender);
        requests
    }

    /// Notes that these settings are in force since `at`, or why they could not be read. Whether
    /// anything is removed is decided at a start.
    pub fn on_reload(
        &self,
        at: Timestamp,
        loaded: Result<(types::Settings, Arc<Adapter>), String>,
    ) {
        let mut known = self.configuration.write();
        let at = at.to_string();
        match loaded {
            Ok((settings, adapter)) => {
                *self.adapter.write() = adapter;
                let mut before = self.settings.write();
                let dry_run = before.dry_run;
                *before = types::Settings {
                    dry_run,
                    ..settings
                };
                known.since = at;
                known.failed = None;
            }
            Err(error) => known.failed = Some(types::FailedReload { at, error }),
        }
    }

    /// Other rules from now on.
    pub fn set_policy(&self, policy: Arc<Policy>) {
        *self.policy.write() = policy;
    }
}

/// The name of `root`; `?` when the policy does not know it (any more).
pub(crate) fn root_name(policy: &Policy, root: RootId) -> &str {
    policy.roots.get(&root).map_or("?", |root| &root.name)
}

/// The name of `source`; `?` when the policy does not know it (any more).
pub(crate) fn source_name(policy: &Policy, source: SourceId) -> &str {
    policy
        .sources
        .get(&source)
        .map_or("?", |source| &source.name)
}

/// The name of `rule`; `?` when the policy does not know it (any more).
pub(crate) fn rule_name(policy: &Policy, rule: RuleId) -> &str {
    let rule = policy.rules.get(usize::from(rule.0));
    rule.map_or("?", |rule| &rule.name)
}

/// The absolute path of `path` in `root`, for JSON.
pub(crate) fn json_path(policy: &Policy, root: RootId, path: &RelPath) -> JsonPath {
    let root = policy.roots.get(&root);
    root.map_or_else(JsonPath::default, |root| {
        JsonPath::new(&path.below(&root.path))
    })
}

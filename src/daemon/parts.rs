//! Set-up of the parts from the settings, for the daemon and for a run without one.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::shadow::ShadowRecorder;
use crate::app::access::jwt::Issuer;
use crate::app::access::tokens::Tokens;
use crate::app::access::{Access, Authorizer, HttpAccess};
use crate::cache::{self, CacheError, Opened, Rules};
use crate::config::{AccessSettings, Backend, JwtSettings, Settings};
use crate::core::claim::Claim;
use crate::core::clock_guard::{ClockGuard, Run};
use crate::core::engine::{Engine, Input};
use crate::core::facts::FileKey;
use crate::core::index::Index;
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::policy::Policy;
use crate::core::report::Mode;
use crate::core::time::{Now, Timestamp};
use crate::ledger::{self, Ledger};
use crate::reap::{self, Hooks, Preview, Previewer, ReapError, Reaper, RootLocation};
use crate::registry::{Registry, RegistryError, ShadowRecord};
use crate::watch::{self, BackendKind, WatchRoot};

/// Creates missing directories of the command line whose parent exists; a dry run creates none.
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

/// Access of the users of this host, of the holders of tokens, and of what `settings` let in.
pub(super) fn access(
    group: Option<&str>,
    registry: &Registry,
    settings: &AccessSettings,
) -> anyhow::Result<Access> {
    let users = Authorizer::of_process(group)?;
    let access = Access::new(users, Tokens::new(registry.tokens()?));
    access.set_http(http_access(settings));
    Ok(access)
}

/// The settings of access over TCP, as the use cases have them.
pub(super) fn http_access(settings: &AccessSettings) -> HttpAccess {
    let issuer = |jwt: &JwtSettings| Issuer {
        key: jwt.key.clone(),
        algorithms: jwt.algorithms.clone(),
        issuer: jwt.issuer.clone(),
        audience: jwt.audience.clone(),
        role_claim: jwt.role_claim.clone(),
        roles: jwt.roles.clone(),
        require: jwt.require.clone(),
        leeway: jwt.leeway,
    };
    HttpAccess {
        anonymous: settings.anonymous,
        open_metrics: settings.open_metrics,
        only_endpoints: settings.only_endpoints,
        issuers: settings.jwt.iter().map(issuer).collect(),
    }
}

pub(super) fn ledger(settings: &Settings) -> Result<Arc<Ledger>, ledger::LedgerError> {
    let options = ledger::Options {
        segment_bytes: settings.ledger.segment_bytes,
        segment_age: settings.ledger.segment_age,
        keep_age: settings.ledger.keep.age,
        keep_bytes: settings.ledger.keep.bytes,
    };
    Ledger::open(&settings.state_dir.join("ledger"), options).map(Arc::new)
}

/// The clock's history, as far as an earlier process has saved it.
pub(super) fn guard(
    saved: Option<(ClockGuard, Run)>,
    now: Now,
    recorded: Option<Timestamp>,
) -> ClockGuard {
    match saved {
        Some((guard, run)) => guard.resume(run, now, recorded),
        None => ClockGuard::new(now, recorded),
    }
}

pub(super) fn open_cache(settings: &Settings) -> Result<Opened, CacheError> {
    let options = cache::Options {
        state_dir: settings.state_dir.clone(),
        size_max: settings.cache.size_max,
    };
    let rules = Rules::of(&settings.policy, settings.mode);
    cache::open(&options, &settings.policy, &rules)
}

/// Pins and pauses that were kept, ended ones included: the engine knows the time.
pub(super) fn kept(registry: &Registry) -> Result<(Arc<Pins>, Arc<Pauses>), RegistryError> {
    let pins = Pins::default();
    for pin in registry.pins()? {
        pins.set(pin);
    }
    let pauses = Pauses::of(registry.pauses()?);
    Ok((Arc::new(pins), Arc::new(pauses)))
}

/// Record of an earlier daemon in shadow mode, if there is one that can be read.
pub(super) fn shadow_to_read(settings: &Settings) -> Option<Arc<ShadowRecord>> {
    let record = ShadowRecord::open_to_read(&settings.state_dir);
    let record = record.inspect_err(|error| tracing::warn!("{error}"));
    record.ok().flatten().map(Arc::new)
}

/// Record of shadow mode, and the thread that writes it if this daemon is in shadow mode.
pub(super) fn shadow(
    settings: &Settings,
    index: &Arc<Index>,
    now: Timestamp,
) -> anyhow::Result<(Option<Arc<ShadowRecord>>, Option<ShadowRecorder>)> {
    if !settings.shadow {
        return Ok((shadow_to_read(settings), None));
    }
    if !settings.automatic {
        tracing::warn!(
            "automatic is false: only cleans by schedule or request are recorded; set LAPSED_AUTOMATIC=true to see what `lapsed takeover` would do"
        );
    }
    let record = Arc::new(ShadowRecord::open(&settings.state_dir, now)?);
    let recorder = ShadowRecorder::start(Arc::clone(&record), Arc::clone(index))
        .context("cannot start a thread")?;
    Ok((Some(record), Some(recorder)))
}

/// Claims of a dry run, for whoever looks at them.
pub(super) fn preview(engine: &Engine, claims: Vec<Claim>) -> Preview {
    let policy = engine.policy();
    let place = |(id, key)| {
        let path = policy.roots.get(&id)?.path.clone();
        Some((id, RootLocation { path, key }))
    };
    let places = engine.places().filter_map(place).collect();
    Preview {
        policy,
        places,
        claims,
    }
}

/// Looker at the claims of dry runs, whose answers are for the engine.
pub(super) fn previewer(
    settings: &Settings,
    hooks: &Hooks,
    inbox: &mpsc::Sender<Input>,
) -> Result<Previewer, ReapError> {
    let inbox = inbox.clone();
    Previewer::start(hooks.clone(), &settings.state_dir, move |reaped| {
        let _ = inbox.blocking_send(Input::Previewed(reaped));
    })
}

pub(super) fn reaper(
    settings: &Settings,
    ledger: &Arc<Ledger>,
    hooks: Hooks,
) -> Result<Arc<Reaper>, ReapError> {
    let options = reap::Options {
        workers: usize::try_from(settings.workers).unwrap_or(usize::MAX),
        batch_units: usize::try_from(settings.ledger.batch_units).unwrap_or(usize::MAX),
        ..reap::Options::new(settings.state_dir.clone())
    };
    let reaper = Reaper::start(&options, Arc::clone(ledger), hooks)?;
    let unfinished = reaper.unfinished().len();
    if settings.mode == Mode::DryRun && unfinished > 0 {
        tracing::warn!(
            unfinished,
            "an earlier process left removals unfinished: a dry run leaves them, and the next start without it finishes them or puts things back"
        );
    }
    Ok(Arc::new(reaper))
}

pub(super) fn watch_roots(policy: &Policy) -> Vec<WatchRoot> {
    policy
        .roots
        .iter()
        .map(|(&id, root)| WatchRoot {
            id,
            path: root.path.clone(),
            nested: root.nested.iter().map(|(path, _)| path.clone()).collect(),
            only: root.only.clone().map(Arc::new),
        })
        .collect()
}

pub(super) fn watch_options(settings: &Settings) -> watch::Options {
    watch::Options {
        roots: watch_roots(&settings.policy),
        backend: match settings.watch.backend {
            // The same events as by way of the notify crate, for less work: `src/ARCHITECTURE.md`
            // has the figures.
            Backend::Auto | Backend::Inotify => BackendKind::Inotify,
            Backend::Notify => BackendKind::Notify,
            Backend::Poll => BackendKind::Poll,
        },
        reconcile_every: settings.watch.reconcile_every,
        // Our own files are nobody's temporary files, wherever the state directory lies.
        skip: key_of(&settings.state_dir).into_iter().collect(),
        ..watch::Options::default()
    }
}

fn key_of(dir: &std::path::Path) -> Option<FileKey> {
    let dir = dir.canonicalize().ok()?;
    crate::fs::RootDir::open(&dir).map(|dir| dir.key()).ok()
}

//! Health and state of the daemon.

mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::rules::{RuleFigures, backlog};
use super::breaker::{trip, tripped};
use super::daemon::{Daemon, json_path, root_name};
use super::notify;
use super::order::wait;
use crate::app::error::AppError;
use crate::clock;
use crate::core::engine::{Engine, Kept};
use crate::core::hold::Hold;
use crate::core::jobs;
use crate::core::lateness::{EDGES_MS, Lateness};
use crate::core::observed::PassCost;
use crate::core::policy::Policy;
use crate::core::report::{
    Mode, Phase, Reconciliation, RootStatus, SourcePhase, SourceStatus, Status,
};
use crate::ledger::{Ledger, LedgerStats};
use crate::types::{self, HealthQuery, HealthState, RootPhase};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Tells the health of the daemon.
///
/// # Errors
/// If `query` asks for a daemon that is ready, or holds nothing, and it is not so.
pub async fn health(daemon: &Daemon, query: HealthQuery) -> Result<types::Health, AppError> {
    let status = daemon.link().ask(|engine, now| engine.status(now)).await?;
    let health = health_of(&status);
    if query.ready && health != HealthState::Ready {
        let error = AppError::unavailable(format!("the daemon is {health}"));
        return Err(error.hint("`lapsed status` says what it waits for"));
    }
    let failed = daemon.configuration().failed.filter(|_| query.strict);
    if query.strict && matches!(health, HealthState::Holding | HealthState::Reconciling) {
        let error = AppError::unavailable(format!("the daemon is {health}"));
        return Err(error.hint("`lapsed status` says what it waits for"));
    }
    if let Some(failed) = failed {
        let why = format!("the configuration could not be reloaded at {}", failed.at);
        return Err(AppError::unavailable(why).hint(failed.error));
    }
    Ok(types::Health {
        status: health,
        version: VERSION.to_owned(),
    })
}

/// Summarizes `status`. Only a survey without a daemon has the mode on request.
fn health_of(status: &Status) -> HealthState {
    let phases = || status.roots.iter().map(|root| &root.phase);
    let is_reading = |phase: &Phase| match phase {
        Phase::Crawling | Phase::Reconciling { .. } => true,
        Phase::Missing { .. } | Phase::Unreachable { .. } | Phase::Ready => false,
    };
    let is_missing =
        |root: &RootStatus| matches!(root.phase, Phase::Missing { .. }) && !root.is_void;
    // A dry run holds everything by intent.
    let holds = status.held.iter().any(|held| held.hold != Hold::DryRun);
    let trips = status
        .roots
        .iter()
        .any(|root| root.trip.is_some() || root.orphan_trip.is_some())
        || status.sources.iter().any(|source| source.trip.is_some());
    let is_down = |source: &SourceStatus| matches!(source.phase, SourcePhase::Down { .. });
    let downs = status.sources.iter().any(is_down);
    if status.mode == Mode::OnRequest {
        HealthState::Offline
    } else if phases().any(is_reading) {
        HealthState::Reconciling
    } else if status.roots.iter().any(is_missing) || holds || trips || downs {
        HealthState::Holding
    } else {
        HealthState::Ready
    }
}

/// Tells the state of the daemon.
///
/// # Errors
/// If the daemon is stopping.
pub async fn status(daemon: Arc<Daemon>) -> Result<types::Status, AppError> {
    let asked =
        |engine: &mut Engine, now| (engine.status(now), engine.kept(), engine.limit_status());
    let (status, kept, limits) = daemon.link().ask(asked).await?;
    let policy = daemon.policy();
    let paths = policy.roots.values().map(|root| root.path.clone());
    let spaces = (daemon.parts.space)(paths.collect()).await;
    // The sources' figures are on disk.
    wait(move || {
        let limits = limits.iter().map(|of| super::limits::line(of, &policy));
        types::Status {
            limits: limits.collect(),
            ..status_of(&daemon, &policy, (&status, &kept), &spaces)
        }
    })
    .await
}

fn status_of(
    daemon: &Daemon,
    policy: &Policy,
    (status, kept): (&Status, &Kept),
    spaces: &BTreeMap<PathBuf, types::Volume>,
) -> types::Status {
    let parts = &daemon.parts;
    let now = clock::now().wall;
    let mut figures = RuleFigures::read(daemon, policy, kept, now);
    let (due, waits) = backlog(daemon, policy, &figures, status, now);
    let root_line = |root: &RootStatus| {
        let path = policy.roots.get(&root.root).map(|root| &root.path);
        types::RootLine {
            rules: figures.take(root.root),
            space: path.and_then(|path| spaces.get(path).copied()),
            ..root_line(daemon, policy, root)
        }
    };
    let roots: Vec<types::RootLine> = status.roots.iter().map(root_line).collect();
    let uptime_ms = now.ms_since(parts.started).max(0).unsigned_abs();
    let (inputs, inputs_max) = daemon.link().queued();
    types::Status {
        health: health_of(status),
        due,
        waits,
        schedules: daemon.settings().schedules,
        has_deadlines: parts.index.has_deadlines() || status.next.is_some(),
        configuration: daemon.configuration(),
        version: VERSION.to_owned(),
        pid: std::process::id(),
        mode: match status.mode {
            Mode::Live => types::Mode::Live,
            Mode::OnRequest => types::Mode::OnRequest,
            Mode::DryRun if parts.is_shadow => types::Mode::Shadow,
            Mode::DryRun => types::Mode::DryRun,
        },
        uptime_s: uptime_ms / 1000,
        started: parts.started.to_string(),
        entries: roots.iter().map(|root| root.entries).sum(),
        bytes: roots
            .iter()
            .map(|root| root.bytes)
            .fold(0, u64::saturating_add),
        roots,
        next: status.next.map(|at| types::NextDeadline {
            deadline: at.to_string(),
            path: status
                .next_example
                .as_ref()
                .map(|(root, path)| json_path(policy, *root, path)),
        }),
        lateness: lateness(status.lateness),
        holds: status
            .held
            .iter()
            .map(|held| held_line(policy, held))
            .collect(),
        removed: types::Tally {
            files: status.removed_files,
            bytes: status.removed_bytes,
        },
        watches: (parts.watches)(),
        queues: types::Queues {
            inputs: inputs as u64,
            inputs_max: inputs_max as u64,
            claims: status.in_flight,
        },
        cache: (parts.cache)(),
        ledger: ledger(&parts.ledger),
        breaker: tripped(policy, status),
        jobs: jobs(daemon, policy),
        pins: parts
            .pins
            .list()
            .iter()
            .filter(|pin| pin.until > now)
            .count() as u64,
        pauses: super::pause::list(daemon),
        limits: Vec::new(),
        sources: sources((parts.sources)(), &parts.jobs, policy, &status.sources),
        receivers: receivers(daemon),
        resident_bytes: resident_bytes(),
        cpu_ms: whole_ms(clock::process_cpu()),
        http: (parts.ports)(),
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lateness(late: Lateness) -> types::Lateness {
    let buckets = EDGES_MS.into_iter().zip(late.buckets);
    types::Lateness {
        count: late.count,
        min_ms: late.min_ms,
        p50_ms: late.p50_ms,
        p99_ms: late.p99_ms,
        max_ms: late.max_ms,
        sum_ms: late.sum_ms,
        buckets: buckets
            .map(|(until_ms, count)| types::LatenessBucket { until_ms, count })
            .collect(),
    }
}

fn ledger(ledger: &Ledger) -> types::Ledger {
    let LedgerStats {
        segments,
        bytes,
        errors,
        failing,
    } = ledger.stats();
    types::Ledger {
        segments,
        size_bytes: bytes,
        errors,
        why: failing,
    }
}

/// The sources, with what their breakers hold, and with the claims that are refused.
fn sources(
    mut told: Vec<types::Source>,
    jobs: &jobs::Jobs,
    policy: &Policy,
    known: &[SourceStatus],
) -> Vec<types::Source> {
    for status in known {
        let name = policy.sources.get(&status.source).map(|of| &of.name);
        let Some(one) = told.iter_mut().find(|one| Some(&one.name) == name) else {
            continue;
        };
        let refused = jobs.refused_claims(policy, status.source);
        one.refused_claims = refused.map(Into::into);
        // One that cannot be read says first why that is so.
        if let Some(trip) = &status.trip
            && one.why.is_none()
        {
            one.why = Some(format!(
                "{trip}: what nobody owns waits; look with `lapsed plan`, then `lapsed breaker release`"
            ));
        }
    }
    told
}

/// The receivers of notifications. A registry that cannot be read is told elsewhere.
fn receivers(daemon: &Daemon) -> Vec<types::Receiver> {
    let found = notify::receivers(&daemon.parts.notifications, &daemon.parts.registry);
    found.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Vec::new()
    })
}

/// The jobs of all sources that are listed, counted by status; each status is there.
fn jobs(daemon: &Daemon, policy: &Policy) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = jobs::Status::ALL
        .iter()
        .map(|status| (status.to_string(), 0))
        .collect();
    let listed = policy.sources.iter().filter(|(_, of)| of.is_listed);
    for (&source, _) in listed {
        let of = daemon.parts.jobs.counts(source);
        for (status, count) in jobs::Status::ALL.iter().zip(of) {
            *counts.entry(status.to_string()).or_default() += count;
        }
    }
    counts
}

/// Memory that the process has in RAM, as the kernel counts it; `None` where `/proc` does not tell.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

fn root_line(daemon: &Daemon, policy: &Policy, root: &RootStatus) -> types::RootLine {
    let totals = daemon.parts.index.totals(root.root);
    let (phase, why) = match &root.phase {
        Phase::Missing { why } => (RootPhase::Missing, Some(why)),
        Phase::Unreachable { why } => (RootPhase::Unreachable, Some(why)),
        Phase::Crawling => (RootPhase::Crawling, None),
        Phase::Reconciling { why } => (RootPhase::Reconciling, Some(why)),
        Phase::Ready => (RootPhase::Ready, None),
    };
    types::RootLine {
        name: root_name(policy, root.root).to_owned(),
        path: json_path(policy, root.root, &crate::core::path::RelPath::root()),
        phase,
        why: why.cloned(),
        entries: totals.files,
        bytes: totals.bytes,
        dirs: totals.dirs,
        rules: Vec::new(),
        space: None,
        breaker: root.trip.map(|why| trip(policy, root.root, why)),
        reconciliation: root.reconciliation.map(reconciliation),
    }
}

fn reconciliation(of: Reconciliation) -> types::Reconciliation {
    let pass = |cost: PassCost| types::Pass {
        kind: cost.kind,
        listed: cost.listed,
        skipped: cost.skipped,
        took_ms: whole_ms(cost.took),
        cpu_ms: whole_ms(cost.cpu),
    };
    types::Reconciliation {
        restored: of.restored,
        first: pass(of.first),
        last: pass(of.last),
        found: of.found,
        gone: of.gone,
        changed: of.changed,
    }
}

fn held_line(policy: &Policy, held: &crate::core::report::HeldCount) -> types::HeldLine {
    types::HeldLine {
        code: held.hold.code().to_owned(),
        count: held.count,
        why: held.hold.to_string(),
        example: held
            .example
            .as_ref()
            .map(|(root, path)| json_path(policy, *root, path).path),
    }
}

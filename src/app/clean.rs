//! Removals on request.
//!
//! **Invariant:** an order that names something unknown, or that other rules overtake, removes
//! nothing.
//! **Invariant:** what is true when it is ordered is known when it is carried out, as far as
//! [`Daemon::clean_prepared`] comes in its time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::breaker::root_named;
use super::daemon::Daemon;
use super::explain::{outside, plain_path};
use super::order::through;
use super::report::{Run, report_of};
use super::retention::{self, rule_named};
use super::runs::{Cancellation, OnConflict, RunOrder, Running, details};
use crate::app::access::{Admin, Operator, Viewer};
use crate::app::error::AppError;
use crate::clock;
use crate::core::claim::Unit;
use crate::core::policy::{Policy, classes_in};
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest, CleanTarget, Consent, PathFilter};
use crate::core::run::RunCause;
use crate::core::template::Class;
use crate::types::{CleanOrder, CleanThing, Report, RunDetails};

/// Maximum time to learn of writes before the order; after it, the present knowledge decides. With
/// the polling backend that is a reading of all roots; a longer one continues, for the next order.
const FILES_MAX: Duration = Duration::from_secs(15);

/// Things that an order names at most: a page of a dry run fits.
const THINGS_MAX: usize = 10_000;

/// Characters of a client's word for its run: a UUID fits, and any name.
const KEY_MAX: usize = 100;

/// Carries out `order` of `viewer`, who has to be an operator unless it is a dry run, and an admin
/// if it releases a breaker, and reports.
///
/// A run comes to its end also when the client does not wait for the answer.
///
/// # Errors
/// If the role is missing, it names something unknown, another run is in progress on one of its
/// roots, or other rules came into force meanwhile.
pub async fn clean(
    daemon: Arc<Daemon>,
    viewer: Viewer,
    order: CleanOrder,
) -> Result<Report, AppError> {
    let held_limit = order.held_limit;
    let mut report = decide(daemon, viewer, order).await?;
    if let Some(limit) = held_limit {
        report
            .held
            .truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(report)
}

async fn decide(
    daemon: Arc<Daemon>,
    viewer: Viewer,
    order: CleanOrder,
) -> Result<Report, AppError> {
    let policy = daemon.policy();
    if order.dry_run {
        let request = resolve(&order, &policy, viewer.principal())?;
        return dry_run(&daemon, &policy, request).await;
    }
    let client = viewer.into_client();
    let by = if order.release {
        let admin: Admin = daemon.authorize(client).await?;
        admin.principal()
    } else {
        let operator: Operator = daemon.authorize(client).await?;
        operator.principal()
    };
    let request = resolve(&order, &policy, by.clone())?;
    let order = RunOrder {
        request,
        details: details(order, by, RunCause::Order),
        policy,
        on_conflict: OnConflict::Refuse,
    };
    carry_out(daemon, order).await
}

/// Carries out `order` of the schedule `name`, and reports. It waits for runs that are in its way.
///
/// # Errors
/// If it names something unknown, or other rules came into force meanwhile.
pub(crate) async fn clean_by_schedule(
    daemon: Arc<Daemon>,
    order: CleanOrder,
    (name, cause): (&str, RunCause),
) -> Result<Report, AppError> {
    let (policy, by) = (daemon.policy(), Principal::Schedule);
    let request = resolve(&order, &policy, by.clone())?;
    if order.dry_run {
        return dry_run(&daemon, &policy, request).await;
    }
    let order = RunOrder {
        request,
        details: RunDetails {
            schedule: Some(name.to_owned()),
            ..details(order, by, cause)
        },
        policy,
        on_conflict: OnConflict::Wait,
    };
    carry_out(daemon, order).await
}

async fn carry_out(daemon: Arc<Daemon>, order: RunOrder) -> Result<Report, AppError> {
    through(async move {
        let (request, policy) = (order.request.clone(), Arc::clone(&order.policy));
        let is_of_start = order.details.cause == RunCause::Start;
        let Some(running) = Running::begin(&daemon, order).await? else {
            return dry_run(&daemon, &policy, request).await;
        };
        let request = CleanRequest {
            run: Some(running.run()),
            ..request
        };
        let cancellation = running.cancellation();
        let clean = if is_of_start {
            settled(&daemon, policy, request).await?
        } else {
            prepared(&daemon, &policy, request, Some(&cancellation)).await?
        };
        running.end(clean.as_ref()).await
    })
    .await
}

/// Cleans as soon as everything has been read for the first time; `None`: a reload came first.
async fn settled(
    daemon: &Daemon,
    policy: Arc<Policy>,
    request: CleanRequest,
) -> Result<Option<CleanReport>, AppError> {
    let (sender, report) = oneshot::channel();
    // A daemon that stops drops the receiver.
    let done = |report: CleanReport| drop(sender.send(report));
    let order = daemon
        .link()
        .ask(move |engine, _| engine.clean_when_settled(policy, request, done));
    order.await?;
    Ok(report.await.ok())
}

async fn prepared(
    daemon: &Daemon,
    policy: &Arc<Policy>,
    request: CleanRequest,
    cancellation: Option<&Cancellation>,
) -> Result<Option<CleanReport>, AppError> {
    // Once: what trips again is for a person again.
    let released = AtomicBool::new(false);
    let clean = |removed: usize| {
        let request = CleanRequest {
            consent: if released.swap(true, Ordering::Relaxed) {
                request.consent.min(Consent::Overrides)
            } else {
                request.consent
            },
            limit: request.limit.map(|limit| limit.saturating_sub(removed)),
            ..request.clone()
        };
        daemon.link().clean(Arc::clone(policy), request)
    };
    let report = daemon.clean_prepared(FILES_MAX, cancellation, clean);
    Ok(report.await?)
}

/// Reports what `request` would remove.
async fn dry_run(
    daemon: &Daemon,
    policy: &Arc<Policy>,
    request: CleanRequest,
) -> Result<Report, AppError> {
    let started = clock::now().wall;
    let report = prepared(daemon, policy, request, None).await?;
    let report = report.ok_or_else(other_rules)?;
    refuse_unknown(&report)?;
    let run = Run {
        started,
        finished: clock::now().wall,
        is_interrupted: false,
        sources: &[],
    };
    Ok(report_of(&report, policy, run))
}

/// Refusal of an order that other rules overtook.
pub(crate) fn other_rules() -> AppError {
    let why = "the configuration was reloaded meanwhile: nothing was removed";
    AppError::conflict(why).hint("ask again")
}

/// Refuses an order that named jobs which there are not.
///
/// # Errors
/// A 400 with their names.
pub fn refuse_unknown(report: &CleanReport) -> Result<(), AppError> {
    let unknown: Vec<_> = report
        .unknown_jobs
        .iter()
        .map(|id| format!("{id:?}"))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let why = format!("there is no job {}", unknown.join(", nor "));
    Err(AppError::invalid(why).hint("`lapsed job ls` lists the jobs"))
}

/// Resolves the names in `order` of `principal` under `policy`.
///
/// # Errors
/// A 400 for a root, rule or duration that there is not.
pub fn resolve(
    order: &CleanOrder,
    policy: &Policy,
    principal: Principal,
) -> Result<CleanRequest, AppError> {
    if order.release && order.dry_run {
        let why = "a dry run releases no breaker";
        return Err(AppError::invalid(why).hint("leave out dry_run or release"));
    }
    let is_long = |key: &String| key.chars().count() > KEY_MAX;
    if order.key.as_ref().is_some_and(is_long) {
        let why = format!("the order's \"key\" is longer than {KEY_MAX} characters");
        return Err(AppError::invalid(why));
    }
    Ok(CleanRequest {
        dry_run: order.dry_run,
        roots: named(order.roots.as_ref(), |name| root_named(policy, name))?,
        rules: named(order.rules.as_ref(), |name| rule_named(policy, name))?,
        jobs: named(order.jobs.as_ref(), |id| Ok(id.as_bytes().into()))?,
        paths: order
            .paths
            .as_deref()
            .map(filter)
            .transpose()?
            .map(Arc::new),
        targets: order
            .things
            .as_deref()
            .map(|things| targets(policy, things))
            .transpose()?
            .map(Arc::new),
        orphans_only: order.orphans_only,
        consent: if order.release {
            Consent::Release
        } else {
            Consent::None
        },
        limit: order
            .limit
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        retention_ms: retention::resolve(policy, &order.retention)?,
        principal,
        run: None,
    })
}

/// Resolves each of `names`, if there are any.
fn named<T>(
    names: Option<&Vec<String>>,
    find: impl Fn(&String) -> Result<T, AppError>,
) -> Result<Option<Vec<T>>, AppError> {
    let found = names.map(|names| names.iter().map(find).collect());
    found.transpose()
}

/// Resolves the things that an order names.
fn targets(policy: &Policy, things: &[CleanThing]) -> Result<BTreeSet<CleanTarget>, AppError> {
    if things.len() > THINGS_MAX {
        let why = format!("the order names more than {THINGS_MAX} things");
        return Err(AppError::invalid(why).hint("give several orders, or none of \"things\""));
    }
    let target = |thing: &CleanThing| {
        let path = thing.path.as_ref().map(String::as_bytes);
        let path = plain_path(path, thing.path_b64.as_deref(), "in \"things\",")?;
        let located = policy.locate(&path);
        let (root, path) = located.ok_or_else(|| outside(policy, &path))?;
        let (unit, job) = (thing.unit, thing.job.clone());
        Ok(CleanTarget {
            root,
            path,
            unit,
            job: job.filter(|_| unit == Unit::Job),
        })
    };
    things.iter().map(target).collect()
}

/// The filter of `patterns`; a 400 for one that matches nothing.
fn filter(patterns: &[String]) -> Result<PathFilter, AppError> {
    let refuse = |pattern: &String, why: &str| {
        AppError::invalid(format!("the pattern \"{pattern}\" in \"paths\" {why}"))
            .hint("give a pattern of paths from the root, such as \"out/**\" or \"**/*.tmp\"")
    };
    for pattern in patterns {
        let is_class = |class| matches!(class, Class::Job | Class::Name | Class::Stem);
        if pattern.is_empty() || pattern.starts_with('/') {
            return Err(refuse(pattern, "matches nothing"));
        }
        if classes_in(pattern).into_iter().any(is_class) {
            return Err(refuse(pattern, "has a class of templates"));
        }
        if let Err(error) = PathFilter::compile(std::slice::from_ref(pattern)) {
            return Err(refuse(pattern, &format!("is invalid: {}", error.kind())));
        }
    }
    PathFilter::compile(patterns).map_err(|error| AppError::invalid(error.to_string()))
}

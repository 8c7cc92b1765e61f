//! Removals on request.
//!
//! **Invariant:** an order that names something unknown, or that other rules overtake, removes
//! nothing.
//! **Invariant:** what is true when it is ordered is known when it is carried out, as far as
//! [`Daemon::clean_prepared`] comes in its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::breaker::root_named;
use super::daemon::Daemon;
use super::order::through;
use super::report::{Run, report_of};
use super::retention::{self, rule_named};
use super::runs::{Cancellation, OnConflict, RunOrder, Running, details};
use crate::app::access::{Operator, Viewer};
use crate::app::error::AppError;
use crate::clock;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest};
use crate::core::run::RunCause;
use crate::types::{CleanOrder, Report};

/// Maximum time to learn of writes before the order; after it, the present knowledge decides. With
/// the polling backend that is a reading of all roots; a longer one continues, for the next order.
const FILES_MAX: Duration = Duration::from_secs(15);

/// Characters of a client's word for its run: a UUID fits, and any name.
const KEY_MAX: usize = 100;

/// Carries out `order` of `viewer`, who has to be an operator unless it is a dry run, and reports.
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
    let policy = daemon.policy();
    if order.dry_run {
        let request = resolve(&order, &policy, viewer.principal())?;
        return dry_run(&daemon, &policy, request).await;
    }
    let operator: Operator = daemon.authorize(viewer.into_client()).await?;
    let by = operator.principal();
    let request = resolve(&order, &policy, by.clone())?;
    through(async move {
        let order = RunOrder {
            request: request.clone(),
            details: details(order, by, RunCause::Order),
            policy: Arc::clone(&policy),
            on_conflict: OnConflict::Refuse,
        };
        let Some(running) = Running::begin(&daemon, order).await? else {
            return dry_run(&daemon, &policy, request).await;
        };
        let request = CleanRequest {
            run: Some(running.run()),
            ..request
        };
        let cancellation = running.cancellation();
        let clean = prepared(&daemon, &policy, request, Some(&cancellation)).await?;
        running.end(clean.as_ref()).await
    })
    .await
}

async fn prepared(
    daemon: &Daemon,
    policy: &Arc<Policy>,
    request: CleanRequest,
    cancellation: Option<&Cancellation>,
) -> Result<Option<CleanReport>, AppError> {
    // Once: what trips again is for a person again.
    let released = AtomicBool::new(false);
    let clean = || {
        let request = CleanRequest {
            release: request.release && !released.swap(true, Ordering::Relaxed),
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
    let roots = order.roots.iter().map(|name| root_named(policy, name));
    let rules = order.rules.iter().map(|name| rule_named(policy, name));
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
        roots: roots.collect::<Result<_, AppError>>()?,
        rules: rules.collect::<Result<_, AppError>>()?,
        jobs: order.jobs.iter().map(|job| job.as_bytes().into()).collect(),
        orphans_only: order.orphans_only,
        release: order.release,
        retention_ms: retention::resolve(policy, &order.retention)?,
        principal,
        run: None,
    })
}

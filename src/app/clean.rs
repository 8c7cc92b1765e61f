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
use super::order::wait;
use super::report::{Run, report_of};
use crate::app::access::{Operator, Viewer};
use crate::app::error::AppError;
use crate::clock;
use crate::core::facts::RuleId;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest};
use crate::types::{CleanOrder, Report};

/// Maximum time to learn of writes before the order; after it, the present knowledge decides. With
/// the polling backend that is a reading of all roots; a longer one continues, for the next order.
const FILES_MAX: Duration = Duration::from_secs(15);

/// Carries out `order` of `viewer`, who has to be an operator unless it is a dry run, and reports.
///
/// # Errors
/// If the role is missing, it names something unknown, or other rules came into force meanwhile.
pub async fn clean(
    daemon: Arc<Daemon>,
    viewer: Viewer,
    order: &CleanOrder,
) -> Result<Report, AppError> {
    let principal = if order.dry_run {
        viewer.principal()
    } else {
        let operator: Operator = daemon.authorize(viewer.into_client()).await?;
        operator.principal()
    };
    let policy = daemon.policy();
    let asked = resolve(order, &policy, principal)?;
    let started = clock::now().wall;
    // Once: what trips again is for a person again.
    let released = AtomicBool::new(false);
    let clean = || {
        let request = CleanRequest {
            release: asked.release && !released.swap(true, Ordering::Relaxed),
            ..asked.clone()
        };
        daemon.link().clean(Arc::clone(&policy), request)
    };
    let report = daemon.clean_prepared(FILES_MAX, clean).await?;
    let report = report.ok_or_else(|| {
        let detail = "the configuration was reloaded meanwhile: nothing was removed";
        AppError::conflict(detail).hint("ask again")
    })?;
    refuse_unknown(&report)?;
    let sources = if report.dry_run {
        Vec::new()
    } else {
        let daemon = Arc::clone(&daemon);
        wait(move || (daemon.parts.sources)()).await?
    };
    let run = Run {
        started,
        finished: clock::now().wall,
        is_interrupted: false,
        sources: &sources,
    };
    Ok(report_of(&report, &policy, run))
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
    let retention = order.retention.iter().map(|(name, ttl)| {
        let rule = rule_named(policy, name)?;
        let ms = crate::core::span::parse(ttl)
            .ok()
            .and_then(|ttl| i64::try_from(ttl.as_millis()).ok());
        let ms = ms.ok_or_else(|| {
            AppError::invalid(format!("retention of rule \"{name}\" cannot be \"{ttl}\""))
                .hint("give a duration such as 90s, 15m, 12h, 7d or 1h30m")
        })?;
        Ok((rule, ms))
    });
    if order.release && order.dry_run {
        let why = "a dry run releases no breaker";
        return Err(AppError::invalid(why).hint("leave out dry_run or release"));
    }
    Ok(CleanRequest {
        dry_run: order.dry_run,
        roots: roots.collect::<Result<_, AppError>>()?,
        rules: rules.collect::<Result<_, AppError>>()?,
        jobs: order.jobs.iter().map(|job| job.as_bytes().into()).collect(),
        orphans_only: order.orphans_only,
        release: order.release,
        retention_ms: retention.collect::<Result<_, AppError>>()?,
        principal,
    })
}

/// The rule that is named `name`; a 400 with the names that there are.
pub(crate) fn rule_named(policy: &Policy, name: &str) -> Result<RuleId, AppError> {
    policy.rule_named(name).ok_or_else(|| {
        let names = policy.rules.iter().map(|rule| rule.name.clone());
        AppError::invalid(format!("there is no rule \"{name}\"")).allowed(names)
    })
}

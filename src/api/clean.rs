//! `POST /v1/clean`: removals that somebody asks for.
//!
//! **Invariant:** an order that names something unknown, or that other rules overtake, removes nothing.
//! **Invariant:** what is true when it is ordered is known when it is carried out, as far as [`Daemon::clean_prepared`] comes in its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::breaker::root_named;
use super::daemon::Daemon;
use super::order::wait;
use super::problem::Problem;
use super::query::Query;
use super::report::{Run, report_of};
use super::router::{body, json, peer};
use super::wire::CleanOrder;
use crate::clock;
use crate::core::facts::RuleId;
use crate::core::policy::Policy;
use crate::core::report::{Asker, CleanReport, CleanRequest};

/// What was written just before the order is known before it is carried out, unless that takes longer than this: then what is known goes.
/// Where no events tell of files, knowing takes a reading of all roots; one that takes longer goes on, for the next order.
const FILES_MAX: Duration = Duration::from_secs(15);

/// What an order may look like.
const EXAMPLE: &str = "{\"dry_run\": false}, which removes all that is due";

pub(super) async fn clean(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    Query::parse(request.uri(), &[])?;
    let peer = peer(&request)?;
    let order: CleanOrder = body(request, EXAMPLE).await?;
    if !order.dry_run {
        daemon.parts.actors.admit(&peer).await?;
    }
    let policy = daemon.policy();
    let asked = understand(&order, &policy, peer.uid)?;
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
        Problem::new(StatusCode::CONFLICT, detail).hint("ask again")
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
    Ok(json(&report_of(&report, &policy, run)))
}

/// Refuses an order that named jobs which there are not.
///
/// # Errors
/// A 400 with their names.
pub fn refuse_unknown(report: &CleanReport) -> Result<(), Problem> {
    let unknown: Vec<_> = report
        .unknown_jobs
        .iter()
        .map(|id| format!("{id:?}"))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let why = format!("there is no job {}", unknown.join(", nor "));
    Err(Problem::bad_request(why).hint("`lapsed job ls` lists the jobs"))
}

/// What `order` means under `policy`, asked by the user `uid`.
///
/// # Errors
/// A 400 for a root, rule or duration that there is not.
pub fn understand(order: &CleanOrder, policy: &Policy, uid: u32) -> Result<CleanRequest, Problem> {
    let roots = order.roots.iter().map(|name| root_named(policy, name));
    let rules = order.rules.iter().map(|name| rule_named(policy, name));
    let retention = order.retention.iter().map(|(name, ttl)| {
        let rule = rule_named(policy, name)?;
        let ms = crate::core::span::parse(ttl)
            .ok()
            .and_then(|ttl| i64::try_from(ttl.as_millis()).ok());
        let ms = ms.ok_or_else(|| {
            Problem::bad_request(format!("retention of rule \"{name}\" cannot be \"{ttl}\""))
                .hint("give a duration such as 90s, 15m, 12h, 7d or 1h30m")
        })?;
        Ok((rule, ms))
    });
    if order.release && order.dry_run {
        let why = "a dry run releases no breaker";
        return Err(Problem::bad_request(why).hint("leave out dry_run or release"));
    }
    Ok(CleanRequest {
        dry_run: order.dry_run,
        roots: roots.collect::<Result<_, Problem>>()?,
        rules: rules.collect::<Result<_, Problem>>()?,
        jobs: order.jobs.iter().map(|job| job.as_bytes().into()).collect(),
        orphans_only: order.orphans_only,
        release: order.release,
        retention_ms: retention.collect::<Result<_, Problem>>()?,
        asker: Asker::User(uid),
    })
}

/// The rule that is named `name`; a 400 with the names that there are.
pub(super) fn rule_named(policy: &Policy, name: &str) -> Result<RuleId, Problem> {
    policy.rule_named(name).ok_or_else(|| {
        let names = policy.rules.iter().map(|rule| rule.name.clone());
        Problem::bad_request(format!("there is no rule \"{name}\"")).allowed(names)
    })
}

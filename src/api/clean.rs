//! `POST /v1/clean`: removals that somebody asks for.
//!
//! **Invariant:** an order that names something unknown, or that other rules overtake, removes nothing.
//! **Invariant:** what is true when it is ordered is known when it is carried out, as far as [`Daemon::clean_prepared`] comes in its time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::breaker::{root_named, trip};
use super::daemon::{Daemon, json_path, root_name, rule_name};
use super::problem::Problem;
use super::query::Query;
use super::router::{body, json, peer};
use super::wire::{CleanOrder, Report, ReportItem};
use crate::clock;
use crate::core::facts::RuleId;
use crate::core::hold::Hold;
use crate::core::policy::Policy;
use crate::core::report::{Asker, CleanItem, CleanReport, CleanRequest};
use crate::core::time::Timestamp;

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
    let clean = || daemon.link().clean(Arc::clone(&policy), asked.clone());
    let report = daemon.clean_prepared(FILES_MAX, clean).await?;
    let report = report.ok_or_else(|| {
        let detail = "the configuration was reloaded meanwhile: nothing was removed";
        Problem::new(StatusCode::CONFLICT, detail).hint("ask again")
    })?;
    let finished = clock::now().wall;
    Ok(json(&report_of(
        &report,
        &policy,
        order.dry_run,
        (started, finished),
    )))
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
    Ok(CleanRequest {
        dry_run: order.dry_run,
        roots: roots.collect::<Result<_, Problem>>()?,
        rules: rules.collect::<Result<_, Problem>>()?,
        jobs: order.jobs.iter().map(|job| job.as_bytes().into()).collect(),
        orphans_only: order.orphans_only,
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

/// `report` for JSON; `times`: when it began and was through.
#[must_use]
pub fn report_of(
    report: &CleanReport,
    policy: &Policy,
    dry_run: bool,
    times: (Timestamp, Timestamp),
) -> Report {
    let sum =
        |of: fn(&CleanItem) -> u64| report.removed.iter().map(of).fold(0, u64::saturating_add);
    let line = |item: &CleanItem| item_of(item, policy);
    let (errors, held): (Vec<_>, Vec<_>) = report
        .held
        .iter()
        .partition(|item| item.hold.as_ref().is_some_and(is_failure));
    let breaker = report.breaker.iter();
    Report {
        dry_run,
        started: times.0.to_string(),
        finished: times.1.to_string(),
        files: sum(|item| item.files),
        bytes: sum(|item| item.bytes),
        removed: report.removed.iter().map(line).collect(),
        held: held.into_iter().map(line).collect(),
        errors: errors.into_iter().map(line).collect(),
        jobs: Vec::new(),
        breaker: breaker
            .map(|&(root, why)| trip(policy, root, why))
            .collect(),
    }
}

fn item_of(item: &CleanItem, policy: &Policy) -> ReportItem {
    ReportItem {
        path: json_path(policy, item.root, &item.path),
        root: root_name(policy, item.root).to_owned(),
        unit: item.unit.as_str().to_owned(),
        rule: rule_name(policy, item.rule).to_owned(),
        deadline: item.deadline.to_string(),
        files: item.files,
        bytes: item.bytes,
        hold: item.hold.as_ref().map(|hold| hold.code().to_owned()),
        why: item.hold.as_ref().map(ToString::to_string),
    }
}

/// Whether a removal was tried and failed; other holds end by themselves or by somebody's word, and are no errors.
fn is_failure(hold: &Hold) -> bool {
    match hold {
        Hold::Denied { .. }
        | Hold::NoQuarantine { .. }
        | Hold::RootInUse { .. }
        | Hold::Unrecorded { .. }
        | Hold::Unsaved { .. }
        | Hold::Unreadable { .. }
        | Hold::Displaced => true,
        Hold::Reconciling
        | Hold::RootMissing
        | Hold::Breaker
        | Hold::ClockJumped { .. }
        | Hold::ClockBehind { .. }
        | Hold::Open { .. }
        | Hold::OpenUnknown { .. }
        | Hold::MountInside { .. }
        | Hold::RootInside { .. }
        | Hold::StateInside { .. }
        | Hold::NoTimestamp
        | Hold::Unconfirmed
        | Hold::DryRun
        | Hold::Running { .. }
        | Hold::SourceDown { .. }
        | Hold::Contested { .. }
        | Hold::UnreadableJob { .. }
        | Hold::ClaimRefused { .. }
        | Hold::Pinned { .. } => false,
    }
}

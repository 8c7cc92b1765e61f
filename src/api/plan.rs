//! `GET /v1/plan`: what will lapse, by rule and root, and hour by hour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;

use super::daemon::{Daemon, root_name, rule_name};
use super::problem::Problem;
use super::query::Query;
use super::router::json;
use super::wire;
use crate::clock;
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::index::Index;
use crate::core::jobs::Jobs;
use crate::core::policy::{Class, Policy};
use crate::core::time::Timestamp;

/// How far a plan goes when nobody says.
const WITHIN: Duration = Duration::from_hours(24);

/// Hours told one by one: a month of them. The groups go as far as they are asked to.
const HOURS_MAX: u64 = 31 * 24;

const HOUR: Duration = Duration::from_hours(1);
const HOUR_MS: i64 = 3_600_000;

pub(super) async fn plan(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["within"])?;
    let within = query.duration("within")?.unwrap_or(WITHIN);
    let now = clock::now().wall;
    let parts = &daemon.parts;
    let plan = plan_of(&parts.index, &parts.jobs, &daemon.policy(), now, within);
    Ok(json(&plan))
}

/// What lapses from `now` (with what is overdue) until `within` has passed.
#[must_use]
pub fn plan_of(
    index: &Index,
    jobs: &Jobs,
    policy: &Policy,
    now: Timestamp,
    within: Duration,
) -> wire::Plan {
    let until = now.after(within);
    let mut groups = Groups::new();
    for (due, is_overdue) in [(index.forecast(until), false), (index.forecast(now), true)] {
        for part in due {
            let (all, overdue) = groups.entry((part.root, part.rule)).or_default();
            let tally = if is_overdue { overdue } else { all };
            tally.files += part.files;
            tally.bytes = tally.bytes.saturating_add(part.bytes);
        }
    }
    // Whole ones: a part of an hour would tell more than was asked for.
    let hours = (within.as_secs() / HOUR.as_secs()).min(HOURS_MAX);
    let mut hours = index.forecast_hours(now, usize::try_from(hours).unwrap_or(0));
    with_jobs(index, jobs, policy, (now, until), &mut groups, &mut hours);
    let groups: Vec<wire::PlanGroup> = groups
        .into_iter()
        .map(|((root, rule), (all, overdue))| wire::PlanGroup {
            root: root_name(policy, root).to_owned(),
            rule: rule_name(policy, rule).to_owned(),
            files: all.files,
            bytes: all.bytes,
            overdue,
        })
        .collect();
    let hours = (0u32..)
        .zip(hours)
        .map(|(hour, (files, bytes))| wire::PlanHour {
            from: now.after(HOUR * hour).to_string(),
            files,
            bytes,
        });
    wire::Plan {
        from: now.to_string(),
        until: until.to_string(),
        files: groups.iter().map(|group| group.files).sum(),
        bytes: groups
            .iter()
            .map(|group| group.bytes)
            .fold(0, u64::saturating_add),
        groups,
        hours: hours.collect(),
    }
}

/// All that lapses of a root by a rule, and what of it is overdue.
type Groups = BTreeMap<(RootId, RuleId), (wire::Tally, wire::Tally)>;

/// Adds what goes with its job. The index has no sums of that: each such entry is asked for, where there are rules for whole jobs.
fn with_jobs(
    index: &Index,
    jobs: &Jobs,
    policy: &Policy,
    (now, until): (Timestamp, Timestamp),
    groups: &mut Groups,
    hours: &mut [(u64, u64)],
) {
    if policy.rules.iter().all(|rule| rule.unit != Unit::Job) {
        return;
    }
    for (_, page) in index.snapshot() {
        let Some((root, dir)) = index.dir_path(page.dir()) else {
            continue;
        };
        for (name, record) in page.entries() {
            let Class::Job(rule) = record.class else {
                continue;
            };
            let path = dir.join(name);
            let at = jobs.deadline(policy, root, path.as_bytes(), rule, record.basis);
            let Some(at) = at.filter(|&at| at <= until) else {
                continue;
            };
            let (all, overdue) = groups.entry((root, rule)).or_default();
            let tallies = [Some(all), Some(overdue).filter(|_| at <= now)];
            for tally in tallies.into_iter().flatten() {
                tally.files += 1;
                tally.bytes = tally.bytes.saturating_add(record.size);
            }
            let hour = at.ms_since(now).max(0) / HOUR_MS;
            let hour = usize::try_from(hour)
                .ok()
                .and_then(|hour| hours.get_mut(hour));
            if let Some((files, bytes)) = hour {
                *files += 1;
                *bytes = bytes.saturating_add(record.size);
            }
        }
    }
}

//! `GET /v1/plan`: what will lapse, by rule and root, and hour by hour.

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
use crate::core::index::Index;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;

/// How far a plan goes when nobody says.
const WITHIN: Duration = Duration::from_hours(24);

/// Hours told one by one: a month of them. The groups go as far as they are asked to.
const HOURS_MAX: u64 = 31 * 24;

const HOUR: Duration = Duration::from_hours(1);

pub(super) async fn plan(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["within"])?;
    let within = query.duration("within")?.unwrap_or(WITHIN);
    let now = clock::now().wall;
    let plan = plan_of(&daemon.parts.index, &daemon.policy(), now, within);
    Ok(json(&plan))
}

/// What lapses from `now` (with what is overdue) until `within` has passed.
#[must_use]
pub fn plan_of(index: &Index, policy: &Policy, now: Timestamp, within: Duration) -> wire::Plan {
    let until = now.after(within);
    let overdue = index.forecast(now);
    let groups: Vec<wire::PlanGroup> = index
        .forecast(until)
        .iter()
        .map(|group| {
            let key = (group.root, group.rule);
            let overdue = overdue.iter().find(|part| (part.root, part.rule) == key);
            wire::PlanGroup {
                root: root_name(policy, group.root).to_owned(),
                rule: rule_name(policy, group.rule).to_owned(),
                files: group.files,
                bytes: group.bytes,
                overdue: overdue.map_or_else(wire::Tally::default, |part| wire::Tally {
                    files: part.files,
                    bytes: part.bytes,
                }),
            }
        })
        .collect();
    // Whole ones: a part of an hour would tell more than was asked for.
    let hours = (within.as_secs() / HOUR.as_secs()).min(HOURS_MAX);
    let hours = index.forecast_hours(now, usize::try_from(hours).unwrap_or(0));
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

//! `GET /v1/stats`: what was removed since the first day, by root and rule, and by day where that is asked for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::daemon::Daemon;
use super::history::instant;
use super::order::wait;
use super::problem::Problem;
use super::query::Query;
use super::router::json;
use super::wire;
use crate::clock;
use crate::core::totals::{TotalKey, Totals};
use crate::ledger::Ledger;
use crate::registry::{Registry, RegistryError};

pub(super) async fn stats(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["by", "since"])?;
    let is_by_day = query.choice("by", &[("day", true)])?.unwrap_or(false);
    let now = clock::now().wall;
    let since = query.text("since")?.map(|since| instant(since, now));
    let since = since.transpose()?.map(|since| since.to_string());
    let (registry, ledger) = (
        Arc::clone(&daemon.parts.registry),
        Arc::clone(&daemon.parts.ledger),
    );
    let totals = wait(move || up_to_now(&registry, &ledger)).await??;
    let mut wanted = Totals::default();
    for (key, sum) in totals.0 {
        // A day is the beginning of its instants' text.
        if since
            .as_ref()
            .is_none_or(|since| key.day[..] >= since[..key.day.len().min(since.len())])
        {
            let day = if is_by_day { key.day } else { String::new() };
            wanted.add(TotalKey { day, ..key }, sum);
        }
    }
    let totals = wanted.0.into_iter().map(wire::Total::from).collect();
    Ok(json(&wire::Totals { totals }))
}

/// Returns the registry's totals together with the lines that were appended since they were counted.
pub(super) fn up_to_now(registry: &Registry, ledger: &Ledger) -> Result<Totals, RegistryError> {
    let (mut totals, counted) = registry.totals()?;
    for stretch in ledger.stretches(counted) {
        for (key, sum) in stretch.totals().0 {
            totals.add(key, sum);
        }
    }
    Ok(totals)
}

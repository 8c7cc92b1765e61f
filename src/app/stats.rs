//! Totals of what was removed since the first day, by root and rule, and by day on request.

use std::sync::Arc;

use crate::app::daemon::Daemon;
use crate::app::error::AppError;
use crate::app::order::wait;
use crate::clock;
use crate::core::totals::{TotalKey, Totals};
use crate::ledger::Ledger;
use crate::registry::{Registry, RegistryError};
use crate::types::{self, StatsQuery};

/// Returns the totals that `query` asks for.
///
/// # Errors
/// If the registry cannot be read.
pub async fn stats(daemon: &Daemon, query: StatsQuery) -> Result<types::Totals, AppError> {
    let is_by_day = query.by.is_some();
    let now = clock::now().wall;
    let since = query.since.map(|since| since.instant(now).to_string());
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
    let totals = wanted.0.into_iter().map(types::Total::from).collect();
    Ok(types::Totals { totals })
}

/// Returns the registry's totals together with the lines that were appended since they were
/// counted.
pub(crate) fn up_to_now(registry: &Registry, ledger: &Ledger) -> Result<Totals, RegistryError> {
    let (mut totals, counted) = registry.totals()?;
    for stretch in ledger.stretches(counted) {
        for (key, sum) in stretch.totals().0 {
            totals.add(key, sum);
        }
    }
    Ok(totals)
}

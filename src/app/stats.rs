//! Totals of removals since the first day, by root and rule, and of jobs, by source; by day on
//! request.
//!
//! **Invariant:** an answer takes memory by days, roots, rules and sources, never by jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::daemon::Daemon;
use crate::app::error::AppError;
use crate::app::jobs::listed;
use crate::app::order::wait;
use crate::clock;
use crate::core::time::Timestamp;
use crate::core::totals::{EndedKey, Sum, TotalKey, Totals};
use crate::ledger::Ledger;
use crate::registry::{Registry, RegistryError};
use crate::types::{self, SourceState, StatsQuery};

/// Returns the totals that `query` asks for.
///
/// # Errors
/// If the registry cannot be read.
pub async fn stats(daemon: Arc<Daemon>, query: StatsQuery) -> Result<types::Totals, AppError> {
    let is_by_day = query.by.is_some();
    let since = query.since.map(|since| since.instant(clock::now().wall));
    let since = since.map(Timestamp::day);
    let is_wanted = |day: &str| since.as_deref().is_none_or(|since| day >= since);
    let shown = |day: String| if is_by_day { day } else { String::new() };
    let reader = Arc::clone(&daemon);
    let read = move || {
        let parts = &reader.parts;
        let unread = (parts.sources)().into_iter();
        let unread = unread.filter(|source| source.state != SourceState::Ready);
        let unread: Vec<String> = unread.map(|source| source.name).collect();
        let totals = up_to_now(&parts.registry, &parts.ledger)?;
        Ok::<_, RegistryError>((totals, parts.registry.forgotten_totals()?, unread))
    };
    let (Totals { sums, cleaned }, forgotten, mut unread) = wait(read).await??;

    let mut totals: BTreeMap<TotalKey, (Sum, i64)> = BTreeMap::new();
    for (key, sum) in sums {
        if is_wanted(&key.day) {
            let day = shown(key.day);
            totals.entry(TotalKey { day, ..key }).or_default().0 += sum;
        }
    }
    let mut jobs: BTreeMap<(String, String), types::JobCounts> = BTreeMap::new();
    for (key, count) in cleaned {
        if is_wanted(&key.removal.day) {
            let day = shown(key.removal.day);
            let key = TotalKey { day, ..key.removal };
            totals.entry(key).or_default().1 += count;
        }
        if is_wanted(&key.ended) && !key.source.is_empty() {
            let counts = jobs.entry((shown(key.ended), key.source)).or_default();
            counts.cleaned += count;
        }
    }
    let mut ended = forgotten;
    add_known(&daemon, &mut ended).await;
    for (key, count) in ended {
        if is_wanted(&key.day) {
            let counts = jobs.entry((shown(key.day), key.source)).or_default();
            counts.add(key.status, count);
        }
    }
    let policy = daemon.policy();
    unread.retain(|name| listed(&policy).any(|source| policy.sources[&source].name == *name));
    Ok(types::Totals {
        totals: totals.into_iter().map(types::Total::from).collect(),
        jobs: jobs.into_iter().map(types::JobTotal::from).collect(),
        unread,
    })
}

/// Adds the jobs that are known and have ended.
async fn add_known(daemon: &Daemon, ended: &mut BTreeMap<EndedKey, u64>) {
    let policy = daemon.policy();
    for source in listed(&policy) {
        let mut next = Some(0);
        while let Some(from) = next {
            let (some, after) = daemon.parts.jobs.ended(source, from);
            for (status, at) in some {
                let key = EndedKey {
                    day: at.map_or_else(String::new, Timestamp::day),
                    source: policy.sources[&source].name.clone(),
                    status,
                };
                *ended.entry(key).or_default() += 1;
            }
            next = after;
            tokio::task::yield_now().await;
        }
    }
}

/// Returns the registry's totals together with the lines that were appended since they were
/// counted.
pub(crate) fn up_to_now(registry: &Registry, ledger: &Ledger) -> Result<Totals, RegistryError> {
    let (mut totals, counted) = registry.totals()?;
    for stretch in ledger.stretches(counted) {
        let Totals { sums, cleaned } = stretch.totals();
        for (key, sum) in sums {
            totals.add(key, sum);
        }
        for (key, jobs) in cleaned {
            totals.add_cleaned(key, jobs);
        }
    }
    Ok(totals)
}

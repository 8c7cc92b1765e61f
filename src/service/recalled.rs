//! What the registry gives back at the start: what was known of sources, and what is still to be written to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::SourceSettings;
use crate::core::jobs::{JobKey, SourceId};
use crate::core::report::SourceMemory;
use crate::ledger::Ledger;
use crate::registry::{Registry, RegistryError};

/// What a crash left between preparing and recording: what is in the ledger went, the rest did not.
pub(super) fn settle_prepared(registry: &Registry, ledger: &Ledger) -> anyhow::Result<()> {
    let prepared: BTreeSet<u64> = registry.prepared()?.into_iter().collect();
    if prepared.is_empty() {
        return Ok(());
    }
    let went = ledger.contains(&prepared)?;
    let others: Vec<u64> = prepared.difference(&went).copied().collect();
    let went: Vec<u64> = went.into_iter().collect();
    registry.confirm(&went)?;
    registry.cancel(&others)?;
    Ok(())
}

/// What was known of sources when the last daemon ended.
pub(super) fn memories(
    registry: &Registry,
    settings: &BTreeMap<SourceId, SourceSettings>,
) -> Result<BTreeMap<SourceId, SourceMemory>, RegistryError> {
    let mut memories = BTreeMap::new();
    for (&id, one) in settings {
        if let Some(seen) = registry.source_seen(&one.name)? {
            let memory = SourceMemory {
                jobs: seen.jobs,
                trip: seen.trip,
                read_at: seen.read_at,
            };
            memories.insert(id, memory);
        }
    }
    Ok(memories)
}

/// The jobs whose records are still to be written.
pub(super) fn unwritten(
    registry: &Registry,
    settings: &BTreeMap<SourceId, SourceSettings>,
) -> Result<BTreeSet<JobKey>, RegistryError> {
    let jobs = registry.unwritten()?.into_iter();
    let of = |(name, id): (String, String)| {
        let mut named = settings.iter().filter(|(_, one)| one.name == name);
        let (&source, _) = named.next()?;
        Some(JobKey { source, id })
    };
    Ok(jobs.filter_map(of).collect())
}

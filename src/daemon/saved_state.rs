//! State in the registry at the start: of sources, and records still to be written to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock;
use crate::config::SourceSettings;
use crate::core::jobs::{JobKey, SourceId};
use crate::core::report::SavedSource;
use crate::ledger::Ledger;
use crate::registry::{Registry, RegistryError};

/// Strikes out what was prepared and did not happen, and returns the numbers of what did: its files
/// are gone, or will be once the reaper has put the quarantines in order.
///
/// What was prepared before the machine's last start is struck out even when the ledger has it: the
/// ledger was on the disk, and the removal of the files perhaps not. Its job is judged anew.
pub(super) fn settle_prepared(registry: &Registry, ledger: &Ledger) -> anyhow::Result<Vec<u64>> {
    let prepared: BTreeSet<u64> = registry.prepared()?.into_iter().collect();
    let run = clock::machine_run();
    let went = if prepared.is_empty() || run.is_none() || registry.machine_run()? != run {
        BTreeSet::new()
    } else {
        ledger.contains(&prepared)?
    };
    let others: Vec<u64> = prepared.difference(&went).copied().collect();
    registry.cancel(&others)?;
    if let Some(run) = run
        && registry.machine_run()?.as_ref() != Some(&run)
    {
        // On a full disk nothing can be prepared either.
        if let Err(error) = registry.set_machine_run(&run) {
            tracing::warn!("{error}");
        }
    }
    Ok(went.into_iter().collect())
}

/// State of the sources when the last daemon ended.
pub(super) fn memories(
    registry: &Registry,
    settings: &BTreeMap<SourceId, SourceSettings>,
) -> Result<BTreeMap<SourceId, SavedSource>, RegistryError> {
    let mut memories = BTreeMap::new();
    for (&id, one) in settings {
        if let Some(seen) = registry.source_seen(&one.name)? {
            let memory = SavedSource {
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

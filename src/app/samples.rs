//! Samples of sizes, removals and lateness, for charts.
//!
//! **Invariant:** a sample has a bounded number of roots and limits.

use std::sync::Arc;

use super::daemon::{Daemon, root_name};
use super::order::wait;
use super::sampler::{DAY_MS, DAYS, MINUTE_MS, MINUTES, Seen, WAITING, floor, thin};
use crate::app::error::AppError;
use crate::clock;
use crate::core::engine::Engine;
use crate::core::report::LimitStatus;
use crate::core::time::Timestamp;
use crate::registry::RegistryError;
use crate::types::{
    LimitLine, LimitSample, RootSample, Sample, SampleStep, Samples, SamplesQuery, Since,
};

/// Roots, and limits, in one sample.
const PARTS_MAX: usize = 16;

fn seen(daemon: &Daemon) -> Seen {
    let policy = daemon.policy();
    let (index, ledger) = (&daemon.parts.index, &daemon.parts.ledger);
    Seen {
        roots: policy.roots.keys().map(|&id| index.totals(id)).collect(),
        ledger_bytes: ledger.stats().bytes,
    }
}

/// Takes a sample, unless nothing has changed since the last one. It wakes nobody then.
///
/// # Errors
/// If the daemon is stopping, or the registry cannot be read or written.
pub async fn take_if_changed(daemon: &Arc<Daemon>) -> Result<(), AppError> {
    let is_same = daemon.samples.state.lock().seen == Some(seen(daemon));
    if is_same {
        return save(daemon, 1).await;
    }
    take(daemon).await?;
    save(daemon, WAITING).await
}

/// Writes what was sampled to the registry.
///
/// # Errors
/// If it cannot be written.
pub async fn save_all(daemon: &Arc<Daemon>) -> Result<(), AppError> {
    save(daemon, 1).await
}

/// Returns the samples that `query` asks for, with one that is taken now.
///
/// # Errors
/// If the daemon is stopping, or the registry cannot be read.
pub async fn samples(daemon: Arc<Daemon>, query: SamplesQuery) -> Result<Samples, AppError> {
    take(&daemon).await?;
    let now = clock::now().wall;
    let since = query
        .since
        .map_or(Timestamp::MIN, |since: Since| since.instant(now));
    let (reader, step) = (Arc::clone(&daemon), query.by);
    let mut all = wait(move || known(&reader, step, since, now)).await??;
    let state = daemon.samples.state.lock();
    let newer = match step {
        SampleStep::Minute => state.minutes.clone(),
        SampleStep::Day => state.days.clone(),
    };
    drop(state);
    if let Some(first) = newer.first() {
        all.retain(|sample| sample.at.0 < first.at.0);
    }
    all.extend(newer.into_iter().filter(|sample| sample.at.0 >= since));
    Ok(Samples {
        by: step,
        samples: thin(all),
    })
}

/// Reads what the registry has from `since` until `until`.
fn known(
    daemon: &Daemon,
    step: SampleStep,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Sample>, RegistryError> {
    let rows = daemon.parts.registry.samples(step.as_str(), since, until)?;
    let samples = rows.iter();
    Ok(samples
        .filter_map(|(_, body)| serde_json::from_str(body).ok())
        .collect())
}

async fn take(daemon: &Arc<Daemon>) -> Result<(), AppError> {
    let _turn = daemon.samples.turn.lock().await;
    let seen_now = seen(daemon);
    let asked = |engine: &mut Engine, now| (engine.status(now), engine.limit_status());
    let (status, limits) = daemon.link().ask(asked).await?;
    let policy = daemon.policy();
    let paths = policy.roots.values().map(|root| root.path.clone());
    let spaces = (daemon.parts.space)(paths.take(PARTS_MAX).collect()).await;
    let now = clock::now().wall;
    let roots = policy.roots.iter().take(PARTS_MAX).map(|(&id, root)| {
        let totals = daemon.parts.index.totals(id);
        let space = spaces.get(&root.path);
        RootSample {
            root: root_name(&policy, id).to_owned(),
            files: totals.files,
            bytes: totals.bytes,
            total_bytes: space.map(|space| space.size_bytes),
            free_bytes: space.map(|space| space.available_bytes),
        }
    });
    let limits = limits.iter().take(PARTS_MAX);
    let limits = limits.map(|of: &LimitStatus| limit(super::limits::line(of, &policy)));
    let (roots, limits) = (roots.collect(), limits.collect());
    let today = floor(now, DAY_MS);
    let is_first = daemon.samples.state.lock().days.is_empty();
    let (minutes, days) = if is_first {
        // An earlier daemon may have ended in this minute.
        let (reader, minute) = (Arc::clone(daemon), floor(now, MINUTE_MS));
        let read = move |step, at| known(&reader, step, at, at);
        wait(move || {
            let minutes = read(SampleStep::Minute, minute)?;
            Ok::<_, RegistryError>((minutes, read(SampleStep::Day, today)?))
        })
        .await??
    } else {
        (Vec::new(), Vec::new())
    };
    let mut state = daemon.samples.state.lock();
    state.minutes.extend(minutes);
    state.days.extend(days);
    let sample = state.sample(&status, now, roots, limits);
    state.seen = Some(seen_now);
    state.add(sample, today);
    Ok(())
}

/// Writes the minutes that wait, if there are at least `least`.
async fn save(daemon: &Arc<Daemon>, least: usize) -> Result<(), AppError> {
    let _turn = daemon.samples.turn.lock().await;
    let (minutes, day) = {
        let state = daemon.samples.state.lock();
        if state.minutes.len() < least {
            return Ok(());
        }
        (rows(&state.minutes), rows(&state.days))
    };
    let (writer, count) = (Arc::clone(daemon), minutes.len());
    let written = move || {
        let registry = &writer.parts.registry;
        registry.put_samples(SampleStep::Minute.as_str(), &minutes, MINUTES)?;
        registry.put_samples(SampleStep::Day.as_str(), &day, DAYS)
    };
    wait(written).await??;
    let mut state = daemon.samples.state.lock();
    state.minutes.drain(..count);
    let done = state.days.len().saturating_sub(1);
    state.days.drain(..done);
    Ok(())
}

fn rows(samples: &[Sample]) -> Vec<(Timestamp, String)> {
    let row = |sample: &Sample| Some((sample.at.0, serde_json::to_string(sample).ok()?));
    samples.iter().filter_map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "for a chart")]
fn limit(of: LimitLine) -> LimitSample {
    let part = |used: Option<u64>, most: Option<u64>| {
        let (used, most) = used.zip(most)?;
        Some(used as f64 / most.max(1) as f64)
    };
    let parts = [
        part(Some(of.files), of.max_files),
        part(Some(of.bytes), of.max_size),
        part(of.min_free, of.free),
        part(of.min_free_inodes, of.free_inodes),
    ];
    LimitSample {
        root: of.root,
        rule: of.rule,
        owner: of.owner,
        part: parts.into_iter().flatten().fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_as_full_as_its_fullest_bound() {
        let line = LimitLine {
            root: "cache".to_owned(),
            rule: None,
            owner: None,
            state: crate::types::LimitState::Met,
            files: 50,
            max_files: Some(100),
            bytes: 80,
            max_size: Some(100),
            down_to: None,
            min_free: Some(10),
            free: Some(40),
            min_free_inodes: None,
            free_inodes: Some(0),
            passed: std::collections::BTreeMap::new(),
            hold: None,
            why: None,
        };
        let full = |line| limit(line).part;
        assert!((full(line.clone()) - 0.8).abs() < 1e-9);
        let free = Some(5);
        assert!((full(LimitLine { free, ..line }) - 2.0).abs() < 1e-9);
    }
}

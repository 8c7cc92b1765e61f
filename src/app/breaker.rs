//! Breakers that tripped, and their release.

use super::daemon::{Daemon, root_name};
use crate::app::access::Admin;
use crate::app::error::AppError;
use crate::core::facts::RootId;
use crate::core::policy::Policy;
use crate::core::report::{Status, Trip};
use crate::types;

/// Returns what waits for a person.
///
/// # Errors
/// If the daemon is stopping.
pub async fn show(daemon: &Daemon) -> Result<types::Breaker, AppError> {
    let status = daemon.link().ask(|engine, now| engine.status(now)).await?;
    Ok(tripped(&daemon.policy(), &status))
}

/// Releases the breaker of the named root, or of all.
///
/// # Errors
/// If there is no such root.
pub async fn release(
    daemon: &Daemon,
    admin: &Admin,
    order: types::Release,
) -> Result<types::Released, AppError> {
    let by = admin.principal();
    let policy = daemon.policy();
    let root = order
        .root
        .map(|name| root_named(&policy, &name))
        .transpose()?;
    let released = daemon
        .link()
        .ask(move |engine, now| engine.release(root, &by, now))
        .await?;
    let names = released
        .iter()
        .map(|&root| root_name(&policy, root).to_owned());
    Ok(types::Released {
        released: names.collect(),
    })
}

/// The roots whose breaker has tripped.
pub(crate) fn tripped(policy: &Policy, status: &Status) -> types::Breaker {
    let tripped = status
        .roots
        .iter()
        .filter_map(|root| Some(trip(policy, root.root, root.trip?)));
    let of_roots = status.roots.iter().filter_map(|root| {
        Some(types::OrphanTrip {
            root: Some(root_name(policy, root.root).to_owned()),
            source: None,
            why: root.orphan_trip.clone()?,
        })
    });
    let of_sources = status.sources.iter().filter_map(|source| {
        let known = policy.sources.get(&source.source)?;
        Some(types::OrphanTrip {
            root: None,
            source: Some(known.name.clone()),
            why: source.trip.clone()?,
        })
    });
    types::Breaker {
        tripped: tripped.collect(),
        orphans: of_roots.chain(of_sources).collect(),
    }
}

/// One trip for JSON.
pub(crate) fn trip(policy: &Policy, root: RootId, trip: Trip) -> types::Trip {
    types::Trip {
        root: root_name(policy, root).to_owned(),
        at: trip.at.to_string(),
        due: trip.due,
        of: trip.of,
        what: trip.what,
    }
}

/// The root that is named `name`; a 400 with the names that there are.
pub(crate) fn root_named(policy: &Policy, name: &str) -> Result<RootId, AppError> {
    policy.root_named(name).ok_or_else(|| {
        let names = policy.roots.values().map(|root| root.name.clone());
        AppError::invalid(format!("there is no root \"{name}\"")).allowed(names)
    })
}

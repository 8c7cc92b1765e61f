//! `GET /v1/breaker`, `POST /v1/breaker/release`: what waits for a person's word, and the word.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::daemon::{Daemon, root_name};
use super::problem::Problem;
use super::query::Query;
use super::router::{body, json, peer};
use super::wire;
use crate::core::facts::RootId;
use crate::core::policy::Policy;
use crate::core::report::{Status, Trip};

pub(super) async fn show(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    Query::parse(request.uri(), &[])?;
    let status = daemon.link().ask(|engine, now| engine.status(now)).await?;
    Ok(json(&tripped(&daemon.policy(), &status)))
}

pub(super) async fn release(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    Query::parse(request.uri(), &[])?;
    let peer = peer(&request)?;
    daemon.parts.actors.admit(&peer).await?;
    let order: wire::Release = body(request, "{}, which releases all roots").await?;
    let policy = daemon.policy();
    let root = order
        .root
        .map(|name| root_named(&policy, &name))
        .transpose()?;
    let released = daemon
        .link()
        .ask(move |engine, now| engine.release(root, peer.uid, now))
        .await?;
    let names = released
        .iter()
        .map(|&root| root_name(&policy, root).to_owned());
    Ok(json(&wire::Released {
        released: names.collect(),
    }))
}

/// The roots whose breaker has tripped.
pub(super) fn tripped(policy: &Policy, status: &Status) -> wire::Breaker {
    let tripped = status
        .roots
        .iter()
        .filter_map(|root| Some(trip(policy, root.root, root.trip?)));
    let of_roots = status.roots.iter().filter_map(|root| {
        Some(wire::OrphanTrip {
            root: Some(root_name(policy, root.root).to_owned()),
            source: None,
            why: root.orphan_trip.clone()?,
        })
    });
    let of_sources = status.sources.iter().filter_map(|source| {
        let known = policy.sources.get(&source.source)?;
        Some(wire::OrphanTrip {
            root: None,
            source: Some(known.name.clone()),
            why: source.trip.clone()?,
        })
    });
    wire::Breaker {
        tripped: tripped.collect(),
        orphans: of_roots.chain(of_sources).collect(),
    }
}

/// One trip for JSON.
pub(super) fn trip(policy: &Policy, root: RootId, trip: Trip) -> wire::Trip {
    wire::Trip {
        root: root_name(policy, root).to_owned(),
        at: trip.at.to_string(),
        due: trip.due,
        of: trip.of,
        what: trip.what,
    }
}

/// The root that is named `name`; a 400 with the names that there are.
pub(super) fn root_named(policy: &Policy, name: &str) -> Result<RootId, Problem> {
    policy.root_named(name).ok_or_else(|| {
        let names = policy.roots.values().map(|root| root.name.clone());
        Problem::bad_request(format!("there is no root \"{name}\"")).allowed(names)
    })
}

//! Pins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::app::Daemon;
use crate::app::pins;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Operator, Query, Segment, Viewer};
use crate::types::{NoQuery, Pin, PinChange, PinOrder, Pins};

impl Example for PinOrder {
    const EXAMPLE: &'static str = r#"{"path": "/srv/data/keep", "for": "7d", "why": "wanted"}"#;
}

impl Example for PinChange {
    const EXAMPLE: &'static str = r#"{"for": "7d"}"#;
}

/// List the pins that hold.
#[utoipa::path(get, path = "/v1/pins", operation_id = "list_pins", tag = "pins",
    responses((status = 200, body = Pins), QuestionErrors))]
pub(in crate::http) async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Pins>, Problem> {
    Ok(Json(pins::list(&daemon)))
}

/// Keep a path, or everything that a job owns, until an instant.
#[utoipa::path(post, path = "/v1/pins", operation_id = "add_pin", tag = "pins", request_body = PinOrder,
    responses((status = 201, body = Pin), OrderErrors))]
pub(in crate::http) async fn set(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<PinOrder>,
) -> Result<(StatusCode, Json<Pin>), Problem> {
    let pin = pins::set(daemon, operator.principal, order).await?;
    Ok((StatusCode::CREATED, Json(pin)))
}

/// Change when a pin ends.
#[utoipa::path(patch, path = "/v1/pins/{id}", operation_id = "extend_pin", tag = "pins", request_body = PinChange,
    params(("id" = u64, Path, description = "Number of the pin")),
    responses((status = 200, body = Pin), OrderErrors))]
pub(in crate::http) async fn extend(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<PinChange>,
) -> Result<Json<Pin>, Problem> {
    let id = number(&id)?;
    Ok(Json(
        pins::extend(daemon, operator.principal, id, order).await?,
    ))
}

/// Remove a pin.
#[utoipa::path(delete, path = "/v1/pins/{id}", operation_id = "delete_pin", tag = "pins",
    params(("id" = u64, Path, description = "Number of the pin")),
    responses((status = 200, body = Pin), OrderErrors))]
pub(in crate::http) async fn remove(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Pin>, Problem> {
    let id = number(&id)?;
    Ok(Json(pins::remove(daemon, operator.principal, id).await?))
}

fn number(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| {
        Problem::bad_request(format!("\"{id}\" is not the number of a pin"))
            .hint("`lapsed pin ls` lists those that hold")
    })
}

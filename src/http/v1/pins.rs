//! Pins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::{Operator, Viewer};
use crate::app::pins;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query, Segment};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{NoQuery, Pin, PinChange, PinOrder, Pins};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(list)))
        .routes(ORDER.declare(routes!(set)))
        .routes(ORDER.declare(routes!(extend, remove)))
}

impl Example for PinOrder {
    const EXAMPLE: &'static str = r#"{"path": "/srv/data/keep", "for": "7d", "why": "wanted"}"#;
}

impl Example for PinChange {
    const EXAMPLE: &'static str = r#"{"for": "7d"}"#;
}

/// List the pins that hold.
#[utoipa::path(get, path = "/v1/pins", operation_id = "list_pins", tag = "pins",
    responses((status = 200, body = Pins), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Pins>, Problem> {
    Ok(Json(pins::list(&daemon)))
}

/// Keep a path, or everything that a job owns, until an instant.
#[utoipa::path(post, path = "/v1/pins", operation_id = "add_pin", tag = "pins", request_body = PinOrder,
    responses((status = 201, body = Pin), OrderErrors))]
async fn set(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<PinOrder>,
) -> Result<(StatusCode, Json<Pin>), Problem> {
    let pin = pins::set(daemon, &operator, order).await?;
    Ok((StatusCode::CREATED, Json(pin)))
}

/// Change when a pin ends.
#[utoipa::path(patch, path = "/v1/pins/{id}", operation_id = "extend_pin", tag = "pins", request_body = PinChange,
    params(("id" = u64, Path, description = "Number of the pin")),
    responses((status = 200, body = Pin), OrderErrors))]
async fn extend(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<PinChange>,
) -> Result<Json<Pin>, Problem> {
    let id = number(&id)?;
    Ok(Json(pins::extend(daemon, &operator, id, order).await?))
}

/// Remove a pin.
#[utoipa::path(delete, path = "/v1/pins/{id}", operation_id = "delete_pin", tag = "pins",
    params(("id" = u64, Path, description = "Number of the pin")),
    responses((status = 200, body = Pin), OrderErrors))]
async fn remove(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Pin>, Problem> {
    let id = number(&id)?;
    Ok(Json(pins::remove(daemon, &operator, id).await?))
}

fn number(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| {
        Problem::bad_request(format!("\"{id}\" is not the number of a pin"))
            .hint("`lapsed pin ls` lists those that hold")
    })
}

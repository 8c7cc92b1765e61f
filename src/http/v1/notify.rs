//! Receivers of notifications.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::{Admin, Operator, Viewer};
use crate::app::notify;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query, Segment};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{NoQuery, Notify, NotifyChanged, NotifyOrder, NotifyQuery, NotifyTested};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(list)))
        .routes(ORDER.declare(routes!(retry)))
        .routes(ORDER.role(Role::Admin).declare(routes!(discard)))
        .routes(ORDER.declare(routes!(test)))
}

impl Example for NotifyOrder {
    const EXAMPLE: &'static str = r#"{"receiver": "ops", "given_up": true}"#;
}

/// List receivers of notifications, and what waits for them.
#[utoipa::path(get, path = "/v1/notify", operation_id = "list_notifications", tag = "notifications", params(NotifyQuery),
    responses((status = 200, body = Notify), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<NotifyQuery>,
) -> Result<Json<Notify>, Problem> {
    Ok(Json(notify::list(daemon, query).await?))
}

/// Deliver notifications at once that wait or were given up.
#[utoipa::path(post, path = "/v1/notify/retry", operation_id = "retry_notifications", tag = "notifications",
    request_body = NotifyOrder, responses((status = 200, body = NotifyChanged), OrderErrors))]
async fn retry(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<NotifyOrder>,
) -> Result<Json<NotifyChanged>, Problem> {
    Ok(Json(notify::retry(daemon, &operator, order).await?))
}

/// Drop notifications that wait or were given up.
#[utoipa::path(post, path = "/v1/notify/drop", operation_id = "drop_notifications", tag = "notifications",
    request_body = NotifyOrder, responses((status = 200, body = NotifyChanged), OrderErrors))]
async fn discard(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<NotifyOrder>,
) -> Result<Json<NotifyChanged>, Problem> {
    Ok(Json(notify::drop_deliveries(daemon, &admin, order).await?))
}

/// Notify a receiver at once, to see that it arrives.
#[utoipa::path(post, path = "/v1/notify/test/{name}", operation_id = "test_notification", tag = "notifications",
    params(("name" = String, Path, description = "Name of the receiver")),
    responses((status = 200, body = NotifyTested), OrderErrors))]
async fn test(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(name): Segment,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<NotifyTested>, Problem> {
    Ok(Json(notify::test(daemon, &operator, name).await?))
}

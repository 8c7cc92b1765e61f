//! Tokens of clients.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Admin;
use crate::app::tokens;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query, Segment};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{NewToken, NoQuery, Token, TokenOrder, Tokens};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.role(Role::Admin).declare(routes!(list)))
        .routes(ORDER.role(Role::Admin).declare(routes!(create)))
        .routes(ORDER.role(Role::Admin).declare(routes!(revoke)))
}

impl Example for TokenOrder {
    const EXAMPLE: &'static str = r#"{"role": "operator", "name": "ci", "expires": "90d"}"#;
}

/// List tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", operation_id = "list_tokens", tag = "tokens",
    responses((status = 200, body = Tokens), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(tokens::list(&daemon, &admin)))
}

/// Make a token. The answer alone has its secret.
#[utoipa::path(post, path = "/v1/tokens", operation_id = "create_token", tag = "tokens", request_body = TokenOrder,
    responses((status = 201, body = NewToken), OrderErrors))]
async fn create(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<TokenOrder>,
) -> Result<impl IntoResponse, Problem> {
    let token = tokens::create(daemon, &admin, order).await?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(token)))
}

/// Revoke a token, at once, with the streams that it opened.
#[utoipa::path(delete, path = "/v1/tokens/{id}", operation_id = "revoke_token", tag = "tokens",
    params(("id" = String, Path, description = "Id or name of the token")),
    responses((status = 200, body = Token), OrderErrors))]
async fn revoke(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Segment(id): Segment,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Token>, Problem> {
    Ok(Json(tokens::revoke(daemon, &admin, id).await?))
}

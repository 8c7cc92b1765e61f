//! Declaration of a route: the role that it takes, the body that it reads, the time that it has.
//!
//! **Invariant:** a request is read to its end before it is answered, or the connection is closed:
//! a client that sends first and reads then learns the answer.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};

use super::document::security;
use super::error::Problem;
use crate::core::role::Role;

/// Extension of an operation in the `OpenAPI` document: the role that it takes.
pub(super) const ROLE: &str = "x-role";

/// The largest body of an order: a `clean` that names thousands of jobs fits many times.
pub(super) const BODY_MAX: usize = 1 << 20;

/// The largest body that is read and thrown away, so that a client which sends first and reads then
/// learns what was wrong.
const DISCARD_MAX: u64 = 16 << 20;

/// Role and limits of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rules {
    /// Least role. The extractor of the handler enforces it; the document names it.
    pub role: Role,
    /// Bytes of the body.
    pub body_max: usize,
    /// From the headers to the end of the body.
    pub body_time: Duration,
    /// From the end of the body to the headers of the answer, which may stream for longer; `None`:
    /// as long as the work takes.
    pub answer_time: Option<Duration>,
}

/// Rules of a route that only asks.
pub(super) const QUESTION: Rules = Rules {
    role: Role::Viewer,
    body_max: 64 << 10,
    body_time: Duration::from_secs(10),
    answer_time: Some(Duration::from_secs(30)),
};

/// Rules of a route that acts: its work is never cut off.
pub(super) const ORDER: Rules = Rules {
    role: Role::Operator,
    body_max: BODY_MAX,
    answer_time: None,
    ..QUESTION
};

impl Rules {
    /// The same for another role.
    pub(super) const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Places documented routes under these rules.
    pub(super) fn declare<S>(
        self,
        (schemas, mut paths, router): UtoipaMethodRouter<S>,
    ) -> UtoipaMethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        for item in paths.paths.values_mut() {
            let operations = [
                &mut item.get,
                &mut item.put,
                &mut item.post,
                &mut item.delete,
                &mut item.patch,
            ];
            for operation in operations.into_iter().flatten() {
                let role = ExtensionsBuilder::new().add(ROLE, self.role.as_str());
                operation.extensions = Some(role.build());
                operation.security = Some(security());
            }
        }
        (schemas, paths, router).map(|router| self.guard(router))
    }

    /// Places routes under these limits.
    pub(super) fn guard<S>(self, router: MethodRouter<S>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        router.layer(from_fn_with_state(self, enforce))
    }
}

async fn enforce(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    if declared_length(&request).is_some_and(|length| length > rules.body_max as u64) {
        discard(request, rules.body_time).await;
        return Problem::too_large(rules.body_max).into_response();
    }
    let (head, body) = request.into_parts();
    let body = match collect(body, rules).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let answer = next.run(Request::from_parts(head, Body::from(body)));
    match rules.answer_time {
        None => answer.await,
        Some(limit) => match timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Problem::slow_answer().into_response(),
        },
    }
}

fn declared_length(request: &Request) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Reads a body that is too large, within bounds. A client that waits for our consent (`Expect`)
/// never gets it and sends nothing.
async fn discard(request: Request, within: Duration) {
    let waits = request.headers().contains_key(header::EXPECT);
    if waits || declared_length(&request).is_none_or(|length| length > DISCARD_MAX) {
        return;
    }
    let mut body = request.into_body();
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(within, read).await;
}

async fn collect(body: Body, rules: Rules) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let body = Limited::new(body, rules.body_max).collect();
    match timeout(rules.body_time, body).await {
        Err(_) => Err(Problem::slow_request()),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(rules.body_max)),
        Ok(Err(error)) => Err(Problem::bad_request(format!(
            "the request's body cannot be read: {error}"
        ))),
    }
}

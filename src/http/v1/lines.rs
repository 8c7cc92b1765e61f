//! Lists as lines of JSON.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use crate::app::files::Lines;

/// Media type of lines.
const LINES: &str = "application/x-ndjson";

/// Returns true if the client accepts lines.
pub(super) fn wants_lines(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    accepts
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .any(|media| media.split(';').next().unwrap_or_default().trim() == LINES)
}

/// Streams `lines`.
pub(super) fn lines(lines: Lines) -> Response {
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, LINES)], body).into_response()
}

/// Answers with rendered JSON.
pub(super) fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

//! HTTP/1 connections over a Unix listener: limits, peer credentials, shutdown.
//!
//! **Invariant:** a client that stalls, floods or breaks off costs one connection for a bounded
//! time, and harms nobody else.
//! **Invariant:** a handler that panics costs its request, never the daemon.
//! **Invariant:** after the stop signal this ends within [`Limits::drain`], whatever the clients
//! do.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use super::error::{PROBLEM_JSON, Problem};
use super::peer::peer_of;
use super::stall::StallGuard;
use crate::app::AppError;
use crate::app::access::Peer;

/// The largest body: a `clean` that names thousands of jobs fits many times.
pub const BODY_MAX: usize = 1 << 20;

/// The largest body that is read and thrown away, so that a client which sends first and reads then
/// learns what was wrong.
const DISCARD_MAX: u64 = 16 << 20;

/// The longest request line and headers together; hyper answers 431 to more.
const HEAD_MAX: usize = 64 << 10;

/// After an `accept` that failed (no descriptors left) nothing is accepted for so long: trying at
/// once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of a client. The defaults are for the daemon; tests take less time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once, a share of the descriptors. Beyond it, clients are told so and
    /// disconnected.
    pub connections: usize,
    /// From the start of a connection, or of the wait for its next request, to the end of the
    /// headers.
    pub head: Duration,
    /// From the headers to the end of the body.
    pub body: Duration,
    /// From the headers of a question to those of its answer. Orders (all but GET and HEAD) take as
    /// long as their work does.
    pub answer: Duration,
    /// Maximum time for which a client may leave an answer unread.
    pub stall: Duration,
    /// From the stop signal until connections are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            drain: Duration::from_millis(400),
        }
    }
}

/// In the extensions of each request: tells handlers of endless answers when to end them.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Follows `stop`: true, or its sender's end, means that the daemon stops.
    #[must_use]
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        Self(stop)
    }

    /// Completes when the daemon stops.
    pub async fn wait(&mut self) {
        // An error means that the sender is gone, which is the end as well.
        let _ = self.0.wait_for(|&stop| stop).await;
    }

    fn is_over(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Answers the clients of `listener` from `router` until `stop` turns true (or its sender is gone).
pub async fn serve(
    listener: UnixListener,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let mut stopping = Stopping::new(stop);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopping.wait() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() >= limits.connections => turn_away(&stream),
                Ok((stream, _)) => {
                    let connection = Connection { router: router.clone(), limits, stopping: stopping.clone() };
                    connections.spawn(connection.run(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, all_done).await.is_err() {
        connections.shutdown().await;
    }
}

/// Answers one client from `router` until it disconnects.
pub async fn answer(stream: UnixStream, router: Router, limits: Limits) {
    let (_running, stop) = watch::channel(false);
    let stopping = Stopping::new(stop);
    let connection = Connection {
        router,
        limits,
        stopping,
    };
    connection.run(stream).await;
}

/// Says that there are too many connections, as far as that can be said without waiting.
fn turn_away(stream: &UnixStream) {
    let body = Problem::from(AppError::unavailable("too many connections")).to_json();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        PROBLEM_JSON,
        body.len()
    );
    // A new connection's buffer is empty, so that this fits; who does not read it has gone.
    let _ = stream.try_write(answer.as_bytes());
}

#[derive(Clone)]
struct Connection {
    router: Router,
    limits: Limits,
    stopping: Stopping,
}

impl Connection {
    async fn run(mut self, stream: UnixStream) {
        let peer = match peer_of(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, "cannot tell who connects");
                return;
            }
        };
        let (this, uid) = (self.clone(), peer.uid);
        let service = service_fn(move |request| this.clone().answer(peer.clone(), request));
        let io = TokioIo::new(StallGuard::new(stream, self.limits.stall));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_MAX)
            .serve_connection(io, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, uid, "a connection broke");
        }
    }

    async fn answer(
        self,
        peer: Peer,
        request: hyper::Request<Incoming>,
    ) -> Result<Response, Infallible> {
        if self.stopping.is_over() {
            return Ok(Problem::from(AppError::stopping()).into_response());
        }
        if declared_length(&request).is_some_and(|length| length > BODY_MAX as u64) {
            discard(request, self.limits.body).await;
            return Ok(Problem::too_large(BODY_MAX).into_response());
        }
        let is_order = !request.method().is_safe();
        // Before anything is answered: a client that sends head and body apart would find the
        // connection closed.
        let (head, body) = request.into_parts();
        let body = match collect(Body::new(body), self.limits.body).await {
            Ok(body) => body,
            Err(problem) => return Ok(problem.into_response()),
        };
        let mut request = Request::from_parts(head, Body::from(body));
        let extensions = request.extensions_mut();
        extensions.insert(peer);
        extensions.insert(self.stopping);
        let answered = AssertUnwindSafe(self.router.oneshot(request)).catch_unwind();
        let answered = if is_order {
            answered.await
        } else {
            match timeout(self.limits.answer, answered).await {
                Ok(answered) => answered,
                Err(_) => return Ok(Problem::slow_answer().into_response()),
            }
        };
        answered.unwrap_or_else(|panic| {
            let what = panic_text(panic.as_ref());
            tracing::error!(what, "a request handler panicked");
            Ok(Problem::from(AppError::internal(
                "the daemon could not answer; its log says why",
            ))
            .into_response())
        })
    }
}

fn declared_length<B>(request: &hyper::Request<B>) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Reads a body that nobody wants, within bounds. Who waits for our consent (`Expect`) never gets
/// it and sends nothing.
async fn discard(request: hyper::Request<Incoming>, within: Duration) {
    let waits = request.headers().contains_key(header::EXPECT);
    if waits || declared_length(&request).is_none_or(|length| length > DISCARD_MAX) {
        return;
    }
    let mut body = request.into_body();
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(within, read).await;
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

/// The body of a request, which was read before it came to its route.
///
/// # Errors
/// 413, 408, or 400 when the client broke off.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    collect(request.into_body(), Limits::default().body).await
}

/// Reads a body, within [`BODY_MAX`] bytes and a time.
async fn collect(body: Body, within: Duration) -> Result<Bytes, Problem> {
    let body = Limited::new(body, BODY_MAX).collect();
    match timeout(within, body).await {
        Err(_) => Err(Problem::slow_request()),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(BODY_MAX)),
        Ok(Err(error)) => Err(Problem::bad_request(format!(
            "the request's body cannot be read: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests;

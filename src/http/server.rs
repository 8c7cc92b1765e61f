//! HTTP/1 connections: limits, peers, shutdown.
//!
//! **Invariant:** a client that stalls, floods or breaks off costs one connection for a bounded
//! time, and never harms another client.
//! **Invariant:** a handler that panics costs its request, never the daemon.
//! **Invariant:** after the stop signal this ends within [`Limits::drain`], whatever the clients
//! do.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutWriter;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::capacity::{Busy, Slot};
use super::error::Problem;
use super::listener::Listener;
use crate::app::AppError;
use crate::app::access::Origin;

pub use super::capacity::Capacity;

/// The longest request line and headers together; hyper answers 431 to more.
const HEAD_MAX: usize = 64 << 10;

/// After an `accept` that failed (no descriptors left) nothing is accepted for so long: trying at
/// once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of connections; those of requests belong to routes. The defaults are for the daemon,
/// tests take less time.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once, a share of the descriptors, for all listeners that get a clone of it.
    /// Beyond it, clients are told so and disconnected.
    pub connections: Capacity,
    /// From the start of a connection, or of the wait for its next request, to the end of the
    /// headers.
    pub head: Duration,
    /// Maximum time for which a client may leave an answer unread.
    pub stall: Duration,
    /// From the stop signal until connections are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Capacity::new(256),
            head: Duration::from_secs(10),
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

/// Answers the clients of `listener` from `router` until `stop` turns true (or its sender is gone),
/// then gives up the listener's address.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let drain = limits.drain;
    let server = Connection::new(router, limits, Stopping::new(stop));
    let mut stopping = server.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopping.wait() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok(stream) => server.admit::<L>(stream, &mut connections),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    let address = listener.close();
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(drain, all_done).await.is_err() {
        connections.shutdown().await;
    }
    drop(address);
}

/// Answers one client, as one of listener `L`, from `router` until it disconnects.
pub async fn answer<L: Listener>(stream: L::Stream, router: Router, limits: Limits) {
    let (_running, stop) = watch::channel(false);
    let connection = Connection::new(router, limits, Stopping::new(stop));
    let Some(origin) = origin::<L>(&stream) else {
        return;
    };
    if let Some(slot) = connection.limits.connections.take(&origin) {
        connection.run::<L>(stream, origin, slot).await;
    }
}

/// Tells who is at the other end of `stream`; `None` if nobody knows.
fn origin<L: Listener>(stream: &L::Stream) -> Option<Origin> {
    let origin = L::origin(stream);
    origin
        .inspect_err(|error| tracing::warn!(%error, "cannot tell who connects"))
        .ok()
}

/// Says that there are too many connections, as far as that can be said without waiting.
fn turn_away(mut stream: impl AsyncWriteExt + Unpin) {
    let answer = Problem::from(AppError::unavailable("too many connections")).to_last_answer();
    // A new connection's buffer is empty, so that this fits. A client that does not read it has
    // gone.
    let _ = stream.write(answer.as_bytes()).now_or_never();
}

#[derive(Clone)]
struct Connection {
    router: Router,
    limits: Limits,
    stopping: Stopping,
}

impl Connection {
    fn new(router: Router, limits: Limits, stopping: Stopping) -> Self {
        Self {
            router: router.layer(CatchPanicLayer::custom(on_panic)),
            limits,
            stopping,
        }
    }

    /// Begins to answer the client at the other end of `stream`, or turns it away.
    fn admit<L: Listener>(&self, stream: L::Stream, connections: &mut JoinSet<()>) {
        let Some(origin) = origin::<L>(&stream) else {
            return;
        };
        match self.limits.connections.take(&origin) {
            Some(slot) => drop(connections.spawn(self.clone().run::<L>(stream, origin, slot))),
            None => turn_away(stream),
        }
    }

    async fn run<L: Listener>(mut self, stream: L::Stream, origin: Origin, slot: Slot) {
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.limits.stall));
        let slot = Arc::new(slot);
        let (this, from, busy) = (self.clone(), origin.clone(), Arc::clone(&slot));
        let service = service_fn(move |request| {
            this.clone()
                .answer(from.clone(), busy.begin_request(), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = slot.gives_way() => {
                tracing::debug!(%origin, "an idle connection gave way to another client");
                return;
            }
            () = self.stopping.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %origin, "a connection broke");
        }
    }

    async fn answer(
        self,
        origin: Origin,
        busy: Busy,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Answer>, Infallible> {
        if self.stopping.is_over() {
            let stopping = Problem::from(AppError::stopping()).into_response();
            return Ok(stopping.map(|body| Answer { body, _busy: busy }));
        }
        if let Err(problem) = check_head(&request) {
            let mut answer = problem.into_response();
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
            return Ok(answer.map(|body| Answer { body, _busy: busy }));
        }
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(origin);
        extensions.insert(self.stopping);
        let answer = self.router.oneshot(request).await?;
        Ok(answer.map(|body| Answer { body, _busy: busy }))
    }
}

/// Refuses what a proxy in front may understand in another way than we do.
fn check_head<B>(request: &hyper::Request<B>) -> Result<(), Problem> {
    let count = |name| request.headers().get_all(name).iter().count();
    let hosts = count(header::HOST);
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        let detail = format!("the request has {hosts} Host headers, and HTTP/1.1 needs one");
        return Err(Problem::bad_request(detail));
    }
    let coding = request.headers().get(header::TRANSFER_ENCODING);
    let is_chunked = coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if count(header::TRANSFER_ENCODING) > 1 || !is_chunked {
        let detail = "the request has another Transfer-Encoding than one \"chunked\"";
        return Err(Problem::bad_request(detail));
    }
    Ok(())
}

/// Body of an answer, until whose end its connection is busy.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a handler of panics"
)]
fn on_panic(panic: Box<dyn Any + Send>) -> Response {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words");
    tracing::error!(what, "a request handler panicked");
    Problem::from(AppError::internal(
        "the daemon could not answer; its log says why",
    ))
    .into_response()
}

#[cfg(test)]
mod tests;

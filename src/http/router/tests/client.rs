//! Clients of the routes: in memory, and who the test says that they are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::{mpsc, watch};

use super::Router;
use crate::app::access::Origin;
use crate::common::http::{Answer, Request};
use crate::http::listener::Listener;
use crate::http::server::{Limits, serve};

/// Bytes that wait between client and server.
const BUFFER: usize = 64 << 10;

/// The server's end of a connection.
pub(super) struct Connection {
    origin: Origin,
    stream: DuplexStream,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

struct Connections(mpsc::UnboundedReceiver<Connection>);

impl Listener for Connections {
    type Stream = Connection;
    type Address = ();

    async fn accept(&mut self) -> io::Result<Connection> {
        match self.0.recv().await {
            Some(connection) => Ok(connection),
            None => std::future::pending().await,
        }
    }

    fn origin(connection: &Connection) -> io::Result<Origin> {
        Ok(connection.origin.clone())
    }

    fn close(self) {}
}

/// Way to a server.
#[derive(Clone)]
pub(super) struct Clients(mpsc::UnboundedSender<Connection>);

impl Clients {
    /// Serves `router` until `stop` turns true.
    pub(super) fn of(router: Router, stop: watch::Receiver<bool>) -> Self {
        let (clients, connections) = mpsc::unbounded_channel();
        tokio::spawn(serve(
            Connections(connections),
            router,
            Limits::default(),
            stop,
        ));
        Self(clients)
    }

    /// Sends `request` from `origin`.
    pub(super) async fn begin(&self, origin: impl Into<Origin>, request: &Request) -> Incoming {
        let (mut ours, stream) = duplex(BUFFER);
        let origin = origin.into();
        assert!(self.0.send(Connection { origin, stream }).is_ok());
        ours.write_all(&request.to_last_bytes()).await.unwrap();
        Incoming {
            stream: BufReader::new(ours),
            read: Vec::new(),
        }
    }

    /// Sends `request` from `origin`, and returns the whole answer.
    pub(super) async fn send(&self, origin: impl Into<Origin>, request: &Request) -> Answer {
        Answer::parse(&self.begin(origin, request).await.rest().await)
    }
}

/// An answer as it comes.
pub(super) struct Incoming {
    stream: BufReader<DuplexStream>,
    read: Vec<u8>,
}

impl Incoming {
    /// Reads up to and including `end`. Cancellation loses nothing.
    pub(super) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        while !self.read.ends_with(end) {
            self.read.push(self.stream.read_u8().await.unwrap());
        }
        std::mem::take(&mut self.read)
    }

    pub(super) async fn head(&mut self) -> Answer {
        Answer::parse(&self.until(b"\r\n\r\n").await)
    }

    pub(super) async fn rest(mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.read).await.unwrap();
        self.read
    }
}

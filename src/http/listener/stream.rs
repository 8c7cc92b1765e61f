//! Connection of a TCP client, whose TLS handshake belongs to the first read.
//!
//! **Invariant:** nothing of an answer leaves in plain text on a port with TLS, except the refusal
//! of a client that speaks plain HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::tls::Tls;
use crate::app::access::Origin;
use crate::http::error::Problem;

/// Type of the first TLS record of a client (RFC 8446, 5.1: `handshake`).
const HANDSHAKE: u8 = 22;

/// Maximum number of bytes that are read of a refused client. If more are left unread, the kernel
/// discards the refusal.
const DISCARD_MAX: usize = 64 << 10;

/// Connection over TCP, with TLS or without.
pub struct Stream {
    origin: Origin,
    state: State,
}

enum State {
    Plain(TcpStream),
    /// A port with TLS, before the first byte.
    FirstByte(TcpStream, Arc<Tls>),
    Handshake(Pin<Box<dyn Future<Output = io::Result<TlsStream<TcpStream>>> + Send>>),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// Plain HTTP on a port with TLS.
    Refused {
        tcp: TcpStream,
        answer: String,
        written: usize,
        discarded: usize,
    },
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, origin: Origin, tls: Option<Arc<Tls>>) -> Self {
        let state = match tls {
            None => State::Plain(tcp),
            Some(tls) => State::FirstByte(tcp, tls),
        };
        Self { origin, state }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Looks at the first byte of a client, and goes on as it says. False: the client has gone.
    fn poll_first_byte(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let State::FirstByte(tcp, _) = &mut self.state else {
            return Poll::Ready(Ok(true));
        };
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let length = ready!(tcp.poll_peek(context, &mut buffer))?;
        if length == 0 {
            return Poll::Ready(Ok(false));
        }
        let gone = State::Handshake(Box::pin(std::future::pending()));
        let State::FirstByte(tcp, tls) = std::mem::replace(&mut self.state, gone) else {
            unreachable!("invariant: it waited for the first byte");
        };
        self.state = match byte[0] {
            HANDSHAKE => State::Handshake(Box::pin(async move { tls.accept(tcp).await })),
            _ => State::Refused {
                tcp,
                answer: refusal(),
                written: 0,
                discarded: 0,
            },
        };
        Poll::Ready(Ok(true))
    }
}

/// Answer to a client that does not speak TLS.
fn refusal() -> String {
    let status = StatusCode::BAD_REQUEST;
    let problem = Problem::new(status, "tls-required", "this port speaks HTTPS only");
    problem
        .hint("send the request to the https:// address")
        .to_last_answer()
}

/// Writes what is left of `answer`, then reads until the client has finished, or said too much.
fn poll_refuse(
    context: &mut Context<'_>,
    tcp: &mut TcpStream,
    answer: &str,
    written: &mut usize,
    discarded: &mut usize,
) -> Poll<io::Result<()>> {
    while *written < answer.len() {
        let rest = &answer.as_bytes()[*written..];
        *written += ready!(Pin::new(&mut *tcp).poll_write(context, rest))?;
        if *written == answer.len() {
            ready!(Pin::new(&mut *tcp).poll_shutdown(context))?;
        }
    }
    let mut bytes = [0; 1024];
    while *discarded < DISCARD_MAX {
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *tcp).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            break;
        }
        *discarded += buffer.filled().len();
    }
    Poll::Ready(Ok(()))
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Plain(tcp) => return Pin::new(tcp).poll_read(context, buffer),
                State::Encrypted(tls) => return Pin::new(tls).poll_read(context, buffer),
                State::FirstByte(..) => {
                    if !ready!(self.poll_first_byte(context))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                State::Handshake(handshake) => {
                    let tls = ready!(handshake.as_mut().poll(context))?;
                    self.state = State::Encrypted(Box::new(tls));
                }
                State::Refused {
                    tcp,
                    answer,
                    written,
                    discarded,
                } => return poll_refuse(context, tcp, answer, written, discarded),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            State::Encrypted(tls) => Pin::new(tls).poll_write(context, bytes),
            State::FirstByte(..) | State::Handshake(_) | State::Refused { .. } => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            State::Encrypted(tls) => Pin::new(tls).poll_flush(context),
            State::FirstByte(..) | State::Handshake(_) | State::Refused { .. } => {
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Plain(tcp) | State::FirstByte(tcp, _) | State::Refused { tcp, .. } => {
                Pin::new(tcp).poll_shutdown(context)
            }
            State::Encrypted(tls) => Pin::new(tls).poll_shutdown(context),
            State::Handshake(_) => Poll::Ready(Ok(())),
        }
    }
}

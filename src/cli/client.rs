//! HTTP/1 over the daemon's socket.
//!
//! **Invariant:** every failure says which socket was meant, and what would mend it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::types::{Problem, to_query};

/// The largest answer that is taken as a whole; lists are read line by line.
const ANSWER_MAX: usize = 256 << 20;

/// The longest line of a list: an entry is a few hundred bytes, its path at most 4,096 escaped
/// six-fold.
const LINE_MAX: usize = 1 << 20;

/// Failure to get an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error("no daemon listens on socket \"{}\"\n  start it with: lapsed serve --watch ./scratch=10s (or lapsed serve --config FILE)", .0.display())]
    NoDaemon(PathBuf),
    /// There is a socket that nobody answers.
    #[error("the daemon of socket \"{}\" is dead\n  start it again with: lapsed serve …", .0.display())]
    DeadDaemon(PathBuf),
    /// The socket may not be opened.
    #[error("socket \"{}\" may not be opened: permission denied\n  become a member of its group, or ask whoever runs the daemon", .0.display())]
    Denied(PathBuf),
    /// The path does not fit a socket's address.
    #[error("the socket's path \"{}\" is longer than the system takes\n  give a shorter one with --socket", .0.display())]
    TooLong(PathBuf),
    /// It broke.
    #[error("the connection to the daemon (socket \"{}\") broke: {reason}", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Reason, as far as it is known.
        reason: String,
    },
    /// The daemon refuses.
    #[error("{0}")]
    Refused(Problem),
}

impl ClientError {
    /// Returns true if no daemon runs, so that a command may do without.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::NoDaemon(_) | Self::DeadDaemon(_) => true,
            Self::Denied(_) | Self::TooLong(_) | Self::Broken { .. } | Self::Refused(_) => false,
        }
    }
}

/// A path of the API, with its query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target(String);

impl Target {
    /// The path `path`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// The same with one more segment of the path, whatever is in it.
    #[must_use]
    pub fn below(mut self, segment: &str) -> Self {
        self.0.push('/');
        // A segment of dots alone means another one.
        let plain: &[u8] = if segment.bytes().all(|byte| byte == b'.') {
            b""
        } else {
            b"-._~:"
        };
        self.encode(segment.as_bytes(), plain);
        self
    }

    /// Appends the parameters of `query` that are set.
    #[must_use]
    pub fn query(mut self, query: &impl Serialize) -> Self {
        for (place, (name, value)) in to_query(query).into_iter().enumerate() {
            self.0.push(if place == 0 { '?' } else { '&' });
            self.0.push_str(&name);
            self.0.push('=');
            self.encode(&value, b"-._~/:");
        }
        self
    }

    fn encode(&mut self, bytes: &[u8], plain: &[u8]) {
        for &byte in bytes {
            if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    socket: PathBuf,
}

impl Client {
    /// Connects to the daemon at `socket`.
    ///
    /// # Errors
    /// [`ClientError`], which tells a daemon that is not there from one that may not be asked.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        if !crate::http::listener::socket::fits(socket) {
            return Err(ClientError::TooLong(socket.to_path_buf()));
        }
        let stream = UnixStream::connect(socket).await.map_err(|error| {
            let socket = socket.to_path_buf();
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    ClientError::NoDaemon(socket)
                }
                io::ErrorKind::ConnectionRefused => ClientError::DeadDaemon(socket),
                io::ErrorKind::PermissionDenied => ClientError::Denied(socket),
                _ => ClientError::Broken {
                    socket,
                    reason: error.to_string(),
                },
            }
        })?;
        Self::over(stream, socket).await
    }

    /// Talks to the server at the other end of `stream`; `socket` is for messages.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub async fn over(stream: UnixStream, socket: &Path) -> Result<Self, ClientError> {
        let broken = |error: hyper::Error| ClientError::Broken {
            socket: socket.to_path_buf(),
            reason: error.to_string(),
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // What breaks the connection breaks the request on it, which tells.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            socket: socket.to_path_buf(),
        })
    }

    /// Asks for `target`, and takes the answer as `T`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's words, or [`ClientError::Broken`].
    pub async fn get<T: DeserializeOwned>(&mut self, target: &Target) -> Result<T, ClientError> {
        let body = self.get_bytes(target).await?;
        serde_json::from_slice(&body).map_err(|error| self.broken(&error))
    }

    /// Asks for `target`, and returns the answer as it is.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's words, or [`ClientError::Broken`].
    pub async fn get_bytes(&mut self, target: &Target) -> Result<Bytes, ClientError> {
        let answer = self
            .send(Method::GET, target, None, "application/json")
            .await?;
        self.whole(answer).await
    }

    /// Orders `target` with `body`, and takes the answer as `T`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's words, or [`ClientError::Broken`].
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        target: &Target,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.order(Method::POST, target, Some(body)).await
    }

    /// Orders `method` of `target`, with `body` where there is one, and takes the answer as `T`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's words, or [`ClientError::Broken`].
    pub async fn order<T: DeserializeOwned>(
        &mut self,
        method: Method,
        target: &Target,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|error| self.broken(&error))?;
        let answer = self.send(method, target, body, "application/json").await?;
        let body = self.whole(answer).await?;
        serde_json::from_slice(&body).map_err(|error| self.broken(&error))
    }

    /// Asks for `target` as the lines of `media`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's words, or [`ClientError::Broken`].
    pub async fn lines(mut self, target: &Target, media: &str) -> Result<Lines, ClientError> {
        let answer = self.send(Method::GET, target, None, media).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        Ok(Lines {
            body: answer.into_body(),
            buffer: Vec::new(),
            start: 0,
            client: self,
        })
    }

    async fn send(
        &mut self,
        method: Method,
        target: &Target,
        body: Option<Vec<u8>>,
        media: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(target.as_str())
            .header(header::HOST, "lapsed")
            .header(header::ACCEPT, media);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| self.broken(&error))?;
        let sent = self.sender.send_request(request).await;
        sent.map_err(|error| self.broken(&error))
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        self.body(answer).await
    }

    async fn refusal(&self, answer: Response<Incoming>) -> ClientError {
        let status = answer.status();
        match self.body(answer).await {
            Ok(body) => serde_json::from_slice(&body).map_or_else(
                |_| self.broken(&format!("it answers {status}")),
                ClientError::Refused,
            ),
            Err(error) => error,
        }
    }

    async fn body(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX).collect();
        let body = body.await.map_err(|error| self.broken(&error))?;
        Ok(body.to_bytes())
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Broken {
            socket: self.socket.clone(),
            reason: reason.to_string(),
        }
    }
}

/// An answer that comes line by line.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    start: usize,
    client: Client,
}

impl Lines {
    /// The next line, without its end; `None` after the last one.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub async fn next(&mut self) -> Result<Option<&[u8]>, ClientError> {
        let mut searched = self.start;
        loop {
            let fresh = &self.buffer[searched..];
            if let Some(end) = fresh.iter().position(|&byte| byte == b'\n') {
                let line = self.start..searched + end;
                self.start = line.end + 1;
                return Ok(Some(&self.buffer[line]));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            searched = self.buffer.len();
            if searched > LINE_MAX {
                return Err(self.client.broken(&"it sends a line without end"));
            }
            match self.body.frame().await {
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.start = self.buffer.len();
                    return Ok(Some(&self.buffer));
                }
                Some(Err(error)) => return Err(self.client.broken(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{self, HistoryQuery};

    #[test]
    fn parameters_are_encoded() {
        let query = HistoryQuery {
            path: Some(types::Bytes(b"/a b+\xff&?".to_vec())),
            root: Some("z".to_owned()),
            ..HistoryQuery::default()
        };
        let target = Target::new("/v1/history").query(&query);
        assert_eq!(
            target.as_str(),
            "/v1/history?path=/a%20b%2B%FF%26%3F&root=z"
        );
        let target = Target::new("/v1/jobs").below("a/b?");
        assert_eq!(target.as_str(), "/v1/jobs/a%2Fb%3F");
        assert_eq!(
            Target::new("/v1/jobs").below("..").as_str(),
            "/v1/jobs/%2E%2E"
        );
    }

    /// A server whose lines arrive in pieces.
    fn serve(pieces: &'static [&'static str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let answer = move || async move {
            let pieces = pieces.iter().map(|piece| Ok::<_, io::Error>(*piece));
            axum::body::Body::from_stream(futures_util::stream::iter(pieces))
        };
        let refuse = || async {
            crate::http::error::Problem::from(
                crate::app::AppError::not_found("there is no such thing").hint("look again"),
            )
        };
        let router = axum::Router::new()
            .route("/lines", axum::routing::get(answer))
            .route("/refused", axum::routing::get(refuse));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            let limits = crate::http::server::Limits::default();
            crate::http::server::serve(listener, router, limits, stopped).await;
            drop(stop);
        });
        (dir, socket)
    }

    #[tokio::test]
    async fn lines_are_put_together_however_they_arrive() {
        let (_dir, socket) = serve(&["a\nb", "b", "\n\nlong", " line\nlast"]);
        let client = Client::connect(&socket).await.unwrap();
        let mut lines = client
            .lines(&Target::new("/lines"), "text/plain")
            .await
            .unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(all, ["a", "bb", "", "long line", "last"]);
    }

    #[tokio::test]
    async fn a_refusal_has_the_daemon_s_words() {
        let (_dir, socket) = serve(&[]);
        let mut client = Client::connect(&socket).await.unwrap();
        let error = client
            .get::<String>(&Target::new("/refused"))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "there is no such thing\n  look again");
        assert!(!error.is_absence());
    }

    #[tokio::test]
    async fn a_missing_daemon_differs_from_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let error = Client::connect(&socket).await.unwrap_err();
        assert!(matches!(error, ClientError::NoDaemon(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(socket.to_str().unwrap()), "{text}");
        assert!(text.contains("start it with: lapsed serve"), "{text}");

        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let error = Client::connect(&socket).await.unwrap_err();
        assert!(matches!(error, ClientError::DeadDaemon(_)), "{error}");
        assert!(error.is_absence());

        let long = dir.path().join("x".repeat(120));
        let error = Client::connect(&long).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLong(_)), "{error}");
    }
}

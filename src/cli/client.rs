//! HTTP/1 over the daemon's socket, or to a daemon behind a URL.
//!
//! **Invariant:** every failure says which socket or URL was meant, and what would mend it.
//! **Invariant:** no redirect is followed.

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::human;
use crate::remote::Stream;
use crate::types::Problem;

mod endpoint;
mod error;
mod target;
#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, Server, Token};
pub use error::ClientError;
pub use target::Target;

/// The largest answer that is taken as a whole; lists are read line by line.
const ANSWER_MAX: usize = 256 << 20;

/// The longest line of a list: an entry is a few hundred bytes, its path at most 4,096 escaped
/// six-fold.
const LINE_MAX: usize = 1 << 20;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    endpoint: Endpoint,
}

impl Client {
    /// Connects to the daemon at `endpoint`.
    ///
    /// # Errors
    /// [`ClientError`], which tells a daemon that is not there from one that may not be asked.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ClientError> {
        Self::over(endpoint.connect().await?, endpoint.clone()).await
    }

    /// Talks to the server at the other end of `stream`; `endpoint` is for messages.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub async fn over(stream: Box<dyn Stream>, endpoint: Endpoint) -> Result<Self, ClientError> {
        let (sender, connection) =
            handshake(TokioIo::new(stream))
                .await
                .map_err(|error| ClientError::Broken {
                    place: endpoint.to_string(),
                    reason: error.to_string(),
                })?;
        // What breaks the connection breaks the request on it, which tells.
        tokio::spawn(connection);
        Ok(Self { sender, endpoint })
    }

    /// Returns true if nothing more can be asked on this connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks for `target`, and takes the answer as `T`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's words, or [`ClientError::Broken`].
    pub async fn get<T: DeserializeOwned>(&mut self, target: &Target) -> Result<T, ClientError> {
        let body = self.get_bytes(target).await?;
        match serde_json::from_slice(&body) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.misunderstood(&error).await),
        }
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
        match serde_json::from_slice(&body) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.misunderstood(&error).await),
        }
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
        if let Endpoint::Server(server) = &self.endpoint
            && !has_media(&answer, media)
        {
            return Err(another_service(server, &answer));
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
        let mut request = Request::builder().method(method).header(ACCEPT, media);
        request = match &self.endpoint {
            Endpoint::Socket(_) => request.uri(target.as_str()).header(HOST, "lapsed"),
            Endpoint::Server(server) => {
                let request = request
                    .uri(server.path_of(target.as_str()))
                    .header(HOST, server.authority());
                match server.credentials() {
                    Some(credentials) => request.header(AUTHORIZATION, credentials),
                    None => request,
                }
            }
        };
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| self.broken(&error))?;
        match self.sender.send_request(request).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(match &self.endpoint {
                Endpoint::Server(server) if error.is_parse() => server.failure(
                    &format!("it does not speak HTTP/1.1: {error}"),
                    "give the address of [http] listen, with https:// if it has TLS",
                ),
                _ => self.broken(&error),
            }),
        }
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        if let Endpoint::Server(server) = &self.endpoint
            && !has_media(&answer, "application/json")
        {
            return Err(another_service(server, &answer));
        }
        self.body(answer).await
    }

    async fn refusal(&self, answer: Response<Incoming>) -> ClientError {
        let status = answer.status();
        let stranger = match &self.endpoint {
            Endpoint::Server(server) => Some(another_service(server, &answer)),
            Endpoint::Socket(_) => None,
        };
        let body = match self.body(answer).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match (serde_json::from_slice::<Problem>(&body), &self.endpoint) {
            (Ok(problem), Endpoint::Server(server)) => {
                ClientError::Refused(server.explain(problem))
            }
            (Ok(problem), Endpoint::Socket(_)) => ClientError::Refused(problem),
            (Err(_), _) => stranger.unwrap_or_else(|| self.broken(&format!("it answers {status}"))),
        }
    }

    /// Returns the error of an answer that is another one than this client knows.
    async fn misunderstood(&mut self, error: &serde_json::Error) -> ClientError {
        let Endpoint::Server(server) = self.endpoint.clone() else {
            return self.broken(error);
        };
        let status = Target::new("/v1/status");
        let answer = match self
            .send(Method::GET, &status, None, "application/json")
            .await
        {
            Ok(answer) => self.whole(answer).await,
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_default();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        let theirs = answer["version"]
            .as_str()
            .map_or_else(|| "unknown".to_owned(), human::safe);
        server.failure(
            &format!("its answer cannot be understood: {error}"),
            &format!(
                "its version is {theirs}, that of this client {}",
                env!("CARGO_PKG_VERSION")
            ),
        )
    }

    async fn body(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX).collect();
        let body = body.await.map_err(|error| self.broken(&error))?;
        Ok(body.to_bytes())
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Broken {
            place: self.endpoint.to_string(),
            reason: reason.to_string(),
        }
    }
}

fn has_media<B>(answer: &Response<B>, media: &str) -> bool {
    let given = answer.headers().get(CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok());
    given.is_some_and(|given| given.starts_with(media))
}

/// Returns the error of an answer that no daemon gives.
fn another_service<B>(server: &Server, answer: &Response<B>) -> ClientError {
    let text = |name| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let status = answer.status();
    if status.is_redirection() {
        let to = text(LOCATION).map_or_else(|| "elsewhere".to_owned(), human::safe);
        return server.failure(
            &format!("it answers {status}, and redirects: {to}"),
            "redirects are not followed: give the URL of the daemon itself",
        );
    }
    let media = text(CONTENT_TYPE).map_or_else(|| "no type".to_owned(), human::safe);
    server.failure(
        &format!("it does not answer as lapsed does, but with {status} and {media}"),
        "give the URL of [http] listen, or the path that the proxy has for it",
    )
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

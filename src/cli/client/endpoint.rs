//! Ways to a daemon: the socket of this host, or a URL with a token.
//!
//! **Invariant:** a token is sent to the host of its URL alone: by TLS, or within this host.
//! **Invariant:** a token is never shown, logged, or part of an error.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{bail, ensure};
use hyper::header::HeaderValue;
use tokio::net::UnixStream;

use super::error::ClientError;
use crate::remote::{Allowed, ConnectError, Stream, Tls, TlsFault, Url, open};
use crate::types::Problem;

/// Longest token, in bytes: JSON web tokens are long.
const TOKEN_MAX: usize = 16 << 10;

/// Way to a daemon.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// Socket of this host.
    Socket(PathBuf),
    /// Server of a URL.
    Server(Arc<Server>),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "socket \"{}\"", path.display()),
            Self::Server(server) => f.write_str(&server.shown),
        }
    }
}

impl Endpoint {
    /// Connects.
    ///
    /// # Errors
    /// [`ClientError`], which tells a daemon that is not there from one that may not be asked.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        match self {
            Self::Socket(path) => Ok(Box::new(connect_to_socket(path).await?)),
            Self::Server(server) => server.connect().await,
        }
    }
}

async fn connect_to_socket(path: &Path) -> Result<UnixStream, ClientError> {
    if !crate::http::listener::socket::fits(path) {
        return Err(ClientError::TooLong(path.to_path_buf()));
    }
    UnixStream::connect(path).await.map_err(|error| {
        let socket = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ClientError::NoDaemon(socket),
            io::ErrorKind::ConnectionRefused => ClientError::DeadDaemon(socket),
            io::ErrorKind::PermissionDenied => ClientError::Denied(socket),
            _ => ClientError::Broken {
                place: Endpoint::Socket(socket).to_string(),
                reason: error.to_string(),
            },
        }
    })
}

/// Credentials, and where they are from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Value of the header, which is not shown.
    header: HeaderValue,
    /// `file "…"`, or the name of a variable.
    origin: String,
}

impl Token {
    /// Reads the token in the file at `path`. Waits for the disk.
    ///
    /// # Errors
    /// If it cannot be read, if others can read it, too, or if something else is in it.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let origin = format!("file \"{}\"", path.display());
        let read = || {
            let file = File::open(path)?;
            let mode = file.metadata()?.mode();
            let mut text = Vec::new();
            file.take(TOKEN_MAX as u64 + 2).read_to_end(&mut text)?;
            io::Result::Ok((mode, text))
        };
        let (mode, text) = read().map_err(|error| {
            anyhow::anyhow!(
                "cannot read the token in {origin}: {error}\n  \
                 --token-file and LAPSED_TOKEN_FILE name a file with what `lapsed token new` prints last"
            )
        })?;
        ensure!(
            mode & 0o004 == 0,
            "every user of this host can read the token in {origin}\n  \
             chmod o-rwx it (a secret of a container: mode 0400), and make a new token"
        );
        Self::new(&text, origin)
    }

    /// Takes the value of the variable `name`.
    ///
    /// # Errors
    /// If it is no token.
    pub fn of_variable(name: &str, value: &[u8]) -> anyhow::Result<Self> {
        Self::new(value, format!("variable {name}"))
    }

    fn new(text: &[u8], origin: String) -> anyhow::Result<Self> {
        let text = text.trim_ascii();
        let is_token = text.iter().all(u8::is_ascii_graphic);
        if text.is_empty() || !is_token || text.len() > TOKEN_MAX {
            bail!(
                "{origin} has no token: it is {}\n  put into it what `lapsed token new` prints last",
                if text.is_empty() {
                    "empty"
                } else if is_token {
                    "too long"
                } else {
                    "more than one word"
                }
            );
        }
        let mut header = HeaderValue::from_bytes(&[b"Bearer ", text].concat())?;
        header.set_sensitive(true);
        Ok(Self { header, origin })
    }
}

/// Daemon behind a URL.
pub struct Server {
    url: Url,
    /// The URL, as it is given.
    shown: String,
    token: Option<Token>,
    tls: Tls,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Server {
    /// The daemon of `url`, whose certificate those in `ca_file` vouch for, or those that this host
    /// trusts. Waits for the disk.
    ///
    /// # Errors
    /// If the URL is no address of a daemon, or a file cannot be used.
    pub fn new(url: &str, token: Option<Token>, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let shown = url.trim().trim_end_matches('/').to_owned();
        let give = "give one such as https://host:7343";
        let url = Url::parse(&shown).map_err(|why| anyhow::anyhow!("the URL {why}\n  {give}"))?;
        ensure!(
            !url.target().contains('?') && !shown.contains('#'),
            "the URL has a query\n  {give}"
        );
        let tls = match ca_file {
            Some(path) => Tls::of_file(path).map_err(|why| {
                let path = path.display();
                anyhow::anyhow!(
                    "cannot use the certificates in \"{path}\": {why}\n  \
                     --ca-file and LAPSED_CA_FILE name a file in PEM"
                )
            })?,
            None if url.is_tls() => Tls::of_host(),
            None => Tls::none(),
        };
        Ok(Self {
            url,
            shown,
            token,
            tls,
        })
    }

    /// Returns the host that requests name.
    pub(super) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Returns the value of the header with the token.
    pub(super) fn credentials(&self) -> Option<HeaderValue> {
        Some(self.token.as_ref()?.header.clone())
    }

    /// Returns the path that requests for `target` name.
    pub(super) fn path_of(&self, target: &str) -> String {
        self.url.below(target).target().to_owned()
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let allowed = if self.url.is_tls() {
            Allowed::All
        } else {
            Allowed::Loopback
        };
        let stream = open(&self.url, &self.tls, allowed).await;
        stream.map_err(|error| self.failure(&error.to_string(), &self.advice(&error)))
    }

    /// Returns the error of this server.
    pub(super) fn failure(&self, why: &str, hint: &str) -> ClientError {
        ClientError::Server {
            url: self.shown.clone(),
            why: why.to_owned(),
            hint: hint.to_owned(),
        }
    }

    fn advice(&self, error: &ConnectError) -> String {
        let port = self.url.port();
        match error {
            ConnectError::NoName | ConnectError::Unresolved { .. } | ConnectError::NoAddress(_) => {
                "check the name in the URL".to_owned()
            }
            ConnectError::Refused { .. } => {
                "http:// is not encrypted: use https://, or a tunnel such as ssh -L".to_owned()
            }
            ConnectError::Unconnected { .. } | ConnectError::Slow { .. } => format!(
                "start it there with [http] listen, or give the port of the daemon instead of {port}"
            ),
            ConnectError::NoTls(_) => "or name its certificate with --ca-file".to_owned(),
            ConnectError::Tls { error, .. } => match TlsFault::of(error) {
                TlsFault::UnknownIssuer => {
                    "name the certificate of its authority with --ca-file or LAPSED_CA_FILE"
                }
                TlsFault::WrongName => "give a name in the URL that the certificate is for",
                TlsFault::WrongTime => "renew it there, or set the clock of this host",
                TlsFault::Authority => {
                    "it is that of an authority: name it with --ca-file or LAPSED_CA_FILE"
                }
                TlsFault::NotTls => "the port speaks no TLS: give the one of [http] listen",
                TlsFault::Other => "see the log of the daemon",
            }
            .to_owned(),
        }
    }

    /// Explains a refusal of the daemon to whoever gave URL and token.
    pub(super) fn explain(&self, problem: Problem) -> Problem {
        if ![401, 403, 429].contains(&problem.status) {
            return problem;
        }
        let hint = problem.hint.as_deref().unwrap_or_default();
        let hint = match &self.token {
            // The rest of it says how a token is made.
            None => {
                let rest = hint.split_once("; ").map_or(hint, |(_, rest)| rest);
                format!("name the file of a token with --token-file or LAPSED_TOKEN_FILE; {rest}")
            }
            Some(token) => format!("the token is that of {}; {hint}", token.origin),
        };
        Problem {
            detail: format!("{}: {}", self.shown, problem.detail),
            hint: Some(hint.trim_end_matches("; ").to_owned()),
            ..problem
        }
    }
}

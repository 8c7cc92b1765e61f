//! From an address to a stream: it resolves, connects, and begins TLS.
//!
//! **Invariant:** an error names the host, and not the path of the address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::url::{Url, is_refused};
use super::verifier::NamedVerifier;

/// Time for one connection, so that a host with a second address gets to it.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Time without an answer of the other host after which a connection counts as broken, also while
/// nothing is sent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Addresses that a connection may lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// All but link-local, multicast and unspecified ones.
    NotLinkLocal,
    /// Those of this host.
    Loopback,
    /// All.
    All,
}

impl Allowed {
    fn has(self, address: IpAddr) -> bool {
        match self {
            Self::NotLinkLocal => !is_refused(address),
            Self::Loopback => address.to_canonical().is_loopback(),
            Self::All => true,
        }
    }
}

/// Failure to reach a server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host is neither a name nor an address.
    #[error("its host is no name")]
    NoName,
    /// The name leads nowhere.
    #[error("{host} cannot be resolved: {error}")]
    Unresolved {
        /// Name.
        host: String,
        /// Answer of the resolver.
        error: io::Error,
    },
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The name leads to addresses that are not allowed.
    #[error("{host} {}", match .allowed {
        Allowed::NotLinkLocal | Allowed::All => {
            "leads to a link-local, multicast or unspecified address, which is refused"
        }
        Allowed::Loopback => "is another host",
    })]
    Refused {
        /// Name.
        host: String,
        /// Addresses that would be allowed.
        allowed: Allowed,
    },
    /// Nobody answers.
    #[error("cannot connect to {host} ({address}): {error}")]
    Unconnected {
        /// Name.
        host: String,
        /// Address.
        address: SocketAddr,
        /// Answer of the operating system.
        error: io::Error,
    },
    /// Nobody answers in time.
    #[error("cannot connect to {host} ({address}) within {} s", CONNECT_TIME.as_secs())]
    Slow {
        /// Name.
        host: String,
        /// Address.
        address: SocketAddr,
    },
    /// TLS cannot be used here at all.
    #[error("{0}")]
    NoTls(String),
    /// TLS failed.
    #[error("{host}: TLS: {error}")]
    Tls {
        /// Name.
        host: String,
        /// Reason.
        error: io::Error,
    },
}

/// Reason for which TLS failed, as far as there is advice about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsFault {
    /// Nobody who is trusted vouches for the certificate.
    UnknownIssuer,
    /// It is for another name.
    WrongName,
    /// Its time is over, or has not begun.
    WrongTime,
    /// It is the certificate of an authority.
    Authority,
    /// The server speaks something else than TLS.
    NotTls,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// Classifies `error`, that of a handshake.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|error| error.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::InvalidCertificate(error)) => Self::of_certificate(error),
            Some(_) | None => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::WrongTime,
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                Self::Authority
            }
            _ => Self::Other,
        }
    }
}

/// Certificates that servers are verified by.
#[derive(Clone)]
pub struct Tls(Result<Arc<ClientConfig>, String>);

impl Tls {
    /// Reads the certificates that this host trusts. Waits for the disk.
    #[must_use]
    pub fn of_host() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Self(Err(
                "this host trusts no certificate authority; install ca-certificates".to_owned(),
            ));
        }
        Self::trusting(roots)
    }

    /// Reads the certificates in the file at `path`, in PEM: no others are trusted.
    ///
    /// # Errors
    /// If it cannot be read, or has none.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
        let certificates = read().map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        if roots.is_empty() {
            return Err("it has no certificate in PEM".to_owned());
        }
        let verifier = NamedVerifier::new(roots, certificates)?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self(Ok(Arc::new(config))))
    }

    /// For servers without TLS.
    #[must_use]
    pub fn none() -> Self {
        Self(Err("no certificates were read".to_owned()))
    }

    fn trusting(roots: RootCertStore) -> Self {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string());
        let config = config.map(|config| config.with_root_certificates(roots));
        Self(config.map(|config| Arc::new(config.with_no_client_auth())))
    }
}

/// Stream to a server.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to the server of `url`, with TLS if it says so.
///
/// # Errors
/// [`ConnectError`].
pub async fn open(url: &Url, tls: &Tls, allowed: Allowed) -> Result<Box<dyn Stream>, ConnectError> {
    let stream = connect(url, allowed).await?;
    if !url.is_tls() {
        return Ok(Box::new(stream));
    }
    let config = tls.0.clone().map_err(ConnectError::NoTls)?;
    let name = ServerName::try_from(url.host().to_owned()).map_err(|_| ConnectError::NoName)?;
    let stream = TlsConnector::from(config).connect(name, stream);
    let stream = timeout(SILENCE_MAX, stream).await.unwrap_or_else(|_| {
        let seconds = SILENCE_MAX.as_secs();
        Err(io::Error::other(format!("no answer within {seconds} s")))
    });
    Ok(Box::new(stream.map_err(|error| ConnectError::Tls {
        host: url.host().to_owned(),
        error,
    })?))
}

async fn connect(url: &Url, allowed: Allowed) -> Result<TcpStream, ConnectError> {
    let host = || url.host().to_owned();
    let found = tokio::net::lookup_host((url.host(), url.port())).await;
    let found = found.map_err(|error| ConnectError::Unresolved {
        host: host(),
        error,
    })?;
    let (found, refused): (Vec<SocketAddr>, Vec<_>) =
        found.partition(|address| allowed.has(address.ip()));
    let mut failure = if refused.is_empty() {
        ConnectError::NoAddress(host())
    } else {
        ConnectError::Refused {
            host: host(),
            allowed,
        }
    };
    for address in found.into_iter().take(ADDRESSES_MAX) {
        failure = match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                watch_over(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => ConnectError::Unconnected {
                host: host(),
                address,
                error,
            },
            Err(_) => ConnectError::Slow {
                host: host(),
                address,
            },
        };
    }
    Err(failure)
}

/// Has the kernel end a connection whose other host is gone, also while we only wait for it. Where
/// that cannot be had, the wait may be longer.
fn watch_over(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let third = SILENCE_MAX / 3;
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, third);
    let _ = sockopt::set_tcp_keepintvl(stream, third);
    let _ = sockopt::set_tcp_keepcnt(stream, 2);
    let silence = u32::try_from(SILENCE_MAX.as_millis()).unwrap_or(u32::MAX);
    let _ = sockopt::set_tcp_user_timeout(stream, silence);
}

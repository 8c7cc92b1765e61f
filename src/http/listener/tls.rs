//! TLS of the TCP ports: certificate and key, taken over again when their files change.
//!
//! The files are looked at when a client connects and when somebody asks for the status, so that an
//! idle daemon sleeps, and a switched link or a mount counts like a new file.
//!
//! **Invariant:** a pair of files that cannot be used never replaces the one in force.
//! **Invariant:** a file system that hangs delays no client by more than half a second.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode;

use crate::clock;
use crate::config::TlsFiles;
use crate::core::time::Timestamp;
use crate::types;

/// Maximum time for which a client waits until the files have been looked at.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// Longest file, in bytes: a hundred certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Time before the end of a certificate from which on it is warned of: a client of ACME renews it
/// weeks before.
const ENDS_SOON: Duration = Duration::from_hours(72);

/// Failure to take over a certificate and its key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read \"{path}\": {error}\n  mend {key} in [http.tls], or the file")]
    Read {
        /// Path.
        path: String,
        /// Key of the configuration.
        key: &'static str,
        /// Answer of the operating system.
        error: io::Error,
    },
    /// A file has something else.
    #[error("\"{path}\" has no {content} in PEM\n  mend {key} in [http.tls], or the file")]
    Content {
        /// Path.
        path: String,
        /// Key of the configuration.
        key: &'static str,
        /// Content that is missing.
        content: &'static str,
    },
    /// They do not fit together, or TLS cannot use them.
    #[error(
        "cannot use certificate \"{cert}\" with key \"{key}\": {error}\n  give the key of this certificate"
    )]
    Pair {
        /// Path of the certificate.
        cert: String,
        /// Path of the key.
        key: String,
        /// Reason.
        error: rustls::Error,
    },
}

/// Certificate and key in force, and their files.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    state: Mutex<State>,
    /// True while the files are looked at.
    is_looking: AtomicBool,
}

#[derive(Debug)]
struct State {
    pair: Pair,
    /// State of both files before they were read last.
    stamps: [Option<Stamp>; 2],
    /// Reason why the files as they are now were not taken over.
    failure: Option<String>,
}

/// Certificate and key.
#[derive(Clone, Debug)]
struct Pair {
    config: Arc<ServerConfig>,
    /// Instants between which the certificate is valid; `None`: it does not say them in a known
    /// way.
    validity: Option<(Timestamp, Timestamp)>,
    key_is_exposed: bool,
}

/// State of a file: another one means that it was changed or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            file: (meta.dev(), meta.ino()),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let pair = Pair::load(&files)?;
        let tls = Self {
            state: Mutex::new(State {
                pair,
                stamps,
                failure: None,
            }),
            files,
            is_looking: AtomicBool::new(false),
        };
        tls.log_warnings();
        Ok(tls)
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(
        self: Arc<Self>,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.look().await;
        let config = Arc::clone(&self.state.lock().pair.config);
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Takes over the files if they have changed. Files that cannot be read in time are taken over
    /// later.
    async fn look(self: &Arc<Self>) {
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || {
            this.refresh();
            this.is_looking.store(false, Ordering::Release);
        });
        let _ = timeout(LOOK_MAX, looking).await;
    }

    /// Describes what is in force, after a look at the files. To be called on a thread that may
    /// block, of a runtime.
    pub fn describe(self: &Arc<Self>) -> types::TlsState {
        tokio::runtime::Handle::current().block_on(self.look());
        let not_after = self.state.lock().pair.validity.map(|(_, end)| end);
        types::TlsState {
            certificate: self.files.cert.display().to_string(),
            not_after: not_after.map(|end| end.to_string()),
            warnings: self.warnings(clock::now().wall),
        }
    }

    fn refresh(&self) {
        let stamps = stamps(&self.files);
        if self.state.lock().stamps == stamps {
            return;
        }
        let loaded = Pair::load(&self.files);
        let mut state = self.state.lock();
        state.stamps = stamps;
        match loaded {
            Ok(pair) => {
                state.pair = pair;
                state.failure = None;
                drop(state);
                tracing::info!(certificate = %self.files.cert.display(), "took over the new certificate");
                self.log_warnings();
            }
            Err(error) => {
                tracing::error!(
                    "cannot take over the new certificate; the old one stays in force\n{error}"
                );
                state.failure = Some(error.to_string());
            }
        }
    }

    fn log_warnings(&self) {
        for warning in self.warnings(clock::now().wall) {
            tracing::warn!("{warning}");
        }
    }

    /// Returns what a person should mend, at `now`.
    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let state = self.state.lock();
        let cert = self.files.cert.display();
        let mut warnings = Vec::new();
        if let Some(failure) = &state.failure {
            warnings.push(format!(
                "the new certificate or key is not in force, the old pair is: {failure}"
            ));
        }
        match state.pair.validity {
            Some((start, _)) if now < start => warnings.push(format!(
                "certificate \"{cert}\" is valid only from {start} on; check the clock, or renew it"
            )),
            Some((_, end)) if now > end => {
                warnings.push(format!("certificate \"{cert}\" expired at {end}; renew it"));
            }
            Some((_, end)) if now.after(ENDS_SOON) > end => {
                warnings.push(format!("certificate \"{cert}\" expires at {end}; renew it"));
            }
            Some(_) | None => {}
        }
        if state.pair.key_is_exposed {
            let key = self.files.key.display();
            warnings.push(format!(
                "every user of this host can read the key \"{key}\"; chmod o-rwx it, and renew it"
            ));
        }
        warnings
    }
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 2] {
    [&files.cert, &files.key].map(|path| Stamp::of(path))
}

impl Pair {
    fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let (cert, _) = read(&files.cert, "cert")?;
        let (key, mode) = read(&files.key, "key")?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert)
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        let Some(first) = chain.first() else {
            return Err(content(&files.cert, "cert", "certificate"));
        };
        let validity = validity(first);
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|_| content(&files.key, "key", "private key"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = builder
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| TlsError::Pair {
            cert: files.cert.display().to_string(),
            key: files.key.display().to_string(),
            error,
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            validity,
            key_is_exposed: mode & 0o007 != 0,
        })
    }
}

/// Reads a file, and returns its mode.
fn read(path: &Path, key: &'static str) -> Result<(Vec<u8>, u32), TlsError> {
    let read = || {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    read().map_err(|error| TlsError::Read {
        path: path.display().to_string(),
        key,
        error,
    })
}

fn content(path: &Path, key: &'static str, content: &'static str) -> TlsError {
    TlsError::Content {
        path: path.display().to_string(),
        key,
        content,
    }
}

/// Returns the instants between which a certificate is valid.
fn validity(certificate: &CertificateDer) -> Option<(Timestamp, Timestamp)> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate.validity;
    let instant = |time: x509_cert::time::Time| {
        let ms = time.to_unix_duration().as_millis();
        i64::try_from(ms).ok().map(Timestamp::from_unix_ms)
    };
    Some((instant(validity.not_before)?, instant(validity.not_after)?))
}

//! A real HTTP server that answers as a test tells it to.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::common::{patience, wait_or_tell};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub target: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// Whether it was answered with 2xx.
    pub is_taken: bool,
}

impl Received {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The title of a `CloudEvent`.
    pub fn title(&self) -> String {
        self.json()["data"]["title"].as_str().unwrap().to_owned()
    }
}

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Status, and further headers with their line ends.
    Answer(u16, String),
    /// It reads the request and says nothing.
    Hang,
}

struct State {
    behaviour: Behaviour,
    received: Vec<Received>,
}

pub struct HttpReceiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl HttpReceiver {
    pub fn new() -> Self {
        Self::with(None)
    }

    /// One that speaks TLS with this certificate and key.
    pub fn with_tls(cert: &Path, key: &Path) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certs = CertificateDer::pem_file_iter(cert).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                certs.map(Result::unwrap).collect(),
                PrivateKeyDer::from_pem_file(key).unwrap(),
            );
        Self::with(Some(Arc::new(config.unwrap())))
    }

    fn with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::Answer(200, String::new()),
            received: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(patience())).unwrap();
                    match tls {
                        None => serve(stream, &state),
                        Some(tls) => {
                            let connection = ServerConnection::new(tls).unwrap();
                            serve(StreamOwned::new(connection, stream), &state);
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook-of-a-secret-path", self.address)
    }

    /// From now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    pub fn answer(&self, status: u16) {
        self.behave(Behaviour::Answer(status, String::new()));
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    pub fn taken(&self) -> Vec<Received> {
        let mut taken = self.received();
        taken.retain(|one| one.is_taken);
        taken
    }

    /// The first request with such a title that was taken.
    #[track_caller]
    pub fn wait_for_title(&self, part: &str) -> Received {
        wait_or_tell(
            &format!("{part:?} is told"),
            || {
                self.taken()
                    .into_iter()
                    .find(|one| one.title().contains(part))
            },
            || format!("{:#?}", self.received()),
        )
    }
}

fn serve(mut stream: impl Read + Write, state: &Mutex<State>) {
    let Some((head, body)) = read(&mut stream) else {
        return;
    };
    let mut lines = head.lines();
    let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let behaviour = {
        let mut state = state.lock().unwrap();
        let behaviour = state.behaviour.clone();
        state.received.push(Received {
            target,
            headers: headers.collect(),
            body,
            is_taken: matches!(behaviour, Behaviour::Answer(200..300, _)),
        });
        behaviour
    };
    match behaviour {
        Behaviour::Answer(status, more) => {
            let answer = format!(
                "HTTP/1.1 {status} Whatever\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.flush();
        }
        // Until the other side has had enough.
        Behaviour::Hang => while stream.read(&mut [0]).is_err_and(|error| is_late(&error)) {},
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Head and body of a request; `None`: the client ended first.
fn read(stream: &mut impl Read) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let mut block = [0; 4096];
        let count = stream.read(&mut block).ok().filter(|&count| count > 0)?;
        bytes.extend(&block[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

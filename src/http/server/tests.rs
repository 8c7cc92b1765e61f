//! Clients that stall, flood and break off, and the end of the server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use axum::body::Bytes;
use axum::extract::Request;
use axum::routing::{get, post};

use super::*;
use crate::common::http::{Request as Client, connect, exchange, read_all, stall_after};
use crate::common::machine::Deadline;
use crate::http::route::{BODY_MAX, ORDER, QUESTION, Rules};

/// Short enough to wait for, long enough to be told apart from at once.
const SHORT: Duration = Duration::from_millis(150);

/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_hours(1);

/// More than the server and the kernel take in of a body that is too large.
const SENT_MAX: usize = 16 * BODY_MAX;

struct Running {
    _dir: tempfile::TempDir,
    path: PathBuf,
    stop: watch::Sender<bool>,
    server: std::thread::JoinHandle<()>,
}

fn endless(stopping: Stopping) -> Response {
    let lines = futures_util::stream::unfold(stopping, |mut stopping| async move {
        tokio::select! {
            () = stopping.wait() => None,
            () = tokio::task::yield_now() => {
                Some((Ok::<_, Infallible>(Bytes::from(vec![b'x'; 65_536])), stopping))
            }
        }
    });
    Body::from_stream(lines).into_response()
}

fn quiet(stopping: Stopping) -> Response {
    let lines =
        futures_util::stream::unfold((stopping, true), |(mut stopping, first)| async move {
            if !first {
                stopping.wait().await;
                return None;
            }
            Some((
                Ok::<_, Infallible>(Bytes::from_static(b": hello\n\n")),
                (stopping, false),
            ))
        });
    Body::from_stream(lines).into_response()
}

fn stopping_of(request: &Request) -> Stopping {
    request.extensions().get::<Stopping>().unwrap().clone()
}

/// Routes of which no order takes longer than `time` to be read, and no question to be answered.
fn router(time: Duration) -> Router {
    let question = Rules {
        body_time: time,
        answer_time: Some(time),
        ..QUESTION
    };
    let order = Rules {
        body_time: time,
        ..ORDER
    };
    let who =
        async |request: Request| format!("{:?}", request.extensions().get::<Origin>().unwrap());
    let panics = async |request: Request| {
        let handler = request.extensions().get::<String>();
        handler.expect("a broken handler").clone()
    };
    let echo = async |body: Bytes| body;
    let endless = async |request: Request| endless(stopping_of(&request));
    let quiet = async |request: Request| quiet(stopping_of(&request));
    Router::new()
        .route("/ping", question.guard(get(async || "pong")))
        .route("/who", question.guard(get(who)))
        .route("/panic", question.guard(get(panics)))
        .route("/never", question.guard(get(std::future::pending::<()>)))
        .route("/endless", question.guard(get(endless)))
        .route("/quiet", question.guard(get(quiet)))
        .route("/ignores", order.guard(post(async || "ignored")))
        .route("/echo", order.guard(post(echo)))
}

/// Starts a server with the limits of the daemon.
fn start(limits: Limits) -> Running {
    start_with(limits, LONG)
}

fn start_with(limits: Limits, time: Duration) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (stop, stopped) = watch::channel(false);
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            serve(
                tokio::net::UnixListener::from_std(listener).unwrap(),
                router(time),
                limits,
                stopped,
            )
            .await;
        });
    });
    Running {
        _dir: dir,
        path,
        stop,
        server,
    }
}

impl Running {
    fn connect(&self) -> UnixStream {
        connect(&self.path)
    }

    /// Answer until the server closes.
    fn send(&self, request: &[u8]) -> String {
        String::from_utf8_lossy(&exchange(&self.path, request)).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.send(&Client::get(path).to_last_bytes())
    }

    /// Connection on which nothing follows `request`.
    fn begin(&self, request: &[u8]) -> UnixStream {
        stall_after(&self.path, request)
    }

    fn is_well(&self) -> bool {
        self.get("/ping").ends_with("\r\n\r\npong")
    }

    /// Asks until it answers; until then every answer has to be one that `may_be`.
    #[track_caller]
    fn wait_until_well(&self, may_be: impl Fn(&str) -> bool) {
        let deadline = Deadline::new();
        loop {
            let answer = self.get("/ping");
            if answer.ends_with("\r\n\r\npong") {
                return;
            }
            assert!(may_be(&answer), "{answer}");
            assert!(!deadline.is_over(), "it never answers: {answer}");
        }
    }
}

fn rest(stream: UnixStream) -> String {
    String::from_utf8_lossy(&read_all(stream)).into_owned()
}

fn short() -> Limits {
    Limits {
        head: SHORT,
        stall: SHORT,
        ..Limits::default()
    }
}

#[test]
fn the_kernel_tells_who_asks() {
    let server = start(Limits::default());
    let uid = rustix::process::geteuid().as_raw();
    let answer = server.get("/who");
    assert!(answer.contains(&format!("uid: {uid}")), "{answer}");
}

#[test]
fn a_large_body_is_refused_also_when_it_is_sent_first() {
    let server = start(Limits::default());
    let large = Client::new("POST", "/echo").body(vec![b'x'; 10_000_000]);
    let answer = server.send(&large.to_last_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    // Without a declared length it is cut while it is read.
    let mut stream = server.connect();
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
        assert!(sent < SENT_MAX, "nobody refuses a body of {sent} bytes");
    }
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(server.is_well());
}

#[test]
fn a_body_within_the_limit_arrives() {
    let server = start(Limits::default());
    let answer = server.send(&Client::new("POST", "/echo").body("hello").to_last_bytes());
    assert!(answer.ends_with("hello"), "{answer}");
}

#[test]
fn a_body_is_read_before_the_answer_also_where_no_route_wants_it() {
    let server = start_with(short(), SHORT);
    let head =
        b"POST /ignores HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
    let answer = server.send(&[&head[..], b"he"].concat());
    assert!(
        answer.starts_with("HTTP/1.1 408"),
        "it waits for the rest: {answer}"
    );
    let answer = server.send(&[&head[..], b"hello"].concat());
    assert!(answer.ends_with("ignored"), "{answer}");
}

#[test]
fn stalling_clients_are_cut_and_harm_no_other() {
    let server = start_with(short(), SHORT);
    let silent = server.connect();
    let half_head = server.begin(b"GET /ping HT");
    let half_body = server.begin(
        b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhe",
    );
    assert!(server.is_well());
    assert_eq!(rest(silent), "");
    assert_eq!(rest(half_head), "");
    let answer = rest(half_body);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(server.is_well());
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let limits = Limits {
        connections: Capacity::new(1),
        ..short()
    };
    let server = start(limits);
    let deaf = server.begin(&Client::get("/endless").to_bytes());
    // The only connection is taken until the deaf client is cut.
    server.wait_until_well(|answer| answer.is_empty() || answer.starts_with("HTTP/1.1 503"));
    drop(deaf);
}

#[test]
fn too_many_connections_are_turned_away_with_a_word() {
    let limits = Limits {
        connections: Capacity::new(2),
        ..Limits::default()
    };
    let server = start(limits);
    let idle = server.connect();
    // One that has not begun its request yet would give way.
    let busy = || {
        let mut stream = server.begin(&Client::get("/quiet").to_bytes());
        stream.read_exact(&mut [0]).unwrap();
        stream
    };
    let (first, second) = (busy(), busy());
    assert_eq!(rest(idle), "", "it gave way to the second request");
    let answer = rest(server.connect());
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("too many connections"), "{answer}");
    drop((first, second));
    server.wait_until_well(|_| true);
}

#[test]
fn long_heads_are_refused() {
    let server = start(Limits::default());
    let long = Client::get("/ping").header("x-long", &"y".repeat(2 * HEAD_MAX));
    let answer = server.send(&long.to_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(
        server
            .send(b"\x16\x03\x01 nonsense\r\n\r\n")
            .starts_with("HTTP/1.1 400")
    );
    assert!(server.is_well());
}

#[test]
fn a_panic_costs_its_request_only() {
    let server = start(Limits::default());
    let answer = server.get("/panic");
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(server.is_well());
}

#[test]
fn questions_have_an_end() {
    let server = start_with(short(), SHORT);
    let answer = server.get("/never");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[test]
fn the_end_comes_in_time_whatever_clients_do() {
    // Nothing but the limit of the end itself ends these connections.
    let server = start(Limits {
        head: LONG,
        stall: LONG,
        ..Limits::default()
    });
    let idle = server.connect();
    let busy = server.begin(&Client::get("/never").to_bytes());
    let deaf = server.begin(&Client::get("/endless").to_bytes());
    let mut listening = server.begin(&Client::get("/quiet").to_bytes());
    let mut begin = [0; 15];
    listening.read_exact(&mut begin).unwrap();
    assert!(server.is_well());

    server.stop.send_replace(true);
    let deadline = Deadline::new();
    while !server.server.is_finished() {
        assert!(!deadline.is_over(), "it does not end");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    server.server.join().unwrap();
    let rest = rest(listening);
    assert!(
        rest.ends_with("0\r\n\r\n"),
        "an endless answer is ended in order: {rest:?}"
    );
    drop((idle, busy, deaf));
}

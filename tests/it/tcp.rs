//! Clients over TCP, with TLS and without.

mod access;
mod activation;
mod browser;
pub mod clients;
mod heads;
mod ports;
mod slow;
pub mod tls;

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::common::http::read_all;
use crate::common::{Daemon, Place, patience};

/// Request of which only the answer matters.
const ASK: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: lapsed\r\nconnection: close\r\n\r\n";

/// A daemon of `place` with a port on 127.0.0.1, and whatever `more` says.
pub(super) fn serve(place: &Place, more: &[&str]) -> (Daemon, SocketAddr) {
    let root = place.make_dir("root");
    let watch = format!("{}=1h", root.display());
    let daemon = place.serve(&[&["--watch", &watch, "--http", "127.0.0.1:0"], more].concat());
    let address = addresses(&daemon)[0];
    (daemon, address)
}

/// As [`serve`], with the TLS of the files `cert.pem` and `key.pem`.
pub(super) fn serve_tls(place: &Place) -> (Daemon, SocketAddr) {
    let root = place.make_dir("root");
    let mut command = place.lapsed();
    command
        .args(["serve", "--watch", &format!("{}=1h", root.display())])
        .args(["--http", "127.0.0.1:0"])
        .env("LAPSED_HTTP_TLS_CERT", place.path("cert.pem"))
        .env("LAPSED_HTTP_TLS_KEY", place.path("key.pem"));
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    let address = addresses(&daemon)[0];
    (daemon, address)
}

fn status(daemon: &Daemon) -> Value {
    let (status, body) = daemon.get("/v1/status");
    assert_eq!(status, 200, "{body}");
    body
}

/// Addresses on which `daemon` answers.
pub(super) fn addresses(daemon: &Daemon) -> Vec<SocketAddr> {
    let status = status(daemon);
    let listeners = status["http"].as_array().unwrap().iter();
    listeners
        .map(|listener| listener["address"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// A connection on which nothing waits for ever.
#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream.set_write_timeout(Some(patience())).unwrap();
    stream
}

/// A connection on which `bytes` were sent, and then nothing.
#[track_caller]
fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    match stream.write_all(bytes) {
        // Refused before all was said: the answer is there all the same.
        Err(error)
            if [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()) => {}
        written => written.unwrap(),
    }
    stream
}

/// Everything that is answered to `bytes` until the server ends the connection.
#[track_caller]
pub(super) fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let answer = read_all(begin(address, bytes));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asserts that other clients, over TCP and on the socket, are answered.
#[track_caller]
fn assert_well(daemon: &Daemon, address: SocketAddr) {
    let answer = exchange(address, ASK);
    assert!(is_served(&answer), "{answer:?}");
    assert_eq!(daemon.get("/v1/health").0, 200);
}

/// Whether a request was understood, with or without the right to be answered.
fn is_served(answer: &str) -> bool {
    ["200", "401", "403"]
        .iter()
        .any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")))
}

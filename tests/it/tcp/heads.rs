//! Requests that are none: refused politely, and no other client is harmed.

use std::io::Write;

use super::{ASK, assert_well, begin, exchange, is_served, serve, status};
use crate::common::Place;
use crate::common::http::read_all;

/// Most by which the daemon may grow, in bytes, whatever clients send.
const MEMORY_MAX: u64 = 24 << 20;

/// A request that must never be answered: it is in the body of another one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";

fn answers(text: &str) -> usize {
    let lines = text.split("\r\n");
    lines
        .filter(|line| line.contains("HTTP/1.1 4") || line.contains("HTTP/1.1 2"))
        .count()
}

#[test]
fn shapes_of_smuggling_are_refused_or_read_in_one_way() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    let post = "POST /v1/sync HTTP/1.1\r\nhost: x\r\n";
    for head in [
        "content-length: 3\r\ncontent-length: 60\r\n",
        "content-length: -1\r\n",
        "content-length: +3\r\n",
        "content-length: 3, 3\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length : 3\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "x: y\r\n folded: z\r\n",
        "host: y\r\n",
        "x\0y: z\r\n",
        "x: y\0z\r\n",
        "no colon\r\n",
    ] {
        let request = format!("{post}{head}\r\n0\r\n\r\n{HIDDEN}");
        let answer = exchange(address, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(answers(&answer), 1, "{head:?}: {answer}");
    }
    // RFC 9112, 6.3: the chunks count, and the connection ends.
    for head in [
        "content-length: 60\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let request = format!("{post}{head}\r\n0\r\n\r\n{HIDDEN}");
        let answer = exchange(address, request.as_bytes());
        assert_eq!(answers(&answer), 1, "{head:?}: {answer}");
    }
    assert_well(&daemon, address);
}

#[test]
fn chunks_that_are_none_end_the_connection() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e=f;".repeat(100_000));
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    for body in [
        "-1\r\n",
        "zz\r\n",
        "ffffffffffffffffff\r\n",
        "1\nx\n0\n\n",
        "1\r\nxx\r\n",
        &extension,
        &trailers,
    ] {
        let request = format!(
            "POST /v1/clean HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n{body}{HIDDEN}"
        );
        let answer = exchange(address, request.as_bytes());
        let shown = &body[..body.len().min(40)];
        assert!(answers(&answer) <= 1, "{shown:?}: {answer}");
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{shown:?}: {answer}"
        );
    }
    assert_well(&daemon, address);
}

#[test]
fn one_host_is_needed_by_http_1_1_alone() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    let answer = exchange(address, b"GET /v1/health HTTP/1.1\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("Host header"),
        "{answer}"
    );
    let answer = exchange(address, b"GET /v1/health HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 "), "{answer}");
    assert!(!answer.starts_with("HTTP/1.0 400"), "{answer}");
    for bytes in [
        "GET /v1/health\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let answer = exchange(address, bytes.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer}");
    }
    assert_well(&daemon, address);
}

#[test]
fn floods_cost_bounded_memory() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    assert_well(&daemon, address);
    let memory = || status(&daemon)["resident_bytes"].as_u64().unwrap();
    let before = memory();
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "p".repeat(1_000_000));
    let many_headers = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}",
        "a: b\r\n".repeat(1_000_000)
    );
    let long_header = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(10_000_000));
    for (flood, statuses) in [
        (long_path, ["414", "431"]),
        (many_headers, ["431", "400"]),
        (long_header, ["431", "400"]),
    ] {
        let answer = exchange(address, flood.as_bytes());
        let is_refused = statuses
            .iter()
            .any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")));
        assert!(answer.is_empty() || is_refused, "{answer}");
    }
    let body = format!(
        "POST /v1/sync HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}",
        50_000_000,
        "x".repeat(50_000_000)
    );
    let answer = exchange(address, body.as_bytes());
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    let cost = memory().saturating_sub(before);
    println!("floods cost {cost} bytes");
    assert!(cost < MEMORY_MAX, "{cost} bytes");
    assert_well(&daemon, address);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    const REQUESTS: usize = 5_000;
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    let before = status(&daemon)["resident_bytes"].as_u64().unwrap();
    let one = "GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = begin(address, b"");
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(one.repeat(REQUESTS).as_bytes())?;
        writer.write_all(ASK)
    });
    let answer = read_all(&mut stream);
    writing.join().unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(answers(&answer), REQUESTS + 1);
    assert!(is_served(&answer));
    let after = status(&daemon)["resident_bytes"].as_u64().unwrap();
    assert!(after.saturating_sub(before) < MEMORY_MAX);
}

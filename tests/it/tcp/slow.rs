//! Clients that stop in the middle.

use std::io::Read;

use super::{ASK, assert_well, begin, connect, exchange, serve, serve_tls, tls::write_pair};
use crate::common::Place;
use crate::common::http::read_all;

#[test]
fn clients_that_stop_before_their_request_are_cut_and_harm_no_other() {
    let place = Place::new();
    write_pair(&place, "localhost", "");
    let (daemon, encrypted) = serve_tls(&place);
    let other = Place::new();
    let (plain_daemon, plain) = serve(&other, &[]);
    let half_hello = [22, 3, 1, 2, 0, 1, 0];
    let stalled = [
        connect(plain),
        begin(plain, b"GET /v1/hea"),
        begin(plain, b"GET /v1/health HTTP/1.1\r\nhost: x\r\n"),
        connect(encrypted),
        begin(encrypted, &half_hello[..1]),
        begin(encrypted, &half_hello),
    ];
    let half_body = begin(
        plain,
        b"POST /v1/sync HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhe",
    );
    assert_well(&plain_daemon, plain);
    assert_eq!(daemon.get("/v1/health").0, 200);
    for stream in stalled {
        assert_eq!(String::from_utf8_lossy(&read_all(stream)), "");
    }
    let answer = String::from_utf8_lossy(&read_all(half_body)).into_owned();
    let is_refused = ["401", "403", "408"]
        .iter()
        .any(|status| answer.contains(status));
    assert!(is_refused, "{answer}");
    assert_well(&plain_daemon, plain);
}

#[test]
fn clients_that_do_not_read_harm_no_other() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    // More answers than the buffers of the kernel hold.
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(300);
    let mut deaf: Vec<_> = (0..20).map(|_| begin(address, &ask)).collect();
    for _ in 0..5 {
        assert_well(&daemon, address);
    }
    // They may read later.
    let mut begun = [0; 9];
    deaf[0].read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 ");
    drop(deaf);
    assert!(exchange(address, ASK).starts_with("HTTP/1.1 "));
}

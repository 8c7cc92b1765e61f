//! Ports: their addresses, their limits.

use std::net::{Ipv6Addr, TcpListener, TcpStream};

use super::{addresses, assert_well, connect, serve, status};
use crate::common::Place;

/// Most that a thousand connections may cost, in bytes. As many as are let in at once take ~2 MB.
const MEMORY_MAX: u64 = 24 << 20;

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn both_families_have_the_same_port_and_answer() {
    let place = Place::new();
    let port = free_port();
    let v6 = format!("[::1]:{port}");
    let v4 = format!("localhost:{port}");
    let (daemon, first) = serve(&place, &["--http", &v6, "--http", &v4]);
    let all = addresses(&daemon);
    assert_eq!(all.len(), 3);
    assert_ne!(first.port(), 0, "the port that the kernel chose");
    assert!(all.contains(&(Ipv6Addr::LOCALHOST, port).into()), "{all:?}");
    for address in all {
        assert_well(&daemon, address);
        daemon.wait_until_said(&format!("address={address} tls=false"));
    }
    let said = place.said(&["status"]);
    assert!(said.contains(&format!("http     {v6}, plain")), "{said}");
}

#[test]
fn without_an_address_nothing_listens() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve(&["--watch", &format!("{}=1h", root.display())]);
    assert_eq!(status(&daemon)["http"], serde_json::json!([]));
}

#[test]
fn an_address_in_use_ends_the_start_and_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let watch = format!("{}=1h", place.make_dir("root").display());
    for (address, reason) in [
        (&*address, "in use"),
        ("192.0.2.77:1", "no network interface"),
    ] {
        let mut command = place.lapsed();
        command.env("LAPSED_HTTP_ALLOW_PLAIN", "1");
        let output = command
            .args(["serve", "--watch", &watch, "--http", address])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [address, reason, "[http] listen"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!place.socket().exists());
    }
}

#[test]
fn a_restart_gets_the_port_that_clients_still_hold() {
    let place = Place::new();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let (daemon, _) = serve(&place, &["--http", &address]);
    let address = address.parse().unwrap();
    let held = connect(address);
    assert_well(&daemon, address);
    drop(daemon);
    let (daemon, _) = serve(&place, &["--http", &address.to_string()]);
    assert_well(&daemon, address);
    drop(held);
}

#[test]
fn a_thousand_idle_connections_harm_no_client() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    assert_well(&daemon, address);
    let memory = |daemon| status(daemon)["resident_bytes"].as_u64().unwrap();
    let before = memory(&daemon);
    let idle: Vec<TcpStream> = (0..1000).map(|_| connect(address)).collect();
    for _ in 0..20 {
        assert_well(&daemon, address);
    }
    let cost = memory(&daemon).saturating_sub(before);
    println!("1,000 idle connections cost {cost} bytes");
    assert!(cost < MEMORY_MAX, "{cost} bytes");
    drop(idle);
    assert_well(&daemon, address);
}

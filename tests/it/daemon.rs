//! The life of a daemon: start, one at a time, reload, end.

mod end;
mod reload;
mod start;
mod variables;

use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use crate::common::{Daemon, Place};

/// One root and one rule.
fn config_of(expire: &str) -> String {
    format!("[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nexpire = \"{expire}\"\n")
}

/// Sends `signal`, asserts a clean end without anything left behind, and prints how long it took.
#[track_caller]
fn ends_cleanly(place: &Place, daemon: &mut Daemon, signal: Signal, what: &str) {
    let begun = Instant::now();
    daemon.signal(signal);
    let status = daemon.wait();
    println!("{what}: {:?} after {:?}", status, begun.elapsed());
    assert_eq!(status.code(), Some(0), "{what}: {status}");
    assert_no_socket(place);
}

#[track_caller]
fn assert_no_socket(place: &Place) {
    assert!(!place.socket().exists(), "the socket stayed");
    assert!(
        !place.path("lapsed.sock.lock").exists(),
        "the socket's lock stayed"
    );
}

#[track_caller]
fn expire_ms(daemon: &Daemon, path: &Path) -> Option<i64> {
    let (status, why) = daemon.get(&format!("/v1/explain?path={}", path.display()));
    assert_eq!(status, 200, "{why}");
    why["expire_ms"].as_i64()
}

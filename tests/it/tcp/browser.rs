//! A browser: the pages of the daemon, and pages of others that would use it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use super::{addresses, exchange};
use crate::common::http::Request;
use crate::common::{Daemon, Place};

/// A daemon that lets programs of this host do everything that operators do.
fn serve_anonymous(place: &Place) -> (Daemon, SocketAddr) {
    let root = place.make_dir("root");
    let mut command = place.lapsed();
    command
        .args(["serve", "--watch", &format!("{}=1h", root.display())])
        .args(["--http", "127.0.0.1:0"])
        .env("LAPSED_HTTP_ANONYMOUS", "operator");
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    let address = addresses(&daemon)[0];
    (daemon, address)
}

/// The document that the browser has when it has loaded `url` and run its scripts.
fn browse(place: &Place, url: &str, more: &[&str]) -> String {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--disable-dev-shm-usage", "--virtual-time-budget=10000"])
        .arg(format!(
            "--user-data-dir={}",
            place.path("browser").display()
        ))
        .args(more)
        .arg(url)
        .output()
        .expect("chromium; tests/run installs it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Serves `page` to every request, for as long as the test runs.
fn host(page: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all([head, &page].concat().as_bytes());
        }
    });
    address
}

#[test]
fn a_browser_shows_what_a_program_of_this_host_may_see() {
    let place = Place::new();
    let (_daemon, address) = serve_anonymous(&place);
    let health = browse(&place, &format!("http://{address}/v1/health"), &[]);
    assert!(health.contains("\"status\""), "{health}");
    let docs = browse(&place, &format!("http://{address}/docs"), &[]);
    assert!(docs.contains("/v1/clean"), "{docs}");
}

#[test]
fn pages_of_other_sites_do_not_become_operators() {
    let place = Place::new();
    let (daemon, address) = serve_anonymous(&place);
    place.write("root/file");
    daemon.sync();
    let order = r#"{"dry_run": false, "retention": {"root after 1h": "0s"}}"#;
    let page = format!(
        "<body><script>
        const order = {{method: 'POST', mode: 'no-cors', body: '{order}'}};
        const json = {{...order, mode: 'cors', headers: {{'content-type': 'application/json'}}}};
        const url = 'http://{address}';
        Promise.allSettled([fetch(url + '/v1/clean', order), fetch(url + '/v1/clean', json),
          fetch(url + '/v1/status').then(answer => answer.text())])
          .then(all => document.body.textContent = all.map(one => one.status).join(' '));
        </script></body>"
    );
    let attacker = host(page);
    let seen = browse(&place, &format!("http://{attacker}/"), &[]);
    assert!(seen.contains("rejected rejected"), "{seen}");
    // A name that was made to point here.
    let rebound = format!("http://attacker.example:{}/v1/status", address.port());
    let map = "--host-resolver-rules=MAP attacker.example 127.0.0.1";
    let seen = browse(&place, &rebound, &[map]);
    assert!(seen.contains("unauthenticated"), "{seen}");
    assert!(place.exists("root/file"), "nothing was removed");
    // The same order of a program of this host is carried out.
    let order = Request::new("POST", "/v1/clean").json(order);
    let order = order.host(&address.to_string()).to_last_bytes();
    let answer = exchange(address, &order);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    place.wait_until_gone(&daemon, "root/file");
}

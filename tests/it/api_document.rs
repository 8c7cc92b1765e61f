//! The `OpenAPI` document held against a real daemon, by schemathesis.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::{Daemon, Place};

/// Properties that hold for every answer: no 5xx, no status and no media type that the document
/// does not tell, nothing outside of its schema, and a refusal of every method it does not have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method";

/// Bounds of a run: requests for each operation are generated until the time is over.
const BOUNDS: [&str; 8] = [
    "--phases",
    "examples,coverage,fuzzing",
    "--max-examples",
    "10",
    "--max-time",
    "60",
    "--request-timeout",
    "60",
];

/// Opens a port that leads to `socket`, for a program that knows no Unix sockets.
fn bridge(socket: PathBuf) -> SocketAddr {
    fn forward(client: TcpStream, socket: &Path) -> std::io::Result<()> {
        let server = UnixStream::connect(socket)?;
        let (mut requests, mut to) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || {
            let _ = copy(&mut requests, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let (mut answers, mut back) = (server, client);
        let _ = copy(&mut answers, &mut back);
        back.shutdown(Shutdown::Both)
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let socket = socket.clone();
            std::thread::spawn(move || forward(client, &socket));
        }
    });
    address
}

fn schemathesis(document: &Path, address: SocketAddr, more: &[&str]) -> Output {
    let output = Command::new("schemathesis")
        .arg("run")
        .arg(document)
        .args(["--url", &format!("http://{address}")])
        .args(["--checks", CHECKS, "--continue-on-failure", "--no-color"])
        .args(["--generation-deterministic", "--no-shrink"])
        .args(["--suppress-health-check", "all"])
        .args(BOUNDS)
        .args(more)
        .current_dir(document.parent().unwrap())
        .output();
    output.unwrap_or_else(|error| {
        panic!("schemathesis: {error}: tests/run installs it, from PyPI into target/tools")
    })
}

/// The operation that the document lies about; one find is enough.
const LYING: [&str; 4] = ["--include-path", "/v1/health", "--max-failures", "1"];

fn tell(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A daemon with something of everything, and its document as a file.
fn begin() -> (Place, Daemon, PathBuf, Value) {
    let place = Place::new();
    place.config(
        r#"
        [[source]]
        name = "jobs"
        kind = "api"
        [[root]]
        name = "data"
        path = "data"
        owner = "{job}/**"
        [[rule]]
        name = "old"
        expire = "1h"
        "#,
    );
    for name in ["one/a.tmp", "two/b.tmp"] {
        place.write(&format!("data/{name}"));
    }
    let daemon = place.serve_again();
    let (status, document) = daemon.get("/openapi.json");
    assert_eq!(status, 200);
    let file = place.path("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    (place, daemon, file, document)
}

#[test]
fn every_answer_is_as_the_document_says() {
    let (_place, mut daemon, file, _) = begin();
    let address = bridge(daemon.socket.clone());
    // Events have no end; tests of their own read them.
    let output = schemathesis(&file, address, &["--exclude-path", "/v1/events"]);
    assert!(output.status.success(), "{}", tell(&output));
    let told = tell(&output);
    assert!(!told.contains("unresolvable reference"), "{told}");
    assert!(daemon.stop().success());
    assert!(!daemon.said().contains("panicked"), "{}", daemon.said());
}

#[test]
fn a_document_that_lies_is_found_out() {
    let (_place, daemon, file, document) = begin();
    let address = bridge(daemon.socket.clone());
    let version = "/components/schemas/Health/properties/version/type";
    let refusals = "/paths/~1v1~1health/get/responses";
    for lie in [version, refusals] {
        let mut lying = document.clone();
        let told = lying.pointer_mut(lie).unwrap();
        if lie == version {
            *told = "integer".into();
        } else {
            told.as_object_mut().unwrap().remove("400");
        }
        std::fs::write(&file, lying.to_string()).unwrap();
        let output = schemathesis(&file, address, &LYING);
        assert_eq!(output.status.code(), Some(1), "{lie}: {}", tell(&output));
    }
}

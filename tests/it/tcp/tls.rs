//! TLS: certificates that change, expire and do not fit; clients that speak something else.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{ASK, connect, exchange, is_served, serve, serve_tls, status};
use crate::common::Place;

/// Writes a certificate for `host`, which is its own issuer, and its key to `cert{suffix}.pem` and
/// `key{suffix}.pem`; returns the certificate.
pub(crate) fn write_pair(place: &Place, host: &str, suffix: &str) -> String {
    write_pair_with(place, host, suffix, |_| {})
}

pub(crate) fn write_pair_with(
    place: &Place,
    host: &str,
    suffix: &str,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    change(&mut params);
    let cert = params.self_signed(&key).unwrap().pem();
    fs::write(place.path(&format!("cert{suffix}.pem")), &cert).unwrap();
    let path = place.path(&format!("key{suffix}.pem"));
    fs::write(&path, key.serialize_pem()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    cert
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts `cert` alone.
fn client(address: SocketAddr, cert: &str) -> Tls {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(cert.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, connect(address))
}

/// Sends a request, and reads the head of the answer, which ends where the connection goes on.
fn ask(client: &mut Tls) -> std::io::Result<String> {
    client.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    while !answer.ends_with(b"}") {
        let length = client.read(&mut bytes)?;
        if length == 0 {
            break;
        }
        answer.extend_from_slice(&bytes[..length]);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_trusted(address: SocketAddr, cert: &str) -> bool {
    ask(&mut client(address, cert)).is_ok_and(|answer| is_served(&answer))
}

fn warnings(daemon: &crate::common::Daemon) -> String {
    status(daemon)["http"][0]["tls"]["warnings"].to_string()
}

#[test]
fn a_new_certificate_is_taken_over_and_connections_go_on() {
    let place = Place::new();
    let old = write_pair(&place, "localhost", "");
    let (daemon, address) = serve_tls(&place);
    let mut early = client(address, &old);
    assert!(is_served(&ask(&mut early).unwrap()));
    assert_eq!(warnings(&daemon), "[]");

    // By renaming, one file after the other: in between they do not fit.
    let new = write_pair(&place, "localhost", "-new");
    fs::rename(place.path("cert-new.pem"), place.path("cert.pem")).unwrap();
    assert!(is_trusted(address, &old) && !is_trusted(address, &new));
    assert!(
        warnings(&daemon).contains("not in force"),
        "{}",
        warnings(&daemon)
    );
    daemon.wait_until_said("the old one stays in force");
    fs::rename(place.path("key-new.pem"), place.path("key.pem")).unwrap();
    assert!(is_trusted(address, &new) && !is_trusted(address, &old));
    assert_eq!(warnings(&daemon), "[]");
    daemon.wait_until_said("took over the new certificate");
    assert!(
        is_served(&ask(&mut early).unwrap()),
        "the first connection goes on"
    );
}

#[test]
fn a_switched_link_is_a_new_certificate() {
    let place = Place::new();
    // As Kubernetes does: cert.pem -> ..data/cert.pem, ..data -> one directory, then another one.
    let [old, new] = ["1", "2"].map(|number| {
        let cert = write_pair(&place, "localhost", "");
        let dir = place.make_dir(number);
        for name in ["cert.pem", "key.pem"] {
            fs::rename(place.path(name), dir.join(name)).unwrap();
        }
        cert
    });
    symlink("1", place.path("..data")).unwrap();
    for name in ["cert.pem", "key.pem"] {
        symlink(format!("..data/{name}"), place.path(name)).unwrap();
    }
    let (daemon, address) = serve_tls(&place);
    assert!(is_trusted(address, &old) && !is_trusted(address, &new));
    symlink("2", place.path("..new")).unwrap();
    fs::rename(place.path("..new"), place.path("..data")).unwrap();
    assert!(is_trusted(address, &new) && !is_trusted(address, &old));
    assert_eq!(warnings(&daemon), "[]");
}

#[test]
fn files_that_cannot_be_used_keep_the_old_pair_and_are_told() {
    let place = Place::new();
    let cert = write_pair(&place, "localhost", "");
    let (daemon, address) = serve_tls(&place);
    let (old_cert, old_key) = (place.path("cert.pem"), place.path("key.pem"));
    let key = fs::read(&old_key).unwrap();
    let break_and_mend: [(&str, &dyn Fn()); 4] = [
        ("no certificate in PEM", &|| {
            fs::write(&old_cert, "junk").unwrap();
        }),
        ("cannot read", &|| fs::remove_file(&old_cert).unwrap()),
        ("no private key in PEM", &|| {
            fs::write(&old_cert, &cert).unwrap();
            fs::write(&old_key, &cert).unwrap();
        }),
        ("give the key of this certificate", &|| {
            fs::write(
                &old_key,
                rcgen::KeyPair::generate().unwrap().serialize_pem(),
            )
            .unwrap();
        }),
    ];
    for (reason, damage) in break_and_mend {
        damage();
        assert!(is_trusted(address, &cert), "{reason}");
        assert!(
            warnings(&daemon).contains(reason),
            "{reason}: {}",
            warnings(&daemon)
        );
    }
    let said = place.said(&["status"]);
    assert!(said.contains("give the key of this certificate"), "{said}");
    fs::write(&old_key, key).unwrap();
    assert!(is_trusted(address, &cert));
    assert_eq!(warnings(&daemon), "[]");
}

#[test]
fn an_expired_certificate_and_an_open_key_are_warned_of() {
    let place = Place::new();
    let cert = write_pair_with(&place, "localhost", "", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let (daemon, address) = serve_tls(&place);
    daemon.wait_until_said("expired at 2002-01-01T00:00:00");
    let warnings = warnings(&daemon);
    assert!(
        warnings.contains("expired") && warnings.contains("every user"),
        "{warnings}"
    );
    assert!(!is_trusted(address, &cert), "a client refuses it");
    assert_eq!(
        status(&daemon)["http"][0]["tls"]["not_after"],
        "2002-01-01T00:00:00.000Z"
    );
    assert_eq!(daemon.get("/v1/health").0, 200);
}

#[test]
fn a_start_without_a_usable_pair_says_what_is_wrong() {
    let place = Place::new();
    write_pair(&place, "localhost", "");
    fs::write(place.path("key.pem"), "junk").unwrap();
    let mut command = place.lapsed();
    command
        .args([
            "serve",
            "--watch",
            &format!("{}=1h", place.make_dir("root").display()),
        ])
        .env("LAPSED_HTTP_LISTEN", "127.0.0.1:0")
        .env("LAPSED_HTTP_TLS_CERT", "cert.pem")
        .env("LAPSED_HTTP_TLS_KEY", "key.pem");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("key.pem\" has no private key in PEM"),
        "{said}"
    );
}

#[test]
fn a_client_that_speaks_something_else_is_told_so() {
    let place = Place::new();
    let cert = write_pair(&place, "localhost", "");
    let (daemon, address) = serve_tls(&place);
    let answer = exchange(address, ASK);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("https://"), "{answer}");
    // Also when it goes on to send, and when it is no HTTP at all.
    let long = [ASK, &b"x".repeat(40_000)].concat();
    for bytes in [&long[..], b"\0", b"SSH-2.0-x\r\n", &[0x80, 0x2e, 1, 0, 2]] {
        let mut stream = super::begin(address, bytes);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer}");
    }
    // Records that claim to be a handshake: an alert, or the end.
    for bytes in [
        &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0][..],
        &[22, 3, 1, 0xff, 0xff],
        &[22; 3000],
    ] {
        let mut stream = super::begin(address, bytes);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.len() <= 7 && answer.first().is_none_or(|&kind| kind == 21),
            "{answer:?}"
        );
    }
    assert!(is_trusted(address, &cert));

    let other = Place::new();
    let (plain_daemon, plain) = serve(&other, &[]);
    let error = ask(&mut client(plain, &cert)).unwrap_err();
    assert!(
        error.to_string().contains("corrupt") || error.to_string().contains("invalid"),
        "{error}"
    );
    super::assert_well(&plain_daemon, plain);
    assert_eq!(daemon.get("/v1/health").0, 200);
}

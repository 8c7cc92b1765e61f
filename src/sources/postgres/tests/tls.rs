//! Encrypted connections, with a certificate that somebody made himself.

use std::path::{Path, PathBuf};

use super::harness::{Cluster, SCHEMA, Watched, options};
use crate::sources::options::{PostgresOptions, Tls, TlsMode, TlsRoots};

/// A server with a certificate for `localhost`, and the root that vouches for it.
fn encrypted() -> (Cluster, PathBuf, PathBuf) {
    let cluster = Cluster::new();
    let root = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), rcgen::Issuer::new(params, key))
    };
    let (ours, issuer) = root("ours");
    let (theirs, _) = root("theirs");
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: &str| {
        let path = cluster.data().join(name);
        std::fs::write(&path, text).unwrap();
        cluster.hand_over(&path);
        path
    };
    write("server.crt", &certificate.pem());
    write("server.key", &key.serialize_pem());
    let (ours, theirs) = (write("ours.crt", &ours), write("theirs.crt", &theirs));
    let session = cluster.session("postgres");
    session.run(SCHEMA);
    session.run("ALTER SYSTEM SET ssl = on");
    session.run("SELECT pg_reload_conf()");
    crate::sources::tests::reports::eventually("encrypted", || {
        cluster.session("postgres").value("SHOW ssl").as_deref() == Some("on")
    });
    (cluster, ours, theirs)
}

fn with(cluster: &Cluster, host: &str, mode: TlsMode, roots: Option<&Path>) -> PostgresOptions {
    let url = cluster.url("postgres").replace("127.0.0.1", host);
    let mut options = options(&url);
    options.tls = Tls {
        mode,
        roots: roots.map_or(TlsRoots::Unsaid, |path| TlsRoots::File(path.to_owned())),
        identity: None,
    };
    options
}

#[test]
fn certificates_are_verified_as_the_mode_says() {
    let (cluster, ours, theirs) = encrypted();
    let is_encrypted = "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'lapsed'";
    let session = cluster.session("postgres");
    for (host, mode, roots, encrypted) in [
        ("127.0.0.1", TlsMode::Disable, None, "false"),
        ("127.0.0.1", TlsMode::Prefer, None, "true"),
        ("127.0.0.1", TlsMode::Require, None, "true"),
        ("127.0.0.1", TlsMode::Require, Some(&ours), "true"),
        ("127.0.0.1", TlsMode::VerifyCa, Some(&ours), "true"),
        ("localhost", TlsMode::VerifyFull, Some(&ours), "true"),
    ] {
        let watched = Watched::loaded(with(&cluster, host, mode, roots.map(PathBuf::as_path)));
        assert_eq!(
            session.value(is_encrypted).as_deref(),
            Some(encrypted),
            "{mode:?}"
        );
        drop(watched);
        crate::sources::tests::reports::eventually("disconnected", || {
            session
                .value(
                    "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'lapsed'",
                )
                .as_deref()
                == Some("0")
        });
    }
    for (host, mode, roots) in [
        ("127.0.0.1", TlsMode::Require, Some(&theirs)),
        ("localhost", TlsMode::VerifyCa, Some(&theirs)),
        ("localhost", TlsMode::VerifyFull, Some(&theirs)),
        ("127.0.0.1", TlsMode::VerifyFull, Some(&ours)),
        ("localhost", TlsMode::VerifyFull, None),
    ] {
        let why = Watched::start(with(&cluster, host, mode, roots.map(PathBuf::as_path))).down();
        assert!(
            why.contains("certificate") && why.contains("\n  see sslmode and sslrootcert"),
            "{mode:?}: {why}"
        );
    }
}

#[test]
fn a_server_without_encryption_is_preferred_not_required() {
    let cluster = super::harness::Cluster::shared();
    let place = super::harness::Place::filled();
    let url = cluster.url(&place.name);
    let mut plain = options(&url);
    plain.tls.mode = TlsMode::Prefer;
    Watched::loaded(plain.clone());
    plain.tls.mode = TlsMode::Require;
    let why = Watched::start(plain).down();
    assert!(why.contains("TLS") && why.contains("see sslmode"), "{why}");
}

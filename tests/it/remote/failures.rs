//! Daemons behind URLs that cannot be asked, and what is said then.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Remote, refused, write_secret};
use crate::common::{Place, errors};
use crate::tcp::tls::{write_pair, write_pair_with};
use crate::tcp::{addresses, serve};

/// A server that answers every request with `answer`, and counts them.
fn strange_server(answer: &'static str) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while stream.read(&mut [0; 8192]).is_ok_and(|length| length > 0) {
                count.fetch_add(1, Ordering::Relaxed);
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (url, requests)
}

fn ask(place: &Place, url: &str) -> String {
    let mut command = place.lapsed();
    command.env_remove("LAPSED_SOCKET");
    command.args(["--url", url, "status"]);
    refused(command)
}

#[test]
fn roles_are_those_of_tokens() {
    let remote = Remote::start();
    let path = remote.place.path("data/c.log").display().to_string();
    for (role, order, needed) in [
        ("viewer", &["clean", "--yes"][..], "operator"),
        (
            "viewer",
            &["pin", "add", &path, "--for", "1d", "--why", "x"],
            "operator",
        ),
        ("viewer", &["token", "ls"], "admin"),
        ("operator", &["pause", "--for", "1h", "--why", "x"], "admin"),
        ("operator", &["breaker", "release", "--yes"], "admin"),
    ] {
        let said = remote.refused(role, order);
        let file = remote.place.path(role).display().to_string();
        for text in [&remote.url(), "permission denied", needed, &file] {
            assert!(said.contains(text), "{order:?}: {said}");
        }
    }
    assert!(remote.place.exists("data/a.tmp"));
    // Neither a token nor a right one.
    let mut command = remote.place.lapsed();
    command.env_remove("LAPSED_SOCKET");
    command.args(["--url", &remote.url(), "ls"]);
    command.env("LAPSED_CA_FILE", remote.place.path("cert.pem"));
    let said = refused(command);
    for text in [
        "no credentials",
        "--token-file",
        "lapsed token new --role viewer",
    ] {
        assert!(said.contains(text), "{said}");
    }
    write_secret(&remote.place.path("wrong"), "lapsed_abc_def");
    let said = remote.refused("wrong", &["ls"]);
    for text in [&remote.url(), "wrong\"", "lapsed token ls"] {
        assert!(said.contains(text), "{said}");
    }
    let json = remote.refused("viewer", &["--json", "clean", "--yes"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["error"]["code"], "forbidden");
}

#[test]
fn variables_stand_for_the_options() {
    let remote = Remote::start();
    let command = |name: &str, value: &str| {
        let mut command = remote.place.lapsed();
        command
            .env("LAPSED_URL", remote.url())
            .env("LAPSED_CA_FILE", remote.place.path("cert.pem"))
            .env(name, value)
            .arg("status");
        command
    };
    let viewer = remote.place.path("viewer");
    for (name, value) in [
        ("LAPSED_TOKEN_FILE", viewer.to_str().unwrap()),
        ("LAPSED_TOKEN", &remote.token("viewer")),
    ] {
        let output = command(name, value).output().unwrap();
        assert!(output.status.success(), "{name}: {}", errors(&output));
    }
    let said = refused(command("LAPSED_TOKEN", "lapsed_abc_def"));
    assert!(said.contains("variable LAPSED_TOKEN"), "{said}");
    // An option that names the daemon of this host goes before the variable.
    let mut local = command("LAPSED_TOKEN", "");
    local.arg("--socket").arg(remote.place.socket());
    let output = local.output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    for (arguments, told) in [
        (
            &["--socket", "/x", "--url", "https://h"][..],
            "--url and --socket name two daemons",
        ),
        (&["--state-dir", "/x", "--url", "https://h"], "two daemons"),
        (&["--config", "/x", "--url", "https://h"], "two daemons"),
        (
            &["--token-file", "/x"],
            "--token-file means nothing without a URL",
        ),
        (&["--url", "host:7343"], "the URL must begin with https://"),
        (&["--url", "ftp://host"], "must begin with https://"),
        (
            &["--url", "https://user:secret@host/"],
            "has a user or a password",
        ),
        (
            &["--url", "https://host/?token=secret"],
            "the URL has a query",
        ),
    ] {
        let mut command = remote.place.lapsed();
        command.args(arguments).arg("status");
        let said = refused(command);
        assert!(said.contains(told), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn nothing_of_this_host_is_read_or_removed_in_place_of_a_daemon_that_does_not_answer() {
    let mut remote = Remote::start();
    assert!(remote.daemon.stop().success());
    let file = remote.place.path("data/a.tmp").display().to_string();
    for arguments in [
        &["ls"][..],
        &["explain", &file],
        &["plan"],
        &["stats"],
        &["status"],
        &["history"],
        &["pin", "ls"],
        &["job", "ls"],
        &["trash", "ls"],
        &["shadow"],
        &["clean", "--dry-run"],
        &["clean", "--yes"],
        &["undo", "--last"],
        &["breaker", "show"],
    ] {
        // On the host of the daemon, with its configuration at hand.
        let mut command = remote.place.lapsed();
        command
            .env("LAPSED_CONFIG", remote.place.config_path())
            .args(["--url", &remote.url()])
            .env("LAPSED_CA_FILE", remote.place.path("cert.pem"))
            .args(arguments);
        let said = refused(command);
        assert!(said.contains(&remote.url()), "{said}");
        assert!(said.contains("Connection refused"), "{said}");
        assert!(said.contains("[http] listen"), "{said}");
    }
    assert!(remote.place.exists("data/a.tmp"));
    // The same without the URL does without the daemon.
    assert!(
        remote
            .place
            .run(&["clean", "--yes", "--config", &remote.place.config_path()])
            .status
            .success()
    );
    assert!(!remote.place.exists("data/a.tmp"));
}

#[test]
fn paths_are_those_of_the_other_host() {
    let remote = Remote::start();
    for arguments in [
        &["explain", "c.log"][..],
        &["pin", "add", "c.log", "--for", "1d", "--why", "x"],
        &["pin", "rm", "c.log"],
        &["undo", "--path", "c.log"],
        &["trash", "ls", "--path", "c.log"],
        &["history", "--path", "c.log"],
        &["displaced", "restore", "x", "--to", "c.log"],
    ] {
        let said = remote.refused("admin", arguments);
        assert!(
            said.contains("\"c.log\" is relative"),
            "{arguments:?}: {said}"
        );
    }
    let said = remote.refused("admin", &["trash", "ls", "--root", "/srv"]);
    assert!(said.contains("give the name of the root"), "{said}");
    // A link of this host does not say what is there.
    std::os::unix::fs::symlink("/", remote.place.path("link")).unwrap();
    let path = remote.place.path("link/x/../etc").display().to_string();
    let said = remote.refused("admin", &["explain", &path]);
    assert!(said.contains("link/etc"), "{said}");
}

#[test]
fn certificates_are_verified() {
    let remote = Remote::start();
    write_pair(&remote.place, "localhost", "-other");
    let try_with = |ca: &str, url: &str| {
        let mut command = remote.place.lapsed();
        command.env_remove("LAPSED_SOCKET");
        command.args(["--url", url, "status", "--token-file"]);
        command.arg(remote.place.path("viewer"));
        if !ca.is_empty() {
            command.arg("--ca-file").arg(remote.place.path(ca));
        }
        refused(command)
    };
    let by_address = format!("https://{}", remote.address);
    fs::write(remote.place.path("empty.pem"), "").unwrap();
    for (ca, url, told) in [
        (
            "cert-other.pem",
            &remote.url(),
            "--ca-file or LAPSED_CA_FILE",
        ),
        ("", &remote.url(), "--ca-file"),
        (
            "cert.pem",
            &by_address,
            "a name in the URL that the certificate is for",
        ),
        (
            "missing.pem",
            &remote.url(),
            "cannot use the certificates in",
        ),
        ("empty.pem", &remote.url(), "has no certificate in PEM"),
        (
            "cert.pem",
            &"https://no.such.host.invalid".to_owned(),
            "check the name",
        ),
    ] {
        let said = try_with(ca, url);
        assert!(said.contains(told), "{ca} {url}: {said}");
    }
    // As openssl(1) makes them: authorities of their own.
    let place = Place::new();
    let own = |params: &mut rcgen::CertificateParams| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    write_pair_with(&place, "localhost", "", own);
    write_pair_with(&place, "localhost", "-other", own);
    let (daemon, address) = crate::tcp::serve_tls(&place);
    let with = |ca: &str, host: &str| {
        let url = format!("https://{host}:{}", address.port());
        let mut command = place.lapsed();
        command.env_remove("LAPSED_SOCKET");
        command.args(["--url", &url, "status", "--ca-file", ca]);
        refused(command)
    };
    let said = with("cert.pem", "localhost");
    assert!(said.contains("no credentials"), "{said}");
    let said = with("cert.pem", "127.0.0.1");
    assert!(said.contains("a name in the URL that"), "{said}");
    let said = with("cert-other.pem", "localhost");
    assert!(said.contains("--ca-file"), "{said}");
    drop(daemon);
    let place = Place::new();
    write_pair_with(&place, "localhost", "", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let (daemon, address) = crate::tcp::serve_tls(&place);
    let expired = format!("https://localhost:{}", address.port());
    let mut command = place.lapsed();
    command.env_remove("LAPSED_SOCKET");
    command.args(["--url", &expired, "status", "--ca-file", "cert.pem"]);
    let said = refused(command);
    assert!(
        said.contains("xpired") && said.contains("renew it there"),
        "{said}"
    );
    drop(daemon);
}

#[test]
fn other_servers_are_told_apart() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    let said = ask(&place, &format!("https://{address}"));
    assert!(said.contains("speaks no TLS"), "{said}");
    // Without a token, to this host: the daemon asks for one.
    let said = ask(&place, &format!("http://{address}/"));
    assert!(said.contains("no credentials"), "{said}");
    let said = ask(&place, "http://192.0.2.1:7343");
    assert!(
        said.contains("is another host") && said.contains("https://"),
        "{said}"
    );
    for (answer, told) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
            "does not answer as lapsed does, but with 200 OK and text/html",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nnone",
            "404 Not Found and text/plain",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\u{9b}\r\ncontent-length: 0\r\n\r\n",
            "302 Found",
        ),
        ("SSH-2.0-x\r\n", "does not speak HTTP/1.1"),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{\"version\":\"9.9\"}",
            "its version is 9.9",
        ),
    ] {
        let (url, requests) = strange_server(answer);
        let said = ask(&place, &url);
        assert!(said.contains(told) && said.contains(&url), "{said}");
        assert!(!said.contains('\u{9b}'), "{said:?}");
        let asked = requests.load(Ordering::Relaxed);
        assert!(asked <= 2, "{asked} requests: {said}");
    }
    drop(daemon);
}

#[test]
fn tokens_are_kept_secret() {
    let remote = Remote::start();
    let token = remote.token("viewer");
    let secret = token.rsplit_once('_').unwrap().1.to_owned();
    let file = remote.place.path("open");
    fs::write(&file, &token).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let said = remote.refused("open", &["status"]);
    assert!(said.contains("every user of this host can read"), "{said}");
    assert!(said.contains("chmod o-rwx"), "{said}");
    let mut all = said;
    for (text, told) in [
        (String::new(), "it is empty"),
        (format!("{token} {token}"), "more than one word"),
        (format!("{token}\r\nx-evil: 1"), "more than one word"),
        (token.repeat(1000), "too long"),
    ] {
        write_secret(&remote.place.path("odd"), &text);
        let said = remote.refused("odd", &["status"]);
        assert!(said.contains(told), "{said}");
        all.push_str(&said);
    }
    let said = remote.refused("missing", &["status"]);
    assert!(said.contains("cannot read the token in file"), "{said}");
    for arguments in [&["-vvv", "status"][..], &["-vvv", "clean", "--yes"]] {
        let output = remote.run("viewer", arguments);
        all.push_str(&String::from_utf8_lossy(&output.stdout));
        all.push_str(&errors(&output));
    }
    all.push_str(&remote.daemon.said());
    assert!(!all.contains(&secret), "{all}");
    assert_eq!(addresses(&remote.daemon).len(), 1);
}

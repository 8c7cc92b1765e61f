//! Tokens, JWTs and anonymous clients of a real daemon.

use std::net::SocketAddr;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{addresses, begin, exchange, serve};
use crate::common::evidence::{ledger, now_ms};
use crate::common::http::{Answer, Request, read_all};
use crate::common::{Place, errors, wait_for};

const SECRET: &str = "a secret of at least thirty-two bytes";

fn send(address: SocketAddr, request: &Request) -> Answer {
    let host = address.to_string();
    let bytes = request.clone().host(&host).to_last_bytes();
    Answer::parse(exchange(address, &bytes).as_bytes())
}

fn health(token: &str) -> Request {
    Request::get("/v1/health").bearer(token)
}

fn clean() -> Request {
    Request::new("POST", "/v1/clean").json(r#"{"dry_run": false}"#)
}

/// Makes a token by the command, and returns what it prints.
fn make(place: &Place, more: &[&str]) -> Value {
    let arguments = [&["--json", "token", "new"], more].concat();
    serde_json::from_str(&place.said(&arguments)).unwrap()
}

fn files(directory: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(files(&path));
        } else if path.is_file() {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

#[test]
fn a_token_lives_from_the_command_that_makes_it_to_the_one_that_revokes_it() {
    let place = Place::new();
    let (daemon, address) = serve(&place, &[]);
    let made = make(
        &place,
        &["--role", "operator", "--name", "ci", "--expires", "90d"],
    );
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["name"], &made["role"]),
        (&json!("ci"), &json!("operator"))
    );
    let printed = place.said(&["token", "new", "--role", "viewer", "--name", "v"]);
    let viewer = printed.lines().last().unwrap().to_owned();

    assert_eq!(send(address, &health("lapsed_x")).status, 401);
    assert_eq!(send(address, &health(&viewer)).status, 200);
    assert_eq!(send(address, &clean().bearer(&viewer)).status, 403);
    place.write("root/old");
    daemon.sync();
    let retention = r#"{"dry_run": false, "retention": {"root after 1h": "0s"}}"#;
    let order = Request::new("POST", "/v1/clean").json(retention);
    let report = send(address, &order.bearer(&token));
    assert_eq!(report.status, 200, "{}", report.text());
    place.wait_until_gone(&daemon, "root/old");
    let line = wait_for("the line of the removal", || ledger(&place).pop());
    assert_eq!(line["by"], json!({"token": "ci"}));

    drop(daemon);
    let (daemon, address) = serve(&place, &[]);
    assert_eq!(send(address, &health(&token)).status, 200, "it is durable");
    let secret = token.rsplit_once('_').unwrap().1;
    let listed = place.said(&["token", "ls"]) + &place.said(&["--json", "token", "ls"]);
    assert!(
        listed.contains("ci") && !listed.contains(secret),
        "{listed}"
    );
    let state = files(&place.path("state"));
    let is_there = |text: &str| {
        state
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(is_there("operator"));
    assert!(!is_there(secret), "only its hash is kept");

    let follow = Request::get("/v1/events").host("x").bearer(&token);
    let stream = begin(address, &follow.to_bytes());
    wait_for("the beginning of the stream", || {
        let mut first = [0; 1];
        (stream.peek(&mut first).unwrap() == 1).then_some(())
    });
    place.said(&["token", "revoke", "ci"]);
    let events = read_all(stream);
    assert!(events.starts_with(b"HTTP/1.1 200"));
    assert_eq!(send(address, &health(&token)).status, 401);
    assert!(!daemon.said().contains(secret), "not in the log");
    let again = errors(&place.run(&["token", "revoke", "ci"]));
    assert!(again.contains("there is no token \"ci\""), "{again}");
}

#[test]
fn a_token_expires() {
    let place = Place::new();
    let (_daemon, address) = serve(&place, &[]);
    let made = make(
        &place,
        &["--role", "viewer", "--name", "v", "--expires", "2s"],
    );
    let token = made["token"].as_str().unwrap();
    let follow = Request::get("/v1/events").host("x").bearer(token);
    let stream = begin(address, &follow.to_bytes());
    // Ends by itself.
    assert!(!read_all(stream).is_empty());
    let answer = send(address, &health(token));
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("expired"), "{}", answer.text());
    assert!(place.said(&["token", "ls"]).contains("expired"));
}

#[test]
fn applications_and_programs_of_this_host_are_let_in_by_a_reload() {
    let place = Place::new();
    let root = place.make_dir("root").display().to_string();
    let config = |more: &str| {
        place.config(&format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n{more}\n[[root]]\nname = \"r\"\npath = \"{root}\"\n\
             [[rule]]\nname = \"rule\"\nroot = \"r\"\nexpire = \"1h\"\n"
        ))
    };
    config("");
    let daemon = place.serve(&["--config", &place.config_path()]);
    let address = addresses(&daemon)[0];
    let exp = now_ms() / 1000 + 600;
    let claims = json!({"sub": "anna", "role": "therapist", "exp": exp});
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let jwt = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    assert_eq!(send(address, &health(&jwt)).status, 401);
    assert_eq!(send(address, &Request::get("/v1/health")).status, 401);

    config(&format!(
        "anonymous = \"operator\"\njwt = {{ secret = \"{SECRET}\", roles = {{ therapist = \"operator\" }} }}"
    ));
    wait_for("the reload", || {
        (send(address, &Request::get("/v1/health")).status == 200).then_some(())
    });
    assert_eq!(send(address, &clean().bearer(&jwt)).status, 200);
    assert_eq!(send(address, &clean()).status, 200);
    let proxied = clean().header("x-forwarded-for", "192.0.2.1");
    assert_eq!(send(address, &proxied).status, 401);
    let page = clean().header("origin", "https://attacker.example");
    assert_eq!(send(address, &page).status, 401);
    let release = Request::new("POST", "/v1/breaker/release").json("{}");
    assert_eq!(send(address, &release.clone().bearer(&jwt)).status, 403);
    assert_eq!(send(address, &release).status, 401);
    // What follows ends with the permission.
    let follow = Request::get("/v1/events");
    let streams = [follow.clone().bearer(&jwt), follow].map(|follow| {
        let follow = follow.host(&address.to_string());
        let stream = begin(address, &follow.to_bytes());
        wait_for("the beginning of the stream", || {
            (stream.peek(&mut [0; 1]).unwrap() == 1).then_some(())
        });
        stream
    });
    config("");
    for stream in streams {
        assert!(read_all(stream).starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(send(address, &Request::get("/v1/health")).status, 401);
    assert!(
        !place
            .said(&["--config", &place.config_path(), "config", "show"])
            .contains(SECRET)
    );
}

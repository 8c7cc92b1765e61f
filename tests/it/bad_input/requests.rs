//! Mistakes in requests, and clients that misbehave.

use std::os::unix::net::UnixStream;

use super::{mask, refusal};
use crate::common::http::{Request, exchange, raw, stall_after};
use crate::common::{Daemon, Place, wait_for};

/// Asks, expects a problem in RFC 9457's form, and gives its status and what it says.
#[track_caller]
fn problem(
    daemon: &Daemon,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let request = Request::new(method, path).body(body);
    let headers = headers.iter();
    let request = headers.fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    let answer = daemon.send(&request);
    let (status, head) = (answer.status, &answer.head);
    assert!(
        head.contains("content-type: application/problem+json"),
        "{head}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["type"], "about:blank");
    // RFC 9110, 15.5.6.
    assert!(status != 405 || head.contains("\r\nallow: "), "{head}");
    let mut said = format!(
        "{status} {}: {}",
        problem["title"].as_str().unwrap(),
        problem["detail"].as_str().unwrap()
    );
    if let Some(allowed) = problem["allowed"].as_array() {
        let allowed: Vec<_> = allowed.iter().map(|name| name.as_str().unwrap()).collect();
        said.push_str(&format!("\n  allowed: {}", allowed.join(", ")));
    }
    if let Some(hint) = problem["hint"].as_str() {
        said.push_str(&format!("\n  {hint}"));
    }
    said
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

pub(super) fn served() -> (Place, Daemon) {
    let place = Place::new();
    let root = place.make_dir("data");
    std::fs::write(root.join("file"), b"x").unwrap();
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    (place, daemon)
}

#[track_caller]
fn assert_unharmed(daemon: &mut Daemon) {
    assert!(daemon.child.try_wait().unwrap().is_none(), "it died");
    assert_eq!(daemon.get("/v1/health").1["status"], "ready");
    assert_eq!(daemon.files("").len(), 1);
    assert!(!daemon.said().contains("panic"), "{}", daemon.said());
}

#[test]
fn names_and_paths_that_the_daemon_does_not_know() {
    let (place, mut daemon) = served();
    let refused = |arguments: &[&str]| refusal(&place.run(arguments));
    told!(place, refused(&["explain", "/etc/passwd"]), @r#"
    error: "/etc/passwd" lies in no root
      allowed: PLACE/data
    "#);
    told!(place, mask(&place, &refused(&["explain", "../x"])).replace(&*std::env::temp_dir().canonicalize().unwrap().to_string_lossy(), "TMP"), @r#"
    error: "TMP/x" lies in no root
      allowed: PLACE/data
    "#);
    told!(place, refused(&["ls", "--root", "nope"]), @r#"
    error: there is no root "nope"
      allowed: data
    "#);
    told!(place, refused(&["ls", "--rule", "nope"]), @r#"
    error: there is no rule "nope"
      allowed: data after 1h, none
    "#);
    told!(place, refused(&["ls", "--glob", "["]), @r#"
    error: query parameter "glob" cannot be "["
      error parsing glob '[': unclosed character class; missing ']'
    "#);
    told!(place, refused(&["clean", "--root", "nope"]), @r#"
    error: there is no root "nope"
      allowed: data
    "#);
    told!(place, refused(&["clean", "--retention", "nope=1h"]), @r#"
    error: there is no rule "nope"
      allowed: data after 1h
    "#);
    told!(place, refused(&["breaker", "release", "--root", "nope"]), @r#"
    error: there is no root "nope"
      allowed: data
    "#);
    told!(place, refused(&["history", "--since", "tomorrow"]), @"
    error: invalid value 'tomorrow' for '--since <WHEN>': give an instant such as 2024-05-06T07:08:09Z, or a duration such as 7d

    For more information, try '--help'.
    ");
    assert_unharmed(&mut daemon);
}

#[test]
fn requests_that_are_not_understood() {
    let (place, mut daemon) = served();
    let get = |path: &str| problem(&daemon, "GET", path, &[], b"");
    told!(place, get("/v1/explain?path=/etc/passwd"), @r#"
    404 Not Found: "/etc/passwd" lies in no root
      allowed: PLACE/data
    "#);
    told!(place, get("/v1/explain"), @r#"400 Bad Request: query parameter "path" is missing"#);
    told!(place, get("/v1/explain?path=relative"), @r#"
    400 Bad Request: query parameter "path" cannot be "relative"
      give an absolute path without ".."
    "#);
    told!(place, get("/v1/explain?path=/a/../b"), @r#"
    400 Bad Request: query parameter "path" cannot be "/a/../b"
      give an absolute path without ".."
    "#);
    told!(place, get("/v1/files?rot=1"), @r#"
    400 Bad Request: unknown query parameter "rot"
      allowed: root, job, status, orphan, pinned, rule, glob, hold, expiring_within, older_than, min_size, sort, order, limit, cursor, sync
    "#);
    told!(place, get("/v1/files?limit=0"), @r#"
    400 Bad Request: query parameter "limit" cannot be "0"
      give a number from 1 to 10000, or accept application/x-ndjson for a list of any length
    "#);
    told!(place, get("/v1/files?limit=10001"), @r#"
    400 Bad Request: query parameter "limit" cannot be "10001"
      give a number from 1 to 10000, or accept application/x-ndjson for a list of any length
    "#);
    told!(place, get("/v1/files?limit=-1"), @r#"
    400 Bad Request: query parameter "limit" cannot be "-1"
      give a whole number
    "#);
    told!(place, get("/v1/files?sort=colour"), @r#"
    400 Bad Request: query parameter "sort" cannot be "colour"
      allowed: age, size, deadline, path
    "#);
    told!(place, get("/v1/files?sort=size&sort=age"), @r#"400 Bad Request: query parameter "sort" is given twice"#);
    told!(place, get("/v1/files?cursor=x"), @r#"
    400 Bad Request: query parameter "cursor" cannot be "x"
      give a cursor of an earlier answer as it is
    "#);
    told!(place, get("/v1/files?hold=nope"), @r#"
    400 Bad Request: query parameter "hold" cannot be "nope"
      allowed: reconciling, root-missing, root-unreachable, breaker, clock-jumped, clock-behind, open, open-unknown, denied, no-quarantine, root-in-use, ledger-unavailable, cache-unavailable, mount-inside, root-inside, state-inside, no-timestamp, unreadable, recheck-mismatch, limit-futile, displaced, dry-run, kept-last, paused, running, source-down, contested, row-needed, unreadable-job, claim-refused, trash-full, in-trash, pinned
    "#);
    told!(place, get("/v1/files?older_than=%zz"), @r#"400 Bad Request: "%zz" in the query is not percent-encoded"#);
    told!(place, get("/v1/plan?within=99999999999999999999d"), @r#"
    400 Bad Request: query parameter "within" cannot be "99999999999999999999d"
      give a duration such as 90s, 15m, 12h, 7d or 1h30m
    "#);
    told!(place, get("/v1/history?cursor=x"), @r#"
    400 Bad Request: query parameter "cursor" cannot be "x"
      give the cursor of an earlier answer
    "#);
    told!(place, get("/v1/events?after=x"), @r#"
    400 Bad Request: query parameter "after" cannot be "x"
      give a whole number
    "#);
    told!(place, get("/v1/nothing"), @r#"
    404 Not Found: there is nothing at "/v1/nothing"
      allowed: /metrics, /v1/breaker, /v1/breaker/release, /v1/clean, /v1/displaced, /v1/displaced/remove, /v1/displaced/restore, /v1/events, /v1/explain, /v1/files, /v1/health, /v1/history, /v1/jobs, /v1/jobs/{id}, /v1/limits, /v1/notify, /v1/notify/drop, /v1/notify/retry, /v1/notify/test/{name}, /v1/pause, /v1/pins, /v1/pins/{id}, /v1/plan, /v1/reload, /v1/runs, /v1/runs/{id}, /v1/samples, /v1/settings, /v1/shadow, /v1/space, /v1/stats, /v1/status, /v1/sync, /v1/tokens, /v1/tokens/{id}, /v1/trash, /v1/trash/empty, /v1/undo, /v1/whoami
    "#);
    assert_unharmed(&mut daemon);
}

#[test]
fn orders_that_are_not_understood() {
    let (place, mut daemon) = served();
    let get = |path: &str| problem(&daemon, "GET", path, &[], b"");
    told!(place, get("/v1/clean"), @r#"405 Method Not Allowed: "/v1/clean" does not take GET"#);
    let post = |path: &str, body: &str| problem(&daemon, "POST", path, JSON, body.as_bytes());
    told!(place, post("/v1/clean", "{\"dry_run\": tru"), @"400 Bad Request: the request's body cannot be read: EOF while parsing a value at line 1 column 15");
    told!(place, post("/v1/clean", "{\"dry\": true}"), @r#"
    400 Bad Request: the request's body cannot be read: unknown field `dry`, expected one of `dry_run`, `roots`, `rules`, `jobs`, `paths`, `things`, `orphans_only`, `retention`, `limit`, `held_limit`, `release`, `key` at line 1 column 6
      send a JSON object such as {"dry_run": true}, which lists what is due; false removes it
    "#);
    told!(place, post("/v1/clean", "{}"), @r#"
    400 Bad Request: the request's body cannot be read: missing field `dry_run` at line 1 column 2
      send a JSON object such as {"dry_run": true}, which lists what is due; false removes it
    "#);
    told!(place, post("/v1/clean", ""), @r#"
    400 Bad Request: the request has no body
      send a JSON object with content-type: application/json, such as {"dry_run": true}, which lists what is due; false removes it
    "#);
    told!(place, post("/v1/breaker/release", ""), @r"
    400 Bad Request: the request has no body
      send a JSON object with content-type: application/json, such as {}, which releases all roots
    ");
    told!(place, problem(&daemon, "POST", "/v1/clean", &[], b"{}"), @r#"
    415 Unsupported Media Type: the content-type of the request's body is "none"
      allowed: application/json
    "#);
    told!(place, post("/v1/clean", "[]"), @"400 Bad Request: the request's body is not a JSON object");
    told!(place, post("/v1/clean", "{\"dry_run\": true, \"roots\": [\"nope\"]}"), @r#"
    400 Bad Request: there is no root "nope"
      allowed: data
    "#);
    told!(place, post("/v1/clean", "{\"dry_run\": true, \"retention\": {\"data after 1h\": \"-1s\"}}"), @r#"
    400 Bad Request: retention of rule "data after 1h" cannot be "-1s"
      give a duration such as 90s, 15m, 12h, 7d or 1h30m
    "#);
    told!(place, post("/v1/breaker/release", "{\"root\": 5}"), @r"
    400 Bad Request: the request's body cannot be read: invalid type: integer `5`, expected a string at line 1 column 10
      send a JSON object such as {}, which releases all roots
    ");
    told!(place, post("/v1/status", ""), @r#"405 Method Not Allowed: "/v1/status" does not take POST"#);
    told!(place, problem(&daemon, "POST", "/v1/clean", &[("content-type", "text/plain")], b"{}"), @r#"
    415 Unsupported Media Type: the content-type of the request's body is "text/plain"
      allowed: application/json
    "#);
    told!(place, problem(&daemon, "GET", "/v1/events", &[("last-event-id", "x")], b""), @r#"400 Bad Request: header "Last-Event-ID" is not the number of an event"#);
    assert_unharmed(&mut daemon);
}

#[test]
fn bodies_and_heads_that_are_too_large() {
    let (place, mut daemon) = served();
    let body = vec![b' '; 10 << 20];
    told!(place, problem(&daemon, "POST", "/v1/clean", JSON, &body), @"413 Payload Too Large: the request's body is larger than 1048576 bytes");
    // One that does not say how large it will be.
    let mut chunked = b"POST /v1/clean HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..160 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&body[..0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    drop(stall_after(&place.socket(), &chunked));
    let head = format!(
        "GET /v1/status HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    drop(stall_after(&place.socket(), head.as_bytes()));
    assert_unharmed(&mut daemon);
}

#[test]
fn what_is_no_http() {
    let (place, mut daemon) = served();
    let socket = place.socket();
    let cases: [&[u8]; 8] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/status HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/clean HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
    ];
    for bytes in cases {
        let answer = raw(&socket, bytes);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{:?} is answered {answer:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    // Bytes without sense, from a seed.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..random.usize(1..2000)).map(|_| random.u8(..)).collect();
        raw(&socket, &bytes);
    }
    assert_unharmed(&mut daemon);
}

#[test]
fn clients_that_stall_harm_nobody_else() {
    let (place, mut daemon) = served();
    let socket = place.socket();
    let beginnings: [&[u8]; 4] = [
        b"",
        b"GET /v1/fi",
        b"GET /v1/files HTTP/1.1\r\nhost: x\r\n",
        b"POST /v1/clean HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{",
    ];
    let stalled: Vec<UnixStream> = (0..40)
        .map(|number| stall_after(&socket, beginnings[number % beginnings.len()]))
        .collect();
    assert_unharmed(&mut daemon);
    daemon.sync();
    let output = place.run(&["status"]);
    assert!(output.status.success(), "{output:?}");
    drop(stalled);
    assert_unharmed(&mut daemon);
}

#[test]
fn idle_clients_give_way_and_others_are_too_many_at_last() {
    const UNFINISHED: &[u8] = b"POST /v1/pins HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";
    let (place, mut daemon) = served();
    let socket = place.socket();
    let idle: Vec<UnixStream> = (0..300).map(|_| stall_after(&socket, b"")).collect();
    let ask = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let asked = || String::from_utf8_lossy(&exchange(&socket, ask)).into_owned();
    let answer = asked();
    assert!(answer.contains(" 200 "), "{answer}");
    drop(idle);
    let mut many: Vec<UnixStream> = Vec::new();
    let turned_away = wait_for("one too many is turned away", || {
        // Anew, because they end when they have said nothing for a while.
        many.clear();
        many.extend((0..256).map(|_| stall_after(&socket, UNFINISHED)));
        (0..20).find_map(|_| {
            // One that has not begun its request yet gives way, and is replaced.
            let answer = asked();
            many.push(stall_after(&socket, UNFINISHED));
            answer.contains(" 503 ").then_some(answer)
        })
    });
    assert!(
        turned_away.contains("too many connections"),
        "{turned_away}"
    );
    drop(many);
    wait_for("there is room again", || {
        asked().contains(" 200 ").then_some(())
    });
    assert_unharmed(&mut daemon);
}

//! Notifications: receivers that take, fail, hang, and come back.

mod crashes;
mod digests;
mod mail;
mod orders;
pub mod receiver;
mod space;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use receiver::{Behaviour, HttpReceiver};
use serde_json::Value;
use sha2::Sha256;

use crate::common::commands::said;
use crate::common::trees::{configured, write_old};
use crate::common::{Daemon, Place, lines, wait_for, wait_or_tell};
use crate::tcp::tls::write_pair;

/// A root whose files lapse on order, and one receiver.
fn config(receiver: &HttpReceiver, more: &str) -> String {
    format!(
        r#"
        [[root]]
        path = "data"
        [[rule]]
        name = "old"
        expire = "0s"
        schedule = "manual"
        [[notify]]
        name = "ops"
        webhook.url = "{}"
        {more}
        "#,
        receiver.url()
    )
}

fn begin(receiver: &HttpReceiver, more: &str) -> (Place, Daemon) {
    let place = Place::new();
    place.make_dir("data");
    let daemon = configured(&place, &config(receiver, more));
    (place, daemon)
}

/// The receiver `name`, as the status has it.
fn status(daemon: &Daemon, name: &str) -> Value {
    let (_, status) = daemon.get("/v1/status");
    let receivers = status["receivers"].as_array().unwrap().iter();
    let mut found = receivers.filter(|receiver| receiver["name"] == name);
    found.next().unwrap_or_else(|| panic!("{status}")).clone()
}

#[track_caller]
fn wait_for_status(daemon: &Daemon, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_or_tell(
        what,
        || Some(status(daemon, "ops")).filter(&is_so),
        || daemon.get("/v1/notify").1.to_string(),
    )
}

/// Begins and ends a pause: two events.
fn pause(place: &Place, why: &str) {
    said(place, &["pause", "--for", "1h", "--why", why]);
    said(place, &["resume"]);
}

#[test]
fn what_happens_is_told_once_in_order_signed_and_when_it_is_over() {
    let receiver = HttpReceiver::new();
    let more = r#"
        on = ["root", "run", "pause"]
        webhook.secret = "whsec_c2VjcmV0IG9mIGEgdGVzdA=="
        webhook.headers = { X-Key = "classified header" }"#;
    let (place, daemon) = begin(&receiver, more);
    write_old(&place.path("data/a"), 3);
    daemon.sync();
    said(&place, &["clean"]);
    let run = receiver.wait_for_title("is done: 1 file removed (3 B)");
    assert_eq!(run.target, "/hook-of-a-secret-path");
    assert_eq!(run.headers["content-type"], "application/cloudevents+json");
    assert_eq!(run.headers["x-key"], "classified header");
    let event = run.json();
    assert_eq!(event["type"], "lapsed.run");
    assert_eq!(event["id"], run.id());
    assert_eq!(event["data"]["details"]["event"], "run");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret of a test").unwrap();
    let timestamp = &run.headers["webhook-timestamp"];
    mac.update(format!("{}.{timestamp}.{}", run.id(), run.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(run.headers["webhook-signature"], expected);

    std::fs::rename(place.path("data"), place.path("elsewhere")).unwrap();
    let lost = receiver.wait_for_title("root \"data\": missing");
    assert_eq!(lost.json()["data"]["severity"], "error");
    std::fs::rename(place.path("elsewhere"), place.path("data")).unwrap();
    receiver.wait_for_title("root \"data\": found");
    pause(&place, "a reason");
    receiver.wait_for_title("go on");
    let titles: Vec<_> = receiver
        .taken()
        .iter()
        .map(receiver::Received::title)
        .collect();
    // Neither the beginning of the run, nor that the root was there at the start.
    assert_eq!(titles.len(), 5, "{titles:?}");
    let status = wait_for_status(&daemon, "all are counted", |ops| ops["delivered"] == 5);
    assert_eq!(
        (&status["waiting"], &status["channel"]),
        (&0.into(), &"webhook".into())
    );
}

#[test]
fn secrets_and_paths_of_addresses_are_shown_nowhere() {
    let receiver = HttpReceiver::new();
    receiver.answer(503);
    let more = r#"
        on = "pause"
        webhook.secret = "classified key"
        webhook.headers = { X-Key = "classified header" }"#;
    let (place, daemon) = begin(&receiver, more);
    pause(&place, "a reason");
    wait_for_status(&daemon, "it has failed", |ops| ops["error"].is_string());
    let mut shown = daemon.said();
    for arguments in [
        &["status", "--json"][..],
        &["status"],
        &["notify", "ls", "--json"],
        &["notify", "ls"],
        &["notify", "test", "ops"],
        &["config", "show", "--config", &place.config_path()],
        &["check", "--config", &place.config_path()],
    ] {
        shown.push_str(&lines(&place.run(arguments)).join("\n"));
    }
    assert!(shown.contains(&receiver.address.to_string()), "{shown}");
    for secret in ["classified", "secret-path"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_receiver_that_fails_gets_all_of_it_in_order_with_the_same_ids() {
    let receiver = HttpReceiver::new();
    receiver.answer(503);
    let (place, mut daemon) = begin(&receiver, "on = \"pause\"");
    pause(&place, "one");
    wait_for_status(&daemon, "it has failed", |ops| {
        ops["waiting"] == 2 && ops["error"].is_string()
    });
    let first = receiver.received()[0].clone();
    daemon.stop();
    receiver.answer(200);
    let daemon = place.serve_again();
    pause(&place, "two");
    wait_for_status(&daemon, "all is delivered", |ops| ops["delivered"] == 4);
    let taken = receiver.taken();
    assert_eq!(taken[0].id(), first.id());
    assert_eq!(taken[0].body, first.body);
    let texts: Vec<String> = taken
        .iter()
        .map(|one| one.json()["data"]["text"].as_str().unwrap().to_owned())
        .collect();
    let order: Vec<_> = ["one", "one", "two", "two"].iter().zip(&texts).collect();
    assert!(
        order.iter().all(|(why, text)| text.contains(**why)),
        "{texts:?}"
    );
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let receiver = HttpReceiver::new();
    let after = "Retry-After: 7200\r\n".to_owned();
    receiver.behave(Behaviour::Answer(429, after));
    let (place, daemon) = begin(&receiver, "on = \"pause\"");
    pause(&place, "a reason");
    let begun = jiff::Timestamp::now();
    wait_for_status(&daemon, "it has failed and waits for hours", |ops| {
        let next = ops["next"].as_str().map(|next| next.parse().unwrap());
        let left = next.map(|next: jiff::Timestamp| next.duration_since(begun).as_secs());
        ops["error"].is_string() && left.is_some_and(|seconds| seconds > 3600)
    });
    assert_eq!(
        receiver.received().len(),
        1,
        "the next one waits for its turn"
    );
    receiver.answer(200);
    said(&place, &["notify", "retry", "ops"]);
    wait_for_status(&daemon, "all is delivered", |ops| ops["delivered"] == 2);
}

#[test]
fn a_receiver_that_hangs_delays_nobody_and_no_end() {
    let (hanging, receiver) = (HttpReceiver::new(), HttpReceiver::new());
    hanging.behave(Behaviour::Hang);
    let more = format!(
        "on = \"pause\"\n[[notify]]\nname = \"hangs\"\non = \"pause\"\nwebhook.url = \"{}\"",
        hanging.url()
    );
    let (place, mut daemon) = begin(&receiver, &more);
    pause(&place, "one");
    wait_for("the other one has a request", || {
        (!hanging.received().is_empty()).then_some(())
    });
    pause(&place, "two");
    wait_for_status(&daemon, "all is delivered", |ops| ops["delivered"] == 4);
    assert_eq!(status(&daemon, "hangs")["waiting"], 4);
    assert!(daemon.stop().success());
}

#[test]
fn a_webhook_over_tls_goes_to_who_has_a_trusted_certificate_of_the_name() {
    for (trusted, name, error) in [
        ("cert-good.pem", "localhost", None),
        ("cert-other.pem", "localhost", Some("certificate")),
        ("cert-good.pem", "127.0.0.1", Some("certificate")),
    ] {
        let place = Place::new();
        place.make_dir("data");
        write_pair(&place, "localhost", "-good");
        write_pair(&place, "localhost", "-other");
        let (cert, key) = (place.path("cert-good.pem"), place.path("key-good.pem"));
        let receiver = HttpReceiver::with_tls(&cert, &key);
        let url = format!("https://{name}:{}/hook", receiver.address.port());
        let text = config(&receiver, "on = \"pause\"").replace(&receiver.url(), &url);
        let file = place.config(&text);
        let mut command = place.lapsed();
        command
            .args(["serve", "--config", file.to_str().unwrap()])
            .env("SSL_CERT_FILE", place.path(trusted))
            .env_remove("SSL_CERT_DIR");
        let daemon = Daemon::start(command, place.socket());
        daemon.wait_until_up();
        daemon.wait_until_ready();
        pause(&place, "a reason");
        match error {
            None => {
                wait_for_status(&daemon, "both are delivered", |ops| ops["delivered"] == 2);
                assert_eq!(receiver.taken().len(), 2);
            }
            Some(error) => {
                wait_for_status(&daemon, "it has failed", |ops| {
                    ops["error"]
                        .as_str()
                        .is_some_and(|text| text.contains(error))
                });
                assert_eq!(receiver.received().len(), 0);
            }
        }
    }
}

#[test]
fn redirects_are_not_followed() {
    let (receiver, elsewhere) = (HttpReceiver::new(), HttpReceiver::new());
    let to = format!("location: {}\r\n", elsewhere.url());
    receiver.behave(Behaviour::Answer(307, to));
    let (place, daemon) = begin(&receiver, "on = \"pause\"");
    pause(&place, "a reason");
    let ops = wait_for_status(&daemon, "it has failed", |ops| ops["error"].is_string());
    let error = ops["error"].as_str().unwrap();
    assert!(error.contains("redirects are not followed"), "{error}");
    assert_eq!(elsewhere.received().len(), 0);
}

#[test]
fn filters_and_forms_are_those_of_the_configuration() {
    let (receiver, slack, other) = (
        HttpReceiver::new(),
        HttpReceiver::new(),
        HttpReceiver::new(),
    );
    let more = format!(
        r#"
        on = ["lapsed"]
        rules = ["old"]
        [[rule]]
        root = "more"
        name = "young"
        expire = "0s"
        schedule = "manual"
        [[root]]
        path = "more"
        [[notify]]
        name = "slack"
        on = ["lapsed", "run"]
        roots = "more"
        webhook = {{ url = "{}", format = "slack" }}
        [[notify]]
        name = "errors"
        on = ["run"]
        severity = "warning"
        webhook = {{ url = "{}", format = "template", template = '{{"x": {{{{ title }}}}}}' }}
        "#,
        slack.url(),
        other.url()
    );
    let place = Place::new();
    place.make_dir("data");
    place.make_dir("more");
    let text =
        config(&receiver, &more).replace("name = \"old\"", "name = \"old\"\nroot = \"data\"");
    let daemon = configured(&place, &text);
    for name in ["data/a", "data/b", "more/c"] {
        write_old(&place.path(name), 7);
    }
    daemon.sync();
    said(&place, &["clean"]);
    let told = receiver.wait_for_title("2 files removed (14 B)");
    let data = &told.json()["data"];
    assert_eq!(
        (&data["root"], &data["rule"]),
        (&"data".into(), &"old".into())
    );
    let paths: Vec<_> = data["details"]["removals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(
        paths.iter().all(|path| path.contains("/data/")),
        "{paths:?}"
    );
    let texts = || -> Vec<String> {
        let texts = slack.taken();
        let texts = texts
            .iter()
            .map(|one| one.json()["text"].as_str().unwrap().to_owned());
        texts.collect()
    };
    wait_or_tell(
        "the other receiver hears of its root and of the run",
        || {
            let texts = texts();
            let has = |part: &str| texts.iter().any(|text| text.contains(part));
            (has("1 file removed (7 B)") && has("run 1 is done")).then_some(())
        },
        || format!("{:?}", texts()),
    );
    assert_eq!(other.received().len(), 0);
}

#[test]
fn errors_of_the_log_are_told_once_an_hour_each() {
    let receiver = HttpReceiver::new();
    let (place, daemon) = begin(&receiver, "on = \"error\"");
    let wrong = format!(
        "{}\n[[rule]]\nexpire = \"never ever\"",
        config(&receiver, "")
    );
    for _ in 0..3 {
        place.config(&wrong);
        assert!(!place.run(&["reload"]).status.success());
    }
    let told = receiver.wait_for_title("cannot reload");
    assert_eq!(told.json()["data"]["kind"], "error");
    daemon.sync();
    let reloads = receiver.taken();
    let reloads = reloads
        .iter()
        .filter(|one| one.title().contains("cannot reload"));
    assert_eq!(reloads.count(), 1);
}

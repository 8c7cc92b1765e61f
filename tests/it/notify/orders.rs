//! Orders: `lapsed notify ls|retry|drop|test`, who may give them, and reloads.

use serde_json::json;

use super::receiver::HttpReceiver;
use super::{begin, config, pause, status, wait_for_status};
use crate::common::commands::{refused, said};
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::{errors, lines};

#[test]
fn what_was_refused_is_given_up_at_once_and_can_be_retried_or_dropped() {
    let receiver = HttpReceiver::new();
    receiver.answer(410);
    let (place, daemon) = begin(&receiver, "on = \"pause\"");
    pause(&place, "one");
    wait_for_status(&daemon, "both are given up", |ops| ops["given_up"] == 2);
    daemon.wait_until_said("gave up notifying \"ops\": the receiver answered 410");
    let listed = said(&place, &["notify", "ls"]).join("\n");
    assert!(
        listed.contains("given up: the receiver answered 410"),
        "{listed}"
    );
    receiver.answer(200);
    let number = daemon.get("/v1/notify?receiver=ops").1["deliveries"][0]["number"].clone();
    let told = said(&place, &["notify", "retry", "ops", &number.to_string()]);
    assert_eq!(told, ["1 notification to be delivered now"]);
    wait_for_status(&daemon, "one is delivered", |ops| ops["delivered"] == 1);
    assert_eq!(
        said(&place, &["notify", "drop", "ops", "--given-up"]),
        ["1 notification dropped"]
    );
    let ops = status(&daemon, "ops");
    assert_eq!(
        (&ops["given_up"], &ops["given_up_ever"]),
        (&json!(0), &json!(2))
    );
    let error = refused(&place, &["notify", "retry", "nobody"]);
    assert!(error.contains("there is no receiver \"nobody\""), "{error}");
}

#[test]
fn a_test_is_sent_at_once_and_its_failure_is_the_status() {
    let receiver = HttpReceiver::new();
    let (place, _daemon) = begin(&receiver, "");
    let told = said(&place, &["notify", "test", "ops"]);
    assert!(
        told[0].starts_with("ops by webhook: taken after"),
        "{told:?}"
    );
    assert_eq!(receiver.taken()[0].title(), "this is a test");
    receiver.answer(500);
    let output = place.run(&["notify", "test", "ops"]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let told = lines(&output);
    assert!(
        told[0].contains("failed after") && told[0].contains("500"),
        "{told:?}"
    );
}

#[test]
fn only_an_admin_drops_and_only_operators_retry_and_test() {
    if !has_other_users() {
        return;
    }
    let receiver = HttpReceiver::new();
    let (place, daemon) = begin(&receiver, "");
    crate::common::machine::give_to_nobody(&place.path("data"));
    std::fs::set_permissions(
        place.dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    std::fs::set_permissions(
        daemon.socket.clone(),
        std::os::unix::fs::PermissionsExt::from_mode(0o666),
    )
    .unwrap();
    let nobody = Some((65534, 65534));
    let output = run_as(&place, nobody, &["notify", "ls"]);
    assert!(output.status.success(), "{}", errors(&output));
    for arguments in [
        &["notify", "test", "ops"][..],
        &["notify", "retry", "ops"],
        &["notify", "drop", "ops"],
    ] {
        let output = run_as(&place, nobody, arguments);
        assert!(!output.status.success(), "{arguments:?}");
    }
    assert_eq!(receiver.received().len(), 0);
}

#[test]
fn a_reload_changes_receivers_and_keeps_what_waits() {
    let (receiver, other) = (HttpReceiver::new(), HttpReceiver::new());
    receiver.answer(503);
    let (place, daemon) = begin(&receiver, "on = \"pause\"");
    pause(&place, "one");
    wait_for_status(&daemon, "both wait", |ops| ops["waiting"] == 2);
    place.config(&config(&other, "on = \"pause\""));
    said(&place, &["reload"]);
    said(&place, &["notify", "retry", "--all"]);
    wait_for_status(&daemon, "the new address takes them", |ops| {
        ops["delivered"] == 2
    });
    assert_eq!(other.taken().len(), 2);
}

#[test]
fn mistakes_are_refused_without_the_secrets_in_them() {
    let place = crate::common::Place::new();
    place.make_dir("data");
    let receiver = |keys: &str| {
        let config = format!("[[root]]\npath = \"data\"\n[[notify]]\nname = \"ops\"\n{keys}\n");
        place.config(&config);
        let output = place.run(&["check", "--config", &place.config_path()]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{keys}: {}",
            lines(&output).join("\n")
        );
        let told = errors(&output);
        assert!(!told.contains("hidden"), "{told}");
        told
    };
    for (keys, expected) in [
        ("", "has no way to it"),
        (
            "webhook.url = \"hidden.example.com\"",
            "must begin with https:// or http://",
        ),
        (
            "webhook.url = \"https://me:hidden@example.com\"",
            "has a user or a password in it",
        ),
        (
            "webhook.url = \"http://169.254.169.254/hidden\"",
            "link-local",
        ),
        (
            "on = \"everything\"\nwebhook.url = \"https://example.com\"",
            "unknown value",
        ),
        (
            "roots = \"dada\"\nwebhook.url = \"https://example.com\"",
            "did you mean",
        ),
        (
            "rules = \"old\"\nwebhook.url = \"https://example.com\"",
            "is an unknown rule",
        ),
        (
            "webhook = { url = \"https://example.com\", format = \"template\" }",
            "has no template",
        ),
        (
            "webhook = { url = \"https://example.com\", format = \"template\", template = \"{{ nothing }}\" }",
            "is an invalid template",
        ),
        (
            "webhook = { url = \"https://example.com\", headers = { \"a b\" = \"hidden\" } }",
            "is an invalid header",
        ),
    ] {
        let told = receiver(keys);
        assert!(told.contains(expected), "{keys}: {told}");
    }
    place.config(
        "[[root]]\npath = \"data\"\n[[notify]]\nname = \"ops\"\nwebhook.url = \"${NONE:-}\"\n",
    );
    let told = said(&place, &["check", "--config", &place.config_path()]).join("\n");
    assert!(
        told.contains("receiver \"ops\" of [[notify]] is off"),
        "{told}"
    );
}

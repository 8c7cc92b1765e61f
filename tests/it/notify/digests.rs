//! Digests, files that lapse soon, and heartbeats.

use super::receiver::HttpReceiver;
use super::{begin, config};
use crate::common::commands::said;
use crate::common::trees::{configured, write_old};
use crate::common::{Place, wait_for, wait_or_tell, wait_within};

/// A schedule of every minute comes within one, and whatever a loaded machine takes.
const MINUTES: std::time::Duration = std::time::Duration::from_mins(3);

/// A root whose files lapse on order, and one whose files lapse within a day.
fn config_of_digests(receiver: &HttpReceiver) -> String {
    let more = r#"
        digest = "* * * * *"
        before = "24h"
        [[root]]
        path = "soon"
        [[rule]]
        name = "soon"
        root = "soon"
        expire = "12h"
    "#;
    config(receiver, more).replace("name = \"old\"", "name = \"old\"\nroot = \"data\"")
}

#[test]
fn a_digest_tells_what_was_removed_and_what_lapses_soon_is_told_once_with_what_keeps_it() {
    let receiver = HttpReceiver::new();
    let place = Place::new();
    for root in ["data", "soon"] {
        place.make_dir(root);
    }
    let text = config_of_digests(&receiver);
    let daemon = configured(&place, &text);
    write_old(&place.path("data/a"), 3);
    for name in ["soon/it's/a", "soon/it's/b", "soon/pinned"] {
        place.write(name);
    }
    daemon.sync();
    let pinned = place.path("soon/pinned");
    let pin = [
        "pin",
        "add",
        pinned.to_str().unwrap(),
        "--for",
        "7d",
        "--why",
        "test",
    ];
    said(&place, &pin);
    said(&place, &["clean"]);
    let find = |kind: &str| {
        let taken = receiver.taken();
        let mut of_kind = taken.into_iter().filter(|one| one.json()["type"] == kind);
        of_kind.next()
    };
    let wait = |kind: &str| {
        wait_within(
            MINUTES,
            kind,
            || find(kind),
            || daemon.get("/v1/notify").1.to_string(),
        )
    };
    let soon = wait("lapsed.lapse-soon").json();
    let data = &soon["data"];
    assert!(
        data["title"]
            .as_str()
            .unwrap()
            .starts_with("2 files (14 B) to lapse until "),
        "{data}"
    );
    let group = &data["details"]["groups"][0];
    assert_eq!(
        (&group["files"], &group["root"]),
        (&2.into(), &"soon".into())
    );
    let command = format!(
        "lapsed pin add '{}' --for 7d --why \"…\"",
        place
            .path("soon/it's")
            .to_str()
            .unwrap()
            .replace('\'', r"'\''")
    );
    assert_eq!(group["keep"], command);
    assert!(data["text"].as_str().unwrap().contains(&command), "{data}");
    // The first may have come before the clean.
    let has_removal = || {
        let taken = receiver.taken();
        let mut digests = taken
            .into_iter()
            .filter(|one| one.json()["type"] == "lapsed.digest");
        digests.find(|one| one.json()["data"]["details"]["files"] == 1)
    };
    let tell = || daemon.get("/v1/notify").1.to_string();
    let digest = wait_within(MINUTES, "a digest has the removal", has_removal, tell).json();
    let text = digest["data"]["text"].as_str().unwrap();
    assert!(
        text.contains("data, rule \"old\": 1 file removed (3 B)"),
        "{text}"
    );
    // A digest later nothing is told twice.
    let digests = || {
        let taken = receiver.taken().into_iter();
        taken
            .filter(|one| one.json()["type"] == "lapsed.digest")
            .count()
    };
    let before = digests();
    wait_within(
        MINUTES,
        "another digest",
        || (digests() > before).then_some(()),
        tell,
    );
    let count = |kind: &str| {
        let taken = receiver.taken().into_iter();
        taken.filter(|one| one.json()["type"] == kind).count()
    };
    assert_eq!(count("lapsed.lapse-soon"), 1);
}

#[test]
fn heartbeats_follow_runs_and_the_life_of_the_daemon() {
    let (receiver, heart, other) = (
        HttpReceiver::new(),
        HttpReceiver::new(),
        HttpReceiver::new(),
    );
    let more = format!(
        r#"
        [[notify]]
        name = "heart"
        heartbeat.url = "{}"
        [[notify]]
        name = "alive"
        heartbeat = {{ url = "{}", every = "10s" }}
        "#,
        heart.url(),
        other.url()
    );
    let (place, daemon) = begin(&receiver, &more);
    wait_for("the daemon lives", || {
        (!other.received().is_empty()).then_some(())
    });
    said(&place, &["clean"]);
    let targets =
        || -> Vec<String> { heart.received().into_iter().map(|one| one.target).collect() };
    wait_or_tell(
        "the run has begun and succeeded",
        || (targets() == ["/hook-of-a-secret-path/start", "/hook-of-a-secret-path"]).then_some(()),
        || format!("{:?}", targets()),
    );
    heart.answer(404);
    said(&place, &["clean"]);
    let error = wait_for("its error is in the status", || {
        let (_, status) = daemon.get("/v1/status");
        let receivers = status["receivers"].as_array().unwrap().clone();
        let heart = receivers.into_iter().find(|one| one["name"] == "heart")?;
        heart["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("404"), "{error}");
}

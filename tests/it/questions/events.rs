//! The ledger and the events.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{file, history};
use crate::common::follow::Follows;
use crate::common::http::{Request, read_all, stall_after};
use crate::common::{Place, lines, path_of, wait_for};

#[test]
fn history_is_filtered_and_goes_on_where_it_ended() {
    let place = Place::new();
    let root = place.make_dir("data");
    let other = place.make_dir("other");
    for number in 0..7 {
        file(
            &root.join(format!("{}/{number}", number % 2)),
            10,
            Duration::ZERO,
        );
    }
    file(&other.join("x"), 10, Duration::ZERO);
    let daemon = place.serve_ready(&["--watch", "data=0s", "--watch", "other=0s"]);
    let all = wait_for("all is in the ledger", || {
        Some(history(&place, &[])).filter(|lines| lines.len() == 8)
    });
    // Two reapers write down what they did as they are done with it: numbers differ, but need not fall.
    let ids: BTreeSet<u64> = all
        .iter()
        .map(|line| line["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), 8);

    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let (status, page) = daemon.get(&format!("/v1/history?limit=3{cursor}"));
        assert_eq!(status, 200, "{page}");
        let removals = page["removals"].as_array().unwrap();
        assert!(removals.len() <= 3);
        seen.extend(removals.iter().cloned());
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    assert_eq!(history(&place, &["--root", "other"]).len(), 1);
    let below = root.join("1");
    assert_eq!(
        history(&place, &["--path", below.to_str().unwrap()]).len(),
        3
    );
    assert_eq!(history(&place, &["--since", "1h"]).len(), 8);
    assert_eq!(
        history(&place, &["--since", "2999-01-01T00:00:00Z"]).len(),
        0
    );
    let told = lines(&place.run(&["history", "--rule", "other after 0s", "-n", "1"])).join("\n");
    assert!(told.contains(other.join("x").to_str().unwrap()), "{told}");
}

#[test]
fn events_have_numbers_and_go_on_after_the_last_one_heard() {
    let place = Place::new();
    let root = place.make_dir("data");
    let _daemon = place.serve_ready(&["--watch", "data=100ms"]);
    let first = Follows::begin(&place.socket(), "", None);
    let lapse = |follows: &Follows, name: &str| {
        std::fs::write(root.join(name), b"x").unwrap();
        let path = root.join(name);
        follows.wait(&format!("{name} lapses"), |heard| {
            heard.event == "lapsed" && path_of(&heard.data) == path
        })
    };
    let one = lapse(&first, "one");
    for field in [
        "rule",
        "deadline",
        "removed_at",
        "files",
        "bytes",
        "ledger_id",
        "at",
    ] {
        assert!(!one.data[field].is_null(), "{field} in {}", one.data);
    }
    assert_eq!(one.data["id"].as_u64(), one.id);
    let two = lapse(&first, "two");
    assert!(two.id > one.id);
    drop(first);

    // What happens meanwhile is not lost for who comes back.
    let silent = Follows::begin(&place.socket(), "", None);
    let three = lapse(&silent, "three");
    for (query, last_id) in [
        (String::new(), one.id),
        (format!("?after={}", one.id.unwrap()), None),
    ] {
        let again = Follows::begin(&place.socket(), &query, last_id);
        again.wait("the third", |heard| heard.id == three.id);
        let ids: Vec<_> = again.heard().iter().filter_map(|heard| heard.id).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert!(ids.contains(&two.id.unwrap()) && !ids.contains(&one.id.unwrap()));
    }
    assert!(
        silent.heard().iter().all(|heard| heard.id >= three.id),
        "who names no number hears what comes"
    );

    // From before the daemon's start: what is gone is said.
    let stale = Follows::begin(&place.socket(), "", Some(1));
    let missing = stale.wait("the gap", |heard| heard.event == "missing");
    assert_eq!((missing.id, &missing.data["after"]), (None, &json!(1)));
    stale.wait("and what there is", |heard| heard.id == three.id);
}

#[test]
fn who_reads_too_slowly_is_dropped_with_a_word_and_slows_nobody() {
    let place = Place::new();
    let root = place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    let request = Request::get("/v1/events?observed=true");
    let slow = stall_after(&place.socket(), &request.to_bytes());
    let quick = Follows::begin(&place.socket(), "?observed=true", None);
    // So much more than socket and ring hold that nothing of it can wait for this reader.
    let mut made = 0;
    wait_for("the reader is behind", || {
        for _ in 0..2000 {
            std::fs::write(root.join(made.to_string()), b"x").unwrap();
            made += 1;
        }
        // The daemon itself is never behind for that.
        daemon.sync();
        assert_eq!(daemon.files("").len(), made);
        (made >= 20_000).then_some(())
    });
    let text = String::from_utf8(read_all(slow)).unwrap();
    let last = text.rfind("event: ").map(|at| &text[at..]).unwrap();
    assert!(last.starts_with("event: dropped\n"), "{last}");
    assert!(last.contains("reads too slowly"), "{last}");
    assert!(
        text.matches("event: observed\n").count() < made,
        "it got all of them"
    );
    // Whoever keeps up is told of gaps in its own reading only.
    std::fs::write(root.join("last"), b"x").unwrap();
    let is_last = |heard: &crate::common::follow::Heard| {
        heard.event == "dropped"
            || heard.data["path"]
                .as_str()
                .is_some_and(|path| path.ends_with("/last"))
    };
    quick.wait("the last file, or a word", is_last);
}

#[test]
fn changes_are_told_to_those_who_ask_for_them() {
    let place = Place::new();
    let root = place.make_dir("data");
    let _daemon = place.serve_ready(&["--watch", "data=1h"]);
    let quiet = Follows::begin(&place.socket(), "", None);
    let follows = Follows::begin(&place.socket(), "?observed=true", None);
    let path = root.join("file");
    wait_for("a change is told", || {
        std::fs::write(&path, b"12345").unwrap();
        follows
            .heard()
            .iter()
            .any(|heard| {
                heard.event == "observed" && path_of(&heard.data) == path && heard.data["size"] == 5
            })
            .then_some(())
    });
    std::fs::remove_file(&path).unwrap();
    follows.wait("it is gone", |heard| {
        heard.event == "observed" && path_of(&heard.data) == path && heard.data["size"].is_null()
    });
    assert!(quiet.heard().iter().all(|heard| heard.event != "observed"));
}

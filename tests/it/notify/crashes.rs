//! The daemon is killed while deliveries are under way: nothing is lost, and what comes twice has
//! the same id.
//!
//! `LAPSED_NOTIFY_SEED` repeats a run. A failure prints its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::receiver::{Behaviour, HttpReceiver};
use crate::common::evidence::{Seed, ledger};
use crate::common::trees::configured;
use crate::common::{Place, wait_or_tell};

const ROUNDS: usize = 8;

#[test]
fn no_removal_is_left_untold_whenever_the_daemon_is_killed() {
    let seed = Seed::from_env("LAPSED_NOTIFY_SEED");
    let mut random = seed.rng(0);
    let seed = seed.0;
    let receiver = HttpReceiver::new();
    let place = Place::new();
    place.make_dir("data");
    let config = format!(
        r#"
        [breaker]
        entries = 1000000
        [[root]]
        path = "data"
        [[rule]]
        expire = "200ms"
        [[notify]]
        name = "ops"
        on = "lapsed"
        webhook.url = "{}"
        "#,
        receiver.url()
    );
    let mut daemon = configured(&place, &config);
    for round in 0..ROUNDS {
        for file in 0..random.usize(50..400) {
            place.write(&format!("data/{round}/{file}"));
        }
        receiver.behave(match random.u8(0..4) {
            0 => Behaviour::Hang,
            1 => Behaviour::Answer(503, String::new()),
            _ => Behaviour::Answer(200, String::new()),
        });
        std::thread::sleep(Duration::from_millis(random.u64(300..2500)));
        daemon.kill();
        daemon = place.serve_again();
    }
    receiver.answer(200);
    for round in 0..ROUNDS {
        let dir = place.path(&format!("data/{round}"));
        wait_or_tell(
            "all files lapse",
            || {
                std::fs::read_dir(&dir)
                    .unwrap()
                    .next()
                    .is_none()
                    .then_some(())
            },
            || daemon.get("/v1/status").1.to_string(),
        );
    }
    let ids: BTreeSet<u64> = ledger(&place)
        .iter()
        .map(|line| line["id"].as_u64().unwrap())
        .collect();
    let told = || -> BTreeSet<u64> {
        let taken = receiver.taken();
        let all = taken.iter().flat_map(|one| {
            let removals = one.json()["data"]["details"]["removals"].clone();
            let removals = removals.as_array().unwrap().clone();
            removals
                .into_iter()
                .map(|line| line["id"].as_u64().unwrap())
        });
        all.collect()
    };
    wait_or_tell(
        &format!("all removals are told (seed {seed})"),
        || {
            daemon.post("/v1/notify/retry", "{}");
            ids.is_subset(&told()).then_some(())
        },
        || {
            format!(
                "{:?}; {}",
                ids.difference(&told()),
                daemon.get("/v1/notify").1
            )
        },
    );
    assert_ids(&receiver, seed);
}

/// Asserts that one id has one body, and that each removal is told under one id.
fn assert_ids(receiver: &HttpReceiver, seed: u64) {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for one in receiver.received() {
        let body = bodies
            .entry(one.id().to_owned())
            .or_insert_with(|| one.body.clone());
        assert_eq!(*body, one.body, "seed {seed}");
    }
    let mut times: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for one in receiver.taken() {
        for line in one.json()["data"]["details"]["removals"]
            .as_array()
            .unwrap()
        {
            let ids = times.entry(line["id"].as_u64().unwrap()).or_default();
            ids.insert(one.id().to_owned());
        }
    }
    for (line, ids) in times {
        assert_eq!(
            ids.len(),
            1,
            "removal {line} is told under several ids: {ids:?} (seed {seed})"
        );
    }
}

//! `GET /v1/samples`: sizes, removals and lateness over time.

use serde_json::Value;

use crate::common::trees::configured;
use crate::common::{Place, wait_or_tell};

const CONFIG: &str = r#"
    [[root]]
    path = "data"
    [[rule]]
    name = "short"
    glob = "*.tmp"
    expire = "1ms"
    [[rule]]
    name = "cache"
    expire = "1h"
    limit = { max_files = 4 }
"#;

fn sum(samples: &Value, of: &str) -> u64 {
    let samples = samples["samples"].as_array().unwrap().iter();
    samples
        .map(|sample| sample["removed"][of].as_u64().unwrap())
        .sum()
}

#[test]
fn sizes_and_removals_are_known_by_minute_and_day_also_after_a_restart() {
    let place = Place::new();
    place.make_dir("data");
    let mut daemon = configured(&place, CONFIG);
    std::fs::write(place.path("data/stays"), "12345").unwrap();
    std::fs::write(place.path("data/a.tmp"), "123").unwrap();
    std::fs::write(place.path("data/b.tmp"), "123").unwrap();
    let of = |daemon: &crate::common::Daemon, by: &str| {
        daemon.get(&format!("/v1/samples?by={by}&since=1h")).1
    };
    wait_or_tell(
        "both are counted",
        || (sum(&of(&daemon, "minute"), "files") == 2).then_some(()),
        || of(&daemon, "minute").to_string(),
    );
    daemon.stop();
    let daemon = place.serve_again();
    for by in ["minute", "day"] {
        // Of a day since an hour: it began earlier.
        let (status, found) = daemon.get(&format!("/v1/samples?by={by}&since=2d"));
        assert_eq!(status, 200, "{found}");
        assert_eq!(
            (sum(&found, "files"), sum(&found, "bytes")),
            (2, 6),
            "{found}"
        );
        let last = found["samples"].as_array().unwrap().last().unwrap();
        let root = &last["roots"][0];
        assert_eq!(
            (&root["files"], &root["bytes"]),
            (&1.into(), &5.into()),
            "{last}"
        );
        assert!(
            root["free_bytes"].as_u64() <= root["total_bytes"].as_u64(),
            "{last}"
        );
        assert_eq!(last["limits"][0]["part"], 0.25, "{last}");
    }
    let (status, _) = daemon.get("/v1/samples?by=hour");
    assert_eq!(status, 400);
}

//! `GET /metrics`: what Prometheus scrapes.

#![allow(clippy::float_cmp, reason = "counts are exact")]

mod monitoring;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::common::http::Request;
use crate::common::{Daemon, Place, wait_for};

/// Families and samples of a scrape.
struct Scrape {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    #[track_caller]
    fn of(daemon: &Daemon) -> Self {
        let answer = daemon.send(&Request::get("/metrics"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let media = answer.header("content-type");
        assert_eq!(media, Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = answer.text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        let samples = samples.collect();
        Self { text, samples }
    }

    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        let value = self.samples.get(sample);
        *value.unwrap_or_else(|| panic!("no {sample} in\n{}", self.text))
    }
}

/// Runs `promtool`, which tells nothing when all is well.
#[track_caller]
fn promtool(arguments: &[&str], input: &str) {
    let child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("promtool: {error}: tests/run installs it, with Debian's package prometheus")
    });
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {told}");
}

/// A daemon that has removed two files, holds one that is open, and waits to be asked for another.
fn busy() -> (Place, Daemon, File) {
    let place = Place::new();
    for name in ["one.tmp", "two.tmp", "held.tmp", "other.txt"] {
        place.write(&format!("da\"ta/{name}"));
    }
    place.write("uploads/late.part");
    place.config(
        r#"
        [[source]]
        name = "jobs"
        kind = "api"
        [[root]]
        name = 'da"ta'
        path = 'da"ta'
        [[root]]
        path = "uploads"
        owner = "{job}/**"
        [[root]]
        name = "gone"
        path = "gone"
        [[rule]]
        name = "old"
        glob = "**/*.tmp"
        since = "mtime"
        expire = "1h"
        [[rule]]
        name = "parts"
        root = "uploads"
        glob = "**/*.part"
        since = "mtime"
        expire = "1h"
        schedule = "manual"
        limit = { max_files = 100 }
        [[notify]]
        name = "ops"
        on = ["run"]
        webhook = { url = "http://127.0.0.1:9/" }
        "#,
    );
    let daemon = place.serve_again();
    let held = File::open(place.path("da\"ta/held.tmp")).unwrap();
    let old = SystemTime::now() - Duration::from_hours(2);
    for name in [
        "da\"ta/one.tmp",
        "da\"ta/two.tmp",
        "da\"ta/held.tmp",
        "uploads/late.part",
    ] {
        let file = File::options().write(true).open(place.path(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    place.wait_until_gone(&daemon, "da\"ta/one.tmp");
    place.wait_until_gone(&daemon, "da\"ta/two.tmp");
    // They are counted a little later.
    wait_for_sample(&daemon, REMOVED, 2.0);
    (place, daemon, held)
}

/// Waits until a scrape says that `sample` is `value`.
#[track_caller]
fn wait_for_sample(daemon: &Daemon, sample: &str, value: f64) -> Scrape {
    wait_for(&format!("{sample} is {value}"), || {
        let scrape = Scrape::of(daemon);
        (scrape.samples.get(sample) == Some(&value)).then_some(scrape)
    })
}

const REMOVED: &str = r#"lapsed_removed_files_total{root="da\"ta",rule="old",trigger="deadline"}"#;

#[test]
fn a_scrape_tells_what_was_removed_what_is_due_and_what_holds_it() {
    let (place, daemon, _held) = busy();
    let scrape = wait_for_sample(&daemon, r#"lapsed_held{code="open"}"#, 1.0);
    promtool(&["check", "metrics"], &scrape.text);
    for (sample, value) in [
        (REMOVED, 2.0),
        (
            r#"lapsed_removed_bytes_total{root="da\"ta",rule="old",trigger="deadline"}"#,
            14.0,
        ),
        ("lapsed_lateness_seconds_count", 2.0),
        (r#"lapsed_lateness_seconds_bucket{le="+Inf"}"#, 2.0),
        (r#"lapsed_files{root="da\"ta",rule="",trigger="none"}"#, 1.0),
        (
            r#"lapsed_files{root="da\"ta",rule="old",trigger="deadline"}"#,
            1.0,
        ),
        (
            r#"lapsed_due_files{root="da\"ta",rule="old",trigger="deadline"}"#,
            1.0,
        ),
        (
            r#"lapsed_due_files{root="uploads",rule="parts",trigger="asked"}"#,
            1.0,
        ),
        (r#"lapsed_root_state{root="gone",state="missing"}"#, 1.0),
        (r#"lapsed_root_state{root="uploads",state="ready"}"#, 1.0),
        (r#"lapsed_source_state{source="jobs",state="ready"}"#, 1.0),
        ("lapsed_pins", 0.0),
        ("lapsed_ledger_ok", 1.0),
        ("lapsed_config_last_reload_successful", 1.0),
    ] {
        assert_eq!(scrape.value(sample), value, "{sample}");
    }
    // A root that is not there has no file system.
    let size = |root: &str| {
        let sample = format!("lapsed_filesystem_size_bytes{{root=\"{root}\"}}");
        scrape.samples.get(&sample).copied()
    };
    assert_eq!(size("gone"), None);
    assert!(size("uploads") > Some(0.0));

    // The totals of removals outlive the daemon.
    drop(daemon);
    let daemon = place.serve_again();
    assert_eq!(Scrape::of(&daemon).value(REMOVED), 2.0);
}

#[test]
fn a_reload_that_fails_shows() {
    let (place, daemon, _held) = busy();
    let sample = "lapsed_config_last_reload_successful";
    place.config("[[root]]\nno = 1");
    daemon.signal(rustix::process::Signal::HUP);
    wait_for_sample(&daemon, sample, 0.0);
    place.config("[[root]]\npath = \"uploads\"");
    daemon.signal(rustix::process::Signal::HUP);
    wait_for_sample(&daemon, sample, 1.0);
    wait_for(
        "a root that is not configured any more has no series",
        || {
            let text = Scrape::of(&daemon).text;
            (text.matches("lapsed_root_directories{").count() == 1).then_some(())
        },
    );
}

/// One mechanism: what `status` knows.
#[test]
fn metrics_and_status_tell_the_same() {
    let (_place, daemon, _held) = busy();
    let scrape = wait_for_sample(&daemon, r#"lapsed_held{code="open"}"#, 1.0);
    let (_, status) = daemon.get("/v1/status");
    let number = |value: &Value| value.as_f64().unwrap();
    let sum = |name: &str| -> f64 {
        let samples = scrape.samples.iter();
        let of_name = samples.filter(|(sample, _)| sample.starts_with(&format!("{name}{{")));
        of_name.map(|(_, value)| value).sum()
    };
    assert_eq!(sum("lapsed_files"), number(&status["entries"]));
    assert_eq!(sum("lapsed_files_bytes"), number(&status["bytes"]));
    assert_eq!(sum("lapsed_removed_files_total"), 2.0);
    let due = number(&status["due"]["files"]) + number(&status["waits"]["asked"]["files"]);
    assert_eq!(sum("lapsed_due_files"), due);
    assert_eq!(
        scrape.value("lapsed_watches"),
        number(&status["watches"]["count"])
    );
    let started = scrape.value("process_start_time_seconds");
    let uptime = Duration::from_secs_f64(number(&status["uptime_s"]));
    let began = SystemTime::now() - uptime;
    let began = began.duration_since(UNIX_EPOCH).unwrap();
    assert!(began.as_secs_f64() + 1.0 >= started, "{started}");
}

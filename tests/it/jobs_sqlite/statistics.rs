//! Totals of jobs by the day on which they ended, against the application's own query.

use serde_json::{Value, json};

use super::world::{COMPLETED, World};
use crate::common::commands::said;
use crate::common::sources::tell_of;
use crate::common::{Daemon, wait_for, wait_or_tell};

/// Rows of failed jobs are deleted.
const FAILED: &str = r#"
[[rule]]
name = "failed"
source = "eemt"
job = "failed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "forget"
"#;

const DAY: i64 = 86_400;

/// By day: the jobs that ended, those that were cleaned, and their share.
const MONITORING: &str = "SELECT json_group_array(json_array(date, ended, cleaned, round(cleaned * 1.0 / ended, 3))) FROM (
    SELECT date(completed_at) AS date, count(*) AS ended, count(cleaned_at) AS cleaned FROM jobs
    WHERE completed_at >= date('now', '-30 days') GROUP BY 1 ORDER BY 1)";

fn stats(daemon: &Daemon, query: &str) -> Value {
    let (status, stats) = daemon.get(&format!("/v1/stats{query}"));
    assert_eq!(status, 200, "{stats}");
    stats
}

/// What [`MONITORING`] selects, from an answer.
fn monitored(stats: &Value) -> Value {
    let line = |total: &Value| {
        let names = ["completed", "failed", "cancelled"];
        let ended: u64 = names.map(|name| total[name].as_u64().unwrap()).iter().sum();
        let share = total["cleanup_rate"].as_f64().unwrap();
        let share = (share * 1000.0).round() / 1000.0;
        json!([total["day"], ended, total["cleaned"], share])
    };
    stats["jobs"].as_array().unwrap().iter().map(line).collect()
}

fn of_day<'s>(stats: &'s Value, list: &str, day: &str, rule: Option<&str>) -> &'s Value {
    let list = stats[list].as_array().unwrap();
    let is_it =
        |total: &&Value| total["day"] == day && rule.is_none_or(|rule| total["rule"] == rule);
    list.iter().find(is_it).unwrap_or(&Value::Null)
}

#[test]
fn jobs_are_counted_once_by_the_day_on_which_they_ended_whatever_becomes_of_their_rows() {
    let world = World::new();
    for (id, status, ago) in [
        ("one", "completed", 3 * DAY),
        ("two", "completed", 3 * DAY),
        ("early", "completed", 29 * DAY),
        ("ancient", "completed", 50 * DAY),
        ("fresh", "completed", 60),
        ("stopped", "cancelled", 3 * DAY),
    ] {
        world.write(&format!("results/{id}/file"));
        world.insert(id, status, Some(ago));
    }
    world.insert("runs", "running", None);
    let rules = [COMPLETED, FAILED].concat();
    let mut daemon = world.serve(&rules);
    for id in ["one", "two", "early", "ancient"] {
        world.wait_until_marked(&daemon, id);
    }
    let expected = world.db.value(MONITORING);
    let expected: Value = serde_json::from_str(expected.as_str().unwrap()).unwrap();
    wait_or_tell(
        "the application and the daemon count the same",
        || (monitored(&stats(&daemon, "?by=day&since=30d")) == expected).then_some(()),
        || format!("{expected}\n{}", stats(&daemon, "?by=day&since=30d")),
    );

    // Its row goes, and it stays in the totals.
    world.write("results/bad/file");
    world.insert("bad", "failed", Some(3 * DAY));
    wait_or_tell(
        "a failed job is forgotten",
        || {
            let count = world.db.value("SELECT count(*) FROM jobs WHERE id = 'bad'");
            (count == 0).then_some(())
        },
        || tell_of(&daemon),
    );
    let day = world.db.value("SELECT date('now', '-3 days')");
    let day = day.as_str().unwrap();
    let lists = |daemon: &Daemon| {
        let stats = stats(daemon, "?by=day");
        json!([stats["jobs"], stats["totals"]])
    };
    let of_that_day = json!({
        "day": day, "source": "eemt", "completed": 2, "failed": 1, "cancelled": 1, "cleaned": 3,
        "rate": 2.0 / 3.0, "cleanup_rate": 0.75,
    });
    wait_or_tell(
        "it is counted",
        || (*of_day(&stats(&daemon, "?by=day"), "jobs", day, None) == of_that_day).then_some(()),
        || stats(&daemon, "?by=day").to_string(),
    );
    let by_day = stats(&daemon, "?by=day");
    let today = world.db.value("SELECT date('now')");
    let today = today.as_str().unwrap();
    let removals = of_day(&by_day, "totals", today, Some("failed"));
    assert_eq!(
        (&removals["jobs"], &removals["units"], &removals["files"]),
        (&json!(1), &json!(1), &json!(1)),
        "{by_day}"
    );
    let all = stats(&daemon, "");
    assert_eq!(
        all["jobs"],
        json!([{
            "day": null, "source": "eemt", "completed": 5, "failed": 1, "cancelled": 1, "cleaned": 5,
            "rate": 5.0 / 6.0, "cleanup_rate": 5.0 / 7.0,
        }])
    );
    assert_eq!(all["unread"], json!([]));

    // With whatever ends the daemon, and without one.
    let before = lists(&daemon);
    daemon.kill();
    let mut daemon = world.serve(&rules);
    assert_eq!(lists(&daemon), before);
    assert!(daemon.stop().success());
    let config = world.path("lapsed.toml");
    let config = ["--config", config.to_str().unwrap()];
    let ask = |more: &[&str]| {
        said(
            &world.place,
            &[&["stats", "--by", "day"][..], &config, more].concat(),
        )
    };
    let answer: Value = serde_json::from_str(&ask(&["--json"])[0]).unwrap();
    assert_eq!(json!([answer["jobs"], answer["totals"]]), before);
    let told = ask(&[]).join("\n");
    for words in ["ENDED", "66.7 %", "75.0 %", "eemt"] {
        assert!(told.contains(words), "{words:?} in {told}");
    }
}

#[test]
fn jobs_whose_records_are_kept_are_cleaned_and_a_source_that_is_down_is_named() {
    let world = World::new();
    world.write("results/one/file");
    world.insert("one", "completed", Some(3 * DAY));
    world.insert("other", "failed", Some(3 * DAY));
    let kept = COMPLETED.replace("\"mark\"", "\"keep\"");
    let mut daemon = world.serve(&kept);
    wait_for("it is cleaned", || {
        let jobs = stats(&daemon, "")["jobs"].clone();
        (jobs[0]["cleaned"] == 1 && jobs[0]["cleanup_rate"] == 0.5).then_some(())
    });
    assert!(daemon.stop().success());
    world.db.run("ALTER TABLE jobs RENAME TO away");
    let config = world.path("lapsed.toml");
    let arguments = ["stats", "--by", "day", "--json", "--config"];
    let answer = world.run(&[&arguments[..], &[config.to_str().unwrap()]].concat());
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["unread"], json!(["eemt"]), "{answer}");
    // What it has is not known, and what the ledger says stays.
    let job = &answer["jobs"][0];
    assert_eq!(
        (
            &job["completed"],
            &job["cleaned"],
            &job["rate"],
            &job["cleanup_rate"]
        ),
        (&json!(0), &json!(1), &json!(null), &json!(1.0)),
        "{answer}"
    );
}

//! A daemon in shadow mode beside an older script: what both remove, and what only one of them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::common::evidence::ledger;
use crate::common::trees::set_age;
use crate::common::{Daemon, Place, path_of, wait_for};

const CONFIG: &str = r#"
[[root]]
name = "data"
path = "data"
[[rule]]
name = "temporary"
glob = ["**/*.tmp"]
since = "mtime"
expire = "1h"
skip_open = "if-known"
"#;

const HOURS_2: Duration = Duration::from_hours(2);

/// Files below `data`, each of that age, and whether the older script removes it.
fn place() -> Place {
    let place = Place::new();
    place.config(CONFIG);
    for path in [
        "data/both.tmp",
        "data/mine.tmp",
        "data/used.tmp",
        "data/old/other.log",
        "data/moved.log",
    ] {
        set_age(&place.write(path), HOURS_2).unwrap();
    }
    set_age(&place.write("data/old/early.tmp"), Duration::from_mins(30)).unwrap();
    place
}

fn serve(place: &Place) -> Daemon {
    place.serve_ready(&["--shadow", "--config", &place.config_path()])
}

/// As an older crontab does.
fn script(place: &Place) {
    let find =
        "find data -mindepth 1 -mmin +20 -type f \\( -path '*/old/*' -o -name 'both*' \\) -delete";
    let status = Command::new("sh")
        .args(["-c", find])
        .current_dir(place.path(""))
        .status();
    assert!(status.unwrap().success());
}

/// Names of the things of each list.
fn lists(daemon: &Daemon) -> BTreeMap<String, Vec<String>> {
    let (status, answer) = daemon.get("/v1/shadow?limit=10000");
    assert_eq!(status, 200, "{answer}");
    names(answer["things"].as_array().unwrap().iter())
}

fn names<'t>(things: impl Iterator<Item = &'t Value>) -> BTreeMap<String, Vec<String>> {
    let mut lists = BTreeMap::<String, Vec<String>>::new();
    for thing in things {
        let name = path_of(thing)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let list = thing["list"].as_str().unwrap().to_owned();
        lists.entry(list).or_default().push(name);
    }
    for names in lists.values_mut() {
        names.sort();
    }
    lists
}

fn expected(lists: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    lists
        .iter()
        .map(|(list, names)| ((*list).to_owned(), owned(names)))
        .collect()
}

#[track_caller]
fn wait_for_lists(daemon: &Daemon, wanted: &[(&str, &[&str])]) {
    let wanted = expected(wanted);
    let what = format!("the lists are {wanted:?}");
    wait_for(&what, || (lists(daemon) == wanted).then_some(()));
}

fn thing(daemon: &Daemon, name: &str) -> Value {
    let (_, answer) = daemon.get("/v1/shadow");
    let mut things = answer["things"].as_array().unwrap().iter();
    let found = things.find(|thing| path_of(thing).ends_with(name));
    found.unwrap_or_else(|| panic!("{name}: {answer}")).clone()
}

#[test]
fn an_older_script_is_compared_with_a_daemon_that_removes_nothing() {
    let place = place();
    let daemon = serve(&place);
    wait_for_lists(
        &daemon,
        &[("only-lapsed", &["both.tmp", "mine.tmp", "used.tmp"])],
    );
    // A file that only gets another name is not removed.
    std::fs::rename(
        place.path("data/moved.log"),
        place.path("data/old/../moved.txt"),
    )
    .unwrap();
    script(&place);
    place.write("data/used.tmp");
    daemon.sync();
    let wanted: [(&str, &[&str]); 3] = [
        ("both", &["both.tmp"]),
        ("only-others", &["early.tmp", "other.log"]),
        ("only-lapsed", &["mine.tmp", "used.tmp"]),
    ];
    wait_for_lists(&daemon, &wanted);

    let both = thing(&daemon, "both.tmp");
    assert!(both["later_ms"].as_i64().unwrap() >= 0, "{both}");
    let why = |name: &str| thing(&daemon, name)["why"].as_str().unwrap().to_owned();
    assert!(why("both.tmp").starts_with("rule \"temporary\" by mtime, due since 20"));
    assert!(why("early.tmp").starts_with("rule \"temporary\" keeps it until 20"));
    assert_eq!(why("other.log"), "no rule matches it: it is kept for ever");
    assert_eq!(thing(&daemon, "mine.tmp")["state"], "there");
    assert_eq!(thing(&daemon, "used.tmp")["state"], "written-again");

    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["mode"], "shadow", "{status}");
    let said = place.said(&["shadow"]);
    for line in [
        "in shadow mode; recorded since",
        "removed by both           1 file (7 B)",
        "removed by others only    2 files (14 B)",
        "lapsed only would remove  2 files (14 B)",
        "it is in use",
    ] {
        assert!(said.contains(line), "{line:?} is missing: {said}");
    }
    let one = place.said(&["shadow", "--json", "--list", "both", "--since", "1h"]);
    assert!(
        one.lines().count() == 1 && one.contains("both.tmp"),
        "{one}"
    );
    let totals: Value =
        serde_json::from_str(&place.said(&["shadow", "--json", "--totals"])).unwrap();
    assert_eq!(totals["active"], true, "{totals}");
    assert!(place.exists("data/mine.tmp") && !place.exists("data/.lapsed"));
    assert!(ledger(&place).is_empty());
}

#[test]
fn the_record_outlives_a_kill_and_the_daemon_removes_afterwards_what_was_only_recorded() {
    let place = place();
    let cut_off = place.write("data/.lapsed/7");
    let private = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
    std::fs::set_permissions(cut_off.parent().unwrap(), private).unwrap();
    let mut daemon = serve(&place);
    wait_for_lists(
        &daemon,
        &[("only-lapsed", &["both.tmp", "mine.tmp", "used.tmp"])],
    );
    let before = thing(&daemon, "mine.tmp");
    daemon.kill();
    script(&place);
    let mut daemon = serve(&place);
    // What others removed while no daemon ran is seen by its absence; of what was not recorded
    // before, only if the cache had it.
    wait_for("the script's removal is seen", || {
        let lists = lists(&daemon);
        let both = lists
            .get("both")
            .is_some_and(|names| names == &["both.tmp"]);
        both.then_some(())
    });
    assert_eq!(thing(&daemon, "mine.tmp"), before, "it is recorded once");
    assert_eq!(lists(&daemon)["only-lapsed"], ["mine.tmp", "used.tmp"]);
    let of_daemon = place.said(&["shadow", "--json"]);
    daemon.stop();
    assert!(
        cut_off.exists(),
        "what a crash left stays for a daemon that removes"
    );
    let without: Vec<Value> = place
        .said(&["shadow", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let with: Vec<Value> = of_daemon
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(names(without.iter()), names(with.iter()));

    let daemon = place.serve_again();
    place.wait_until_gone(&daemon, "data/mine.tmp");
    place.wait_until_gone(&daemon, "data/used.tmp");
    assert!(place.exists("data/moved.log"));
}

#[test]
fn schedules_and_requests_are_recorded_and_remove_nothing() {
    let place = place();
    let manual = "schedule = \"manual\"\n[[schedule]]\nname = \"start\"\non_start = true\nrules = [\"temporary\"]\n";
    place.config(&[CONFIG, manual].concat());
    let daemon = serve(&place);
    wait_for_lists(
        &daemon,
        &[("only-lapsed", &["both.tmp", "mine.tmp", "used.tmp"])],
    );
    set_age(&place.write("data/later.tmp"), HOURS_2).unwrap();
    daemon.sync();
    let dry = place.said(&["clean", "--dry-run"]);
    assert!(dry.contains("later.tmp"), "{dry}");
    assert_eq!(
        lists(&daemon)["only-lapsed"].len(),
        3,
        "a dry run is only asked about"
    );
    let (status, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!(
        (status, &report["dry_run"]),
        (200, &Value::Bool(true)),
        "{report}"
    );
    wait_for_lists(
        &daemon,
        &[(
            "only-lapsed",
            &["both.tmp", "later.tmp", "mine.tmp", "used.tmp"],
        )],
    );
    let said = place.said(&["clean", "--yes"]);
    assert!(
        said.contains("nothing was removed: the daemon runs with --shadow"),
        "{said}"
    );
    assert!(place.exists("data/later.tmp") && place.exists("data/both.tmp"));
}

#[test]
fn a_daemon_that_waits_to_be_asked_says_so_instead_of_nothing() {
    let place = place();
    place.config(&["automatic = false\n", CONFIG].concat());
    let daemon = serve(&place);
    let said = || place.said(&["shadow"]);
    assert!(said().contains("LAPSED_AUTOMATIC=true"), "{}", said());
    drop(daemon);
    place.config(CONFIG);
    let daemon = serve(&place);
    let all = ["both.tmp", "mine.tmp", "used.tmp"];
    wait_for_lists(&daemon, &[("only-lapsed", &all)]);
    assert!(!said().contains("LAPSED_AUTOMATIC"), "{}", said());
}

#[test]
fn without_a_record_the_answer_says_how_to_begin_one() {
    let place = place();
    let output = place.run(&["--config", &place.config_path(), "shadow"]);
    assert_eq!(output.status.code(), Some(2));
    let said = crate::common::errors(&output);
    assert!(said.contains("lapsed serve --shadow"), "{said}");
}

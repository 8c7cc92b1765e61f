//! Jobs that are told through the API: what is acknowledged stays, whatever becomes of the daemon.

use std::path::Path;

use crate::common::commands::{refused, said};
use crate::common::http::Request;
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::{Daemon, Place, errors, wait_for};
use serde_json::{Value, json};

fn begin() -> (Place, Daemon) {
    let place = Place::new();
    place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    (place, daemon)
}

#[track_caller]
fn listed(place: &Place, arguments: &[&str]) -> Vec<String> {
    let all = [&["job", "ls", "--json"], arguments].concat();
    let jobs = said(place, &all);
    jobs.iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn put(daemon: &Daemon, id: &str, body: &Value) -> (u16, Value) {
    let request = Request::new("PUT", &format!("/v1/jobs/{id}"));
    daemon.send(&request.json(&body.to_string())).pair()
}

#[test]
fn a_job_is_told_shown_listed_and_forgotten() {
    let (place, _daemon) = begin();
    let told = said(
        &place,
        &[
            "job",
            "put",
            "run/1",
            "--status",
            "failed",
            "--kind",
            "sol",
            "--error",
            "no space",
            "--file",
            "a.tif",
            "--file",
            "b/c",
            "--attribute",
            "owner=ann",
            "--created-at",
            "2023-11-14T22:13:20Z",
            "--completed-at",
            "1700000100",
        ],
    );
    assert_eq!(told[0], "job run/1 of source api: failed");
    let told = told.join("\n");
    for part in [
        "created_at     2023-11-14T22:13:20.000Z (",
        "completed_at   2023-11-14T22:15:00.000Z (",
        "kind           sol",
        "error          no space",
        "owner          \"ann\"",
        "file           a.tif",
        "file           b/c",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let shown = said(&place, &["job", "get", "run/1"]).join("\n");
    assert_eq!(shown, told, "as it was told");
    let json: Value =
        serde_json::from_str(&said(&place, &["job", "get", "run/1", "--json"])[0]).unwrap();
    assert_eq!(json["attributes"], json!({"owner": "ann"}));
    said(&place, &["job", "put", "two", "--status", "running"]);
    assert_eq!(listed(&place, &[]), ["run/1", "two"]);
    assert_eq!(listed(&place, &["--status", "failed"]), ["run/1"]);
    assert_eq!(
        listed(&place, &["--kind", "sol", "--source", "api"]),
        ["run/1"]
    );
    assert_eq!(listed(&place, &["-n", "1"]), ["run/1"]);
    let table = said(&place, &["job", "ls"]);
    assert!(
        table[0].starts_with("STATUS") && table[2].contains("running"),
        "{table:?}"
    );
    let status = said(&place, &["status"]).join("\n");
    assert!(status.contains("jobs     1 failed, 1 running"), "{status}");

    assert_eq!(
        said(&place, &["job", "rm", "run/1"]),
        ["forgot job run/1 of source api"]
    );
    assert_eq!(listed(&place, &[]), ["two"]);
    assert_eq!(
        said(&place, &["job", "ls", "--status", "failed"]),
        ["no jobs match"]
    );
    for order in ["get", "rm"] {
        let told = refused(&place, &["job", order, "run/1"]);
        assert!(
            told.contains("has") && told.contains("job \"run/1\""),
            "{told}"
        );
    }
}

#[test]
fn what_is_acknowledged_survives_a_kill() {
    let (place, mut daemon) = begin();
    for round in 0..5 {
        let mut last = Value::Null;
        for number in 0..10 {
            let body = json!({"status": "running", "kind": format!("{round}-{number}")});
            let (status, job) = put(&daemon, &format!("job-{number}"), &body);
            assert_eq!(status, if round == 0 { 201 } else { 200 }, "{job}");
            last = job;
        }
        let gone = format!("/v1/jobs/job-{round}");
        if round == 4 {
            assert_eq!(daemon.send(&Request::new("DELETE", &gone)).status, 200);
        }
        daemon.kill();
        daemon = place.serve_ready(&["--watch", "data=1h"]);
        assert_eq!(daemon.get("/v1/jobs/job-9"), (200, last));
        let (_, list) = daemon.get("/v1/jobs");
        let jobs = list["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), if round == 4 { 9 } else { 10 }, "{list}");
        let is_of_round = |job: &Value| {
            let kind = job["kind"].as_str().unwrap();
            kind.starts_with(&format!("{round}-"))
        };
        assert!(jobs.iter().all(is_of_round), "{list}");
        if round == 4 {
            assert_eq!(daemon.get(&gone).0, 404);
        }
    }
}

#[test]
fn tellers_do_not_get_in_each_other_s_way() {
    let (_place, daemon) = begin();
    std::thread::scope(|scope| {
        for teller in 0..4 {
            let daemon = &daemon;
            scope.spawn(move || {
                for number in 0..20 {
                    let own = json!({"status": "running"});
                    assert_eq!(put(daemon, &format!("{teller}-{number}"), &own).0, 201);
                    let shared = json!({"status": "running", "kind": format!("{teller}-{number}")});
                    assert!(put(daemon, "shared", &shared).0 < 300);
                }
            });
        }
    });
    let (_, list) = daemon.get("/v1/jobs?limit=1000");
    let jobs = list["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 81);
    // What is known is what is on disk.
    let known = jobs.iter().find(|job| job["id"] == "shared").unwrap();
    assert_eq!(daemon.get("/v1/jobs/shared").1["kind"], known["kind"]);
}

#[test]
fn wrong_orders_are_told_what_would_be_right() {
    let (place, daemon) = begin();
    let (status, problem) = put(&daemon, "x", &json!({"status": "done"}));
    assert_eq!(status, 400);
    assert_eq!(
        problem["allowed"],
        json!(["pending", "running", "completed", "failed", "cancelled"])
    );
    let told = refused(
        &place,
        &["job", "put", "x", "--status", "failed", "--source", "db"],
    );
    assert!(
        told.contains("there is no source \"db\"\n  allowed: api"),
        "{told}"
    );
    let told = refused(
        &place,
        &["job", "put", "x", "--status", "failed", "--attribute", "x"],
    );
    assert!(told.contains("give a name and a value"), "{told}");
    let (_, problem) = daemon.get("/v1/nothing");
    assert!(
        problem["allowed"].to_string().contains("/v1/jobs/{id}"),
        "{problem}"
    );
}

#[test]
fn only_those_who_may_act_tell_of_jobs() {
    if !has_other_users() {
        return;
    }
    let place = Place::new();
    place.make_dir("data");
    let config = place.config("socket_mode = \"0666\"\n[[root]]\npath = \"data\"\n");
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let nobody = Some((65_534, 65_534));
    let output = run_as(&place, nobody, &["job", "put", "x", "--status", "failed"]);
    assert!(errors(&output).contains("is not an operator"), "{output:?}");
    assert!(run_as(&place, nobody, &["job", "ls"]).status.success());
}

#[test]
fn a_registry_that_is_damaged_or_newer_is_refused_with_what_it_holds() {
    let (place, mut daemon) = begin();
    put(&daemon, "one", &json!({"status": "running"}));
    assert!(daemon.stop().success());
    let path = place.path("state/registry.db");
    let sound = std::fs::read(&path).unwrap();
    // The format's number stands at byte 60: see SQLite's page on its file format.
    let mut newer = sound.clone();
    newer[63] = sound[63] + 1;
    for (bytes, words) in [
        (&b"this is no database"[..], "is damaged"),
        (&b""[..], "is damaged: it is empty"),
        (&sound[..sound.len() / 2], "is damaged"),
        (&newer[..], "newer version of lapsed (format "),
    ] {
        std::fs::write(&path, bytes).unwrap();
        for arguments in [
            &["serve", "--watch", "data=1h"][..],
            &["clean", "--watch", "data=1h"],
        ] {
            let told = refused(&place, arguments);
            assert!(told.contains(words), "{told}");
            assert!(
                told.contains("it holds the pins, the jobs told through the API"),
                "{told}"
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "left as it is");
    }
    std::fs::write(&path, &sound).unwrap();
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    assert_eq!(daemon.get("/v1/jobs/one").0, 200);
}

#[test]
fn many_jobs_that_ended_long_ago_and_are_told_at_once_wait_for_a_person() {
    const JOBS: usize = 30;
    let place = Place::new();
    place.make_dir("results");
    let config = place.config(
        "breaker.entries = 10\n[[root]]\npath = \"results\"\nowner = \"{job}/**\"\nsource = \"api\"\n\
         [[rule]]\nname = \"done\"\nsource = \"api\"\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"1h\"\nunit = \"job\"\n",
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    for number in 0..JOBS {
        crate::common::trees::write(&place.path(&format!("results/job{number}/file")), 7);
    }
    daemon.sync();
    let ended = json!({"status": "completed", "completed_at": "2001-01-01T00:00:00Z"});
    for number in 0..JOBS {
        let (status, answer) = put(&daemon, &format!("job{number}"), &ended);
        assert!(status < 300, "{answer}");
    }
    crate::common::wait_for("the breaker trips", || {
        let (_, breaker) = daemon.get("/v1/breaker");
        (breaker["tripped"][0]["root"] == "results").then_some(())
    });
    daemon.sync();
    let left = || {
        let is_there = |number: &usize| place.path(&format!("results/job{number}")).exists();
        (0..JOBS).filter(is_there).count()
    };
    assert!(left() >= JOBS - 10, "{} are left", left());
    crate::common::wait_for("what waits is counted as due", || {
        let (_, status) = daemon.get("/v1/status");
        (status["due"]["files"] == left()).then_some(())
    });
    said(&place, &["breaker", "release"]);
    crate::common::wait_for("all go", || (left() == 0).then_some(()));
}

#[test]
fn old_jobs_that_are_told_one_by_one_are_counted_from_the_first_one_on() {
    /// More of them than the breaker lets go within an hour.
    const JOBS: usize = 60;
    const CEILING: usize = 40;
    let place = Place::new();
    let root = place.make_dir("results");
    let config = place.config(&format!(
        r#"
        breaker = {{ entries = {CEILING}, share = 0.1 }}
        [[root]]
        path = "results"
        owner = "{{job}}/**"
        source = "api"
        [[rule]]
        job = "completed"
        since = "completed_at"
        expire = "1h"
        unit = "job"
        "#
    ));
    let ids: Vec<String> = (0..JOBS).map(|number| format!("job{number:02}")).collect();
    for id in &ids {
        std::fs::create_dir(root.join(id)).unwrap();
        std::fs::write(root.join(id).join("out"), "x").unwrap();
    }
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    for id in &ids {
        let ended = json!({"status": "completed", "completed_at": "2001-02-03T04:05:06Z"});
        assert_eq!(put(&daemon, id, &ended).0, 201);
    }
    wait_for("each of them is counted", || {
        let (_, breaker) = daemon.get("/v1/breaker");
        (breaker["tripped"][0]["due"] == JOBS).then_some(())
    });
    let left = || ids.iter().filter(|id| root.join(id).exists()).count();
    wait_for("what was told before goes", || {
        (left() == JOBS - CEILING).then_some(())
    });
    daemon.sync();
    assert_eq!(left(), JOBS - CEILING);
    assert!(ids[..CEILING].iter().all(|id| !root.join(id).exists()));
    said(&place, &["breaker", "release"]);
    wait_for("all of it goes", || (left() == 0).then_some(()));
}

/// CPU time of the threads that gather and remove what a job owns, in ticks of the kernel's clock.
fn ticks(daemon: &Daemon) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let ticks = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let is_meant = name.starts_with("reap-") || name == "engine";
        let mut times = rest.split(' ').skip(11);
        let mut next = || times.next()?.parse::<u64>().ok();
        is_meant.then_some(next()? + next()?)
    };
    tasks.filter_map(|task| ticks(task.unwrap())).sum()
}

#[test]
fn a_job_of_many_flat_files_is_gone_in_time_that_grows_with_their_number() {
    let place = Place::new();
    let mut spent = Vec::new();
    for count in [5_000, 20_000] {
        let data = place.make_dir(&format!("data{count}"));
        for file in 0..count {
            std::fs::write(data.join(format!("j_{file:06}")), b"").unwrap();
        }
        let config = place.config(&format!(
            "[[root]]\npath = \"data{count}\"\nowner = \"{{job}}_{{name}}\"\n[breaker]\nentries = 100000\n\
             [[rule]]\nname = \"jobs\"\nunit = \"job\"\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"0s\"\n"
        ));
        let mut daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
        let before = ticks(&daemon);
        put(&daemon, "j", &json!({"status": "completed"}));
        let quarantine = data.join(".lapsed");
        wait_for("the job's files are removed", || {
            let is_empty = |dir: &Path| std::fs::read_dir(dir).unwrap().count() == 0;
            let left = std::fs::read_dir(&data).unwrap().count() - 1;
            (left == 0 && is_empty(&quarantine)).then_some(())
        });
        spent.push(ticks(&daemon) - before);
        assert!(daemon.stop().success());
    }
    assert!(
        spent[1] <= 6 * spent[0].max(10),
        "ticks for 5,000 and 20,000 files: {spent:?}"
    );
}

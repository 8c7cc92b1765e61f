//! Status, orders, rights, events and the barrier.

use super::*;
use crate::app::daemon::PLANS_MAX;
use crate::common::machine::{Deadline, patience};

#[tokio::test]
async fn status_health_and_plan() {
    let world = World::new().await;
    let (_, health) = world.get("/v1/health").await;
    assert_eq!(health["status"], "ready", "a dry run is no trouble");
    let (status, all) = world.get("/v1/status").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&all["mode"], &all["entries"]),
        (&json!("dry-run"), &json!(6))
    );
    let root = &all["roots"][0];
    assert_eq!(
        (&root["name"], &root["phase"], &root["dirs"]),
        (&json!("data"), &json!("ready"), &json!(2))
    );
    assert_eq!(all["bytes"], 5_178);
    assert!(
        all["next"]["deadline"].is_string() && all["next"]["path"].is_string(),
        "{all}"
    );
    assert_eq!(
        (&all["watches"]["backend"], &all["breaker"]),
        (&json!("by hand"), &json!({"tripped": [], "orphans": []}))
    );
    assert!(all["resident_bytes"].as_u64() > Some(0));
    let back: types::Status = serde_json::from_value(all).unwrap();
    assert_eq!(back.holds[0].code, "dry-run");

    let (_, plan) = world.get("/v1/plan?within=45m").await;
    assert_eq!((&plan["files"], &plan["bytes"]), (&json!(3), &json!(174)));
    let group = &plan["groups"][0];
    assert_eq!(
        (&group["root"], &group["rule"]),
        (&json!("data"), &json!("old temporaries"))
    );
    assert_eq!(group["overdue"], json!({"files": 1, "bytes": 100}));
    let (_, plan) = world.get("/v1/plan").await;
    assert_eq!(
        (&plan["files"], plan["hours"].as_array().unwrap().len()),
        (&json!(4), 24)
    );
    let files: u64 = plan["hours"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|hour| hour["files"].as_u64())
        .sum();
    assert_eq!(files, 4);
    let back: types::Plan = serde_json::from_value(plan).unwrap();
    assert_eq!(back.groups.len(), 2);
}

#[tokio::test]
async fn only_those_who_may_act_do() {
    let world = World::with(Mode::OnRequest).await;
    let (status, problem) = world
        .post(STRANGER, "/v1/clean", r#"{"dry_run":false}"#)
        .await;
    assert_eq!(status, 403, "{problem}");
    let (status, _) = world.post(STRANGER, "/v1/breaker/release", "").await;
    assert_eq!(status, 403);
    let order = r#"{"dry_run":false,"release":true}"#;
    let (status, problem) = world.post(MEMBER, "/v1/clean", order).await;
    assert_eq!(status, 403, "an operator releases no breaker: {problem}");
    let (status, report) = world
        .post(STRANGER, "/v1/clean", r#"{"dry_run":true}"#)
        .await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(
        (&report["dry_run"], &report["files"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(report["removed"][0]["path"], "/srv/data/a.tmp");
    let (status, released) = world
        .post(ME, "/v1/breaker/release", r#"{"root":"data"}"#)
        .await;
    assert_eq!((status, released), (200, json!({"released": []})));
}

#[tokio::test]
async fn a_clean_takes_known_names_and_nothing_unknown() {
    let world = World::with(Mode::OnRequest).await;
    let order = r#"{"dry_run":true,"retention":{"old temporaries":"10m"},"jobs":["job-7"]}"#;
    let (status, report) = world.post(ME, "/v1/clean", order).await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["removed"][0]["path"], "/srv/data/job-7/x.tmp");
    for (order, words) in [
        (r#"{"dry":true}"#, "unknown field `dry`"),
        (r#"{"dry_run":tr"#, "cannot be read"),
        (r#"{"roots":[]}"#, "missing field `dry_run`"),
        (
            r#"{"dry_run":true,"roots":["x"]}"#,
            "there is no root \"x\"",
        ),
        (
            r#"{"dry_run":true,"rules":["x"]}"#,
            "there is no rule \"x\"",
        ),
        (
            r#"{"dry_run":true,"retention":{"old temporaries":"soon"}}"#,
            "cannot be \"soon\"",
        ),
        (
            r#"{"dry_run":true,"retention":{"old temporaries":"-1d"}}"#,
            "cannot be \"-1d\"",
        ),
    ] {
        let (status, problem) = world.post(ME, "/v1/clean", order).await;
        assert_eq!(status, 400, "{order}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn bad_requests_learn_what_would_be_good() {
    let world = World::new().await;
    for (path, status, allowed) in [
        ("/v2", 404, "/v1/files"),
        ("/v1/files?colour=red", 400, "glob"),
        ("/v1/files?sort=colour", 400, "deadline"),
        ("/v1/files?rule=x", 400, "none"),
        ("/v1/files?root=x", 400, "data"),
        ("/v1/files?hold=x", 400, "open"),
        ("/v1/health?x=1", 400, ""),
    ] {
        let (found, problem) = world.get(path).await;
        assert_eq!(found, status, "{path}: {problem}");
        assert!(
            problem["allowed"].to_string().contains(allowed),
            "{path}: {problem}"
        );
    }
    for path in [
        "/v1/files?glob=%5B",
        "/v1/files?limit=0",
        "/v1/files?limit=99999",
        "/v1/files?cursor=x",
        "/v1/files?sync=maybe",
    ] {
        assert_eq!(world.get(path).await.0, 400, "{path}");
    }
    let answer = world.send(ME, &Request::new("DELETE", "/v1/clean")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
    let form = Request::new("POST", "/v1/clean").body("dry_run=1");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(world.send(ME, &form).await.status, 415);
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_daemon() {
    let world = World::new().await;
    let request = Request::get("/v1/events?observed=true");
    let mut answer = world.clients.begin(STRANGER, &request).await;
    let head = answer.head().await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let mut event = async || {
        let event = answer.until(b"\n\n");
        let event = tokio::time::timeout(patience(), event).await.unwrap();
        String::from_utf8(event).unwrap()
    };
    assert!(event().await.ends_with(": following\n\n"));
    // The engine tells single files only once it has been told so.
    let mut size = 0;
    let deadline = Deadline::new();
    let told = loop {
        assert!(!deadline.is_over(), "nothing is told");
        size += 1;
        let new = facts(Kind::File, 40, size, world.now);
        let looks = Observed::Looks {
            root: ROOT,
            dir: RelPath::root(),
            facts: facts(Kind::Dir, 1, 0, world.now),
            names: vec![(Name::from(&b"new"[..]), Some(new))],
        };
        world.observe(vec![looks]).await;
        if world.daemon.parts.events.wants_observed()
            && let Ok(told) = tokio::time::timeout(Duration::from_millis(50), event()).await
        {
            break told;
        }
    };
    assert!(
        told.contains("event: observed\n") && told.contains("/srv/data/new"),
        "{told}"
    );
    world.stop.send_replace(true);
    let rest = answer.rest().await;
    assert!(rest.ends_with(b"0\r\n\r\n"), "it ends in order");
}

#[tokio::test]
async fn the_barrier_and_the_ledger_answer() {
    let world = World::new().await;
    let (status, synced) = world.post(STRANGER, "/v1/sync", "").await;
    assert_eq!((status, &synced["synced"]), (200, &json!(true)));
    assert!(synced["took_us"].is_u64());
    let unreachable = Observed::RootUnreachable {
        root: ROOT,
        why: "no descriptors".to_owned(),
    };
    world.observe(vec![unreachable]).await;
    for refused in [
        world.post(STRANGER, "/v1/sync", "").await,
        world.get("/v1/files?sync=true").await,
    ] {
        let (status, problem) = refused;
        let detail = "not in sync: cannot open root \"/srv/data\": no descriptors";
        assert_eq!((status, &problem["detail"]), (503, &json!(detail)));
    }
    let (status, history) = world.get("/v1/history").await;
    assert_eq!(
        (status, history),
        (200, json!({"removals": [], "cursor": null}))
    );
}

/// Something that a plan waits for must not keep others waiting: all of a plan is made off the
/// threads that answer.
#[test]
fn plans_take_no_thread_that_answers_others() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        // The only thread that plans can be made on is busy.
        let (release, busy) = std::sync::mpsc::channel::<()>();
        let blocked = tokio::task::spawn_blocking(move || busy.recv());
        let plans: Vec<_> = (0..=PLANS_MAX)
            .map(|_| {
                let clients = world.clients.clone();
                tokio::spawn(async move { clients.send(ME, &Request::get("/v1/plan")).await })
            })
            .collect();
        let (status, health) = world.get("/v1/health").await;
        assert_eq!(status, 200, "{health}");
        assert!(plans.iter().all(|plan| !plan.is_finished()));
        drop(release);
        assert!(blocked.await.unwrap().is_err());
        for plan in plans {
            assert_eq!(plan.await.unwrap().status, 200);
        }
    });
}

#[tokio::test]
async fn health_says_by_its_status_whether_the_daemon_is_ready_where_that_is_asked() {
    // A dry run holds everything by intent.
    let world = World::new().await;
    let (status, health) = world.get("/v1/health?ready=true").await;
    assert_eq!((status, &health["status"]), (200, &json!("ready")));
    let trip = |engine: &mut crate::core::engine::Engine, now| {
        let why = Some("the disk is full".to_owned());
        drop(engine.step(now, crate::core::engine::Input::Unsaved(why)));
    };
    world.daemon.link().ask(trip).await.unwrap();
    let (status, health) = world.get("/v1/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("holding")));
    let (status, health) = world.get("/v1/health?ready=true").await;
    assert_eq!(
        (status, &health["detail"]),
        (503, &json!("the daemon is holding"))
    );
}

//! Jobs that are told, asked for, listed and removed.

use super::*;
use crate::common::machine::patience;
use crate::core::jobs::{JobChange, JobKey, SourceUpdate};

const HELD: &str = "/v1/jobs/one";

/// The other source tells of one of its jobs.
async fn report_seven(world: &World) {
    let rows = vec![JobRow::new("seven", Status::Running)];
    let news = SourceUpdate {
        source: DB,
        more: false,
        news: vec![JobChange::Rows(rows)],
    };
    let hears = world
        .daemon
        .link()
        .ask(|engine, now| engine.on_source_update(news, now));
    hears.await.unwrap();
}

#[tokio::test]
async fn a_job_is_put_shown_and_removed() {
    let world = World::new().await;
    let body = r#"{"status":"running","kind":"sol","files":["a b.tif"],"attributes":{"n":[1,null]},
        "last_activity":1700000000.5,"expires_at":"2030-01-01T00:00:00+01:00"}"#;
    let (status, job) = world.order("PUT", HELD, body).await;
    assert_eq!(status, 201, "{job}");
    assert_eq!(
        (&job["id"], &job["source"], &job["kind"], &job["status"]),
        (
            &json!("one"),
            &json!("api"),
            &json!("sol"),
            &json!("running")
        )
    );
    assert_eq!(job["last_activity"], "2023-11-14T22:13:20.500Z");
    assert_eq!(job["expires_at"], "2029-12-31T23:00:00.000Z");
    assert!(job["created_at"].is_string() && job["completed_at"].is_null());
    assert_eq!(job["attributes"], json!({"n": [1, null]}));
    assert_eq!(job["claims"][0]["file"], "a b.tif");
    assert!(job["claims"][0]["state"].is_string());
    let (status, asked) = world.get(HELD).await;
    assert_eq!((status, &asked), (200, &job), "as it was told");

    // All of it is replaced, but for what nobody can say twice.
    let (status, ended) = world
        .order("PUT", HELD, r#"{"status":"failed","error":"no"}"#)
        .await;
    assert_eq!(status, 200, "{ended}");
    assert_eq!(ended["created_at"], job["created_at"]);
    assert!(ended["completed_at"].is_string(), "{ended}");
    assert_eq!(
        (&ended["kind"], &ended["files"], &ended["error"]),
        (&Value::Null, &json!([]), &json!("no"))
    );
    let known = world.daemon.parts.jobs.job(&JobKey {
        source: API,
        id: "one".into(),
    });
    assert_eq!(
        known.unwrap().status,
        Status::Failed,
        "the engine has heard"
    );
    let back: types::Job = serde_json::from_value(ended.clone()).unwrap();
    assert_eq!(serde_json::to_value(back).unwrap(), ended);

    let (status, gone) = world.order("DELETE", HELD, "").await;
    assert_eq!((status, &gone), (200, &ended));
    assert_eq!(world.get(HELD).await.0, 404);
    let (status, problem) = world.order("DELETE", HELD, "").await;
    assert_eq!(
        (status, &problem["detail"]),
        (404, &json!("source \"api\" has no job \"one\""))
    );
}

#[tokio::test]
async fn ids_are_keys_whatever_they_look_like() {
    let world = World::new().await;
    for (segment, id) in [("a%20b", "a b"), ("a%2Fb", "a/b"), ("%61", "a")] {
        let path = format!("/v1/jobs/{segment}");
        let (status, job) = world.order("PUT", &path, r#"{"status":"pending"}"#).await;
        assert_eq!((status, &job["id"]), (201, &json!(id)), "{job}");
        assert_eq!(world.get(&path).await.1["id"], json!(id));
    }
    let long = "x".repeat(513);
    for (segment, words) in [
        ("UPPER", "is no id of a job of source \"api\""),
        ("%00", "NUL"),
        ("%ff", "cannot be read"),
        (&*long, "at most 512 bytes"),
    ] {
        let path = format!("/v1/jobs/{segment}");
        let (status, problem) = world.order("PUT", &path, r#"{"status":"pending"}"#).await;
        assert_eq!(status, 400, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn bodies_that_say_no_job_are_refused() {
    let world = World::new().await;
    for (body, words) in [
        ("", "the request has no body"),
        ("{}", "\"status\" is missing"),
        (r#"{"status":null}"#, "\"status\" is missing"),
        (r#"{"status":"done"}"#, "cannot be \"done\""),
        (r#"{"state":"failed"}"#, "unknown field `state`"),
        (
            r#"{"status":"failed","completed_at":"soon"}"#,
            "\"soon\" is no instant",
        ),
        (r#"{"status":"failed","files":"a"}"#, "cannot be read"),
        (r#"["failed"]"#, "not a JSON object"),
    ] {
        let (status, problem) = world.order("PUT", HELD, body).await;
        assert_eq!(status, 400, "{body}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
    let (_, problem) = world.order("PUT", HELD, r#"{"status":"done"}"#).await;
    assert_eq!(problem["allowed"].as_array().unwrap().len(), 5);
    assert_eq!(world.get(HELD).await.0, 404, "nothing was kept");
    let many = json!({"status": "failed", "files": vec!["x"; 10_001]}).to_string();
    assert_eq!(world.order("PUT", HELD, &many).await.0, 400);
    let large = json!({"status": "failed", "error": "x".repeat(2 << 20)}).to_string();
    assert_eq!(world.order("PUT", HELD, &large).await.0, 413);
}

#[tokio::test]
async fn only_sources_of_kind_api_are_written_and_only_by_operators() {
    let world = World::new().await;
    let body = r#"{"status":"failed"}"#;
    for method in ["PUT", "DELETE"] {
        let (status, problem) = world.order(method, "/v1/jobs/one?source=db", body).await;
        assert_eq!(status, 409, "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("source \"db\" is not told of here")
        );
        let (status, problem) = world.order(method, "/v1/jobs/one?source=x", body).await;
        assert_eq!((status, &problem["allowed"]), (400, &json!(["api", "db"])));
        let request = Request::new(method, HELD).body(body);
        assert_eq!(world.send(STRANGER, &request).await.status, 403);
    }
    assert_eq!(
        world.order("PUT", "/v1/jobs/one?source=api", body).await.0,
        201
    );
    assert_eq!(world.order("POST", HELD, body).await.0, 405);
}

#[tokio::test]
async fn a_job_is_looked_for_in_every_source() {
    let world = World::new().await;
    // Nobody has told of it yet, but it is there.
    let (status, job) = world.get("/v1/jobs/seven").await;
    assert_eq!((status, &job["source"]), (200, &json!("db")), "{job}");
    world
        .order("PUT", "/v1/jobs/seven?source=api", r#"{"status":"failed"}"#)
        .await;
    let (status, job) = world.get("/v1/jobs/seven?source=db").await;
    assert_eq!((status, &job["status"]), (200, &json!("running")));
    report_seven(&world).await;
    let (status, problem) = world.get("/v1/jobs/seven").await;
    assert_eq!(
        (status, &problem["allowed"]),
        (409, &json!(["api", "db"])),
        "{problem}"
    );
    assert!(problem["hint"].as_str().unwrap().contains("source"));
    let (status, problem) = world.get("/v1/jobs/nobody").await;
    assert_eq!(
        (status, &problem["detail"]),
        (404, &json!("no source has a job \"nobody\""))
    );
    assert_eq!(world.get("/v1/jobs/nobody?source=x").await.0, 400);
}

#[tokio::test]
async fn lists_are_filtered_and_go_on_where_they_ended() {
    let world = World::new().await;
    for number in 0..25 {
        let status = ["running", "failed"][number % 2];
        let body = json!({"status": status, "kind": format!("k{}", number % 3)}).to_string();
        let path = format!("/v1/jobs/job-{number:02}");
        assert_eq!(world.order("PUT", &path, &body).await.0, 201);
    }
    report_seven(&world).await;
    let (status, all) = world.get("/v1/jobs").await;
    assert_eq!((status, &all["cursor"]), (200, &Value::Null));
    let all = all["jobs"].as_array().unwrap().clone();
    assert_eq!(all.len(), 26);
    assert_eq!(
        (&all[0]["id"], &all[25]["source"]),
        (&json!("job-00"), &json!("db"))
    );
    assert_eq!(world.lines("/v1/jobs").await, all);
    assert_eq!(world.lines("/v1/jobs?limit=3").await, all[..3]);

    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = world.get(&format!("/v1/jobs?limit=7{cursor}")).await;
        paged.extend(page["jobs"].as_array().unwrap().iter().cloned());
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, all);
    let count = async |query: &str| {
        let (_, list) = world.get(&format!("/v1/jobs?{query}")).await;
        list["jobs"].as_array().unwrap().len()
    };
    assert_eq!(count("status=failed").await, 12);
    assert_eq!(count("kind=k1").await, 8);
    assert_eq!(count("source=db").await, 1);
    assert_eq!(count("source=db&status=failed").await, 0);
    for bad in [
        "status=done",
        "source=x",
        "limit=0",
        "limit=10001",
        "cursor=x",
        "x=1",
    ] {
        assert_eq!(world.get(&format!("/v1/jobs?{bad}")).await.0, 400, "{bad}");
    }
    let (_, status) = world.get("/v1/status").await;
    assert_eq!(
        status["jobs"],
        json!({"pending": 0, "running": 14, "completed": 0, "failed": 12, "cancelled": 0})
    );
    assert_eq!(status["sources"][0]["name"], "api");
}

#[tokio::test]
async fn an_order_goes_on_when_its_client_leaves() {
    let world = World::new().await;
    // Somebody else has their turn, and the client that ordered this goes away meanwhile.
    let turn = world.daemon.turn().await;
    let request = Request::new("PUT", HELD).json(r#"{"status":"failed"}"#);
    let order = world.clients.begin(ME, &request).await;
    let_others_run().await;
    drop(order);
    let_others_run().await;
    assert_eq!(world.daemon.parts.jobs.count(API), 0);
    drop(turn);
    let key = JobKey {
        source: API,
        id: "one".into(),
    };
    let heard = async {
        while world.daemon.parts.jobs.job(&key).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience(), heard).await.unwrap();
    assert_eq!(world.get(HELD).await.0, 200);
}

/// Has the other tasks of this thread come as far as they can without waiting for another thread.
async fn let_others_run() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

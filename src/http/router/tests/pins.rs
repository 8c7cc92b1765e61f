//! Pins that are set, listed, moved and taken away.

use super::*;

async fn history(world: &World) -> Vec<Value> {
    let (_, history) = world.get("/v1/history").await;
    history["removals"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_pin_is_set_moved_and_taken_away_and_the_ledger_tells() {
    let world = World::new().await;
    let body = r#"{"path":"/srv/data/job-7/","for":"7d","why":" for the audit "}"#;
    let (status, pin) = world.order("POST", "/v1/pins", body).await;
    assert_eq!(status, 201, "{pin}");
    assert_eq!(
        (&pin["id"], &pin["path"], &pin["why"], &pin["job"]),
        (
            &json!(1),
            &json!("/srv/data/job-7"),
            &json!("for the audit"),
            &Value::Null
        )
    );
    assert_eq!(pin["who"], ME.uid.to_string());
    let until = jiff::Timestamp::from_millisecond(world.now.unix_ms()).unwrap()
        + jiff::SignedDuration::from_hours(7 * 24);
    assert!(
        pin["until"].as_str().unwrap()[..10] == until.to_string()[..10],
        "{pin}"
    );
    assert_eq!(world.get("/v1/pins").await.1, json!({"pins": [pin]}));
    assert_eq!(
        world.daemon.parts.pins.list().len(),
        1,
        "the engine has heard"
    );

    let (status, moved) = world
        .order("PATCH", "/v1/pins/1", r#"{"until":"2100-01-01T00:00:00Z"}"#)
        .await;
    assert_eq!(
        (status, &moved["until"]),
        (200, &json!("2100-01-01T00:00:00.000Z"))
    );
    assert_eq!(moved["set_at"], pin["set_at"]);
    assert_eq!(world.get("/v1/pins").await.1["pins"][0], moved);
    let (_, status) = world.get("/v1/status").await;
    assert_eq!(status["pins"], 1);

    let (status, gone) = world.order("DELETE", "/v1/pins/1", "").await;
    assert_eq!((status, &gone), (200, &moved));
    assert_eq!(world.get("/v1/pins").await.1, json!({"pins": []}));
    assert!(world.daemon.parts.registry.pins().unwrap().is_empty());
    for method in ["DELETE", "PATCH"] {
        let (status, problem) = world.order(method, "/v1/pins/1", r#"{"for":"1d"}"#).await;
        assert_eq!(
            (status, &problem["detail"]),
            (404, &json!("there is no pin 1"))
        );
    }
    let lines = history(&world).await;
    let results: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["result"].as_str())
        .collect();
    assert_eq!(results, ["unpinned", "extended", "pinned"]);
    let first = &lines[2];
    assert_eq!(
        (
            &first["root"],
            &first["path"],
            &first["unit"],
            &first["rule"]
        ),
        (
            &json!("data"),
            &json!("/srv/data/job-7"),
            &json!("dir"),
            &json!("")
        )
    );
    assert_eq!(first["by"], json!({"uid": ME.uid}));
    assert_eq!(
        first["pin"],
        json!({"id": 1, "who": pin["who"], "why": "for the audit"})
    );
    assert_eq!(
        (&first["basis"], &first["deadline"]),
        (&pin["set_at"], &pin["until"])
    );
    let (_, next) = world.order("POST", "/v1/pins", body).await;
    assert_eq!(next["id"], 2, "a number is given once");
}

#[tokio::test]
async fn a_job_can_be_pinned_where_some_source_has_it() {
    let world = World::new().await;
    let pin = |job: &str| json!({"job": job, "for": "1h", "why": "x"}).to_string();
    let (status, problem) = world.order("POST", "/v1/pins", &pin("one")).await;
    assert_eq!(
        (status, &problem["detail"]),
        (404, &json!("no source has a job \"one\""))
    );
    world
        .order("PUT", "/v1/jobs/one", r#"{"status":"failed","kind":"sol"}"#)
        .await;
    let (status, set) = world.order("POST", "/v1/pins", &pin("one")).await;
    assert_eq!(status, 201, "{set}");
    assert_eq!(
        (&set["job"], &set["source"]),
        (&json!("one"), &json!("api"))
    );
    assert!(set.get("path").is_none());
    let lines = history(&world).await;
    assert_eq!(
        (&lines[0]["unit"], &lines[0]["owner"]),
        (&json!("job"), &json!("one"))
    );
    assert_eq!(lines[0]["job"]["source"], "api");
    assert_eq!(lines[0]["job"]["status"], "failed");
    let back: types::Pin = serde_json::from_value(set).unwrap();
    assert_eq!(back.path, None);
}

#[tokio::test]
async fn orders_that_pin_nothing_are_refused() {
    let world = World::new().await;
    for (body, status, words) in [
        (r#"{"for":"1d","why":"x"}"#, 400, "nothing to pin"),
        (
            r#"{"path":"/srv/data/a","job":"b","for":"1d","why":"x"}"#,
            400,
            "not both",
        ),
        (r#"{"path":"/srv/data/a","why":"x"}"#, 400, "how long"),
        (
            r#"{"path":"/srv/data/a","for":"1d"}"#,
            400,
            "\"why\" is missing",
        ),
        (
            r#"{"path":"/srv/data/a","for":"1d","why":" "}"#,
            400,
            "\"why\" is missing",
        ),
        (
            r#"{"path":"/srv/data/a","for":"0s","why":"x"}"#,
            400,
            "cannot be \"0s\"",
        ),
        (
            r#"{"path":"/srv/data/a","until":1,"why":"x"}"#,
            400,
            "has passed",
        ),
        (
            r#"{"path":"data/a","for":"1d","why":"x"}"#,
            400,
            "\"path\" cannot be \"data/a\"",
        ),
        (
            r#"{"path":"/srv/data/../a","for":"1d","why":"x"}"#,
            400,
            "cannot be",
        ),
        (
            r#"{"path":"/etc/passwd","for":"1d","why":"x"}"#,
            422,
            "lies beneath no root",
        ),
        (
            r#"{"path":"/srv/data/a","source":"api","for":"1d","why":"x"}"#,
            400,
            "goes with \"job\"",
        ),
        (
            r#"{"job":"a","source":"x","for":"1d","why":"x"}"#,
            400,
            "no source \"x\"",
        ),
        (r#"{"paht":"/srv/data/a"}"#, 400, "unknown field `paht`"),
    ] {
        let (found, problem) = world.order("POST", "/v1/pins", body).await;
        assert_eq!(found, status, "{body}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
    let (_, problem) = world
        .order(
            "POST",
            "/v1/pins",
            r#"{"path":"/etc/passwd","for":"1d","why":"x"}"#,
        )
        .await;
    assert_eq!(problem["allowed"], json!(["/srv/data"]));
    assert_eq!(world.order("DELETE", "/v1/pins/x", "").await.0, 400);
    let good = r#"{"path":"/srv/data/a","for":"1d","why":"x"}"#;
    let (status, _) = world.post(STRANGER, "/v1/pins", good).await;
    assert_eq!(status, 403);
    assert_eq!(world.get("/v1/pins").await.1, json!({"pins": []}));
    assert_eq!(history(&world).await, [Value::Null; 0]);
}

#[tokio::test]
async fn lists_and_explanations_tell_of_the_pin() {
    let world = World::new().await;
    let body = r#"{"path":"/srv/data/job-7","for":"7d","why":"for the audit"}"#;
    world.order("POST", "/v1/pins", body).await;
    assert_eq!(
        world.names("?pinned=true").await,
        ["job-7/out", "job-7/x.tmp"]
    );
    let (_, list) = world.get("/v1/files?glob=job-7/out").await;
    assert_eq!(list["files"][0]["pin"], 1);
    let (_, list) = world.get("/v1/files?glob=a.tmp").await;
    assert_eq!(list["files"][0]["pin"], Value::Null);
    assert_eq!(world.names("?status=running").await, [""; 0]);
    assert_eq!(world.names("?orphan=true").await, [""; 0]);
    assert_eq!(world.get("/v1/files?status=done").await.0, 400);

    let (_, why) = world.get("/v1/explain?path=/srv/data/job-7/out").await;
    assert_eq!(
        (&why["pin"]["id"], &why["job"]["id"]),
        (&json!(1), &json!("job-7"))
    );
    assert_eq!(
        (&why["job"]["status"], &why["orphan"]),
        (&Value::Null, &json!(false))
    );
    let text = why["text"].to_string();
    assert!(
        text.contains("pin 1 holds it until ") && text.contains("because \\\"for the audit\\\""),
        "{text}"
    );
    let (_, why) = world.get("/v1/explain?path=/srv/data/a.tmp").await;
    assert_eq!(why["pin"], Value::Null);
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_taken_back() {
    let world = World::new().await;
    let ledger = world.dir.path().join("ledger");
    let lose = || {
        #[expect(clippy::disallowed_methods, reason = "the disk fails")]
        std::fs::remove_dir_all(&ledger).unwrap();
        // Where a file is, no directory can be made.
        std::fs::write(&ledger, "").unwrap();
    };
    let find = || {
        #[expect(clippy::disallowed_methods, reason = "the disk is mended")]
        std::fs::remove_file(&ledger).unwrap();
    };
    lose();
    let body = r#"{"path":"/srv/data/a","for":"1d","why":"x"}"#;
    let (status, problem) = world.order("POST", "/v1/pins", body).await;
    assert_eq!(status, 500, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("ledger"),
        "{problem}"
    );
    assert!(world.daemon.parts.registry.pins().unwrap().is_empty());
    assert_eq!(world.get("/v1/pins").await.1, json!({"pins": []}));
    find();
    let (status, pin) = world.order("POST", "/v1/pins", body).await;
    assert_eq!((status, &pin["id"]), (201, &json!(2)));
}

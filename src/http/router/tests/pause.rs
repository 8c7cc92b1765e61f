//! Pauses that begin and end by orders.

use super::*;

const ORDER: &str = r#"{"for":"2h","why":" an audit "}"#;

async fn paused(world: &World) -> Vec<Value> {
    let (status, pauses) = world.get("/v1/pause").await;
    assert_eq!((status, &pauses["under_way"]), (200, &json!(0)));
    pauses["pauses"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_pause_begins_holds_and_is_ended_and_the_ledger_tells() {
    let world = World::new().await;
    let (status, answer) = world.order("POST", "/v1/pause", ORDER).await;
    assert_eq!(status, 200, "{answer}");
    let pause = answer["pauses"][0].clone();
    let what = (&pause["root"], &pause["why"], &pause["who"]);
    let me = json!(ME.uid.to_string());
    assert_eq!(what, (&Value::Null, &json!("an audit"), &me));
    assert_eq!(paused(&world).await, std::slice::from_ref(&pause));
    let kept = world.daemon.parts.registry.pauses().unwrap();
    assert_eq!(kept, world.daemon.parts.pauses.list());
    assert_eq!(world.names("?hold=paused").await, ["a.tmp"]);
    let (_, status) = world.get("/v1/status").await;
    assert_eq!(status["pauses"], json!([pause]));
    let (_, why) = world.get("/v1/explain?path=/srv/data/a.tmp").await;
    assert!(why["text"].to_string().contains("lapsed resume"), "{why}");
    for body in [r#"{"dry_run":true}"#, r#"{"dry_run":false}"#] {
        let (status, report) = world.order("POST", "/v1/clean", body).await;
        assert_eq!(status, 200, "{report}");
        assert_eq!(report["removed"], json!([]));
        assert_eq!(report["held"][0]["hold"], "paused", "{report}");
    }

    let (status, ended) = world.order("DELETE", "/v1/pause", "").await;
    assert_eq!((status, ended), (200, json!({"resumed": [pause]})));
    assert_eq!(paused(&world).await, [Value::Null; 0]);
    assert_eq!(world.daemon.parts.registry.pauses().unwrap(), []);
    let (_, ended) = world.order("DELETE", "/v1/pause", "").await;
    assert_eq!(ended, json!({"resumed": []}));
    let (_, history) = world.get("/v1/history").await;
    let lines = history["removals"].as_array().unwrap();
    let results: Vec<&Value> = lines.iter().map(|line| &line["result"]).collect();
    assert_eq!(results, ["resumed", "paused"]);
    assert_eq!(lines[1]["pause"]["why"], "an audit");
}

#[tokio::test]
async fn one_root_is_paused_and_a_second_order_takes_the_place_of_the_first() {
    let world = World::new().await;
    let of_root = |lasting| format!(r#"{{"for":"{lasting}","why":"x","roots":["data","data"]}}"#);
    for lasting in ["2h", "1h"] {
        let (status, answer) = world.order("POST", "/v1/pause", &of_root(lasting)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["pauses"].as_array().unwrap().len(), 1);
        assert_eq!(answer["pauses"][0]["root"], "data");
    }
    assert_eq!(world.names("?hold=paused").await, ["a.tmp"]);
    world.order("POST", "/v1/pause", ORDER).await;
    assert_eq!(paused(&world).await.len(), 2);
    let (status, ended) = world.order("DELETE", "/v1/pause?root=data", "").await;
    assert_eq!(
        (status, &ended["resumed"][0]["root"]),
        (200, &json!("data"))
    );
    let (status, problem) = world.order("DELETE", "/v1/pause?root=data", "").await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(paused(&world).await.len(), 1);
}

#[tokio::test]
async fn bad_orders_pause_nothing() {
    let world = World::new().await;
    for (body, words) in [
        (r#"{"why":"x"}"#, "\"for\" is missing"),
        (r#"{"for":"1h"}"#, "\"why\" is missing"),
        (r#"{"for":"31d","why":"x"}"#, "30 days"),
        (r#"{"for":"never","why":"x"}"#, "cannot be"),
        (r#"{"for":"1h","why":"x","roots":[]}"#, "names no root"),
        (r#"{"for":"1h","why":"x","roots":["no"]}"#, "no root"),
        (
            r#"{"for":"1h","why":"x","until":"2100-01-01"}"#,
            "unknown field",
        ),
    ] {
        let (status, problem) = world.order("POST", "/v1/pause", body).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains(words), "{body}: {problem}");
    }
    for (method, path) in [("DELETE", "/v1/pause?root=no"), ("DELETE", "/v1/pause?x=1")] {
        assert_eq!(world.order(method, path, "").await.0, 400, "{path}");
    }
    let (status, _) = world.post(STRANGER, "/v1/pause", ORDER).await;
    assert_eq!(status, 403);
    assert_eq!(paused(&world).await, [Value::Null; 0]);
}

//! Explanations over HTTP.

use super::*;

#[tokio::test]
async fn explanations_in_fields_and_sentences() {
    let world = World::new().await;
    let (status, why) = world.get("/v1/explain?path=/srv/data/a.tmp").await;
    assert_eq!(status, 200, "{why}");
    let old = world.now.plus_ms(-2 * HOUR_MS).to_string();
    assert_eq!(why["found"], "file");
    assert_eq!(
        (&why["since"], &why["basis"]),
        (&json!("newest"), &json!(old))
    );
    assert_eq!(
        (&why["unit"], &why["expire_ms"]),
        (&json!("file"), &json!(HOUR_MS))
    );
    assert_eq!(why["holds"][0]["code"], "dry-run");
    let text: Vec<&str> = why["text"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        text[0],
        "\"/srv/data/a.tmp\" is a file of 100 bytes in root \"data\"."
    );
    assert_eq!(
        text[1],
        "rule \"old temporaries\" lets it lapse after 1 hour."
    );
    assert!(
        text[3].starts_with("it was due at") && text[3].contains("60 min"),
        "{text:?}"
    );

    let (_, why) = world.get("/v1/explain?path=/srv/data/job-7/out").await;
    assert_eq!(
        (&why["unit"], &why["unit_path"]),
        (&json!("dir"), &json!("/srv/data/job-7"))
    );
    let (_, why) = world.get("/v1/explain?path=/srv/data/job-7").await;
    assert_eq!(
        (&why["found"], &why["unit"]),
        (&json!("dir"), &json!("dir"))
    );
    assert!(why["deadline"].is_string());
    let (status, why) = world
        .get("/v1/explain?path=/srv/data/nobody/knows.tmp")
        .await;
    assert_eq!((status, &why["found"]), (200, &Value::Null));
    assert!(
        why["text"][0]
            .as_str()
            .unwrap()
            .starts_with("nothing is there")
    );
    let (status, problem) = world.get("/v1/explain?path=/etc/passwd").await;
    assert_eq!((status, &problem["allowed"]), (404, &json!(["/srv/data"])));
}

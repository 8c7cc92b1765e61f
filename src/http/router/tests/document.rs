//! The document of the API.

use crate::http::router::openapi;

/// The snapshot is the contract with clients: look at every change of it.
#[test]
fn the_document_is_as_agreed() {
    insta::assert_json_snapshot!("openapi", openapi());
}

#[test]
fn every_operation_is_documented() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{method} {path}: {id} is taken");
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"]["500"].is_object(), "{method} {path}");
        }
    }
    assert!(ids.len() > 15, "{ids:?}");
}

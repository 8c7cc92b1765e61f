//! The document of the API, and what it says of the routes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::http::route::ROLE;
use crate::http::router::openapi;
use crate::ledger::Line;
use crate::types;

/// Operations that are not read by `GET` and yet change nothing by themselves: a dry run, and a
/// wait.
const SAFE_ORDERS: [&str; 2] = ["clean", "sync"];

/// Returns path, method and description of every operation.
fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    assert!(operations.len() > 15, "{operations:?}");
    operations
}

/// The snapshot is the contract with clients: look at every change of it.
#[test]
fn the_document_is_as_agreed() {
    insta::assert_json_snapshot!("openapi", openapi());
}

#[test]
fn every_operation_is_documented() {
    let mut ids = std::collections::BTreeSet::new();
    for (path, method, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{method} {path}: {id} is taken");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert!(operation["responses"]["500"].is_object(), "{method} {path}");
    }
}

/// Words of JSON have no capitals: a name of Rust in their place is a mistake of the document.
#[test]
fn enums_list_their_words_in_json() {
    fn check(value: &Value) -> usize {
        let words = value["enum"].as_array().into_iter().flatten();
        for word in words.clone().filter_map(Value::as_str) {
            assert_eq!(word, word.to_lowercase());
        }
        let below = match value {
            Value::Object(members) => members.values().map(check).sum(),
            Value::Array(items) => items.iter().map(check).sum(),
            _ => 0,
        };
        below + words.count()
    }
    let document = serde_json::to_value(openapi()).unwrap();
    assert!(check(&document) > 50);
}

/// Returns `example`, read as the type of the schema `name` and written again.
fn rewritten(name: &str, example: &Value) -> serde_json::Result<Value> {
    fn of<T: Serialize + DeserializeOwned>(example: &Value) -> serde_json::Result<Value> {
        serde_json::to_value(T::deserialize(example)?)
    }
    let rewrite = match name {
        "Breaker" => of::<types::Breaker>,
        "EventLine" => of::<types::EventLine>,
        "Explanation" => of::<types::Explanation>,
        "Files" => of::<types::Files>,
        "Health" => of::<types::Health>,
        // Lines of the ledger are answered with as they are.
        "History_Removal" => of::<types::History<Line>>,
        "Job" => of::<types::Job>,
        "Jobs" => of::<types::Jobs>,
        "NewToken" => of::<types::NewToken>,
        "Limits" => of::<types::Limits>,
        "Samples" => of::<types::Samples>,
        "Notify" => of::<types::Notify>,
        "NotifyChanged" => of::<types::NotifyChanged>,
        "NotifyTested" => of::<types::NotifyTested>,
        "Pauses" => of::<types::Pauses>,
        "Pin" => of::<types::Pin>,
        "Pins" => of::<types::Pins>,
        "Plan" => of::<types::Plan>,
        "Released" => of::<types::Released>,
        "Reloaded" => of::<types::Reloaded>,
        "Report" => of::<types::Report>,
        "Resumed" => of::<types::Resumed>,
        "Run" => of::<types::Run>,
        "RunReport_Removal" => of::<types::RunReport<Line>>,
        "Runs" => of::<types::Runs>,
        "Settings" => of::<types::Settings>,
        "Shadow" => of::<types::Shadow>,
        "Space" => of::<types::Space>,
        "Status" => of::<types::Status>,
        "Synced" => of::<types::Synced>,
        "Token" => of::<types::Token>,
        "Tokens" => of::<types::Tokens>,
        "Totals" => of::<types::Totals>,
        "Displaced" => of::<types::Displaced>,
        "Trash" => of::<types::Trash>,
        "Undone" => of::<types::Undone>,
        "Whoami" => of::<types::Whoami>,
        "Emptied" => of::<types::Emptied>,
        unknown => panic!("{unknown}: name its type here"),
    };
    rewrite(example)
}

/// Returns the parts of `value` that `rule` of a schema is about, each with its name and schema.
fn parts<'v>(
    value: &'v Value,
    (word, rule): (&str, &'v Value),
    document: &'v Value,
) -> Vec<(&'v Value, &'v Value, String)> {
    let of_value = |schema| (value, schema, String::new());
    match word {
        "$ref" => {
            let target = rule.as_str().unwrap().trim_start_matches('#');
            vec![of_value(document.pointer(target).unwrap())]
        }
        "allOf" => rule.as_array().unwrap().iter().map(of_value).collect(),
        "properties" => {
            let rules = rule.as_object().unwrap().iter();
            let part = |(name, rule)| Some((value.get(name)?, rule, format!(".{name}")));
            rules.filter_map(part).collect()
        }
        "additionalProperties" if rule.is_object() => {
            let members = value.as_object().into_iter().flatten();
            let part = |(name, value)| (value, rule, format!(".{name}"));
            members.map(part).collect()
        }
        "items" => {
            let items = value.as_array().into_iter().flatten();
            items.map(|value| (value, rule, "[]".to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// Checks that `value` is as `schema` says, in the words that the document uses.
fn check(value: &Value, schema: &Value, document: &Value, at: &str) -> Result<(), String> {
    let is_valid = |schema: &&Value| check(value, schema, document, at).is_ok();
    for (word, rule) in schema.as_object().unwrap() {
        for (value, schema, name) in parts(value, (word, rule), document) {
            check(value, schema, document, &format!("{at}{name}"))?;
        }
        let list = rule
            .as_array()
            .map_or(std::slice::from_ref(rule), Vec::as_slice);
        let is_met = match word.as_str() {
            "oneOf" => list.iter().filter(is_valid).count() == 1,
            "anyOf" => list.iter().any(|one| is_valid(&one)),
            "type" => {
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_f64() => "number",
                    Value::Number(_) => "integer",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                let is_met = |one: &Value| one == kind || (one == "number" && kind == "integer");
                list.iter().any(is_met)
            }
            "enum" => list.contains(value),
            "required" => {
                let mut names = list.iter().filter_map(Value::as_str);
                names.all(|name| value.get(name).is_some())
            }
            "minimum" => !value.is_number() || value.as_f64() >= rule.as_f64(),
            "$ref"
            | "allOf"
            | "properties"
            | "additionalProperties"
            | "items"
            | "title"
            | "description"
            | "format"
            | "examples"
            | "default"
            | "propertyNames" => true,
            unknown => panic!("{at}: {unknown} is not checked yet"),
        };
        if !is_met {
            return Err(format!("{at}: {value} is not as {word} says: {rule}"));
        }
    }
    Ok(())
}

#[test]
fn every_answer_has_an_example_that_is_one() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (_, _, operation) in operations() {
        let answers = operation["responses"].as_object().unwrap();
        for (_, answer) in answers.iter().filter(|(status, _)| status.as_str() < "300") {
            for body in answer["content"].as_object().into_iter().flatten() {
                if let Some(target) = body.1["schema"]["$ref"].as_str() {
                    names.insert(target.rsplit('/').next().unwrap().to_owned());
                }
            }
        }
    }
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let schema = &document["components"]["schemas"][&name];
        let [example] = &schema["examples"].as_array().map_or(&[][..], Vec::as_slice) else {
            panic!("{name} has no example: add one to src/http/examples.json");
        };
        check(example, schema, &document, &name).unwrap();
        let again = rewritten(&name, example);
        let again = again.unwrap_or_else(|error| panic!("the example of {name}: {error}"));
        assert_eq!(&again, example, "the example of {name}");
    }
}

/// A client's generator stops at a reference that leads nowhere.
#[test]
fn every_reference_leads_to_a_schema() {
    fn check(value: &Value, document: &Value) -> usize {
        let target = value["$ref"].as_str();
        if let Some(target) = target {
            let found = document.pointer(target.trim_start_matches('#'));
            assert!(found.is_some(), "{target}");
        }
        let below: usize = match value {
            Value::Object(members) => members.values().map(|value| check(value, document)).sum(),
            Value::Array(items) => items.iter().map(|value| check(value, document)).sum(),
            _ => 0,
        };
        below + usize::from(target.is_some())
    }
    let document = serde_json::to_value(openapi()).unwrap();
    assert!(check(&document, &document) > 100);
}

#[test]
fn parameters_bodies_and_refusals_are_described() {
    let document = serde_json::to_value(openapi()).unwrap();
    for (path, method, operation) in operations() {
        let of = format!("{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{of}: {parameter}");
        }
        let ways = operation["security"].as_array().unwrap();
        assert_eq!(
            ways.last(),
            Some(&json!({})),
            "{of}: the socket asks for nothing"
        );
        let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        if let Some(body) = body.as_str() {
            let body = document.pointer(body.trim_start_matches('#')).unwrap();
            assert!(
                body["examples"].is_array(),
                "{of}: a body without an example"
            );
        }
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let problem = &answer["content"]["application/problem+json"]["schema"];
            let codes = &problem["allOf"][1]["properties"]["code"]["enum"];
            let has_codes = codes.as_array().is_some_and(|codes| !codes.is_empty());
            assert_eq!(has_codes, status.as_str() >= "400", "{of}: {status}");
        }
    }
}

#[tokio::test]
async fn the_page_of_the_document_needs_no_script_and_no_network() {
    let world = World::new().await;
    for (target, media) in [("/docs", "text/html"), ("/docs/style.css", "text/css")] {
        let answer = world.clients.send(STRANGER, &Request::get(target)).await;
        assert_eq!(answer.status, 200, "{target}");
        let found = answer.header("content-type").unwrap();
        assert!(found.starts_with(media), "{found}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn an_operation_that_acts_takes_more_than_a_viewer() {
    for (path, method, operation) in operations() {
        let role = operation[ROLE].as_str();
        let role = role.unwrap_or_else(|| panic!("{method} {path} is not under rules"));
        let id = operation["operationId"].as_str().unwrap();
        let is_safe = method == "GET" || SAFE_ORDERS.contains(&id);
        // Who holds tokens is nothing for viewers.
        let is_viewer_s = is_safe && !path.starts_with("/v1/tokens");
        assert_eq!(role == "viewer", is_viewer_s, "{method} {path}: {role}");
    }
}

/// The role is asked for before anything else, so that empty requests tell.
#[tokio::test]
async fn every_operation_refuses_who_lacks_its_role_and_no_other() {
    let world = World::new().await;
    let roles = ["viewer", "operator", "admin"];
    let users = [STRANGER, MEMBER, ME];
    let mut tokens = Vec::new();
    for role in roles {
        tokens.push(world.token(role, role).await);
    }
    for (path, method, operation) in operations() {
        let target = path.replace("{id}", "1");
        let least = roles.iter().position(|role| operation[ROLE] == *role);
        let request = || Request::new(&method, &target);
        // Events have no end.
        let status = async |origin: Origin, request: &Request| {
            let mut answer = world.clients.begin(origin, request).await;
            answer.head().await.status
        };
        for (rank, (user, token)) in users.iter().zip(&tokens).enumerate() {
            let is_refused = Some(rank) < least;
            let by_user = status(Origin::Unix(user.clone()), &request()).await;
            assert_eq!(by_user == 403, is_refused, "{method} {path} as {user}");
            let by_token = status(tcp("192.0.2.1"), &request().bearer(token)).await;
            let role = roles[rank];
            assert_eq!(by_token == 403, is_refused, "{method} {path} as {role}");
            assert_ne!(by_token, 401, "{method} {path} as {role}");
        }
        let without = status(tcp("127.0.0.1"), &request()).await;
        assert_eq!(without, 401, "{method} {path} without credentials");
    }
    let run = r#"{"dry_run": false}"#;
    let (status, problem) = world.post(STRANGER, "/v1/clean", run).await;
    assert_eq!(status, 403, "{problem}");
}

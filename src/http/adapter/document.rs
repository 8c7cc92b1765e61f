//! Endpoints in the `OpenAPI` document.

use serde_json::{Map, Value as Json, json};

use crate::adapter::{Adapter, Endpoint, Param, ParamKind, Place};

/// Tag of the operations.
const TAG: &str = "adapter";

/// Adds the endpoints of `adapter` to `document`.
pub(in crate::http) fn add_paths(document: &mut Json, adapter: &Adapter) {
    for endpoint in &adapter.endpoints {
        let method: &str = endpoint.method.into();
        let operation = operation(endpoint, adapter);
        document["paths"][&endpoint.path][method.to_lowercase()] = operation;
    }
}

fn operation(endpoint: &Endpoint, adapter: &Adapter) -> Json {
    let action = &endpoint.action;
    let in_query = action
        .params
        .iter()
        .filter(|param| param.places.contains(&Place::Query));
    let parameters: Vec<Json> = in_query
        .map(|param| {
            json!({
                "name": param.name, "in": "query", "required": false, "description": param.help,
                "schema": schema(param, false),
            })
        })
        .collect();
    let method: &str = endpoint.method.into();
    let mut operation = json!({
        "tags": [TAG],
        "summary": endpoint.help,
        "operationId": format!("{} {}", method.to_lowercase(), endpoint.path),
        "x-role": action.role.as_str(),
        "security": [{ "token": [] }, { "jwt": [] }, {}],
        "parameters": parameters,
        "responses": responses(endpoint, adapter),
    });
    let in_body = action
        .params
        .iter()
        .filter(|param| param.places.contains(&Place::Body));
    let properties: Map<String, Json> = in_body
        .map(|param| (param.name.clone(), schema(param, true)))
        .collect();
    if method != "GET" && !properties.is_empty() {
        operation["requestBody"] = json!({
            "required": false,
            "content": { "application/json": { "schema": {
                "type": "object", "properties": properties, "additionalProperties": false,
            } } },
        });
    }
    operation
}

fn schema(param: &Param, is_nullable: bool) -> Json {
    let kind = match &param.kind {
        ParamKind::Bool | ParamKind::Flag => "boolean",
        ParamKind::Integer => "integer",
        ParamKind::Number => "number",
        ParamKind::String | ParamKind::Path | ParamKind::Choice(_) => "string",
    };
    let mut schema = json!({ "type": kind });
    if is_nullable {
        schema["type"] = json!([kind, "null"]);
    }
    if let ParamKind::Choice(words) = &param.kind {
        schema["enum"] = words
            .iter()
            .map(|word| json!(word))
            .chain(is_nullable.then_some(Json::Null))
            .collect();
    }
    for (key, limit) in [("minimum", param.min), ("maximum", param.max)] {
        if let Some(limit) = limit {
            schema[key] = json!(limit);
        }
    }
    if !param.default.is_null() {
        schema["default"] = param.default.clone();
    }
    schema
}

fn responses(endpoint: &Endpoint, adapter: &Adapter) -> Json {
    let example: Json = serde_json::from_str(&endpoint.example).unwrap_or_default();
    let media = if adapter.error.body.is_some() {
        "application/json"
    } else {
        "application/problem+json"
    };
    let status = adapter.error.status;
    let (invalid, conflict) = (
        status.invalid.unwrap_or(400),
        status.conflict.unwrap_or(409),
    );
    let failed = status.failed.unwrap_or(500);
    let mut responses = json!({
        "200": { "description": "", "content": { "application/json": {
            "schema": { "type": "object" }, "example": example,
        } } },
    });
    for (status, description) in [
        (invalid, "A parameter cannot be taken."),
        (401, "No credentials, or credentials that are not valid."),
        (403, "The role is missing."),
        (conflict, "Another run is in progress."),
        (413, "The body is too large."),
        (415, "The body is no JSON."),
        (429, "Too many failed attempts."),
        (failed, "It could not be carried out."),
    ] {
        responses[status.to_string()] = json!({
            "description": description,
            "content": { media: { "schema": { "type": "object" } } },
        });
    }
    responses
}

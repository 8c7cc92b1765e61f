//! The `OpenAPI` document, apart from its routes.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{Modify, OpenApi, openapi};

use crate::types;

/// Security schemes: name, format of the bearer's token, description.
const SCHEMES: [(&str, Option<&str>, &str); 2] = [
    ("token", None, "A token that `lapsed token new` made."),
    (
        "jwt",
        Some("JWT"),
        "A token of the application, as the `jwt` key of the configuration describes it; it \
         reaches the role operator at most.",
    ),
];

/// Document of the API, without its routes.
#[derive(OpenApi)]
#[openapi(
    components(schemas(
        types::Problem,
        types::Bytes,
        types::Size,
        types::Span,
        types::By,
        types::SortBy,
        types::SortOrder
    )),
    modifiers(&Security),
    info(
        title = "lapsed",
        description = "Temporary files that live exactly as long as they should.\n\nThe same operations are \
            answered on the Unix socket and over TCP. On the socket the kernel tells who connects, and no credentials \
            are needed; over TCP a request shows a bearer token, or is anonymous where the configuration allows it. \
            `x-role` is the least role of an operation: viewer, operator, or admin, each of which includes those \
            before it.\n\nErrors are problem details (RFC 9457) with a stable `code`. Besides those of the operations \
            there are 404 for an unknown path, 405 (`method-not-allowed`) for a method that a path does not have, and \
            431 for headers that are too long."
    )
)]
pub(super) struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, format, description) in SCHEMES {
            let mut scheme = Http::new(HttpAuthScheme::Bearer);
            scheme.bearer_format = format.map(str::to_owned);
            scheme.description = Some(description.to_owned());
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// Returns the ways to show who sends a request; the last one is none.
pub(super) fn security() -> Vec<SecurityRequirement> {
    let scopes: [&str; 0] = [];
    let schemes = SCHEMES.map(|(name, ..)| SecurityRequirement::new(name, scopes));
    let none = SecurityRequirement::default();
    schemes.into_iter().chain([none]).collect()
}

/// Answers of a daemon, by the name of their schema.
const EXAMPLES: &str = include_str!("examples.json");

/// Adds an example to the schema of each answer.
pub(super) fn add_examples(document: &mut openapi::OpenApi) {
    let examples: BTreeMap<String, Value> =
        serde_json::from_str(EXAMPLES).expect("invariant: a test reads them");
    let components = document.components.get_or_insert_default();
    for (name, example) in examples {
        let examples = match components.schemas.get_mut(&name) {
            Some(RefOr::T(Schema::Object(schema))) => &mut schema.examples,
            Some(RefOr::T(Schema::AllOf(schema))) => &mut schema.examples,
            _ => continue,
        };
        examples.push(example);
    }
}

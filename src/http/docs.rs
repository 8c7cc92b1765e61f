//! `GET /docs`: the `OpenAPI` document as a page.
//!
//! **Invariant:** the page has no script, and loads nothing but its own style sheet: it works
//! without network, and nothing in the document can run.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value};

use super::route::QUESTION;

const STYLE: &str = include_str!("docs/style.css");

/// Policy of the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Returns the routes of the page, which shows the document that `document` makes, and of its style
/// sheet.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(
    document: impl Fn(&S) -> Value + Clone + Send + Sync + 'static,
) -> Router<S> {
    let page = move |State(state): State<S>| async move {
        let page = render(&document(&state));
        answer(POLICY, "text/html; charset=utf-8", page)
    };
    let style = || async { answer(POLICY, "text/css; charset=utf-8", STYLE) };
    Router::new()
        .route("/docs", QUESTION.guard(get(page)))
        .route("/docs/style.css", QUESTION.guard(get(style)))
}

/// Answers a file of a page under `policy`.
pub(super) fn answer(
    policy: &'static str,
    media: &'static str,
    text: impl IntoResponse,
) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text)
}

fn render(document: &Value) -> String {
    let info = &document["info"];
    let (title, version) = (text(&info["title"]), text(&info["version"]));
    let (mut contents, mut operations, mut schemas) = <(String, String, String)>::default();
    for (path, method, operation) in operations_of(document) {
        let (id, role) = (text(&operation["operationId"]), text(&operation["x-role"]));
        let name = format!("<code>{} {}</code>", method.to_uppercase(), escape(path));
        let summary = text(&operation["summary"]);
        let _ = write!(contents, "<li><a href=\"#{id}\">{name}</a> {summary}</li>");
        let _ = write!(
            operations,
            "<section id=\"{id}\"><h3>{name} <small>{role}</small></h3><p>{summary}</p>{}",
            paragraphs(&operation["description"])
        );
        let parameters = operation["parameters"].as_array();
        let rows = parameters.into_iter().flatten().map(|of| {
            let needed = mark(of["required"] == true);
            let name = format!(
                "{}{needed} <small>{}</small>",
                text(&of["name"]),
                text(&of["in"])
            );
            [name, kind(&of["schema"]), text(&of["description"])]
        });
        table(&mut operations, "Parameters", rows);
        let bodies = media(&operation["requestBody"], "Body");
        table(&mut operations, "Request", bodies);
        let answers = members(&operation["responses"]).flat_map(|(status, of)| media(of, status));
        table(&mut operations, "Answers", answers);
        operations.push_str("</section>");
    }
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escape(name);
        let _ = write!(schemas, "<section id=\"schema-{name}\"><h3>{name}</h3>");
        let _ = write!(
            schemas,
            "{}<p>{}</p>",
            paragraphs(&schema["description"]),
            kind(schema)
        );
        for example in schema["examples"].as_array().into_iter().flatten() {
            let _ = write!(schemas, "<pre>{}</pre>", escape(&format!("{example:#}")));
        }
        let mut rows = Vec::new();
        properties(schema, &mut rows);
        table(&mut schemas, "Members", rows);
        schemas.push_str("</section>");
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title} API</title>\
         <link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body>\
         <header><h1>{title} <small>{version}</small></h1>{}\
         <p><a href=\"/openapi.json\">openapi.json</a></p></header>\
         <nav aria-label=\"Operations\"><ul>{contents}</ul></nav>\
         <main><h2>Operations</h2>{operations}<h2>Schemas</h2>{schemas}</main></body></html>\n",
        paragraphs(&info["description"])
    )
}

/// Returns path, method and description of every operation.
fn operations_of(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    members(&document["paths"]).flat_map(|(path, item)| {
        let operations = members(item).filter(|(_, of)| of.is_object());
        operations.map(move |(method, operation)| (path, method, operation))
    })
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

/// Rows of a body or an answer: one for each media type.
fn media<'a>(of: &'a Value, name: &'a str) -> impl Iterator<Item = [String; 3]> + 'a {
    members(&of["content"]).map(move |(media, content)| {
        let about = text(&of["description"]);
        let name = format!("{} <small>{}</small>", escape(name), escape(media));
        [name, kind(&content["schema"]), about]
    })
}

/// Adds rows of the members of `schema`, and of the parts that it consists of.
fn properties(schema: &Value, rows: &mut Vec<[String; 3]>) {
    for (name, of) in members(&schema["properties"]) {
        let required = schema["required"].as_array();
        let needed = mark(required.is_some_and(|all| all.iter().any(|one| one == name)));
        let about = ["/description", "/oneOf/0/description"];
        let about = about.iter().find_map(|at| of.pointer(at));
        let about = about.map(text).unwrap_or_default();
        rows.push([format!("{}{needed}", escape(name)), kind(of), about]);
    }
    for part in parts(schema) {
        properties(part, rows);
    }
}

fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["allOf", "oneOf", "anyOf"].map(|key| schema[key].as_array());
    lists.into_iter().flatten().flatten()
}

/// Describes the values of `schema`, with links to the schemas that it names.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = escape(name.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words
            .iter()
            .map(|word| format!("<code>{}</code>", text(word)));
        return words.collect::<Vec<_>>().join(" ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        Value::String(one) => vec![escape(one)],
        _ => Vec::new(),
    };
    let items = || format!("list of {}", kind(&schema["items"]));
    let kinds = types
        .into_iter()
        .map(|of| if of == "array" { items() } else { of });
    let kinds: Vec<_> = kinds.chain(parts(schema).map(kind)).collect();
    kinds.join(" or ")
}

fn table(page: &mut String, title: &str, rows: impl IntoIterator<Item = [String; 3]>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(
        page,
        "<div tabindex=\"0\"><table><caption>{title}</caption>"
    );
    for [name, kind, about] in rows {
        let _ = write!(
            page,
            "<tr><th scope=\"row\">{name}</th><td>{kind}</td><td>{about}</td></tr>"
        );
    }
    page.push_str("</table></div>");
}

fn mark(required: bool) -> &'static str {
    if required {
        "<b title=\"required\">*</b>"
    } else {
        ""
    }
}

fn paragraphs(value: &Value) -> String {
    let all = text(value);
    let all = all.split("\n\n").filter(|text| !text.is_empty());
    all.flat_map(|text| ["<p>", text, "</p>"]).collect()
}

/// Renders text; what stands between backticks is code.
fn text(value: &Value) -> String {
    let escaped = escape(value.as_str().unwrap_or_default());
    let parts = escaped.split('`').enumerate();
    let part = |(place, part): (usize, &str)| match place % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    };
    parts.map(part).collect()
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::openapi;

    #[test]
    fn the_page_shows_every_operation_and_each_link_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        let page = render(&document);
        let mut count = 0;
        for (path, _, operation) in operations_of(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{path}");
            count += 1;
        }
        assert!(count > 20);
        // In an example it is as it is answered.
        let mut texts = page.split("<pre>").map(|part| part.rsplit("</pre>").next());
        assert!(
            texts.all(|text| !text.unwrap().contains('`')),
            "code is marked as such"
        );
        for link in page.split("href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }

    #[test]
    fn nothing_in_the_document_can_run() {
        let document = serde_json::json!({
            "info": {"title": "<script>x</script>", "version": "\" onclick=\"x"},
            "paths": {}
        });
        let page = render(&document);
        assert!(
            !page.contains("<script") && !page.contains("\" onclick"),
            "{page}"
        );
        let page = render(&serde_json::to_value(openapi()).unwrap());
        for word in [
            "<script",
            " style=",
            " onload",
            "javascript:",
            // An address in a text asks for nothing.
            "=\"http",
            "url(",
        ] {
            assert!(!page.contains(word), "{word}");
        }
    }
}

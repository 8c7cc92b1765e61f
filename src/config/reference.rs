//! Documents that are generated from the declaration of the configuration: the annotated file, the
//! JSON schema and the manual page. They are kept in `config/`; a test holds them current.

use std::fmt::Write as _;

use serde_json::Value as Json;

mod man_page;

pub use man_page::manual_page;

use super::schema::{Key, Nested, Section, TOP, json_schema};

/// Keys of the annotated file that are in force, so that it is a valid configuration.
const IN_FORCE: [(&str, &str, &str); 5] = [
    ("root", "name", "\"scratch\""),
    (
        "root",
        "path",
        "\"${LAPSED_EXAMPLE_DIR:-/var/tmp/lapsed-scratch}\"",
    ),
    ("rule", "name", "\"old scratch\""),
    ("rule", "root", "\"scratch\""),
    ("rule", "expire", "\"7d\""),
];

/// Renders the annotated file: every key with its reference text, its variable, and its default or
/// an example.
#[must_use]
pub fn annotated_file() -> String {
    let mut text = String::new();
    comment(&mut text, &TOP.text);
    keys(&mut text, &TOP, "");
    text
}

/// Renders the JSON schema of the file, for editors.
#[must_use]
pub fn schema_file() -> String {
    let mut schema = json_schema();
    strip(&mut schema);
    schema["title"] = "lapsed.toml".into();
    format!("{schema:#}\n")
}

/// Adds the keys of `section`; `mark` stands before the headings of its tables.
fn keys(text: &mut String, section: &Section, mark: &str) {
    for key in &section.keys {
        text.push('\n');
        match &key.nested {
            None => one(text, section, key),
            Some(Nested::Table(nested)) => {
                comment(text, &nested.text);
                let _ = writeln!(text, "{mark}[{}]", nested.name);
                keys(text, nested, mark);
            }
            Some(Nested::Tables(nested, _)) => {
                comment(text, &nested.text);
                let is_in_force = IN_FORCE.iter().any(|(name, ..)| *name == key.name);
                let mark = if is_in_force { "" } else { "#" };
                let _ = writeln!(text, "{mark}[[{}]]", nested.name);
                keys(text, nested, mark);
            }
        }
    }
}

fn one(text: &mut String, section: &Section, key: &Key) {
    comment(text, &key.text);
    if !key.kinds.is_empty() {
        let kinds: Vec<_> = key.kinds.iter().map(|kind| format!("{kind:?}")).collect();
        let _ = writeln!(text, "# Only for kind = {}.", kinds.join(" or "));
    }
    if let Some(variable) = &key.variable {
        let _ = writeln!(text, "# Variable: {variable}");
    }
    let is_it =
        |(table, name, _): &&(&str, &str, &str)| *table == section.name && *name == key.name;
    let _ = match IN_FORCE.iter().find(is_it) {
        Some((.., value)) => writeln!(text, "{} = {value}", key.name),
        None => writeln!(text, "#{} = {}", key.name, key.usual),
    };
}

fn comment(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
}

/// Turns our own properties of a schema into standard ones.
fn strip(schema: &mut Json) {
    if let Json::Object(map) = schema {
        let properties = map.get("properties").and_then(Json::as_object);
        let required = properties.into_iter().flatten();
        let required: Vec<_> = required
            .filter(|(_, key)| key["x-required"] == true)
            .map(|(name, _)| Json::from(name.as_str()))
            .collect();
        if !required.is_empty() {
            map.insert("required".to_owned(), required.into());
        }
        map.values_mut().for_each(strip);
        map.retain(|name, _| !name.starts_with("x-"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Variable with which the test writes the files.
    const UPDATE: &str = "LAPSED_UPDATE_REFERENCE";

    #[test]
    fn the_generated_files_are_current() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for (name, text) in [
            ("lapsed.toml", annotated_file()),
            ("lapsed.schema.json", schema_file()),
            ("lapsed.toml.5", manual_page()),
        ] {
            let path = dir.join(name);
            if std::env::var_os(UPDATE).is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "config/{name} is not current: {UPDATE}=1 cargo test --lib generated_files"
            );
        }
    }

    #[test]
    fn every_key_is_documented_and_has_an_example() {
        fn check(section: &Section) {
            for key in &section.keys {
                match &key.nested {
                    Some(Nested::Table(nested) | Nested::Tables(nested, _)) => {
                        assert!(!nested.text.is_empty(), "{}", nested.name);
                        check(nested);
                    }
                    None => {
                        let name = &key.name;
                        assert!(!key.text.is_empty(), "{name}");
                        assert!(!key.example.is_empty() && !key.usual.is_empty(), "{name}");
                    }
                }
            }
        }
        check(&TOP);
    }
}

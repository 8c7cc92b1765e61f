//! Keys of every section, as their declarations say, in the order of the fields.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json};

use super::super::setting::{ORDER, Table};
use super::Top;

/// Keys of the top level.
pub(in crate::config) static TOP: LazyLock<Section> =
    LazyLock::new(|| Section::of(&json_schema(), "", Some("LAPSED_")));

/// JSON schema of the file, with our own properties.
pub(in crate::config) fn json_schema() -> Json {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<Table<Top>>()
        .to_value()
}

/// A section of the file.
#[derive(Debug)]
pub(in crate::config) struct Section {
    /// Name of its table, with those of the tables around it (`http.tls`); empty for the top level.
    pub name: String,
    /// Reference text.
    pub text: String,
    /// Keys, in the order of their declaration.
    pub keys: Vec<Key>,
}

/// A key of the file.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties")]
pub(in crate::config) struct Key {
    pub name: String,
    /// Reference text.
    pub text: String,
    /// Accepted types, in the terms of JSON schema.
    types: Vec<String>,
    /// Value that counts if the key is absent.
    pub default: Option<String>,
    /// Example of a value, in TOML: the default, if no other is declared.
    pub example: String,
    /// Default in TOML: an example, if there is none.
    pub usual: String,
    /// Variable that overrides the key: settings of the service have one.
    pub variable: Option<String>,
    pub is_required: bool,
    pub is_secret: bool,
    /// True if one table may stand for a list of one.
    pub is_single: bool,
    /// True if only variables of the process apply, not those of files.
    pub is_of_process: bool,
    /// True if a table of tables may stand for the list: its keys are the names.
    pub is_named: bool,
    /// True if variables are not replaced.
    pub is_raw: bool,
    /// Kinds of sources for which the key has an effect; empty: all.
    pub kinds: Vec<String>,
    /// Section that the key holds.
    pub nested: Option<Nested>,
}

/// Section that a key holds.
#[derive(Debug)]
pub(in crate::config) enum Nested {
    /// One table.
    Table(Section),
    /// At most so many tables.
    Tables(Section, usize),
}

impl Section {
    /// Names of the keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &*key.name)
    }

    /// The key `name`, which must be declared.
    pub fn key(&self, name: &str) -> &Key {
        let found = self.keys.iter().find(|key| key.name == name);
        found.expect("invariant: the key is declared")
    }

    /// Section `name` of this one, which must be declared.
    pub fn nested(&self, name: &str) -> &Self {
        match &self.key(name).nested {
            Some(Nested::Table(section) | Nested::Tables(section, _)) => section,
            None => unreachable!("invariant: the section is declared"),
        }
    }

    /// All variables that override a key here or below.
    pub fn variables(&self) -> Vec<&str> {
        let variables = self.keys.iter().flat_map(|key| match &key.nested {
            Some(Nested::Table(section) | Nested::Tables(section, _)) => section.variables(),
            None => key.variable.iter().map(String::as_str).collect(),
        });
        variables.collect()
    }

    fn of(schema: &Json, name: &str, prefix: Option<&str>) -> Self {
        let order = schema[ORDER].as_array().into_iter().flatten();
        let names = order.filter_map(Json::as_str);
        let keys = names.map(|key| Key::of(&schema["properties"][key], key, name, prefix));
        Self {
            name: name.to_owned(),
            text: string(&schema["description"]),
            keys: keys.collect(),
        }
    }
}

impl Key {
    /// Returns true if the key accepts a value of `type` in the terms of JSON schema.
    pub fn accepts(&self, kind: &str) -> bool {
        self.types.iter().any(|accepted| accepted == kind)
    }

    /// Description of the accepted types. A string is not mentioned beside a number or a boolean:
    /// it is accepted only because it may name variables.
    pub fn accepted(&self) -> String {
        let types = self.types.iter().map(String::as_str);
        let mut words: Vec<_> = types
            .map(|kind| match kind {
                "integer" | "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list of strings",
                "object" => "a table of strings",
                _ => "a string",
            })
            .collect();
        if self.accepts("integer") || self.accepts("number") || self.accepts("boolean") {
            words.retain(|word| *word != "a string");
        }
        words.join(" or ")
    }

    /// Example of a whole line.
    pub fn such_as(&self) -> String {
        format!("such as {} = {}", self.name, self.example)
    }

    fn of(schema: &Json, name: &str, outer: &str, prefix: Option<&str>) -> Self {
        let dotted = [outer, name].join(if outer.is_empty() { "" } else { "." });
        let types = strings(&schema["type"]);
        // A variable holds text, and no table.
        let is_words = types.contains(&"object".to_owned()) && schema.get("properties").is_none();
        let prefix = prefix.filter(|_| !is_words);
        let variable = prefix.map(|prefix| format!("{prefix}{}", name.to_uppercase()));
        let properties = schema.get("properties").is_some();
        let nested = if properties {
            let prefix = variable.as_ref().map(|variable| format!("{variable}_"));
            Some(Nested::Table(Section::of(
                schema,
                &dotted,
                prefix.as_deref(),
            )))
        } else if let Some(items) = schema
            .get("items")
            .filter(|items| items.get("properties").is_some())
        {
            let max = schema["maxItems"]
                .as_u64()
                .and_then(|max| usize::try_from(max).ok());
            let section = Section::of(items, &dotted, None);
            Some(Nested::Tables(section, max.unwrap_or(usize::MAX)))
        } else {
            None
        };
        let default = schema.get("default");
        let example = schema["examples"].get(0);
        Self {
            name: name.to_owned(),
            text: string(&schema["description"]),
            types,
            default: default.map(text_of),
            example: example.or(default).map(in_toml).unwrap_or_default(),
            usual: default.or(example).map(in_toml).unwrap_or_default(),
            variable,
            is_required: schema["x-required"] == true,
            is_secret: schema["x-secret"] == true,
            is_of_process: schema["x-process"] == true,
            is_single: schema["x-single"] == true,
            is_named: schema["x-named"] == true,
            is_raw: schema["x-raw"] == true,
            kinds: strings(&schema["x-kinds"]),
            nested,
        }
    }
}

fn string(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The strings of `value`, one or a list.
fn strings(value: &Json) -> Vec<String> {
    match value {
        Json::Array(list) => list.iter().map(string).collect(),
        Json::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// Text of a default, as a string in the file would say it.
fn text_of(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Formats a value in TOML, on one line.
fn in_toml(value: &Json) -> String {
    let pairs = |map: &Map<String, Json>| -> Vec<String> {
        let pair = |(word, value): (&String, &Json)| {
            format!("{} = {}", bare_or_quoted(word), in_toml(value))
        };
        map.iter().map(pair).collect()
    };
    match value {
        Json::String(text) if text.contains('\\') => format!("'{text}'"),
        Json::Object(map) => format!("{{ {} }}", pairs(map).join(", ")),
        Json::Array(list) => {
            let list: Vec<_> = list.iter().map(in_toml).collect();
            format!("[{}]", list.join(", "))
        }
        value => value.to_string(),
    }
}

/// Formats a key as TOML does.
pub(in crate::config) fn bare_or_quoted(word: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !word.is_empty() && word.chars().all(is_bare) {
        word.to_owned()
    } else {
        format!("{word:?}")
    }
}

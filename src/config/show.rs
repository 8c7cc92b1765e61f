//! Effective configuration: every setting with its value and its origin.
//!
//! **Invariant:** a secret is never shown, only its origin.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::discovery;
use super::document::Source;
use super::endpoints::read_variables;
use super::environment::Environment;
use super::error::ConfigError;
use super::load::load;
use super::reader::Reader;
use super::schema::{Key, Nested, Section, TOP, bare_or_quoted};
use super::setting::{Origin, Text};
use super::settings::{Overrides, RootIds, Settings};
use super::variables::Memory;

/// Section of the effective configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownSection {
    /// Name of its table, and true if there may be several; `None`: the top level.
    pub table: Option<(String, bool)>,
    /// Its settings, in the order of the annotated file.
    pub settings: Vec<ShownSetting>,
}

/// Setting of the effective configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownSetting {
    /// Name of the key.
    pub key: String,
    /// Value in TOML; `None`: it is a secret.
    pub value: Option<String>,
    /// `FILE:LINE`, the name of a variable or an argument, or "default".
    pub origin: String,
}

/// Returns the path of the file that is read; `None` with `--watch` alone.
///
/// # Errors
/// If there is no file, or if it cannot be read.
pub fn path_of_file(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Option<PathBuf>, ConfigError> {
    let source = discovery::required(overrides, environment)?;
    Ok(source.map(|source| source.path().to_path_buf()))
}

/// Returns the effective value and the origin of every setting that is present or has a default.
///
/// # Errors
/// As [`load()`]: only a valid configuration has an effect.
pub fn effective(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Vec<ShownSection>, ConfigError> {
    let settings = load(overrides, environment, &mut RootIds::default())?;
    let source = discovery::required(overrides, environment)?;
    let tree = source.as_ref().map(Source::parse).transpose()?;
    let mut reader = Reader::new(environment, source.as_ref(), overrides);
    read_variables(
        &mut reader,
        tree.as_ref(),
        source.as_ref(),
        &Memory::default(),
    );
    let tree = reader.tree(tree.as_ref(), None);
    let mut sections = vec![ShownSection {
        table: None,
        settings: of_service(&settings, &tree, &reader),
    }];
    add_nested(&mut sections, &TOP, (&tree, false), &reader);
    Ok(sections)
}

/// Adds the sections within `section`, of which `table` has the values; of one of several tables
/// only those that it has.
fn add_nested(
    sections: &mut Vec<ShownSection>,
    section: &Section,
    (table, is_of_many): (&Json, bool),
    reader: &Reader,
) {
    for key in &section.keys {
        let found = &table["keys"][&*key.name];
        let (nested, tables, are_many) = match &key.nested {
            Some(Nested::Table(nested)) => (nested, std::slice::from_ref(found), false),
            Some(Nested::Tables(nested, _)) => (
                nested,
                found.as_array().map_or(&[][..], Vec::as_slice),
                true,
            ),
            None => continue,
        };
        for table in tables {
            let settings = of_section(nested, table, reader);
            let is_written = |one: &ShownSetting| !is_of_many || one.origin != "default";
            if are_many || settings.iter().any(is_written) {
                sections.push(ShownSection {
                    table: Some((nested.name.clone(), are_many)),
                    settings,
                });
            }
            add_nested(sections, nested, (table, is_of_many || are_many), reader);
        }
    }
}

/// Settings of the top level. The defaults of some paths depend on the host.
fn of_service(settings: &Settings, tree: &Json, reader: &Reader) -> Vec<ShownSetting> {
    let mut shown = Vec::new();
    for (key, path) in [
        ("base_dir", &settings.base_dir),
        ("state_dir", &settings.state_dir),
        ("socket", &settings.socket),
    ] {
        let text = text(&tree["keys"][key]);
        shown.push(ShownSetting {
            key: key.to_owned(),
            value: Some(format!("{:?}", path.to_string_lossy())),
            origin: origin(text.as_ref(), reader),
        });
    }
    let rest = of_section(&TOP, tree, reader);
    let is_new = |setting: &ShownSetting| shown.iter().all(|found| found.key != setting.key);
    let rest: Vec<_> = rest.into_iter().filter(is_new).collect();
    shown.extend(rest);
    shown
}

fn of_section(section: &Section, table: &Json, reader: &Reader) -> Vec<ShownSetting> {
    let keys = section.keys.iter().filter(|key| key.nested.is_none());
    let shown = keys.filter_map(|key| {
        let found = table["keys"].get(&*key.name)?;
        let first = match found {
            Json::Array(list) => list.first(),
            Json::Object(map) if key.accepts("object") => map.values().next(),
            _ => Some(found),
        };
        Some(ShownSetting {
            key: key.name.clone(),
            value: (!key.is_secret).then(|| in_toml(key, found)),
            origin: origin(first.and_then(text).as_ref(), reader),
        })
    });
    shown.collect()
}

fn text(found: &Json) -> Option<Text> {
    serde_json::from_value(found.clone()).ok()
}

fn origin(text: Option<&Text>, reader: &Reader) -> String {
    match text.map(|text| &text.origin) {
        None | Some(Origin::Default) => "default".to_owned(),
        Some(Origin::Argument(name) | Origin::Variable(name)) => name.clone(),
        Some(Origin::Line(line)) => reader.location_of_line(Some(*line)).unwrap_or_default(),
    }
}

/// Formats the value of `key` in TOML.
fn in_toml(key: &Key, found: &Json) -> String {
    let one = |found: &Json| -> String {
        let value = found["value"].as_str().unwrap_or_default();
        let is_bare = |kind: &str| match kind {
            "boolean" => value.parse::<bool>().is_ok(),
            _ => value.parse::<f64>().is_ok(),
        };
        let kinds = ["boolean", "integer", "number"];
        if kinds.iter().any(|kind| key.accepts(kind) && is_bare(kind)) {
            value.to_owned()
        } else {
            format!("{value:?}")
        }
    };
    let pairs = |map: &Map<String, Json>| -> Vec<String> {
        let pairs = map.iter();
        pairs
            .map(|(word, value)| format!("{} = {}", bare_or_quoted(word), one(value)))
            .collect()
    };
    match found {
        Json::Array(list) if list.len() == 1 => one(&list[0]),
        Json::Array(list) => {
            let list: Vec<_> = list.iter().map(one).collect();
            format!("[{}]", list.join(", "))
        }
        Json::Object(map) if key.accepts("object") => format!("{{ {} }}", pairs(map).join(", ")),
        found => one(found),
    }
}

//! Tree of texts that the schema declares, from the file, the variables and the command line.
//!
//! Every value becomes text first and is then parsed, whatever its origin. [`deserialize`] turns
//! the tree into the sections.
//!
//! **Invariant:** the tree has only declared keys, and values of accepted types. What does not fit
//! has been reported.
//!
//! [`deserialize`]: super::setting::deserialize

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Problem, Refusal, allowed};
use super::interpolate::interpolate;
use super::reader::Reader;
use super::schema::{Key, Nested, Section, TOP, bare_or_quoted};
use super::setting::{EVERY, Origin, Text, with_heading};
use super::value;
use super::variables::Variables;

/// A table of the file, or the lack of one.
#[derive(Clone)]
struct Body<'d> {
    /// See [`super::setting::Table::heading`].
    heading: String,
    table: Option<&'d DeTable<'d>>,
    /// Offset of its start in the file.
    offset: usize,
}

impl Reader<'_> {
    /// Builds the tree of the keys in `only` of the top level, or of all.
    pub(super) fn tree(&mut self, file: Option<&Spanned<DeTable>>, only: Option<&[&str]>) -> Json {
        let body = Body {
            heading: String::new(),
            table: file.map(Spanned::get_ref),
            offset: 0,
        };
        self.section(&TOP, body, only)
    }

    /// Builds the tree of a [`super::setting::Table`].
    fn section(&mut self, section: &Section, mut body: Body, only: Option<&[&str]>) -> Json {
        let mut keys = Map::new();
        for key in &section.keys {
            if only.is_some_and(|only| !only.contains(&&*key.name)) {
                continue;
            }
            let found = body.table.and_then(|table| table.get(&*key.name));
            let value = match &key.nested {
                None => self.key(key, &body, found),
                Some(Nested::Table(nested)) => Some(self.nested(key, nested, found)),
                Some(Nested::Tables(nested, max)) => {
                    found.map(|found| self.tables(key, nested, *max, found))
                }
            };
            if let Some(text) = value.as_ref().filter(|_| key.name == "name") {
                let name = text["value"].as_str();
                if let Some(name) = name.filter(|name| value::name(name).is_ok()) {
                    body.heading = format!("[[{}]] {name:?}", section.name);
                }
            }
            keys.extend(value.map(|value| (key.name.clone(), value)));
        }
        let given = body.table.into_iter().flat_map(|table| table.keys());
        let given: BTreeMap<&str, usize> = given
            .map(|key| (&**key.get_ref(), self.line(key.span().start)))
            .collect();
        if only.is_none() {
            for (key, &line) in given
                .iter()
                .filter(|(key, _)| section.names().all(|name| name != **key))
            {
                self.note(Problem {
                    line: Some(line),
                    message: with_heading(&body.heading, &format!("unknown key \"{key}\"")),
                    hint: Some(allowed(section.names(), key)),
                });
            }
        }
        let line = body.table.map(|_| self.line(body.offset));
        serde_json::json!({ "heading": body.heading, "line": line, "given": given, "keys": keys })
    }

    fn nested(&mut self, key: &Key, section: &Section, found: Option<&Spanned<DeValue>>) -> Json {
        let table = found.and_then(|found| found.get_ref().as_table());
        if let Some(found) = found.filter(|_| table.is_none()) {
            self.note(Problem {
                line: Some(self.line(found.span().start)),
                message: format!("{} = {} is not a table", key.name, show(found.get_ref())),
                hint: Some(format!(
                    "write [{}], and its keys on the lines below it",
                    section.name
                )),
            });
        }
        let body = Body {
            heading: format!("[{}]", section.name),
            table,
            offset: found.map_or(0, |found| found.span().start),
        };
        self.section(section, body, None)
    }

    fn tables(
        &mut self,
        key: &Key,
        section: &Section,
        max: usize,
        found: &Spanned<DeValue>,
    ) -> Json {
        let name = &section.name;
        let list = match found.get_ref() {
            DeValue::Table(table) if key.is_named => return self.named(section, max, table),
            DeValue::Array(list) => &**list,
            DeValue::Table(_) if key.is_single => std::slice::from_ref(found),
            _ => {
                self.note(self.not_a_table(name, found));
                return Json::Array(Vec::new());
            }
        };
        if let Some(excess) = list.get(max) {
            self.note(Problem {
                line: Some(self.line(excess.span().start)),
                message: format!("{} {name}s, but the limit is {max}", list.len()),
                hint: None,
            });
            return Json::Array(Vec::new());
        }
        let mut tables = Vec::new();
        for (value, number) in list.iter().zip(1..) {
            if let Some(table) = value.get_ref().as_table() {
                let heading = format!("[[{name}]] {number}");
                let offset = value.span().start;
                let body = Body {
                    heading,
                    table: Some(table),
                    offset,
                };
                tables.push(self.section(section, body, None));
            } else {
                self.note(self.not_a_table(name, value));
            }
        }
        Json::Array(tables)
    }

    /// Builds the tree of a list that is written as a table of tables.
    fn named(&mut self, section: &Section, max: usize, table: &DeTable) -> Json {
        let name = &section.name;
        let tables = table.iter().take(max).filter_map(|(word, value)| {
            let offset = value.span().start;
            let body = Body {
                heading: format!("[{name}.{}]", bare_or_quoted(word.get_ref())),
                table: value.get_ref().as_table(),
                offset,
            };
            if body.table.is_none() {
                let problem = self.not_a_table(&format!("{name}.{}", word.get_ref()), value);
                self.note(problem);
                return None;
            }
            let text = self.text(&body, "its name", offset);
            let mut tree_of_one = self.section(section, body, None);
            tree_of_one["keys"]["name"] = tree(&Text {
                value: Some(word.get_ref().to_string()),
                ..text
            });
            Some(tree_of_one)
        });
        let tables: Vec<_> = tables.collect();
        if table.len() > max {
            let message = format!("{} {name}, but the limit is {max}", table.len());
            self.note(Problem::of_process(message));
        }
        Json::Array(tables)
    }

    fn not_a_table(&self, name: &str, found: &Spanned<DeValue>) -> Problem {
        let how = if found.get_ref().is_table() {
            " with two brackets: there may be several"
        } else {
            ", and its keys on the lines below it"
        };
        Problem {
            line: Some(self.line(found.span().start)),
            message: format!("{name} = {} is not a list of tables", show(found.get_ref())),
            hint: Some(format!("write [[{name}]]{how}")),
        }
    }

    /// Builds the tree of a key's value: from the command line, its variable, the file, or its
    /// default, in this order.
    fn key(&mut self, key: &Key, body: &Body, found: Option<&Spanned<DeValue>>) -> Option<Json> {
        let text = if let Some(text) = self.process(key) {
            if key.accepts("array") {
                return Some(text.split().iter().map(tree).collect());
            }
            text
        } else if let Some(found) = found {
            return Some(self.value(key, body, found));
        } else if let Some(default) = &key.default {
            Text {
                value: Some(default.clone()),
                origin: Origin::Default,
                template: None,
                shown: with_heading(&body.heading, &format!("{} = {default:?}", key.name)),
            }
        } else {
            if key.is_required {
                self.note(Problem {
                    line: body.table.map(|_| self.line(body.offset)),
                    message: with_heading(&body.heading, &format!("{} is missing", key.name)),
                    hint: Some(key.such_as()),
                });
            }
            return None;
        };
        Some(tree(&text))
    }

    /// Text of `key` on the command line or in its variable.
    fn process(&mut self, key: &Key) -> Option<Text> {
        let name = key.variable.as_deref()?;
        if let Some(text) = self.arguments.get(name) {
            return Some(text.clone());
        }
        let value = self.environment.set(name)?;
        let text = Text::variable(name, &value.to_string_lossy());
        if value.to_str().is_some() {
            return Some(text);
        }
        self.note(Problem::of_process(format!("{name} is not UTF-8")));
        Some(Text {
            value: None,
            ..text
        })
    }

    /// Builds the tree of a key's value in the file.
    fn value(&mut self, key: &Key, body: &Body, found: &Spanned<DeValue>) -> Json {
        let accepted = key.accepted();
        let empty = |reader: &mut Self, what: &str| {
            let text = reader.text(body, &format!("{} = {what}", key.name), found.span().start);
            let hint = format!("omit {}, or write {}", key.name, key.such_as());
            let reason = if what == "[]" {
                "is an empty list"
            } else {
                "is an empty table"
            };
            reader.note(text.refuse(Refusal::new(reason).hint(hint)));
            tree(&text)
        };
        match found.get_ref() {
            DeValue::Array(list) if key.accepts("array") => {
                if list.is_empty() {
                    return Json::Array(vec![empty(self, "[]")]);
                }
                let texts = list.iter();
                texts
                    .map(|value| self.scalar(key, body, &key.name, value, &accepted))
                    .collect()
            }
            DeValue::Table(table) if key.accepts("object") => {
                if table.is_empty() {
                    return Json::from_iter([(EVERY.to_owned(), empty(self, "{}"))]);
                }
                let texts = table.iter().map(|(word, value)| {
                    let word: &str = word.get_ref();
                    let written = format!("{}.{}", key.name, bare_or_quoted(word));
                    let text = self.scalar(key, body, &written, value, "a string");
                    (word.to_owned(), text)
                });
                Json::Object(texts.collect())
            }
            _ => {
                let text = self.scalar(key, body, &key.name, found, &accepted);
                if key.accepts("array") {
                    Json::Array(vec![text])
                } else if key.accepts("object") {
                    Json::from_iter([(EVERY.to_owned(), text)])
                } else {
                    text
                }
            }
        }
    }

    /// Builds the tree of one text: a value of `key`, or of an entry of its list or table. Messages
    /// call it `written`; `accepted` says what is accepted.
    fn scalar(
        &mut self,
        key: &Key,
        body: &Body,
        written: &str,
        value: &Spanned<DeValue>,
        accepted: &str,
    ) -> Json {
        let found = show(value.get_ref());
        let shown = if key.is_secret || key.is_raw {
            written.to_owned()
        } else {
            format!("{written} = {found}")
        };
        let mut text = self.text(body, &shown, value.span().start);
        let is_number = key.accepts("integer") || key.accepts("number");
        let kind = match value.get_ref() {
            DeValue::String(string) if key.is_raw => {
                text.value = Some(string.to_string());
                return tree(&text);
            }
            DeValue::String(string) if accepted != "a table of strings" => {
                let shown = with_heading(&body.heading, written);
                self.interpolate(&mut text, key, string, &shown);
                return tree(&text);
            }
            DeValue::Integer(number) if is_number => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                text.value = Some(decimal.map_or(found, |number| number.to_string()));
                return tree(&text);
            }
            DeValue::Float(_) if is_number => {
                text.value = Some(found);
                return tree(&text);
            }
            DeValue::Boolean(_) if key.accepts("boolean") => {
                text.value = Some(found);
                return tree(&text);
            }
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let reason = format!("is {kind}, but must be {accepted}");
        self.note(text.refuse(Refusal::new(reason).hint(key.such_as())));
        tree(&text)
    }

    /// Replaces the variables in `written`. A message must show the value that is wrong: the file
    /// shows what was written. `shown` is the key with its heading.
    fn interpolate(&mut self, text: &mut Text, key: &Key, written: &str, shown: &str) {
        let referred = &mut self.referred;
        let of_process = Variables::of_process(self.environment);
        let variables = if key.is_of_process {
            &of_process
        } else {
            &self.variables
        };
        let mut has_variables = false;
        let found = interpolate(written, variables, &mut |name| {
            has_variables = true;
            referred.insert(name.to_owned());
        });
        text.template = has_variables.then(|| written.to_owned());
        let found = found.and_then(|found| {
            if !key.is_secret && found != written {
                text.shown = format!("{shown} = {found:?} (from {written:?})");
            }
            value::without_nul(&found).map(|()| found)
        });
        text.value = self.take(found.map_err(|refusal| text.refuse(refusal)));
    }

    /// Text without a value.
    fn text(&self, body: &Body, shown: &str, offset: usize) -> Text {
        Text {
            value: None,
            origin: Origin::Line(self.line(offset)),
            template: None,
            shown: with_heading(&body.heading, shown),
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.source.map_or(0, |source| source.line(offset))
    }
}

fn tree(text: &Text) -> Json {
    serde_json::to_value(text).expect("invariant: a text has only strings and numbers")
}

/// Formats a value for messages.
fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "[…]".into(),
        DeValue::Table(_) => "{…}".into(),
    }
}

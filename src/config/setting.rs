//! Values of the configuration: text with its origin, and what it was parsed into.
//!
//! Deserialization of a [`Value`] never fails, so that one pass finds all mistakes: a refusal is
//! kept aside, and [`deserialize`] returns it beside the sections.
//!
//! **Invariant:** if a value is present and was not parsed, a problem has been reported.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::{Problem, Refusal, allowed};
use super::resolve::tidy;

/// Property of a schema: the names of its fields, in their order.
pub(super) const ORDER: &str = "x-order";

/// Word of a single string where a table of strings is accepted, too.
pub(super) const EVERY: &str = "*";

/// Type of a value.
pub(super) trait Setting: Sized {
    /// Accepted types, in the terms of JSON schema. A string is always accepted, since it may name
    /// variables.
    const TYPES: &'static [&'static str] = &["string"];

    /// True if variables are not replaced in its text.
    const IS_RAW: bool = false;

    /// Words that are allowed, if there are few.
    fn words() -> Vec<&'static str> {
        Vec::new()
    }

    /// Parses the text of a value.
    fn parse(text: &str) -> Result<Self, Refusal>;
}

/// Type of a value that is one of a few words.
pub(super) trait Choice: Copy + 'static {
    /// Allowed words, with their meanings.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Choice> Setting for T {
    fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|&(word, _)| word).collect()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        choice(Self::WORDS, text)
    }
}

/// Parses one of the given words.
pub(super) fn choice<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, Refusal> {
    let text = text.trim();
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|&(_, value)| value).ok_or_else(|| {
        Refusal::new("is an unknown value").hint(allowed(words.iter().map(|&(word, _)| word), text))
    })
}

/// Origin of a value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Origin {
    /// The default of its key.
    Default,
    /// The command line.
    Argument(String),
    /// A variable.
    Variable(String),
    /// A line of the file, from 1.
    Line(usize),
}

/// Value as text, with its origin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Text {
    /// Text with its variables replaced; `None`: a problem has been reported for it.
    pub value: Option<String>,
    pub origin: Origin,
    /// Text of the file, if it holds variables.
    pub template: Option<String>,
    /// Form in messages: `[[rule]] "old results": expire = "90"`, `LAPSED_GROUP = "x"`, `--socket
    /// "x"`.
    pub shown: String,
}

impl Text {
    /// Value of argument `name` of the command line.
    pub fn argument(name: &str, text: &str) -> Self {
        Self {
            value: Some(text.to_owned()),
            origin: Origin::Argument(name.to_owned()),
            template: None,
            shown: format!("{name} {text:?}"),
        }
    }

    /// Value of a variable.
    pub fn variable(name: &str, text: &str) -> Self {
        Self {
            value: Some(text.to_owned()),
            origin: Origin::Variable(name.to_owned()),
            template: None,
            shown: format!("{name} = {text:?}"),
        }
    }

    /// Returns the parts of a list of the process, which commas separate.
    pub fn split(&self) -> Vec<Self> {
        let parts = self.value.iter().flat_map(|value| value.split(','));
        let part = |part: &str| match &self.origin {
            Origin::Argument(name) => Self::argument(name, part.trim()),
            Origin::Variable(_) | Origin::Default | Origin::Line(_) => Self {
                value: Some(part.trim().to_owned()),
                ..self.clone()
            },
        };
        parts.map(part).collect()
    }

    /// Text with its variables replaced; empty if a problem has been reported for it.
    pub fn as_str(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    /// Line of the file; `None`: the text is from elsewhere.
    pub fn line(&self) -> Option<usize> {
        match self.origin {
            Origin::Line(line) => Some(line),
            Origin::Default | Origin::Argument(_) | Origin::Variable(_) => None,
        }
    }

    /// Turns a refusal of this text into a problem.
    pub fn refuse(&self, refusal: Refusal) -> Problem {
        Problem {
            line: self.line(),
            message: format!("{} {}", self.shown, refusal.reason),
            hint: refusal.hint,
        }
    }

    /// Returns `path`, which this text names, as an absolute, tidy one; a relative path is below
    /// `base`.
    pub fn path_below(&self, path: &Path, base: Option<&Path>) -> Result<PathBuf, Problem> {
        match base {
            _ if path.is_absolute() => Ok(tidy(path)),
            Some(base) => Ok(tidy(&base.join(path))),
            None => Err(self.refuse(
                Refusal::new("is relative, and the current directory is gone")
                    .hint("write an absolute path"),
            )),
        }
    }
}

/// Value of a key, which may be absent.
#[derive(Debug)]
pub(super) struct Value<T> {
    text: Option<Text>,
    parsed: Option<T>,
}

impl<T> Default for Value<T> {
    fn default() -> Self {
        Self {
            text: None,
            parsed: None,
        }
    }
}

impl<T> Value<T> {
    /// The value; `None` if it is absent or was refused.
    pub fn get(&self) -> Option<&T> {
        self.parsed.as_ref()
    }

    /// The value, which has a default and was not refused.
    pub fn valid(&self) -> &T {
        self.get()
            .expect("invariant: a configuration with a problem never comes so far")
    }

    /// The text of the value, refused or not; `None` if the value is absent.
    pub fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    /// The text and the value; `None` if it is absent or was refused.
    pub fn both(&self) -> Option<(&Text, &T)> {
        self.text.as_ref().zip(self.parsed.as_ref())
    }

    /// Returns true if the value is present, by itself or by its default, refused or not.
    pub fn is_present(&self) -> bool {
        self.text.is_some()
    }
}

impl<'de, T: Setting> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let parsed = text.value.as_deref().map(T::parse);
        let parsed = parsed.and_then(|parsed| {
            parsed
                .map_err(|refusal| REFUSED.with_borrow_mut(|list| list.push(text.refuse(refusal))))
                .ok()
        });
        Ok(Self {
            text: Some(text),
            parsed,
        })
    }
}

/// Values of a key that accepts one string or a list of strings.
#[derive(Debug, Deserialize)]
#[serde(transparent, bound = "T: Setting")]
pub(super) struct Values<T>(Vec<Value<T>>);

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Values<T> {
    /// Returns true if the key is present, whatever its value.
    pub fn is_present(&self) -> bool {
        !self.0.is_empty()
    }

    /// All values, each with its text; `None` if the key is absent, or any value was refused.
    pub fn all(&self) -> Option<Vec<(&Text, &T)>> {
        let all: Option<Vec<_>> = self.0.iter().map(Value::both).collect();
        all.filter(|all| !all.is_empty())
    }

    /// First text, for a problem of all values.
    pub fn text(&self) -> Option<&Text> {
        self.0.first()?.text()
    }

    /// Values, `None` for each that was refused.
    pub fn iter(&self) -> impl Iterator<Item = Option<&T>> {
        self.0.iter().map(Value::get)
    }
}

/// Table of strings: the user's words, and their meanings. Words are taken as they are written;
/// only their meanings may name variables.
#[derive(Debug, Deserialize)]
#[serde(transparent, bound = "T: Setting")]
pub(super) struct Words<T>(BTreeMap<String, Value<T>>);

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Words<T> {
    /// Text of the first meaning; `None` if the key is absent.
    pub fn text(&self) -> Option<&Text> {
        self.0.values().next()?.text()
    }

    /// Words with the texts of their meanings and these, without those that were refused.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Text, &T)> {
        self.0.iter().filter_map(|(word, value)| {
            let (text, value) = value.both()?;
            Some((&**word, text, value))
        })
    }
}

/// Section of the file, with its location.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Table<T> {
    /// Heading in messages: `[watch]`, `[[rule]] "old results"`; empty for the top level.
    pub heading: String,
    /// Line at which the table starts; `None` if the file does not have it.
    pub line: Option<usize>,
    /// Keys that the file has, with their lines.
    pub given: BTreeMap<String, usize>,
    keys: T,
}

impl<T> Deref for Table<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.keys
    }
}

impl<T> Table<T> {
    /// Problem of the table as a whole.
    pub fn problem(&self, message: &str) -> Problem {
        Problem {
            line: self.line,
            message: with_heading(&self.heading, message),
            hint: None,
        }
    }
}

/// Prefixes `text` with the heading of its section, for messages.
pub(super) fn with_heading(heading: &str, text: &str) -> String {
    if heading.is_empty() {
        text.to_owned()
    } else {
        format!("{heading}: {text}")
    }
}

thread_local! {
    /// Refusals of the deserialization that runs. `Deserialize` takes no argument for them.
    static REFUSED: RefCell<Vec<Problem>> = const { RefCell::new(Vec::new()) };
}

/// Deserializes a tree that was built after the schema of `T`, and returns all refusals.
pub(super) fn deserialize<T: DeserializeOwned>(tree: serde_json::Value) -> (T, Vec<Problem>) {
    REFUSED.take();
    let found = serde_json::from_value(tree).expect("invariant: the tree follows the schema");
    (found, REFUSED.take())
}

/// Implements `JsonSchema` for a generic type by the schema that a function returns.
macro_rules! inline_schema {
    ($type:ident, $($bound:ident)|+, $schema:expr) => {
        impl<T: $($bound +)+> JsonSchema for $type<T> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                $schema(generator)
            }
        }
    };
}

inline_schema!(Value, Setting, |_: &mut SchemaGenerator| value_schema::<T>(
));
inline_schema!(Values, Setting, |_: &mut SchemaGenerator| json_schema!({
    "type": ["string", "array"], "items": value_schema::<T>(), "minItems": 1,
}));
inline_schema!(Words, Setting, |_: &mut SchemaGenerator| json_schema!({
    "type": "object", "additionalProperties": value_schema::<T>(), "minProperties": 1,
    "x-raw": T::IS_RAW,
}));
inline_schema!(
    Table,
    JsonSchema | DeserializeOwned,
    |generator: &mut SchemaGenerator| {
        let mut schema = T::json_schema(generator);
        let mut fields: &'static [&'static str] = &[];
        // The error is that nothing was deserialized.
        let _ = T::deserialize(FieldNames(&mut fields));
        schema.insert(ORDER.into(), fields.into());
        schema
    }
);

fn value_schema<T: Setting>() -> Schema {
    let mut schema = json_schema!({ "type": T::TYPES });
    if T::IS_RAW {
        schema.insert("x-raw".into(), true.into());
    }
    let words = T::words();
    if !words.is_empty() {
        let variables = serde_json::json!({ "pattern": r"\$\{" });
        schema.insert(
            "anyOf".into(),
            serde_json::json!([{ "enum": words }, variables]),
        );
    }
    schema
}

/// Deserializer that only takes the names of the fields: a JSON schema has them out of order.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = serde_json::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("only the names of fields are read"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

//! Parameters of commands and endpoints: from flags, a query, or a body.
//!
//! **Invariant:** a parameter that is not understood, not known, or given twice with different
//! values is a fault, and nothing is carried out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Number, Value as Json};

use super::log_line::LogLevel;
use super::operation::Operation;

/// Characters of a value that a message shows.
const SHOWN_MAX: usize = 100;

/// A declared parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    /// Its name, in a query or a body; in flags with dashes.
    pub name: String,
    /// Type.
    pub kind: ParamKind,
    /// Value where none is given; null: none.
    pub default: Json,
    /// Least value of a number.
    pub min: Option<f64>,
    /// Greatest value of a number.
    pub max: Option<f64>,
    /// Words for people.
    pub help: String,
    /// Short flag.
    pub short: Option<char>,
    /// Places that it may be given in.
    pub places: Vec<Place>,
    /// Effect beside its value.
    pub effect: Option<ParamEffect>,
}

/// Type of a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParamKind {
    /// True or false.
    Bool,
    /// A flag: true where it is given.
    Flag,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Text.
    String,
    /// One of these words.
    Choice(Vec<String>),
    /// A path.
    Path,
}

/// Place in which a parameter is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, strum::VariantArray)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The command line.
    Flag,
    /// The query of a URL.
    Query,
    /// The body of a request.
    Body,
}

/// Effect of a parameter that is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParamEffect {
    /// Another operation is carried out.
    Operation(Operation),
    /// The output is JSON.
    Json,
    /// The log has more.
    Level(LogLevel),
    /// A setting of this run is the value.
    Setting(ParamSetting),
}

/// Key of the configuration that a parameter is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParamSetting {
    /// `base_dir`.
    BaseDir,
    /// The path of the root of this name.
    RootPath(String),
}

/// Values of the parameters by name; null for those that are not given and have no default.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, Json>);

/// A parameter that cannot be taken.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// Its place.
    #[serde(rename = "where")]
    pub place: Place,
    /// Its value.
    pub given: Json,
    /// Stable code.
    pub code: &'static str,
    /// Description.
    pub message: String,
}

impl Params {
    /// Reads what is `given` of `declared`.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(
        declared: &[Param],
        given: impl IntoIterator<Item = (Place, String, Json)>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut values: BTreeMap<String, Json> = BTreeMap::new();
        for (place, name, given) in given {
            let found = declared.iter().find(|param| param.name == name);
            let value = match found {
                Some(param) if param.places.contains(&place) => param.parse(place, &given),
                Some(_) | None => {
                    let known = declared
                        .iter()
                        .filter(|param| param.places.contains(&place));
                    let known: Vec<&str> = known.map(|param| &*param.name).collect();
                    let hint = match known.as_slice() {
                        [] => "there is none".to_owned(),
                        known => format!("known: {}", known.join(", ")),
                    };
                    Err((
                        "unknown",
                        format!("there is no parameter of that name; {hint}"),
                    ))
                }
            };
            let value = match value {
                // The same as absent.
                Ok(Json::Null) => continue,
                Ok(value) if values.get(&name).is_some_and(|known| *known != value) => Err((
                    "contradiction",
                    "is given twice, with different values".to_owned(),
                )),
                other => other,
            };
            match value {
                Ok(value) => {
                    values.insert(name, value);
                }
                Err((code, message)) => faults.push(Fault {
                    name: shown(&name),
                    place,
                    given,
                    code,
                    message,
                }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        for param in declared {
            let default = || param.default.clone();
            values.entry(param.name.clone()).or_insert_with(default);
        }
        Ok(Self(values))
    }

    /// The value of `name`; null if it was not given and has no default.
    #[must_use]
    pub fn get(&self, name: &str) -> &Json {
        self.0.get(name).unwrap_or(&Json::Null)
    }

    /// Effects of `declared` that are wanted, with the values.
    pub fn effects<'a>(
        &'a self,
        declared: &'a [Param],
    ) -> impl Iterator<Item = (&'a ParamEffect, &'a Json)> {
        let settings = self.given(declared);
        settings.filter_map(|(param, value)| Some((param.effect.as_ref()?, value)))
    }

    /// Settings that are given, each with its flag and its value.
    pub fn settings<'a>(
        &'a self,
        declared: &'a [Param],
    ) -> impl Iterator<Item = (&'a ParamSetting, String, &'a str)> {
        self.given(declared).filter_map(|(param, value)| {
            let Some(ParamEffect::Setting(setting)) = &param.effect else {
                return None;
            };
            Some((setting, format!("--{}", param.flag()), value.as_str()?))
        })
    }

    /// Those of `declared` that are given, with their values.
    fn given<'a>(&'a self, declared: &'a [Param]) -> impl Iterator<Item = (&'a Param, &'a Json)> {
        let values = declared.iter().map(|param| (param, self.get(&param.name)));
        values.filter(|(_, value)| !matches!(value, Json::Null | Json::Bool(false)))
    }
}

type Refusal = (&'static str, String);

impl Param {
    /// The flag of the command line, without its dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Returns true if its flag takes no value.
    #[must_use]
    pub const fn is_switch(&self) -> bool {
        matches!(self.kind, ParamKind::Bool | ParamKind::Flag)
    }

    /// Parses a value: text from a flag or a query, or JSON from a body.
    ///
    /// # Errors
    /// A code and a description.
    pub fn parse(&self, place: Place, given: &Json) -> Result<Json, Refusal> {
        let given = match (place, given) {
            (Place::Flag | Place::Query, Json::String(text)) if text.contains('\0') => {
                return Err(("value_error", "has a NUL byte".to_owned()));
            }
            (_, given) => given,
        };
        match &self.kind {
            ParamKind::Bool | ParamKind::Flag => boolean(given),
            ParamKind::Integer => self.within(integer(given)?),
            ParamKind::Number => self.within(number(given)?),
            ParamKind::String | ParamKind::Path => match given {
                Json::String(_) | Json::Null => Ok(given.clone()),
                _ => Err(("string_type", "is not a string".to_owned())),
            },
            ParamKind::Choice(words) => match given {
                Json::Null => Ok(Json::Null),
                Json::String(word) if words.contains(word) => Ok(given.clone()),
                _ => Err(("enum", format!("is none of {}", words.join(", ")))),
            },
        }
    }

    fn within(&self, value: Json) -> Result<Json, Refusal> {
        let Some(number) = value.as_f64() else {
            return Ok(value);
        };
        if let Some(min) = self.min.filter(|min| number < *min) {
            return Err(("greater_than_equal", format!("is less than {min}")));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            return Err(("less_than_equal", format!("is greater than {max}")));
        }
        Ok(value)
    }
}

fn boolean(given: &Json) -> Result<Json, Refusal> {
    let word = match given {
        Json::Null | Json::Bool(_) => return Ok(given.clone()),
        Json::String(text) => text.trim().to_ascii_lowercase(),
        other => other.to_string(),
    };
    match &*word {
        "true" | "1" | "yes" | "on" | "t" | "y" => Ok(Json::Bool(true)),
        "false" | "0" | "no" | "off" | "f" | "n" => Ok(Json::Bool(false)),
        _ => Err(("bool_parsing", "is neither true nor false".to_owned())),
    }
}

fn integer(given: &Json) -> Result<Json, Refusal> {
    let wrong = || ("int_parsing", "is not a whole number".to_owned());
    match given {
        Json::Null => Ok(Json::Null),
        Json::Number(number) if number.is_i64() => Ok(given.clone()),
        Json::String(text) => {
            let number: i64 = text.trim().parse().map_err(|_| wrong())?;
            Ok(number.into())
        }
        _ => Err(wrong()),
    }
}

fn number(given: &Json) -> Result<Json, Refusal> {
    let wrong = || ("float_parsing", "is not a number".to_owned());
    match given {
        Json::Null | Json::Number(_) => Ok(given.clone()),
        Json::String(text) => {
            let text = text.trim();
            if let Ok(whole) = text.parse::<i64>() {
                return Ok(whole.into());
            }
            let number = text.parse().ok().and_then(Number::from_f64);
            number.map(Json::Number).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// The beginning of a name that a client made up.
fn shown(name: &str) -> String {
    name.chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &str, kind: ParamKind) -> Param {
        Param {
            name: name.into(),
            kind,
            default: Json::Null,
            min: Some(0.0),
            max: Some(100.0),
            help: String::new(),
            short: None,
            places: vec![Place::Query, Place::Body],
            effect: None,
        }
    }

    fn declared() -> Vec<Param> {
        let dry_run = Param {
            default: false.into(),
            ..param("dry_run", ParamKind::Bool)
        };
        vec![
            dry_run,
            param("days", ParamKind::Integer),
            param("age", ParamKind::Number),
            param(
                "mode",
                ParamKind::Choice(vec!["fast".into(), "slow".into()]),
            ),
        ]
    }

    fn read(given: &[(Place, &str, Json)]) -> Result<Params, Vec<(String, &'static str)>> {
        let given = given.iter().cloned();
        Params::read(
            &declared(),
            given.map(|(place, name, value)| (place, name.to_owned(), value)),
        )
        .map_err(|faults| {
            faults
                .into_iter()
                .map(|fault| (fault.name, fault.code))
                .collect()
        })
    }

    #[test]
    fn absent_parameters_are_null_or_their_default() {
        let params = read(&[]).unwrap();
        assert_eq!(
            serde_json::json!(params),
            serde_json::json!({ "dry_run": false, "days": null, "age": null, "mode": null })
        );
    }

    #[test]
    fn texts_and_json_mean_the_same() {
        let query = |name, text: &str| (Place::Query, name, Json::from(text));
        let params = read(&[
            query("dry_run", "True"),
            query("days", "0"),
            query("age", "0.5"),
            query("mode", "slow"),
        ])
        .unwrap();
        let body = |name, value: Json| (Place::Body, name, value);
        let same = read(&[
            body("dry_run", true.into()),
            body("days", 0.into()),
            body("age", 0.5.into()),
            body("mode", "slow".into()),
        ]);
        assert_eq!(Ok(params), same);
        assert!(read(&[query("days", "7"), (Place::Body, "days", 7.into())]).is_ok());
    }

    #[test]
    fn what_cannot_be_taken_is_a_fault() {
        for (name, value, code) in [
            ("days", "x", "int_parsing"),
            ("days", "7.5", "int_parsing"),
            ("days", "-1", "greater_than_equal"),
            ("days", "101", "less_than_equal"),
            ("days", "99999999999999999999", "int_parsing"),
            ("age", "NaN", "float_parsing"),
            ("age", "1\0", "value_error"),
            ("dry_run", "", "bool_parsing"),
            ("dry_run", "maybe", "bool_parsing"),
            ("mode", "{{ 7*7 }}", "enum"),
            ("dryrun", "true", "unknown"),
        ] {
            let faults = read(&[(Place::Query, name, value.into())]).unwrap_err();
            assert_eq!(faults, [(name.to_owned(), code)], "{value}");
        }
        for value in [
            serde_json::json!([1]),
            serde_json::json!({}),
            7.5.into(),
            true.into(),
        ] {
            let faults = read(&[(Place::Body, "days", value)]).unwrap_err();
            assert_eq!(faults[0].1, "int_parsing");
        }
        let twice = read(&[
            (Place::Query, "days", "7".into()),
            (Place::Body, "days", 8.into()),
        ]);
        assert_eq!(twice.unwrap_err(), [("days".to_owned(), "contradiction")]);
        let flag = read(&[(Place::Flag, "days", "7".into())]);
        assert_eq!(flag.unwrap_err(), [("days".to_owned(), "unknown")]);
    }
}

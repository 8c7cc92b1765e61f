//! Differences between what is expected and what was rendered.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::Value as Json;

use super::ExchangeError;

/// Lines for people, one per difference.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) lines: Vec<String>,
}

impl Differences {
    /// Compares a number.
    pub(super) fn number<T: PartialEq + Display>(
        &mut self,
        name: &str,
        expected: Option<T>,
        found: Option<T>,
    ) {
        let Some(expected) = expected else { return };
        match found {
            Some(found) if found == expected => {}
            Some(found) => self.add(name, &expected, &found),
            None => self.add(name, &expected, &"nothing"),
        }
    }

    /// Compares text by lines. Line breaks around it do not count.
    pub(super) fn text(&mut self, name: &str, expected: Option<&str>, found: Option<&str>) {
        let Some(expected) = expected else { return };
        let Some(found) = found else {
            return self.add(name, &"a text", &"nothing");
        };
        let lines = |text: &str| -> Vec<String> {
            let text = text.trim_matches('\n');
            text.split('\n').map(str::to_owned).collect()
        };
        let (expected, found) = (lines(expected), lines(found));
        for number in 0..expected.len().max(found.len()) {
            let name = format!("{name}, line {}", number + 1);
            match (expected.get(number), found.get(number)) {
                (Some(expected), Some(found)) if expected == found => {}
                (Some(expected), Some(found)) => self.add(&name, &quoted(expected), &quoted(found)),
                (Some(expected), None) => self.add(&name, &quoted(expected), &"nothing"),
                (None, found) => {
                    let found = found.map_or_else(String::new, |found| quoted(found));
                    self.add(&name, &"nothing", &found);
                }
            }
        }
    }

    /// Compares JSON. Numbers are compared by value, so that 0 is 0.0.
    pub(super) fn json(
        &mut self,
        name: &'static str,
        expected: Option<&str>,
        found: Option<&Json>,
    ) -> Result<(), ExchangeError> {
        let Some(expected) = expected else {
            return Ok(());
        };
        let expected: Json = serde_json::from_str(expected)
            .map_err(|error| ExchangeError::Member(name, error.to_string()))?;
        match found {
            Some(found) => self.values(name, &expected, found),
            None => self.add(name, &expected, &"nothing"),
        }
        Ok(())
    }

    fn values(&mut self, name: &str, expected: &Json, found: &Json) {
        match (expected, found) {
            (Json::Object(one), Json::Object(two)) => {
                let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
                for key in keys {
                    let name = format!("{name}.{key}");
                    match (one.get(key), two.get(key)) {
                        (Some(expected), Some(found)) => self.values(&name, expected, found),
                        (Some(expected), None) => self.add(&name, expected, &"nothing"),
                        (None, found) => {
                            self.add(&name, &"nothing", found.unwrap_or(&Json::Null));
                        }
                    }
                }
            }
            (Json::Array(one), Json::Array(two)) if one.len() == two.len() => {
                for (number, (expected, found)) in one.iter().zip(two).enumerate() {
                    self.values(&format!("{name}[{number}]"), expected, found);
                }
            }
            (Json::Number(one), Json::Number(two)) if one.as_f64() == two.as_f64() => {}
            (one, two) if one == two => {}
            (one, two) => self.add(name, one, two),
        }
    }

    fn add(&mut self, name: &str, expected: &dyn Display, found: &dyn Display) {
        let line = format!("{name}: {expected} is expected, {found} is rendered");
        self.lines.push(line);
    }
}

fn quoted(line: &str) -> String {
    format!("{line:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(expected: &str, found: &str) -> Vec<String> {
        let mut differences = Differences::default();
        let found: Json = serde_json::from_str(found).unwrap();
        differences
            .json("answer", Some(expected), Some(&found))
            .unwrap();
        differences.lines
    }

    #[test]
    fn each_value_that_differs_is_named() {
        assert!(of(r#"{"a": 0, "b": [1]}"#, r#"{"b": [1.0], "a": 0.0}"#).is_empty());
        assert_eq!(
            of(
                r#"{"a": {"b": [1, 2]}, "c": null}"#,
                r#"{"a": {"b": [1, 3]}, "d": ""}"#
            ),
            [
                "answer.a.b[1]: 2 is expected, 3 is rendered",
                "answer.c: null is expected, nothing is rendered",
                "answer.d: nothing is expected, \"\" is rendered"
            ]
        );
        assert_eq!(of("[1]", "[1, 2]").len(), 1);
    }

    #[test]
    fn texts_are_compared_by_lines() {
        let mut differences = Differences::default();
        differences.text("text", Some("\na\nb\n"), Some("a\nc\nd"));
        assert_eq!(
            differences.lines,
            [
                "text, line 2: \"b\" is expected, \"c\" is rendered",
                "text, line 3: nothing is expected, \"d\" is rendered"
            ]
        );
        differences.text("text", None, Some("x"));
        differences.number("exit", Some(1), Some(1));
        differences.number("exit", Some(1), None);
        assert_eq!(differences.lines.len(), 3);
    }
}

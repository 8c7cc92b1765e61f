//! YAML and JSON files as flat names: `retention.successful_jobs.days`.
//!
//! Scalars are taken as they are written: `24`, `"24"` and `yes` are texts.
//!
//! **Invariant:** aliases are refused, so a small file never becomes a large one.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::super::error::Refusal;

/// Deepest nesting: configuration files of people have a few levels.
const DEPTH_MAX: usize = 32;

/// A collection that is being read.
enum Frame {
    /// Mapping under this name, and the name of the value that comes next.
    Mapping(String, Option<String>),
    /// Sequence under this name, and the place of the value that comes next.
    Sequence(String, usize),
}

/// Parses the one document in `text`. Values that are null are left out.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut values = BTreeMap::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            Refusal::new(format!("is invalid YAML: line {line}: {}", error.info()))
        })?;
        let line = span.start.line();
        let at = |reason: &str| Refusal::new(format!("{reason}: line {line}"));
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(at("has more than one document"));
                }
            }
            Event::Alias(_) => {
                return Err(at("has an alias, which is not supported").hint("write the value out"));
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let name = next_name(&mut frames).ok_or_else(|| at("has a key that is no text"))?;
                if frames.len() == DEPTH_MAX {
                    return Err(at(&format!("is nested more than {DEPTH_MAX} deep")));
                }
                frames.push(match event {
                    Event::MappingStart(..) => Frame::Mapping(name, None),
                    _ => Frame::Sequence(name, 0),
                });
            }
            Event::MappingEnd | Event::SequenceEnd => drop(frames.pop()),
            Event::Scalar(value, style, ..) => {
                if let Some(Frame::Mapping(prefix, key @ None)) = frames.last_mut() {
                    *key = Some(joined(prefix, &value));
                    continue;
                }
                let name = next_name(&mut frames).unwrap_or_default();
                let is_null = style == ScalarStyle::Plain
                    && matches!(&*value, "" | "~" | "null" | "Null" | "NULL");
                if is_null {
                    continue;
                }
                if frames.is_empty() {
                    return Err(at("is not a table of names and values"));
                }
                if values.insert(name.clone(), value.into_owned()).is_some() {
                    return Err(at(&format!("has {name:?} twice")));
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
    Ok(values)
}

/// Name of the value that begins; `None`: a key is expected.
fn next_name(frames: &mut [Frame]) -> Option<String> {
    match frames.last_mut() {
        None => Some(String::new()),
        Some(Frame::Mapping(_, key)) => key.take(),
        Some(Frame::Sequence(name, place)) => {
            *place += 1;
            Some(joined(name, &(*place - 1).to_string()))
        }
    }
}

/// Appends `key` to `name`. What cannot be in the name of a variable becomes `_`.
fn joined(name: &str, key: &str) -> String {
    let word = |c: char| {
        if c.is_ascii_alphanumeric() { c } else { '_' }
    };
    let key: String = key.chars().map(word).collect();
    if name.is_empty() {
        key
    } else {
        format!("{name}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nested_keys_become_names_with_dots() {
        let text = "# comment\nretention:\n  successful_jobs:\n    days: 7  # a week\n  failed-jobs: {hours: '012', on: yes}\n\
                    dirs: [a, \"b c\"]\nnothing: ~\nalso:\nflag: true\n";
        let found = parse(text).unwrap();
        let found: Vec<_> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(
            found,
            [
                ("dirs.0", "a"),
                ("dirs.1", "b c"),
                ("flag", "true"),
                ("retention.failed_jobs.hours", "012"),
                ("retention.failed_jobs.on", "yes"),
                ("retention.successful_jobs.days", "7"),
            ]
        );
        let json = parse("{\n\t\"a\": {\"b\": [1, null, \"x\"]}\n}").unwrap();
        assert_eq!(json["a.b.2"], "x");
        assert_eq!(json.len(), 2);
        assert_eq!(parse(""), Ok(BTreeMap::new()));
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        let deep = "[".repeat(40);
        for (text, wanted) in [
            (
                "a: &x 1\nb: *x\n",
                "has an alias, which is not supported: line 2",
            ),
            ("a: 1\n---\nb: 2\n", "has more than one document: line 2"),
            ("a: 1\na: 2\n", "has \"a\" twice: line 2"),
            ("a.b: 1\n", ""),
            ("word", "is not a table of names and values: line 1"),
            ("? [a]\n: 1\n", "has a key that is no text: line 1"),
            (&*deep, "is nested more than 32 deep: line 1"),
            ("a: [1", "is invalid YAML"),
        ] {
            match parse(text) {
                Ok(found) => assert_eq!((wanted, &*found["a_b"]), ("", "1"), "{text:?}"),
                Err(refusal) => assert!(
                    !wanted.is_empty() && refusal.reason.starts_with(wanted),
                    "{text:?}: {refusal:?}"
                ),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in "(?s)([a-c:\\-?&*{}\\[\\],'\"| \n\t#!é]){0,60}") {
            let _ = parse(&text);
        }
    }
}

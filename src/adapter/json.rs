//! JSON that a template made.
//!
//! **Invariant:** members keep the order that the template gives them.

use std::io;

use serde::Serialize;

/// Form of JSON in text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// On one line, for programs.
    Compact,
    /// Indented by two spaces, for people.
    Indented,
}

/// Drops each comma that stands before a closing bracket: templates write one behind every element.
pub(super) fn without_trailing_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_in_string = false;
    let mut is_escaped = false;
    let mut comma = None;
    for c in text.chars() {
        if is_in_string {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_in_string = !ends;
        } else if matches!(c, ']' | '}') {
            if let Some(at) = comma.take() {
                out.remove(at);
            }
        } else if c == ',' {
            comma = Some(out.len());
        } else if !c.is_ascii_whitespace() {
            comma = None;
            is_in_string = c == '"';
        }
        out.push(c);
    }
    out
}

/// Writes the JSON in `text` in this form.
///
/// # Errors
/// If it is not one value of JSON.
pub(super) fn format(text: &str, form: Form) -> serde_json::Result<String> {
    let mut out = Vec::with_capacity(text.len());
    match form {
        Form::Compact => copy(text, &mut serde_json::Serializer::new(&mut out))?,
        Form::Indented => copy(text, &mut serde_json::Serializer::pretty(&mut out))?,
    }
    String::from_utf8(out).map_err(|error| serde_json::Error::io(io::Error::other(error)))
}

fn copy<'s, S>(text: &str, serializer: &'s mut S) -> serde_json::Result<()>
where
    &'s mut S: serde::Serializer<Error = serde_json::Error>,
{
    let mut source = serde_json::Deserializer::from_str(text);
    serde_transcode::Transcoder::new(&mut source).serialize(serializer)?;
    source.end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_commas_before_a_closing_bracket_go() {
        for (text, wanted) in [
            ("[1, 2,\n]", "[1, 2\n]"),
            ("{\"a\": [ ],\n }", "{\"a\": [ ]\n }"),
            (r#"["a,]", "\",}",]"#, r#"["a,]", "\",}"]"#),
            (r#"["\\",]"#, r#"["\\"]"#),
            ("[,1]", "[,1]"),
        ] {
            assert_eq!(without_trailing_commas(text), wanted);
        }
    }

    #[test]
    fn members_keep_their_order() {
        let text = r#"{"b": 1, "a": [1.5, null], "c": {}}"#;
        let compact = format(text, Form::Compact).unwrap();
        assert_eq!(compact, r#"{"b":1,"a":[1.5,null],"c":{}}"#);
        let lines = format(text, Form::Indented).unwrap();
        assert!(lines.starts_with("{\n  \"b\": 1,\n  \"a\": [\n"), "{lines}");
        for wrong in ["", "{} {}", "{\"a\":}"] {
            assert!(format(wrong, Form::Compact).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn valid_json_stays_as_it_is(text in r"\PC*", list in proptest::collection::vec(any::<i64>(), 0..5)) {
            let json = serde_json::json!({ "text": text, "list": list }).to_string();
            prop_assert_eq!(without_trailing_commas(&json), json);
        }
    }
}

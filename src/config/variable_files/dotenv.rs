//! `.env` files, in the syntax of python-dotenv, but without its expansion of variables.
//!
//! A crate is not used: those of Rust refuse unquoted values with spaces, and expand variables.
//!
//! **Invariant:** a value is never expanded: `$` and `${…}` in it are plain text.

/// Content of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Parsed {
    /// Names with their values, in their order; a later one replaces an earlier one.
    pub values: Vec<(String, String)>,
    /// Lines that were not understood, from 1.
    pub bad_lines: Vec<usize>,
}

/// Parses `text`. A line that is not understood is skipped, as python-dotenv does.
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut rest, mut line) = (text, 1);
    loop {
        let begin = rest.trim_start();
        line += lines_in(&rest[..rest.len() - begin.len()]);
        rest = begin;
        if rest.is_empty() {
            return parsed;
        }
        let mut cursor = Cursor { rest };
        match cursor.assignment() {
            Ok(Some((name, Some(value)))) => parsed.values.push((name, value)),
            // A comment, or a name without a value, which is not set.
            Ok(_) => {}
            Err(Malformed) => {
                parsed.bad_lines.push(line);
                cursor.rest = rest;
                cursor.take_until(is_line_end);
            }
        }
        line += lines_in(&rest[..rest.len() - cursor.rest.len()]);
        rest = cursor.rest;
    }
}

/// Marker of a line that is not an assignment.
struct Malformed;

struct Cursor<'t> {
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    /// Reads a line, or several with a quoted value; `None`: it is a comment.
    fn assignment(&mut self) -> Result<Option<(String, Option<String>)>, Malformed> {
        if let Some(behind) = self.rest.strip_prefix("export") {
            let blank = behind.trim_start_matches(is_blank);
            if blank.len() < behind.len() {
                self.rest = blank;
            }
        }
        if self.rest.starts_with('#') {
            self.take_until(is_line_end);
            return Ok(None);
        }
        let name = match self.rest.strip_prefix('\'') {
            Some(quoted) => {
                let (name, rest) = quoted.split_once('\'').ok_or(Malformed)?;
                self.rest = rest;
                name
            }
            None => self.take_until(|c| c == '=' || c == '#' || c.is_whitespace()),
        };
        if name.is_empty() {
            return Err(Malformed);
        }
        self.take_until(|c| !is_blank(c));
        let value = match self.rest.strip_prefix('=') {
            None => None,
            Some(rest) => {
                self.rest = rest;
                self.take_until(|c| !is_blank(c));
                Some(self.value()?)
            }
        };
        self.end_of_line()?;
        Ok(Some((name.to_owned(), value)))
    }

    fn value(&mut self) -> Result<String, Malformed> {
        if let Some(quote @ ('\'' | '"')) = self.rest.chars().next() {
            return self.quoted(quote);
        }
        let line = self.take_until(is_line_end);
        Ok(without_comment(line).trim_end().to_owned())
    }

    /// Reads up to the closing `quote`; the value may span lines.
    fn quoted(&mut self, quote: char) -> Result<String, Malformed> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
            if c != '\\' {
                value.push(c);
                continue;
            }
            let Some((_, escaped)) = chars.next() else {
                return Err(Malformed);
            };
            match unescaped(escaped, quote) {
                Some(meant) => value.push(meant),
                None => value.extend(['\\', escaped]),
            }
        }
        Err(Malformed)
    }

    fn end_of_line(&mut self) -> Result<(), Malformed> {
        self.take_until(|c| !is_blank(c));
        if self.rest.starts_with('#') {
            self.take_until(is_line_end);
        }
        match self.rest.chars().next() {
            None => Ok(()),
            Some(c) if is_line_end(c) => Ok(()),
            Some(_) => Err(Malformed),
        }
    }

    /// Takes everything before the first character that `ends` is true for.
    fn take_until(&mut self, ends: impl Fn(char) -> bool) -> &'t str {
        let (taken, rest) = self
            .rest
            .split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Character that `\` and `c` stand for within `quote`.
fn unescaped(c: char, quote: char) -> Option<char> {
    match (quote, c) {
        (_, '\\' | '\'') | ('"', '"') => Some(c),
        ('"', 'a') => Some('\u{7}'),
        ('"', 'b') => Some('\u{8}'),
        ('"', 'f') => Some('\u{c}'),
        ('"', 'n') => Some('\n'),
        ('"', 'r') => Some('\r'),
        ('"', 't') => Some('\t'),
        ('"', 'v') => Some('\u{b}'),
        _ => None,
    }
}

/// Removes a comment: `#` behind white space.
fn without_comment(line: &str) -> &str {
    let hashes = line.match_indices('#').map(|(at, _)| at);
    let mut begins = hashes.filter(|&at| line[..at].ends_with(char::is_whitespace));
    begins.next().map_or(line, |at| &line[..at])
}

fn is_line_end(c: char) -> bool {
    c == '\n' || c == '\r'
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && !is_line_end(c)
}

fn lines_in(text: &str) -> usize {
    text.matches('\n').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, String)> {
        let parsed = parse(text);
        assert_eq!(parsed.bad_lines, [0; 0], "{text:?}");
        parsed.values
    }

    #[track_caller]
    fn assert_value(text: &str, wanted: &str) {
        assert_eq!(
            values(text),
            [("A".to_owned(), wanted.to_owned())],
            "{text:?}"
        );
    }

    #[test]
    fn values_are_those_of_python_dotenv() {
        for (text, wanted) in [
            ("A=24", "24"),
            ("A=24  # Daily", "24"),
            ("A=24\t#Daily", "24"),
            ("A=a#b", "a#b"),
            ("A=#b", "#b"),
            ("A= # b", "# b"),
            ("A=", ""),
            ("A=   ", ""),
            ("  A = b c  ", "b c"),
            ("export A=b", "b"),
            ("export  'A'=b", "b"),
            ("A='b c' # d", "b c"),
            ("A=\"b # c\"  # d", "b # c"),
            ("A='b\\'c\\n'", "b'c\\n"),
            ("A=\"b\\\"c\\n\\t\\x\"", "b\"c\n\t\\x"),
            ("A=\"b\nc\"", "b\nc"),
            ("A=b'c\"d", "b'c\"d"),
            ("A=b=c", "b=c"),
            ("\u{feff}A=b\r\n", "b"),
            ("A=b\\n", "b\\n"),
            ("A=${B} $C $(rm -rf /)", "${B} $C $(rm -rf /)"),
            ("# comment\n\n  # another\nA=b\n", "b"),
            ("A=é ü", "é ü"),
        ] {
            assert_value(text, wanted);
        }
        let several = values("A=1\r\nB=2\rC=\nA=3\nD\n");
        let several: Vec<_> = several.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(several, [("A", "1"), ("B", "2"), ("C", ""), ("A", "3")]);
    }

    #[test]
    fn lines_without_an_assignment_are_skipped() {
        for (text, lines) in [
            ("A=1\n=2\nB=3", vec![2]),
            ("A=1\nC='x' y\nB=3", vec![2]),
            ("A=1\ntwo words\nB=3", vec![2]),
            ("A=1\nC=\"open\nB=3", vec![2]),
        ] {
            let parsed = parse(text);
            assert_eq!(parsed.bad_lines, lines, "{text:?}");
            let names: Vec<_> = parsed.values.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, ["A", "B"], "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_in_quotes_comes_back(value in "(?s).{0,60}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("B=1\nA=\"{escaped}\" # c\nC=2\n");
            let wanted = [("B", "1"), ("A", &value), ("C", "2")];
            let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
            prop_assert_eq!(values(&text), wanted);
        }

        #[test]
        fn no_text_makes_it_fall_over(text in "(?s)([A-Z='\"#\\\\ \r\n$é]|export ){0,60}") {
            let parsed = parse(&text);
            prop_assert!(parsed.values.len() + parsed.bad_lines.len() <= text.len());
        }

        #[test]
        fn a_bad_line_spoils_no_other(bad in "[^\r\n\"']{0,30}") {
            let parsed = parse(&format!("A=1\n{bad}\nB=2"));
            let has = |name: &str| parsed.values.iter().any(|(found, _)| found == name);
            prop_assert!(has("A") && has("B"));
        }
    }
}

//! Glob patterns in gitignore's habit, with two classes of templates: `{uuid}` and `{digits}`.
//!
//! **Invariant:** a class means what it means in a [`template`](crate::core::template): `{uuid}` is
//! 36 characters, `{digits}` one digit or more.

use std::fmt;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::RegexSet;

use crate::core::template::Class;

/// Stands for `{digits}` while a glob is compiled, since globs cannot say "one or more". No path
/// has a NUL: none could be meant.
const DIGITS: char = '\0';

/// A set of glob patterns in gitignore's habit: `*` and `?` do not cross `/`, `**` does. `{uuid}`
/// stands for 8-4-4-4-12 hexadecimal digits of either case, `{digits}` for one digit or more.
#[derive(Clone)]
pub struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
    /// Those that have `{digits}`.
    counted: RegexSet,
}

/// Two sets are the same when their patterns are.
impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Globs {}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.patterns).finish()
    }
}

impl Globs {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// The first pattern that cannot be compiled, with the reason.
    ///
    /// # Panics
    /// Never: what a sound glob becomes is a sound regular expression.
    pub fn compile<S: AsRef<str>>(patterns: &[S]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        let mut counted = Vec::new();
        for pattern in patterns {
            let plain = without_classes(pattern.as_ref());
            let glob = GlobBuilder::new(&plain).literal_separator(true).build()?;
            if plain.contains(DIGITS) {
                counted.push(glob.regex().replace(DIGITS, "[0-9]+"));
            } else {
                set.add(glob);
            }
        }
        Ok(Self {
            set: set.build()?,
            counted: RegexSet::new(counted)
                .expect("invariant: globset's regular expressions are those of the regex crate"),
            patterns: patterns
                .iter()
                .map(|text| text.as_ref().to_owned())
                .collect(),
        })
    }

    /// Returns true if a pattern matches `path` as a whole.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.set.is_match_candidate(&Candidate::from_bytes(path))
            || (!self.counted.is_empty() && self.counted.is_match(path))
    }

    /// Returns true if a pattern matches `path` or a directory that it is in.
    #[must_use]
    pub fn matches_within(&self, path: &[u8]) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|&(_, &b)| b == b'/')
            .map(|(at, _)| at);
        ends.chain([path.len()])
            .any(|end| self.matches(&path[..end]))
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }
}

/// The classes of templates that `pattern` names, outside of brackets and not escaped.
#[must_use]
pub fn classes_in(pattern: &str) -> Vec<Class> {
    parts(pattern).filter_map(|(_, class)| class).collect()
}

/// `pattern` as globset takes it. Classes that a glob cannot have stay as they are.
fn without_classes(pattern: &str) -> String {
    let plain = parts(pattern).map(|(text, class)| match class {
        Some(Class::Uuid) => Class::uuid_glob(),
        Some(Class::Digits) => DIGITS.to_string(),
        Some(Class::Job | Class::Name | Class::Stem) | None => text.to_owned(),
    });
    plain.collect()
}

/// The parts of `pattern`: a placeholder each, a bracket expression, an escaped character, or
/// another character.
fn parts(pattern: &str) -> impl Iterator<Item = (&str, Option<Class>)> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let class = Class::ALL
            .into_iter()
            .find(|class| rest.starts_with(&class.to_string()));
        let len = match (class, first) {
            (Some(class), _) => class.to_string().len(),
            (None, '[') => bracket_len(rest),
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, _) => first.len_utf8(),
        };
        let (part, after) = rest.split_at(len);
        rest = after;
        Some((part, class))
    })
}

/// Length of the bracket expression at the start of `text`; 1 when it is not closed, which globset
/// refuses.
fn bracket_len(text: &str) -> usize {
    let inside = text[1..].trim_start_matches(['!', '^']);
    let start = text.len() - inside.len();
    // A bracket that stands first is one of the characters.
    let from = start + usize::from(inside.starts_with(']'));
    text[from..].find(']').map_or(1, |at| from + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0f8fad5b-d9cb-469f-A165-70867728950E";

    fn matches(pattern: &str, path: &str) -> bool {
        Globs::compile(&[pattern]).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn a_uuid_is_exactly_one() {
        for (pattern, path, wanted) in [
            ("formal_{uuid}.svg", format!("formal_{UUID}.svg"), true),
            ("formal_{uuid}.svg", format!("formal_x{UUID}.svg"), false),
            ("formal_{uuid}.svg", format!("formal_{UUID}0.svg"), false),
            (
                "formal_{uuid}.svg",
                format!("formal_{}.svg", &UUID[1..]),
                false,
            ),
            (
                "formal_{uuid}.svg",
                format!("formal_{}.svg", UUID.replace('-', "")),
                false,
            ),
            (
                "formal_{uuid}.svg",
                format!("formal_{}.svg", UUID.replace('0', "g")),
                false,
            ),
            ("*_{uuid}.svg", format!("a_b_{UUID}.svg"), true),
            ("*_{uuid}.svg", format!("a/b_{UUID}.svg"), false),
            ("**/{uuid}/*", format!("a/{UUID}/x"), true),
            ("{uuid}", UUID.to_uppercase(), true),
            ("{a,{uuid}}.x", format!("{UUID}.x"), true),
            (
                "formal_*_{uuid}.svg",
                format!("formal_20240101_120000_{UUID}.svg"),
                true,
            ),
            ("formal_*_{uuid}.svg", format!("formal_{UUID}.svg"), false),
        ] {
            assert_eq!(matches(pattern, &path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn digits_are_one_or_more() {
        for (pattern, path, wanted) in [
            ("job-{digits}.log", "job-7.log", true),
            ("job-{digits}.log", "job-0123456789.log", true),
            ("job-{digits}.log", "job-.log", false),
            ("job-{digits}.log", "job-7a.log", false),
            ("job-{digits}.log", "job-٣.log", false),
            ("{digits}/{digits}_*", "1/22_x", true),
            ("{digits}/{digits}_*", "1/_x", false),
            ("{digits}*", "1/2", false),
            ("**/{x,{digits}}", "a/b/12", true),
            ("**/{x,{digits}}", "a/b/x", true),
            ("{digits}", "1\n", false),
        ] {
            assert_eq!(matches(pattern, path), wanted, "{pattern} {path}");
        }
        // One of another language beside it.
        let both = Globs::compile(&["a{digits}", "*.tmp"]).unwrap();
        assert!(both.matches(b"a1") && both.matches(b"x.tmp") && !both.matches(b"a"));
        assert!(both.matches_within(b"a1/x"));
        assert!(Globs::compile(&["a{digits}"]).unwrap().matches(b"a1"));
        let bytes = Globs::compile(&["*{digits}"]).unwrap();
        assert!(bytes.matches(b"\xff1"), "names need not be UTF-8");
        assert_eq!(both.patterns().collect::<Vec<_>>(), ["a{digits}", "*.tmp"]);
    }

    #[test]
    fn what_is_escaped_or_bracketed_is_no_class() {
        for (pattern, path) in [
            ("\\{uuid\\}", "{uuid}"),
            ("[{]uuid[}]", "{uuid}"),
            ("[]{uuid}]", "u"),
            ("[!{digits}]", "x"),
        ] {
            assert!(matches(pattern, path), "{pattern}");
            assert_eq!(classes_in(pattern), [], "{pattern}");
        }
        assert_eq!(
            classes_in("{job}[{name}]é\\\\{digits}{a,b}"),
            [Class::Job, Class::Digits]
        );
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_without_classes_stays_as_it_is(pattern in "[a-c*?/{},!^\\\\\\[\\]é]{0,12}") {
            proptest::prop_assert_eq!(without_classes(&pattern), pattern);
        }

        #[test]
        fn no_pattern_makes_it_fall_over(pattern in "([a-c*?/{},!\\\\\\[\\]é]|\\{uuid\\}|\\{digits\\}){0,8}", path in "[a-c0-9/-]{0,40}") {
            if let Ok(globs) = Globs::compile(&[pattern]) {
                let _ = globs.matches_within(path.as_bytes());
            }
        }
    }
}

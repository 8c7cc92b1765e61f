//! Glob patterns of rules and roots. Those that could never match are refused.
//!
//! **Invariant:** an accepted pattern can always match some path. A rule that never matches would
//! keep files forever; an `exclude` or `keep` that never matches would let files be removed.

use crate::core::claim::Unit;
use crate::core::policy::{Globs, classes_in};
use crate::core::template::Class;

use super::error::Refusal;
use super::reader::Reader;
use super::setting::Values;

/// Text that a pattern is matched with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Matched {
    /// Paths from the root.
    Paths,
    /// Names of top-level directories.
    Names,
    /// Names of the entries at a root's top.
    Tops,
}

impl Matched {
    /// Text that `glob` and `exclude` of a rule for `unit` are matched with.
    pub const fn for_unit(unit: Unit) -> Self {
        match unit {
            Unit::File | Unit::Job => Self::Paths,
            Unit::Dir => Self::Names,
        }
    }
}

/// Compiles `patterns`; `None` if they are absent or refused.
pub(super) fn read(
    reader: &mut Reader,
    patterns: &Values<String>,
    matched: Matched,
) -> Option<Globs> {
    let texts = patterns.all()?;
    // Each is compiled separately first: all mistakes are reported, each with its line.
    let patterns: Vec<_> = texts
        .iter()
        .map(|(text, written)| {
            reader.take(pattern(written, matched).map_err(|refusal| text.refuse(refusal)))
        })
        .collect();
    let patterns: Vec<String> = patterns.into_iter().collect::<Option<_>>()?;
    let (last, _) = texts.last()?;
    reader.take(Globs::compile(&patterns).map_err(|error| {
        last.refuse(Refusal::new(format!(
            "cannot be combined with the other patterns: {}",
            error.kind()
        )))
    }))
}

fn pattern(text: &str, matched: Matched) -> Result<String, Refusal> {
    let pattern = match matched {
        Matched::Paths => text,
        Matched::Names | Matched::Tops => text
            .strip_suffix("/**")
            .or_else(|| text.strip_suffix('/'))
            .unwrap_or(text),
    };
    if pattern.is_empty() {
        return Err(Refusal::new("is empty, but must be a pattern"));
    }
    for class in classes_in(pattern) {
        match class {
            Class::Uuid | Class::Digits => {}
            Class::Job | Class::Name | Class::Stem => {
                return Err(Refusal::new(format!(
                    "contains {class}, which is valid only in templates"
                ))
                .hint(
                    "write \"*\" for any part of a name; patterns have {uuid} and {digits}, too",
                ));
            }
        }
    }
    match matched {
        Matched::Paths => check_path(pattern)?,
        Matched::Names => check_name(
            pattern,
            "with unit = \"dir\", patterns are matched with names of top-level directories; write such as \"job-*\"",
        )?,
        Matched::Tops => check_name(
            pattern,
            "these patterns are matched with the names at the root's top, with all that is below; write such as \"out_*\"",
        )?,
    }
    Globs::compile(&[pattern])
        .map_err(|error| Refusal::new(format!("is an invalid pattern: {}", error.kind())))?;
    Ok(pattern.to_owned())
}

fn check_path(pattern: &str) -> Result<(), Refusal> {
    let never =
        |why: &str, hint: String| Err(Refusal::new(format!("can never match: {why}")).hint(hint));
    let from_root = "patterns are matched with paths from the root";
    if let Some(rest) = pattern.strip_prefix('/') {
        return never(
            "it begins with \"/\"",
            format!("{from_root}; write \"{rest}\""),
        );
    }
    if let Some(rest) = pattern.strip_suffix('/') {
        return never(
            "it ends with \"/\"",
            format!("write \"{rest}/**\" for what lies in a directory"),
        );
    }
    for component in pattern.split('/') {
        match component {
            "" => {
                return never(
                    "it contains \"//\"",
                    format!("{from_root}, which have single slashes"),
                );
            }
            "." | ".." => {
                return never(
                    &format!("it contains \"{component}\""),
                    format!("{from_root}, which have neither \".\" nor \"..\""),
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_name(pattern: &str, hint: &str) -> Result<(), Refusal> {
    if pattern == "." || pattern == ".." || pattern.contains('/') {
        return Err(Refusal::new("can never match the name of a directory").hint(hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(text: &str, matched: Matched) -> String {
        pattern(text, matched).unwrap_err().reason
    }

    #[test]
    fn patterns_for_paths() {
        for good in [
            "*",
            "**",
            "a/**/b",
            "**/*.log",
            "..a",
            "{a,b}/*",
            ".hidden",
            "a b",
            "formal_{uuid}.svg",
            "{digits}/*",
        ] {
            assert_eq!(pattern(good, Matched::Paths), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", "is empty, but must be a pattern"),
            ("/a", "can never match: it begins with \"/\""),
            ("a/", "can never match: it ends with \"/\""),
            ("../a", "can never match: it contains \"..\""),
            ("a/..", "can never match: it contains \"..\""),
            ("./a", "can never match: it contains \".\""),
            ("a//b", "can never match: it contains \"//\""),
            (
                "{job}/*",
                "contains {job}, which is valid only in templates",
            ),
            (
                "a_{stem}",
                "contains {stem}, which is valid only in templates",
            ),
        ] {
            assert_eq!(refusal_of(bad, Matched::Paths), why, "{bad}");
        }
        assert!(refusal_of("a[", Matched::Paths).starts_with("is an invalid pattern: "));
    }

    #[test]
    fn patterns_for_names() {
        for (good, kept) in [
            ("job-*", "job-*"),
            ("job-*/", "job-*"),
            ("job-*/**", "job-*"),
            ("*", "*"),
        ] {
            assert_eq!(pattern(good, Matched::Names), Ok(kept.to_owned()));
        }
        for bad in ["a/b", "**/a", "/a", "..", "a/b/**"] {
            assert_eq!(
                refusal_of(bad, Matched::Names),
                "can never match the name of a directory",
                "{bad}"
            );
        }
        assert_eq!(
            refusal_of("/**", Matched::Names),
            "is empty, but must be a pattern"
        );
    }
}

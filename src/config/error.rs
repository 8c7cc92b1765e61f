//! Mistakes in a configuration, and their messages.
//!
//! **Invariant:** a [`ConfigError`] always holds at least one problem. Problems are always sorted:
//! command line and environment first, then the file from its top.

use std::fmt;
use std::path::{Path, PathBuf};

/// Most problems shown at once: more do not fit on a screen.
const SHOWN_MAX: usize = 20;

/// End of the message that a variable is missing.
pub(super) const NOT_SET: &str = ", which is not set";

/// Error of a refused configuration: every mistake that one pass finds.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", Listing(.file.as_deref(), .problems))]
pub struct ConfigError {
    /// File of the problems that have a line.
    file: Option<PathBuf>,
    problems: Vec<Problem>,
}

/// Most names listed as allowed: a host may have thousands of roots.
const NAMES_MAX: usize = 30;

/// One mistake. They are shown in this order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Problem {
    /// Line of the file, from 1; `None`: on the command line or in the environment, and the message
    /// names the argument or variable.
    pub line: Option<usize>,
    /// Description of the mistake, key and value included.
    pub message: String,
    /// Allowed values, or the remedy.
    pub hint: Option<String>,
}

/// Reason why a value is refused, without its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// Description of the mistake.
    pub reason: String,
    /// Allowed values, or the remedy.
    pub hint: Option<String>,
}

impl ConfigError {
    /// Error of `problems` in `file`, of which there must be at least one.
    pub(super) fn new(file: Option<&Path>, mut problems: Vec<Problem>) -> Self {
        assert!(!problems.is_empty(), "invariant: an error has a problem");
        problems.sort();
        problems.dedup();
        Self {
            file: file.map(Path::to_path_buf),
            problems,
        }
    }

    /// Returns true if all problems are unset variables: the file may be valid in another
    /// environment.
    #[must_use]
    pub fn is_of_unset_variables(&self) -> bool {
        let is_one = |problem: &Problem| problem.message.ends_with(NOT_SET);
        self.problems.iter().all(is_one)
    }

    /// Number of mistakes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.len()
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::new(None, vec![problem])
    }
}

impl Problem {
    /// Problem that belongs to no line of a file.
    pub(super) fn of_process(message: impl Into<String>) -> Self {
        Self {
            line: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Refusal {
    /// Refusal for `reason`.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: None,
        }
    }

    /// Adds a hint.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Path in quotes, with control characters escaped, for messages.
pub(super) fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

/// Lists the allowed names, and suggests the one that `found` is probably meant to be.
pub(super) fn allowed<'a>(names: impl IntoIterator<Item = &'a str>, found: &str) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let mut list = names[..names.len().min(NAMES_MAX)].join(", ");
    if names.len() > NAMES_MAX {
        list = format!("{list}, and {} more", names.len() - NAMES_MAX);
    }
    match nearest(names, found) {
        Some(near) => format!("allowed: {list}; did you mean \"{near}\"?"),
        None => format!("allowed: {list}"),
    }
}

/// Returns the one of `names` that `found` probably misspells.
pub(super) fn nearest<'a>(
    names: impl IntoIterator<Item = &'a str>,
    found: &str,
) -> Option<&'a str> {
    // A third of the letters may differ: "job" does not count as a misspelling of "glob".
    let tolerated = (found.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(name, found), name))
        .filter(|&(distance, _)| distance <= tolerated)
        .min()
        .map(|(_, name)| name)
}

/// Location as `file:line`.
pub(super) fn location(file: &Path, line: usize) -> String {
    format!("{}:{line}", file.display())
}

struct Listing<'a>(Option<&'a Path>, &'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, problems) = self;
        for (place, problem) in problems.iter().take(SHOWN_MAX).enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            if let Some((file, line)) = file.zip(problem.line) {
                write!(f, "{}: ", location(file, line))?;
            }
            f.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\n  {hint}")?;
            }
        }
        match problems.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_recognized_and_another_word_is_not() {
        let names = ["glob", "expire", "keep", "reconcile_every"];
        assert_eq!(nearest(names, "expires"), Some("expire"));
        assert_eq!(nearest(names, "epxire"), Some("expire"));
        assert_eq!(nearest(names, "reconcile_evry"), Some("reconcile_every"));
        assert_eq!(nearest(names, "job"), None);
        assert_eq!(nearest(names, "ttl"), None);
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names: Vec<String> = (0..33).map(|n| format!("n{n}")).collect();
        let text = allowed(names.iter().map(String::as_str), "n32x");
        assert!(text.starts_with("allowed: n0, n1, "), "{text}");
        assert!(
            text.ends_with(", n29, and 3 more; did you mean \"n32\"?"),
            "{text}"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let problems = (0..25)
            .map(|n| Problem::of_process(format!("mistake {n:02}")))
            .collect();
        let text = ConfigError::new(None, problems).to_string();
        assert!(
            text.starts_with("mistake 00\nmistake 01\n")
                && text.ends_with("mistake 19\nand 5 more"),
            "{text}"
        );
    }

    #[test]
    fn unset_variables_are_distinguished_from_other_mistakes() {
        let unset = || Problem::of_process(format!("x names variable X{NOT_SET}"));
        assert!(ConfigError::from(unset()).is_of_unset_variables());
        let both = ConfigError::new(None, vec![unset(), Problem::of_process("wrong")]);
        assert!(!both.is_of_unset_variables());
    }

    #[test]
    fn the_process_comes_before_the_file_and_a_file_from_its_top() {
        let at = |line| Problem {
            line: Some(line),
            message: "m".into(),
            hint: Some("h".into()),
        };
        let error = ConfigError::new(
            Some("f".as_ref()),
            vec![at(10), at(9), Problem::of_process("p"), at(9)],
        );
        assert_eq!(error.to_string(), "p\nf:9: m\n  h\nf:10: m\n  h");
        assert_eq!(error.count(), 3);
    }
}

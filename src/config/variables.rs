//! Variables of the process and of files.
//!
//! **Invariant:** the process's environment goes before the files, an earlier file before a later
//! one.
//! **Invariant:** values are never told, only names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::quoted;

/// Most names or lines that a note lists.
const SHOWN_MAX: usize = 10;

/// Prefix of the variables that override settings.
const OUR_PREFIX: &str = "LAPSED_";

/// File of variables, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VariablesFile {
    /// Its path. Absolute.
    pub path: PathBuf,
    /// Number of its names; `None`: the file is missing, and optional.
    pub names: Option<usize>,
    /// Names that the configuration uses, in their order.
    pub used: Vec<String>,
}

/// Facts of the last load, with which the next one is compared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Memory {
    /// Files that were there.
    pub files: BTreeSet<PathBuf>,
    /// Names that the configuration used, and that the files had.
    pub names: BTreeSet<String>,
    /// Paths of roots with variables: the text of the configuration, and what it became.
    pub paths: BTreeMap<String, String>,
}

/// Syntax of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Syntax {
    /// `NAME=value`. An application keeps much else in it.
    Dotenv,
    /// YAML or JSON, for this purpose.
    Nested,
}

/// A file that was configured.
#[derive(Debug)]
pub(super) struct Content {
    pub path: PathBuf,
    pub syntax: Syntax,
    /// True if names are the same in any case.
    pub is_any_case: bool,
    /// Values by name; `None`: the file is missing.
    pub values: Option<BTreeMap<String, String>>,
    /// Names as they are written.
    pub names: Vec<String>,
}

/// Variables by name.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    environment: &'a Environment,
    pub files: Vec<Content>,
    /// Mistakes that are tolerated in files.
    pub notes: Vec<String>,
}

impl<'a> Variables<'a> {
    /// Variables of the process alone.
    pub fn of_process(environment: &'a Environment) -> Self {
        Self {
            environment,
            files: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The value of variable `name`; `None`: it is not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.environment
            .get(name)
            .or_else(|| self.in_files(name).map(OsStr::new))
    }

    fn in_files(&self, name: &str) -> Option<&str> {
        self.files.iter().find_map(|file| file.get(name))
    }

    /// Returns true if the value of `name` is from a file.
    fn is_of_file(&self, name: &str) -> bool {
        self.environment.get(name).is_none() && self.in_files(name).is_some()
    }

    /// Likely mistakes, given that the configuration uses `used`.
    pub fn notes(&self, used: &BTreeSet<String>) -> Vec<String> {
        let of_files = self.files.iter().filter_map(|file| file.unused(used));
        self.notes.iter().cloned().chain(of_files).collect()
    }

    /// The files, for people.
    pub fn files(&self, used: &BTreeSet<String>) -> Vec<VariablesFile> {
        let of_file = |file: &Content| VariablesFile {
            path: file.path.clone(),
            names: file.values.as_ref().map(BTreeMap::len),
            used: used
                .iter()
                .filter(|name| file.get(name).is_some())
                .cloned()
                .collect(),
        };
        self.files.iter().map(of_file).collect()
    }

    /// Facts for the next load.
    pub fn memory(&self, used: &BTreeSet<String>, paths: BTreeMap<String, String>) -> Memory {
        let present = self.files.iter().filter(|file| file.values.is_some());
        Memory {
            files: present.map(|file| file.path.clone()).collect(),
            names: used
                .iter()
                .filter(|name| self.is_of_file(name))
                .cloned()
                .collect(),
            paths,
        }
    }
}

impl Content {
    fn get(&self, name: &str) -> Option<&str> {
        let values = self.values.as_ref()?;
        let found = if self.is_any_case {
            values.get(&name.to_ascii_lowercase())
        } else {
            values.get(name)
        };
        found.map(String::as_str)
    }

    /// Keeps the values that were read; a later one replaces an earlier one.
    pub fn fill(&mut self, values: impl IntoIterator<Item = (String, String)>) {
        let mut found = BTreeMap::new();
        for (name, value) in values {
            let key = if self.is_any_case {
                name.to_ascii_lowercase()
            } else {
                name.clone()
            };
            if found.insert(key, value).is_none() {
                self.names.push(name);
            }
        }
        self.values = Some(found);
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || (self.is_any_case && one.eq_ignore_ascii_case(other))
    }

    /// Note about names that the configuration does not use. The `.env` file of an application has
    /// many of these: of it, only likely misspellings are told.
    fn unused(&self, used: &BTreeSet<String>) -> Option<String> {
        let is_unused = |name: &&String| !used.iter().any(|used| self.is_same(used, name));
        let is_told = |name: &&String| match self.syntax {
            Syntax::Nested => true,
            Syntax::Dotenv => {
                let near = |used: &String| is_one_edit_away(used, name);
                name.starts_with(OUR_PREFIX) || used.iter().any(near)
            }
        };
        let names: Vec<_> = self
            .names
            .iter()
            .filter(is_unused)
            .filter(is_told)
            .collect();
        if names.is_empty() {
            return None;
        }
        let path = quoted(&self.path);
        let names = shortened(names.iter().map(|name| format!("\"{name}\"")));
        Some(format!(
            "{path} has what the configuration does not use: {names}"
        ))
    }
}

/// Returns true if the names differ by one letter, or by two that changed places, in any case.
/// Numbered names, such as `DB_1` and `DB_2`, are different on purpose.
fn is_one_edit_away(one: &str, other: &str) -> bool {
    let fold = |name: &str| name.to_ascii_lowercase();
    let bare = |name: &str| fold(name).replace(|c: char| c.is_ascii_digit(), "");
    strsim::damerau_levenshtein(&fold(one), &fold(other)) == 1 && bare(one) != bare(other)
}

pub(super) fn shortened(words: impl ExactSizeIterator<Item = String>) -> String {
    let more = words.len().saturating_sub(SHOWN_MAX);
    let mut list = words.take(SHOWN_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        list = format!("{list}, and {more} more");
    }
    list
}

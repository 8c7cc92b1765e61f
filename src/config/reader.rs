//! Reader of the configuration, which collects mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::document::Source;
use super::environment::Environment;
use super::error::{ConfigError, Problem, location, nearest};
use super::schema::{CLIENT_VARIABLES, CONFIG_VARIABLE, TOP, Top};
use super::setting::{Table, Text, Value, deserialize};
use super::settings::Overrides;
use super::variables::Variables;

/// Reader that collects problems.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Environment in which variables are looked up.
    pub environment: &'a Environment,
    pub(super) source: Option<&'a Source>,
    /// Arguments of the command line, by the variable that they override.
    pub(super) arguments: BTreeMap<&'static str, Text>,
    /// Variables that the file may refer to.
    pub(super) variables: Variables<'a>,
    problems: Vec<Problem>,
    /// Names of the variables that the file refers to.
    pub(super) referred: BTreeSet<String>,
}

/// Proof that a value is missing and that a problem has been reported for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reported;

impl<'a> Reader<'a> {
    /// Reader without problems.
    pub fn new(
        environment: &'a Environment,
        source: Option<&'a Source>,
        overrides: &Overrides,
    ) -> Self {
        Self {
            environment,
            source,
            arguments: overrides.arguments(),
            variables: Variables::of_process(environment),
            problems: Vec::new(),
            referred: BTreeSet::new(),
        }
    }

    /// Reads the keys in `only` of the top level, or all.
    pub fn read(&mut self, tree: Option<&Spanned<DeTable>>, only: Option<&[&str]>) -> Table<Top> {
        let (top, refused) = deserialize(self.tree(tree, only));
        self.problems.extend(refused);
        top
    }

    /// Reports a problem.
    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Number of problems reported.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// Reports a problem, for a caller that cannot continue.
    pub fn fail(&mut self, problem: Problem) -> Reported {
        self.note(problem);
        Reported
    }

    /// Returns the value in `result`, or reports the problem.
    pub fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.note(problem)).ok()
    }

    /// Returns `Ok` if no problem was reported.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(self.into_error())
    }

    /// Returns all problems; there must be one.
    pub fn into_error(self) -> ConfigError {
        ConfigError::new(self.source.map(Source::path), self.problems)
    }

    /// The path in `value`, made absolute below `base`; `None` if the value is absent.
    pub fn path_below<T: AsRef<Path>>(
        &mut self,
        value: &Value<T>,
        base: Option<&Path>,
    ) -> Result<Option<PathBuf>, Reported> {
        match value.both() {
            Some((text, path)) => {
                let path = text.path_below(path.as_ref(), base);
                self.take(path).ok_or(Reported).map(Some)
            }
            None if value.is_present() => Err(Reported),
            None => Ok(None),
        }
    }

    /// Location of `text`, for messages about something else.
    pub fn location(&self, text: &Text) -> String {
        let found = self.location_of_line(text.line());
        found.unwrap_or_else(|| text.shown.clone())
    }

    /// Location of a line, for messages about something else.
    pub fn location_of_line(&self, line: Option<usize>) -> Option<String> {
        Some(location(self.source?.path(), line?))
    }

    /// Reports variables whose names nearly match that of a setting: with a misspelled
    /// `LAPSED_DRY_RUN`, files would be removed. Variables that the file names are the user's own.
    pub fn refuse_misspelled_variables(&mut self) {
        const PREFIX: &str = "LAPSED_";
        // Without the common prefix: with it, every short name would be similar to every other.
        let known: Vec<&str> = TOP
            .variables()
            .into_iter()
            .chain([CONFIG_VARIABLE])
            .chain(CLIENT_VARIABLES)
            .filter_map(|name| name.strip_prefix(PREFIX))
            .collect();
        let names = self.environment.vars.keys();
        for name in names.filter_map(|name| name.to_str()) {
            let Some(found) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if known.contains(&found) || self.referred.contains(name) {
                continue;
            }
            if let Some(near) = nearest(known.iter().copied(), found) {
                self.problems.push(
                    Problem::of_process(format!("unknown variable {name}"))
                        .hint(format!("did you mean {PREFIX}{near}?")),
                );
            }
        }
    }
}

//! Reader of keys: returns their values as text, and collects mistakes.
//!
//! Every value becomes text first and is then parsed, whether it comes from the file, a variable or
//! the command line.
//!
//! **Invariant:** if a key is present and its value is `None`, a problem has been reported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::document::Section;
use super::environment::Environment;
use super::error::{ConfigError, Place, Problem, Refusal, allowed, nearest};
use super::interpolate::interpolate;
use super::resolve::tidy;
use super::schema::{self, Accept, CONFIG_VARIABLE, Key};
use super::value;

/// Reader that collects problems.
#[derive(Debug)]
pub(super) struct Reader<'e> {
    /// Environment in which variables are looked up.
    pub environment: &'e Environment,
    problems: Vec<Problem>,
    /// Names of the variables that the file refers to.
    referred: BTreeSet<String>,
}

/// Proof that a value is missing and that a problem has been reported for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reported;

/// Value as text, with its origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Text {
    /// Text with its variables replaced.
    pub value: String,
    /// File and line, or the process.
    pub place: Place,
    /// Form in messages: `[[rule]] "old results": expire = "90"`, `LAPSED_GROUP = "x"`, `--socket
    /// "x"`.
    pub shown: String,
}

impl Text {
    /// Value of argument `name` of the command line.
    pub fn argument(name: &str, text: &str) -> Self {
        Self {
            value: text.to_owned(),
            place: Place::Process,
            shown: format!("{name} {text:?}"),
        }
    }

    /// Value of a variable.
    pub fn variable(name: &str, text: &str) -> Self {
        Self {
            value: text.to_owned(),
            place: Place::Process,
            shown: format!("{name} = {text:?}"),
        }
    }

    /// Turns a refusal of this text into a problem.
    pub fn refuse(&self, refusal: Refusal) -> Problem {
        Problem {
            place: self.place.clone(),
            message: format!("{} {}", self.shown, refusal.reason),
            hint: refusal.hint,
        }
    }

    /// Returns `path`, the path in this text, as an absolute, tidy one; a relative path is below
    /// `base`.
    pub fn path_below(&self, path: &Path, base: Option<&Path>) -> Result<PathBuf, Problem> {
        let sound = without_nul(&self.value).and_then(|()| value::path(&self.value));
        let absolute = sound.and_then(|_| match base {
            _ if path.is_absolute() => Ok(tidy(path)),
            Some(base) => Ok(tidy(&base.join(path))),
            None => Err(
                Refusal::new("is relative, and the current directory is gone")
                    .hint("write an absolute path"),
            ),
        });
        absolute.map_err(|refusal| self.refuse(refusal))
    }

    /// Location of the text, for messages about something else.
    pub fn whereabouts(&self) -> String {
        self.place
            .whereabouts()
            .unwrap_or_else(|| self.shown.clone())
    }
}

impl<'e> Reader<'e> {
    /// Reader without problems.
    pub fn new(environment: &'e Environment) -> Self {
        Self {
            environment,
            problems: Vec::new(),
            referred: BTreeSet::new(),
        }
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

    /// Returns `Ok` if no problem was reported.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(self.into_error())
    }

    /// Returns all problems; there must be one.
    pub fn into_error(self) -> ConfigError {
        ConfigError::new(self.problems)
    }

    /// Parses `text`; reports a refusal.
    pub fn parse<T>(
        &mut self,
        text: &Text,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        self.take(text, parse(&text.value))
    }

    /// Returns the value in `result`; reports a refusal against `text`.
    pub fn take<T>(&mut self, text: &Text, result: Result<T, Refusal>) -> Option<T> {
        result
            .map_err(|refusal| self.note(text.refuse(refusal)))
            .ok()
    }

    /// Reads and parses the value of `key` in `section`.
    pub fn value<T>(
        &mut self,
        section: &Section,
        key: &Key,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let text = self.text(section, key)?;
        self.parse(&text, parse)
    }

    /// Reads the text of `key` in `section`.
    pub fn text(&mut self, section: &Section, key: &Key) -> Option<Text> {
        let value = section.value(key.name)?;
        self.scalar(section, key.name, key, value)
    }

    /// Reads the texts of `key` in `section`, which may be one string or a list of strings.
    pub fn texts(&mut self, section: &Section, key: &Key) -> Option<Vec<Text>> {
        let value = section.value(key.name)?;
        let Some(list) = value.get_ref().as_array() else {
            let text = self.scalar(section, key.name, key, value);
            return text.map(|text| vec![text]);
        };
        if list.is_empty() {
            self.note(empty(section, key, value, "[] is an empty list"));
            return None;
        }
        // All are read, so that all mistakes are reported.
        let texts: Vec<_> = list
            .iter()
            .map(|value| self.scalar(section, key.name, key, value))
            .collect();
        texts.into_iter().collect()
    }

    /// Reads the text of a setting of the service: from its variable, else from the file.
    pub fn setting(&mut self, top: &Section, key: &Key) -> Result<Option<Text>, Reported> {
        if let Some(text) = self.variable(key)? {
            return Ok(Some(text));
        }
        let section = match key.section {
            "" => Some(top.clone()),
            name => top.subsection(name),
        };
        match section.filter(|section| section.has(key.name)) {
            Some(section) => self.text(&section, key).ok_or(Reported).map(Some),
            None => Ok(None),
        }
    }

    /// Reads and parses a setting of the service.
    pub fn set<T>(
        &mut self,
        top: &Section,
        key: &Key,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let text = self.setting(top, key).ok()??;
        self.parse(&text, parse)
    }

    /// Reads the text of `key`'s variable.
    pub fn variable(&mut self, key: &Key) -> Result<Option<Text>, Reported> {
        let Some(name) = key.variable else {
            return Ok(None);
        };
        let Some(value) = self.environment.set(name) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(text) => Ok(Some(Text::variable(name, text))),
            None => Err(self.fail(Problem::of_process(format!("{name} is not UTF-8")))),
        }
    }

    /// Returns the tables `[[name]]` of the top level.
    pub fn sections<'d>(&mut self, top: &Section<'d>, name: &'static str) -> Vec<Section<'d>> {
        let list = top.value(name).and_then(|value| value.get_ref().as_array());
        let numbered = list.into_iter().flat_map(|list| list.iter()).zip(1..);
        numbered
            .filter_map(|(value, number)| {
                top.table(value, name, format!("[[{name}]] {number}"))
                    .or_else(|| {
                        self.note(not_a_table(top, value, name));
                        None
                    })
            })
            .collect()
    }

    /// Reports keys of `section` that the schema does not have.
    pub fn refuse_unknown(&mut self, section: &Section) {
        let names = schema::names_in(section.name);
        for (key, place) in section.keys().filter(|(key, _)| !names.contains(key)) {
            self.note(Problem {
                place,
                message: section.entitle(&format!("unknown key \"{key}\"")),
                hint: Some(allowed(names.iter().copied(), key)),
            });
        }
    }

    /// Reports other values where tables must be, and unknown keys of the top level and of the
    /// service's tables.
    pub fn refuse_unknown_settings(&mut self, top: &Section) {
        self.refuse_unknown(top);
        for name in [
            schema::WATCH,
            schema::BREAKER,
            schema::LEDGER,
            schema::STORE,
        ] {
            match (top.value(name), top.subsection(name)) {
                (_, Some(section)) => self.refuse_unknown(&section),
                (Some(value), None) => self.note(Problem {
                    place: top.place_of(value),
                    message: format!("{name} = {} is no table", show(value.get_ref())),
                    hint: Some(format!(
                        "write [{name}], and its keys on the lines below it"
                    )),
                }),
                (None, None) => {}
            }
        }
        for name in [schema::SOURCE, schema::ROOT, schema::RULE] {
            if let Some(value) = top.value(name).filter(|value| !value.get_ref().is_array()) {
                self.note(not_a_table(top, value, name));
            }
        }
    }

    /// Reports variables whose names nearly match that of a setting: with a misspelled
    /// `LAPSED_DRY_RUN`, files would be removed. Variables that the file names are the user's own.
    pub fn refuse_misspelled_variables(&mut self) {
        const PREFIX: &str = "LAPSED_";
        let settings = schema::SERVICE.iter().filter_map(|key| key.variable);
        // Without the common prefix: with it, every short name would be similar to every other.
        let known: Vec<&str> = settings
            .chain([CONFIG_VARIABLE])
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
                    Problem::of_process(format!("{name} is set, but is no setting"))
                        .hint(format!("did you mean {PREFIX}{near}?")),
                );
            }
        }
    }

    /// Reads the text of `value`, which is that of `key` or an entry of its table; messages call it
    /// `written`.
    pub(super) fn scalar(
        &mut self,
        section: &Section,
        written: &str,
        key: &Key,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Text> {
        let place = section.place_of(value);
        let found = show(value.get_ref());
        // An address may contain a password.
        let is_secret = *key == schema::SOURCE_URL;
        let shown = if is_secret {
            section.entitle(written)
        } else {
            format!("{} = {found}", section.entitle(written))
        };
        let kind = match (value.get_ref(), key.accept) {
            (DeValue::String(text), _) => return self.interpolated(place, &shown, text, is_secret),
            (DeValue::Integer(number), Accept::Number) => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                let text = decimal.map_or(found, |number| number.to_string());
                return Some(Text {
                    value: text,
                    place,
                    shown,
                });
            }
            (DeValue::Float(_), Accept::Number) | (DeValue::Boolean(_), Accept::Flag) => {
                let text = found;
                return Some(Text {
                    value: text,
                    place,
                    shown,
                });
            }
            (DeValue::Integer(_) | DeValue::Float(_), _) => "a number",
            (DeValue::Boolean(_), _) => "a boolean",
            (DeValue::Datetime(_), _) => "a date",
            (DeValue::Array(_), _) => "a list",
            (DeValue::Table(_), _) => "a table",
        };
        self.note(Problem {
            place,
            message: format!("{shown} is {kind}, where {} should be", key.accept.as_str()),
            hint: Some(format!("such as {} = {}", key.name, key.example)),
        });
        None
    }

    fn interpolated(
        &mut self,
        place: Place,
        shown: &str,
        written: &str,
        is_secret: bool,
    ) -> Option<Text> {
        let referred = &mut self.referred;
        let text = interpolate(written, self.environment, &mut |name| {
            referred.insert(name.to_owned());
        });
        let mut found = Text {
            value: written.to_owned(),
            place,
            shown: shown.to_owned(),
        };
        let text = self.take(&found, text)?;
        if text != written {
            // The file shows what was written; the message must show the value that is wrong.
            let key = shown.strip_suffix(&format!("{written:?}")).unwrap_or(shown);
            if !is_secret {
                found.shown = format!("{key}{text:?} (from {written:?})");
            }
            found.value = text;
        }
        self.parse(&found, without_nul)?;
        Some(found)
    }
}

/// Refuses NUL: it is invalid in paths, names and patterns.
pub(super) fn without_nul(text: &str) -> Result<(), Refusal> {
    if text.contains('\0') {
        return Err(Refusal::new("has a NUL byte in it"));
    }
    Ok(())
}

/// Problem that `value` of `key` is empty.
pub(super) fn empty(
    section: &Section,
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    what: &str,
) -> Problem {
    Problem {
        place: section.place_of(value),
        message: section.entitle(&format!("{} = {what}", key.name)),
        hint: Some(format!(
            "leave {0} out, or write such as {0} = {1}",
            key.name, key.example
        )),
    }
}

fn not_a_table(top: &Section, value: &Spanned<DeValue<'_>>, name: &str) -> Problem {
    let hint = match value.get_ref() {
        DeValue::Table(_) => format!("write [[{name}]] with two brackets: there may be several"),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => format!("write [[{name}]], and its keys on the lines below it"),
    };
    Problem {
        place: top.place_of(value),
        message: format!("{name} = {} is no list of tables", show(value.get_ref())),
        hint: Some(hint),
    }
}

/// Formats a value for messages.
fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "[…]".into(),
        DeValue::Table(_) => "{…}".into(),
    }
}

//! Sources of jobs: `[[source]]` tables, and the source to which programs can always report jobs.
//!
//! **Invariant:** a source of kind `api` always exists, whatever the file says.
//! **Invariant:** databases are never opened here. A database may appear later; until then, files
//! that depend on it are held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::core::jobs::SourceId;
use crate::core::policy::{Derived, Record, Source};

use super::databases::{self, Kind};
use super::document::Section;
use super::endpoints::Bases;
use super::error::{Problem, Refusal, allowed};
use super::path_map::{self, PathMap};
use super::queries;
use super::reader::{Reader, Text};
use super::resolve::resolve;
use super::schema::{DERIVED, FILES_ROOT, ID_PATTERN, Key, LISTED, REQUIRED, SOURCE, SOURCE_NAME};
use super::settings::{IDS_MAX, SourceIds, SourceKind, SourceSettings};
use super::value;

/// Name of the source that is added if the file has none of kind `api`.
const API: &str = "api";
/// Value of `job` for files that belong to no job.
const NO_JOB: &str = "none";

/// All sources, before they have ids.
#[derive(Debug)]
pub(super) struct Sources {
    /// Sources of the file in its order, then perhaps the added one.
    drafts: Vec<Draft>,
    /// Number of sources in the file.
    of_file: usize,
    /// Indices of the sources, by name.
    places: BTreeMap<String, usize>,
}

/// Source before it has an id.
#[derive(Debug)]
struct Draft {
    /// Name; empty: it was refused.
    name: String,
    /// Kind; `None`: it was refused.
    kind: Option<SourceKind>,
    id_pattern: Option<Regex>,
    files_root: Option<PathBuf>,
    path_map: PathMap,
    derived: Vec<Derived>,
    required: bool,
    listed: bool,
}

/// Default source of a root that names none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Usual {
    /// Source at this index.
    One(usize),
    /// None: the file has several sources.
    Unclear,
}

/// Reads the sources of the file, and adds one of kind `api` if there is none.
pub(super) fn read(reader: &mut Reader, top: &Section, bases: &Bases) -> Sources {
    let sections = reader.sections(top, SOURCE);
    let mut drafts = Vec::new();
    if let Some(section) = sections.get(IDS_MAX - 1) {
        reader.note(Problem {
            place: section.place(),
            message: format!(
                "{} sources, where at most {} may be",
                sections.len(),
                IDS_MAX - 1
            ),
            hint: None,
        });
    } else {
        let mut taken = BTreeMap::new();
        for section in sections {
            drafts.push(from_section(reader, section, bases, &mut taken));
        }
    }
    let of_file = drafts.len();
    let is_api = |draft: &Draft| draft.kind == Some(SourceKind::Api);
    if !drafts.iter().any(is_api) {
        drafts.push(Draft {
            name: API.to_owned(),
            kind: Some(SourceKind::Api),
            id_pattern: None,
            files_root: None,
            path_map: PathMap::new(),
            derived: Vec::new(),
            required: true,
            listed: true,
        });
    }
    let numbered = drafts.iter().map(|draft| draft.name.clone()).zip(0..);
    let places = numbered.filter(|(name, _)| !name.is_empty()).collect();
    Sources {
        drafts,
        of_file,
        places,
    }
}

fn from_section(
    reader: &mut Reader,
    mut section: Section,
    bases: &Bases,
    taken: &mut BTreeMap<String, String>,
) -> Draft {
    let named_by = reader.text(&section, &SOURCE_NAME);
    let name = named_by
        .as_ref()
        .and_then(|text| reader.parse(text, source_name));
    if let Some(name) = &name {
        section.heading = format!("[[source]] {name:?}");
    }
    reader.refuse_unknown(&section);
    require(reader, &section, &SOURCE_NAME);
    let (word, kind) = databases::read(reader, &section, bases, name.as_deref());
    if let (Some(text), Some(name)) = (&named_by, &name) {
        check_name(reader, text, name, word, taken);
    }
    let files_root = path(reader, &section, &FILES_ROOT, bases)
        .and_then(|(text, path)| reader.take(&text, resolve(&path)))
        .map(|found| found.path);
    let derived = reader.texts(&section, &DERIVED).unwrap_or_default();
    let derived = derived
        .iter()
        .filter_map(|text| reader.parse(text, derived_name))
        .collect();
    Draft {
        name: name.unwrap_or_default(),
        kind,
        id_pattern: reader.value(&section, &ID_PATTERN, id_pattern),
        files_root,
        path_map: path_map::read(reader, &section, bases),
        derived,
        required: reader
            .value(&section, &REQUIRED, value::flag)
            .unwrap_or(true),
        listed: reader.value(&section, &LISTED, value::flag).unwrap_or(true),
    }
}

fn source_name(text: &str) -> Result<String, Refusal> {
    if text == NO_JOB {
        return Err(Refusal::new("is the word for files that belong to nobody")
            .hint("give it another name"));
    }
    value::name(text)
}

/// Refuses a name that another source has, or that is reserved for another kind.
fn check_name(
    reader: &mut Reader,
    text: &Text,
    name: &str,
    kind: Option<Kind>,
    taken: &mut BTreeMap<String, String>,
) {
    if let Some(other) = taken.get(name) {
        reader.note(text.refuse(
            Refusal::new(format!("is taken by the source at {other}")).hint("give it another name"),
        ));
    } else {
        taken.insert(name.to_owned(), text.whereabouts());
    }
    if name == API && kind.is_some_and(|kind| kind != Kind::Api) {
        reader.note(
            text.refuse(
                Refusal::new("is the name of the source that programs tell of their jobs")
                    .hint("give it another name, or write kind = \"api\""),
            ),
        );
    }
}

/// Reports that `section` lacks `key`, if it does.
pub(super) fn require(reader: &mut Reader, section: &Section, key: &Key) {
    if !section.has(key.name) {
        reader.note(Problem {
            place: section.place(),
            message: section.entitle(&format!("has no {}", key.name)),
            hint: Some(format!("such as {} = {}", key.name, key.example)),
        });
    }
}

pub(super) fn path(
    reader: &mut Reader,
    section: &Section,
    key: &Key,
    bases: &Bases,
) -> Option<(Text, PathBuf)> {
    let text = reader.text(section, key)?;
    match text.path_below(Path::new(&text.value), bases.file.as_deref()) {
        Ok(path) => Some((text, path)),
        Err(problem) => {
            reader.note(problem);
            None
        }
    }
}

/// Parses the name of a derived file: text with one `{stem}` or `{name}`.
fn derived_name(text: &str) -> Result<Derived, Refusal> {
    const ALLOWED: &str =
        "allowed: text with one {stem} or {name}, such as \"{stem}_processed.mp3\"";
    let refuse = |reason: &str| Err(Refusal::new(reason).hint(ALLOWED));
    let places = text.matches("{stem}").count() + text.matches("{name}").count();
    let rest = text.replace("{stem}", "").replace("{name}", "");
    if text.contains('/') {
        return refuse(
            "has a \"/\" in it, where the name of a file beside the claimed one should be",
        );
    }
    if rest.contains(['{', '}']) {
        return refuse("has braces around something else than stem or name");
    }
    match places {
        0 => refuse("has neither {stem} nor {name} in it, and would be the same for all files"),
        1 => Ok(Derived {
            pattern: text.to_owned(),
        }),
        _ => refuse("has more than one {stem} or {name} in it"),
    }
}

/// Parses a regular expression and anchors it at both ends of an id, whatever flags it sets: a
/// trailing newline never matches.
fn id_pattern(text: &str) -> Result<Regex, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(
            "is empty, where a regular expression should be",
        ));
    }
    // First on its own: `a)(b` would be valid within a group.
    Regex::new(text).map_err(|error| refuse_pattern(&error))?;
    Regex::new(&format!(r"\A(?:{text})\z")).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => refuse_pattern(&error),
        // With the flag (?x), the text after a `#` is a comment.
        _ => Refusal::new("cannot be matched with whole ids: it ends in a comment")
            .hint("leave the comment out"),
    })
}

fn refuse_pattern(error: &regex::Error) -> Refusal {
    if let regex::Error::CompiledTooBig(limit) = error {
        let reason = format!("takes more than the limit of {limit} bytes when it is compiled");
        return Refusal::new(reason).hint("write smaller numbers of repetitions");
    }
    // The report also draws the mistake; its last line is the reason.
    let report = error.to_string();
    let reason = report.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    Refusal::new(format!("is no regular expression: {reason}"))
        .hint("such as 'job-\\d{8}-\\d{6}'; it is matched with whole ids, so that neither \"^\" nor \"$\" is needed")
}

impl Sources {
    /// Returns the index of the source that `text` names. An unknown name is reported, unless it
    /// may be that of a source whose name was refused: that mistake has been reported.
    pub fn named(&self, reader: &mut Reader, text: &Text) -> Option<usize> {
        let found = self.places.get(&text.value).copied();
        if found.is_none() && self.drafts.iter().all(|draft| !draft.name.is_empty()) {
            let hint = allowed(self.names(), &text.value);
            reader.note(text.refuse(Refusal::new("is no source of jobs").hint(hint)));
        }
        found
    }

    /// Default source of a root that names none.
    pub fn usual(&self) -> Usual {
        match self.of_file {
            0 | 1 => Usual::One(0),
            _ => Usual::Unclear,
        }
    }

    /// Indices of all sources.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        0..self.drafts.len()
    }

    /// Names of the sources in the file.
    pub fn names_of_file(&self) -> impl Iterator<Item = &str> {
        self.names().take(self.of_file)
    }

    /// Name of the source at index `place`.
    pub fn name(&self, place: usize) -> &str {
        &self.drafts[place].name
    }

    /// Returns true if the source at index `place` can handle records as `record` says, or if its
    /// kind is not known.
    pub fn can(&self, place: usize, record: Record) -> bool {
        match &self.drafts[place].kind {
            None | Some(SourceKind::Api) => true,
            Some(SourceKind::Sqlite(sqlite)) => queries::can(&sqlite.queries, record),
            Some(SourceKind::Postgres(postgres)) => queries::can(&postgres.queries, record),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.drafts.iter().map(|draft| &*draft.name)
    }

    /// Builds the sources with their ids, and lists these by index; `None` if no id is left. All
    /// sources must be valid. `roots` are the paths of roots as written, each with the path without
    /// links.
    pub fn finish(
        self,
        given_base: &Path,
        roots: Vec<(PathBuf, PathBuf)>,
        ids: &mut SourceIds,
    ) -> Option<Finished> {
        // Claimed paths are compared with paths of roots, which are resolved.
        let base_dir =
            resolve(given_base).map_or_else(|_| given_base.to_path_buf(), |found| found.path);
        let links = links(roots, given_base, &base_dir);
        let mut finished = Finished::default();
        for draft in self.drafts {
            let kind = draft.kind.expect("invariant: what was refused never ends");
            let id = ids.assign(&draft.name)?;
            finished.given.push(id);
            let source = Source {
                name: draft.name.clone(),
                id_pattern: draft.id_pattern,
                files_root: draft.files_root,
                base_dir: base_dir.clone(),
                path_map: draft.path_map,
                links: links.clone(),
                derived: draft.derived,
                required: draft.required,
                is_listed: draft.listed,
                is_told: matches!(kind, SourceKind::Api),
                claims: match &kind {
                    SourceKind::Api => true,
                    SourceKind::Sqlite(sqlite) => queries::names_files(&sqlite.queries.select),
                    SourceKind::Postgres(postgres) => {
                        queries::names_files(&postgres.queries.select)
                    }
                },
            };
            finished.policy.insert(id, source);
            let settings = SourceSettings {
                name: draft.name,
                kind,
            };
            finished.settings.insert(id, settings);
        }
        Some(finished)
    }
}

/// Spellings of root paths that lead through a link, each with the path without links.
fn links(roots: Vec<(PathBuf, PathBuf)>, given_base: &Path, base_dir: &Path) -> PathMap {
    let in_base = |(written, path): &(PathBuf, PathBuf)| {
        let rest = written.strip_prefix(given_base).ok()?;
        Some((base_dir.join(rest), path.clone()))
    };
    let resolved: Vec<_> = roots.iter().filter_map(in_base).collect();
    let ways: BTreeMap<PathBuf, PathBuf> = resolved.into_iter().chain(roots).collect();
    path_map::longest_first(ways.into_iter().filter(|(way, path)| way != path))
}

/// Sources with their ids.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Properties for the policy.
    pub policy: BTreeMap<SourceId, Source>,
    /// Settings for connections.
    pub settings: BTreeMap<SourceId, SourceSettings>,
    /// Ids by index.
    pub given: Vec<SourceId>,
}

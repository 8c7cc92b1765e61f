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

use super::databases;
use super::endpoints::Bases;
use super::error::{Refusal, allowed};
use super::path_map::{self, PathMap};
use super::queries;
use super::reader::Reader;
use super::resolve::resolve;
use super::schema::{self, Kind};
use super::setting::{Table, Text};
use super::settings::{SourceIds, SourceKind, SourceSettings};

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

/// Checks the sources of the file, and adds one of kind `api` if there is none.
pub(super) fn read(
    reader: &mut Reader,
    sources: &[Table<schema::Source>],
    bases: &Bases,
) -> Sources {
    let mut taken = BTreeMap::new();
    let mut drafts: Vec<Draft> = sources
        .iter()
        .map(|source| draft(reader, source, bases, &mut taken))
        .collect();
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

fn draft(
    reader: &mut Reader,
    source: &Table<schema::Source>,
    bases: &Bases,
    taken: &mut BTreeMap<String, String>,
) -> Draft {
    let (kind, connection) = databases::read(reader, source, bases);
    let name = source.name.both().and_then(|(text, name)| {
        let refusal = check_name(&name.0, kind, taken);
        taken
            .entry(name.0.clone())
            .or_insert_with(|| reader.location(text));
        reader.take(refusal.map_err(|refusal| text.refuse(refusal)))?;
        Some(name.0.clone())
    });
    let files_root = reader.path_below(&source.files_root, bases.file.as_deref());
    let files_root = source.files_root.text().zip(files_root.ok().flatten());
    let files_root = files_root.and_then(|(text, path)| {
        reader.take(resolve(&path).map_err(|refusal| text.refuse(refusal)))
    });
    let is_true = |value: Option<&bool>| value.copied().unwrap_or_default();
    Draft {
        name: name.unwrap_or_default(),
        kind: connection,
        id_pattern: source.id_pattern.get().cloned(),
        files_root: files_root.map(|found| found.path),
        path_map: path_map::read(reader, source, bases),
        derived: source.derived.iter().flatten().cloned().collect(),
        required: is_true(source.required.get()),
        listed: is_true(source.listed.get()),
    }
}

/// Refuses a name that another source has, or that is reserved.
fn check_name(
    name: &str,
    kind: Option<Kind>,
    taken: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let give_another = "give it another name";
    if name == NO_JOB {
        let refusal = Refusal::new("is reserved for orphans");
        return Err(refusal.hint(give_another));
    }
    if let Some(other) = taken.get(name) {
        let refusal = Refusal::new(format!("is taken by the source at {other}"));
        return Err(refusal.hint(give_another));
    }
    if name == API && kind.is_some_and(|kind| kind != Kind::Api) {
        let refusal = Refusal::new("is reserved for the source to which programs report jobs");
        return Err(refusal.hint("give it another name, or write kind = \"api\""));
    }
    Ok(())
}

impl Sources {
    /// Returns the index of the source that `text` names. An unknown name is reported, unless it
    /// may be that of a source whose name was refused: that mistake has been reported.
    pub fn named(&self, reader: &mut Reader, text: &Text) -> Option<usize> {
        let found = self.places.get(text.as_str()).copied();
        if found.is_none() && self.drafts.iter().all(|draft| !draft.name.is_empty()) {
            let hint = allowed(self.names(), text.as_str());
            reader.note(text.refuse(Refusal::new("is an unknown source").hint(hint)));
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
            Some(SourceKind::Database(database)) => queries::can(database.queries(), record),
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
                same_rows: Vec::new(),
                is_told: matches!(kind, SourceKind::Api),
                claims: match &kind {
                    SourceKind::Api => true,
                    SourceKind::Database(database) => {
                        queries::names_files(&database.queries().select)
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
        finished.pair();
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

impl Finished {
    /// Tells each source of the others that read the same database.
    fn pair(&mut self) {
        for (id, of) in &mut self.policy {
            let SourceKind::Database(database) = &self.settings[id].kind else {
                continue;
            };
            let others = self.settings.iter().filter(|(other, _)| *other != id);
            let same = others.filter(|(_, other)| match &other.kind {
                SourceKind::Api => false,
                SourceKind::Database(other) => database.is_same(other),
            });
            of.same_rows = same.map(|(&other, _)| other).collect();
        }
    }
}

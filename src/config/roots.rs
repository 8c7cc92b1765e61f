//! Roots: `[[root]]` tables and `--watch` arguments.
//!
//! **Invariant:** two roots are never the same directory, whatever links and dots lead there.
//! **Invariant:** an id is assigned only if everything else is valid.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::policy::{Alert, Globs, Limit, Per, Root};
use crate::core::template::Template;

use super::endpoints::Bases;
use super::error::{Problem, Refusal, quoted};
use super::globs::{self, Matched};
use super::guard::Guard;
use super::limits;
use super::reader::{Reader, Reported};
use super::resolve::{Resolved, resolve};
use super::schema;
use super::setting::{Setting, Table, Text, Value};
use super::settings::{RootIds, RootPath};
use super::sources::{Sources, Usual};
use super::value::{self, Expire};
use super::variables::Memory;

/// A root before it has an id.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// Name of the root.
    pub name: String,
    /// Its table; `None`: an argument of `--watch` names it.
    table: Option<&'a Table<schema::Root>>,
    /// Path as it was given.
    given: Option<Text>,
    /// Target of the path; `None`: it was refused.
    found: Option<Resolved>,
    /// Index of the source whose jobs own the root; `None`: no jobs do.
    pub source: Result<Option<usize>, Reported>,
    only: Option<Globs>,
    limit: Option<Limit>,
    /// Time to live that `--watch` gives the root.
    pub ttl: Option<Ttl>,
    /// True if the path stood on the command line.
    is_typed: bool,
    /// Path that variables give it now; `None`: the one in force.
    postponed: Option<String>,
}

/// Time to live of a `--watch` argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ttl {
    /// Text as it was written.
    pub text: String,
    /// Time in milliseconds; `None`: forever.
    pub expire_ms: Option<i64>,
}

/// Checks a root of the file.
pub(super) fn from_table<'a>(
    reader: &mut Reader,
    root: &'a Table<schema::Root>,
    (bases, typed): (&Bases, &BTreeMap<String, RootPath>),
    sources: &Sources,
    memory: &Memory,
) -> Draft<'a> {
    let typed = root.name.get().and_then(|name| typed.get(&name.0));
    let of_file = || root.path.text().filter(|_| root.path.get().is_some());
    let of_flag = typed.map(|typed| Text::argument(&typed.flag, &typed.path));
    let mut given = of_flag.or_else(|| of_file().cloned());
    let postponed = given.as_mut().and_then(|text| postpone(text, memory));
    let base = if typed.is_some() {
        &bases.typed
    } else {
        &bases.file
    };
    let found = given.as_ref().and_then(|text| {
        let path = Path::new(text.as_str());
        lead(reader, text, path, base.as_deref())
    });
    let source = source(reader, root, sources);
    let limit = limits::read(reader, &root.limit);
    if limit.as_ref().is_some_and(|limit| limit.per == Per::Owner) && !root.owner.is_present() {
        let problem = root
            .limit
            .problem("per = \"owner\" needs an owner template");
        reader.note(problem.hint("add owner = \"{job}/**\" to the [[root]]"));
    }
    if root.orphans.is_present() && source == Ok(None) {
        let problem = root.problem("has orphans, but no source");
        reader.note(problem.hint("add source = \"…\", or owner = \"{job}/**\""));
    }
    Draft {
        name: root
            .name
            .get()
            .map(|name| name.0.clone())
            .unwrap_or_default(),
        table: Some(root),
        given,
        found,
        source,
        only: globs::read(reader, &root.only, Matched::Tops),
        limit,
        ttl: None,
        is_typed: typed.is_some(),
        postponed,
    }
}

/// Puts back the path that the same `text` had before its variables changed, and returns the new
/// one. A value in a file must not lead a running daemon to another directory.
fn postpone(text: &mut Text, memory: &Memory) -> Option<String> {
    let before = memory.paths.get(text.template.as_ref()?)?;
    if text.value.as_ref() == Some(before) {
        return None;
    }
    text.value.replace(before.clone())
}

/// Finds the source whose jobs own the root: the one that it names, else, if it has an owner
/// template, the default one.
fn source(
    reader: &mut Reader,
    root: &Table<schema::Root>,
    sources: &Sources,
) -> Result<Option<usize>, Reported> {
    if root.source.is_present() {
        let (text, _) = root.source.both().ok_or(Reported)?;
        return sources.named(reader, text).map(Some).ok_or(Reported);
    }
    if !root.owner.is_present() {
        return Ok(None);
    }
    match sources.usual() {
        Usual::One(place) => Ok(Some(place)),
        Usual::Unclear => {
            let names: Vec<_> = sources.names_of_file().collect();
            let problem = root.problem("has an owner, but no source");
            Err(reader
                .fail(problem.hint(format!("add source = \"…\"; sources: {}", names.join(", ")))))
        }
    }
}

/// Reads the root that `argument` of `--watch` names, with its time to live.
pub(super) fn from_argument<'a>(
    reader: &mut Reader,
    argument: &str,
    bases: &Bases,
) -> Option<Draft<'a>> {
    let text = Text::argument("--watch", argument);
    let parsed = split(argument).and_then(|(path, ttl)| Ok((PathBuf::parse(path)?, ttl)));
    let (path, ttl) = reader.take(parsed.map_err(|refusal| text.refuse(refusal)))?;
    let found = lead(reader, &text, &path, bases.typed.as_deref());
    Some(Draft {
        name: String::new(),
        table: None,
        given: Some(Text {
            value: Some(path.to_string_lossy().into_owned()),
            ..text
        }),
        found,
        source: Ok(None),
        only: None,
        limit: None,
        ttl: Some(ttl),
        is_typed: true,
        postponed: None,
    })
}

/// Resolves `path`, which `text` names.
fn lead(reader: &mut Reader, text: &Text, path: &Path, base: Option<&Path>) -> Option<Resolved> {
    let path = reader.take(text.path_below(path, base))?;
    reader.take(resolve(&path).map_err(|refusal| text.refuse(refusal)))
}

fn split(argument: &str) -> Result<(&str, Ttl), Refusal> {
    const EXAMPLE: &str = "such as --watch ./scratch=10s";
    let Some((path, text)) = argument.rsplit_once('=') else {
        return Err(Refusal::new("is not of the form PATH=TTL").hint(EXAMPLE));
    };
    if path.is_empty() {
        return Err(Refusal::new("has no path before the \"=\"").hint(EXAMPLE));
    }
    let Expire(expire) = Expire::parse(text).map_err(|refusal| {
        let hint = refusal
            .hint
            .map_or(EXAMPLE.into(), |hint| format!("{hint}; {EXAMPLE}"));
        Refusal::new(format!("has the TTL {text:?}, which {}", refusal.reason)).hint(hint)
    })?;
    let ttl = Ttl {
        text: text.trim().to_owned(),
        expire_ms: expire.map(value::milliseconds),
    };
    Ok((path, ttl))
}

/// Names unnamed roots after their paths; refuses names that are taken.
pub(super) fn name_all(reader: &mut Reader, drafts: &mut [Draft]) {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for draft in drafts.iter_mut() {
        let Some(name) = draft.candidate() else {
            continue;
        };
        let name = match &draft.ttl {
            // Two scratch directories on one command line are distinguished by their whole paths.
            Some(_) if taken.contains_key(&name) => draft.whole_path(),
            Some(_) | None => name,
        };
        if let Some(other) = taken.get(&name) {
            reader.note(draft.name_taken(&name, other));
        } else {
            taken.insert(name.clone(), draft.location(reader));
        }
        draft.name = name;
    }
}

/// Refuses paths that cannot, or should not, be roots.
pub(super) fn check_paths(
    reader: &mut Reader,
    drafts: &[Draft],
    guard: Option<&Guard>,
    ids: &RootIds,
) {
    let mut taken: BTreeMap<&Path, &Draft> = BTreeMap::new();
    for draft in drafts {
        let (Some(text), Some(found)) = (&draft.given, &draft.found) else {
            continue;
        };
        let path = &*found.path;
        if let Some(other) = taken.insert(path, draft) {
            let reason = format!(
                "is the same directory as that of root {:?} at {}",
                other.name,
                other.location(reader)
            );
            let hint = format!("both lead to {}", quoted(path));
            reader.note(text.refuse(Refusal::new(reason).hint(hint)));
        }
        if found.missing == 0 && !path.is_dir() {
            reader.note(text.refuse(Refusal::new("is not a directory")));
        }
        // For a root that this process already knew, the daemon waits, as for its parent.
        if draft.ttl.is_some() && found.missing > 1 && ids.get(path).is_none() {
            reader.note(
                text.refuse(
                    Refusal::new("is in a directory that does not exist")
                        .hint("create its parent first: only the last directory is created"),
                ),
            );
        }
        let is_of_flag = draft.is_typed && draft.ttl.is_none();
        if is_of_flag && found.missing > 0 {
            reader.note(text.refuse(Refusal::new("does not exist")));
        }
        // That is said of the path in the file.
        if draft.is(|root| &root.allow_unsafe) && !is_of_flag {
            continue;
        }
        if let Some(why) = guard.and_then(|guard| guard.danger(path, draft.only.as_ref())) {
            let hint = match draft.ttl {
                None if is_of_flag => {
                    "files in it would be removed; a root of the configuration may have allow_unsafe = true"
                }
                Some(_) => "files in it would be removed; to watch it anyway: --allow-unsafe-roots",
                None => {
                    "files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]"
                }
            };
            reader.note(text.refuse(Refusal::new(why).hint(hint)));
        }
    }
}

/// Builds the roots with their ids, and lists these in the order of `drafts`; `None` if too few ids
/// are left. `sources` are the ids of the sources, by index.
pub(super) fn finish(
    drafts: Vec<Draft>,
    sources: &[SourceId],
    ids: &mut RootIds,
) -> Option<(BTreeMap<RootId, Root>, Vec<RootId>)> {
    let paths: Vec<PathBuf> = drafts
        .iter()
        .filter_map(Draft::path)
        .map(Path::to_path_buf)
        .collect();
    let given = ids.assign(&paths)?;
    let by_path: BTreeMap<&Path, RootId> = paths
        .iter()
        .map(PathBuf::as_path)
        .zip(given.iter().copied())
        .collect();
    let roots = drafts
        .into_iter()
        .zip(&given)
        .zip(&paths)
        .map(|((mut draft, &id), path)| {
            let limit = draft.limit.take();
            let table = draft.table;
            let owner = table
                .into_iter()
                .flat_map(|root| root.owner.iter().flatten());
            let root = Root {
                owner: Template::any_of(owner.cloned().collect()),
                orphans: table.and_then(|root| root.orphans.get().cloned()),
                limit,
                alert: table.map(|root| alert(&root.alert)).unwrap_or_default(),
                prune_empty_dirs: draft.is(|root| &root.prune_empty_dirs),
                optional: draft.is(|root| &root.optional),
                name: draft.name,
                path: path.clone(),
                source: draft.source.ok().flatten().map(|place| sources[place]),
                nested: nested(path, &by_path),
                only: draft.only,
            };
            (id, root)
        })
        .collect();
    Some((roots, given))
}

fn alert(alert: &Table<schema::Alert>) -> Alert {
    Alert {
        free_below: alert.free_below.get().map(|free| free.0),
        size_above: alert.size_above.get().map(|size| size.0),
    }
}

/// Roots beneath `path`. Paths are ordered by component, so these follow `path` without a gap.
fn nested(path: &Path, by_path: &BTreeMap<&Path, RootId>) -> Vec<(RelPath, RootId)> {
    use std::ops::Bound::{Excluded, Unbounded};
    by_path
        .range::<Path, _>((Excluded(path), Unbounded))
        .map_while(|(other, &id)| {
            let rest = other.strip_prefix(path).ok()?;
            Some((RelPath::parse(rest.as_os_str().as_bytes())?, id))
        })
        .collect()
}

impl Draft<'_> {
    /// Returns the table of its limit.
    pub fn limit_table(&self) -> Option<&Table<schema::Limit>> {
        let table = self.table.map(|root| &root.limit)?;
        (!table.given.is_empty()).then_some(table)
    }

    /// Returns true if a template tells the owners of its files.
    pub fn has_owner(&self) -> bool {
        self.table.is_some_and(|root| root.owner.is_present())
    }

    /// Resolved path.
    pub fn path(&self) -> Option<&Path> {
        self.found.as_ref().map(|found| &*found.path)
    }

    /// Returns true if the root says which names may become orphans.
    pub fn has_orphans(&self) -> bool {
        self.table.is_some_and(|root| root.orphans.is_present())
    }

    /// Returns true if its table says so under a key.
    fn is(&self, key: impl Fn(&schema::Root) -> &Value<bool>) -> bool {
        self.table
            .and_then(|root| key(root).get())
            .is_some_and(|&value| value)
    }

    fn named_by(&self) -> Option<&Text> {
        self.table?.name.text()
    }

    /// Path as it was given, made absolute, and resolved path.
    pub fn ways(&self, bases: &Bases) -> Option<(PathBuf, PathBuf)> {
        let text = self.given.as_ref()?;
        let base = if self.is_typed {
            &bases.typed
        } else {
            &bases.file
        };
        let written = text.path_below(Path::new(text.as_str()), base.as_deref());
        Some((written.ok()?, self.path()?.to_path_buf()))
    }

    /// Change of its path that takes effect at the next start.
    pub fn postponed(&self) -> Option<String> {
        let path = self.postponed.as_ref()?;
        Some(format!("the path of root {:?} (to {path:?})", self.name))
    }

    /// Text of its path, and the path, if variables gave it.
    pub fn template(&self) -> Option<(String, String)> {
        let text = self.given.as_ref()?;
        Some((text.template.clone()?, text.as_str().to_owned()))
    }

    /// Path as it was given, with the values of variables.
    pub fn written(&self) -> Option<String> {
        self.path()?;
        Some(self.given.as_ref()?.as_str().to_owned())
    }

    fn candidate(&self) -> Option<String> {
        if self.named_by().is_some() {
            return (!self.name.is_empty()).then(|| self.name.clone());
        }
        let name = Path::new(self.given.as_ref()?.as_str())
            .file_name()
            .or_else(|| self.path()?.file_name());
        Some(name.map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned()))
    }

    fn whole_path(&self) -> String {
        self.path()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn location(&self, reader: &Reader) -> String {
        let named_by = self.named_by().filter(|_| !self.is_typed);
        match named_by.or(self.given.as_ref()) {
            Some(text) => reader.location(text),
            None => reader
                .location_of_line(self.table.and_then(|root| root.line))
                .unwrap_or_default(),
        }
    }

    fn name_taken(&self, name: &str, other: &str) -> Problem {
        let taken = format!("is taken by the root at {other}");
        match (self.named_by(), self.table) {
            (Some(text), _) => text.refuse(Refusal::new(taken).hint("give it another name")),
            (None, table) => {
                let message = format!("its name would be {name:?} after its path, which {taken}");
                let problem = match table {
                    Some(root) => root.problem(&message),
                    None => Problem::of_process(message),
                };
                problem.hint("give it a name of its own: name = \"…\"")
            }
        }
    }
}

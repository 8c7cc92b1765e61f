//! A source of jobs as the policy sees it: the places that claims name, and the form of ids.

use std::path::PathBuf;

use crate::core::jobs::SourceId;

/// A source of jobs, as far as deciding is concerned.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a property of its own"
)]
pub struct Source {
    /// Its name: unique, never empty.
    pub name: String,
    /// Pattern of ids; `None`: all but the empty one. Anchored at both ends: `\A(?:…)\z`.
    pub id_pattern: Option<regex::Regex>,
    /// Directory of bare names that jobs claim. Absolute; `None`: below `base_dir`, as relative
    /// paths.
    pub files_root: Option<PathBuf>,
    /// Directory that relative paths of claims start from. Absolute.
    pub base_dir: PathBuf,
    /// Prefixes of paths as jobs claim them, and the absolute paths that they stand for, the
    /// longest prefixes first.
    pub path_map: Vec<(PathBuf, PathBuf)>,
    /// Absolute paths of roots that lead through a link, and those without, the longest first.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Names that belong to a job beside each file that it claims.
    pub derived: Vec<Derived>,
    /// Its jobs claim files.
    pub claims: bool,
    /// A run that cannot read it has failed. If not set, files that depend on it are held all the
    /// same.
    pub required: bool,
    /// True if its jobs are counted and listed: those of a second source for the same rows are not.
    pub is_listed: bool,
    /// The other sources that read the same database: a row that is forgotten there is theirs, too.
    pub same_rows: Vec<SourceId>,
    /// True if programs tell of its jobs: what they take away is meant to go.
    pub is_told: bool,
}

/// A name that is derived from a claimed file's, such as `{stem}_processed.mp3`: `{name}` is the
/// whole name, `{stem}` the name without its last extension. It stands in the same directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Derived {
    /// As it was written; holds `{name}` or `{stem}` once, and no `/`.
    pub pattern: String,
}

impl Derived {
    /// The derived name beside a file called `name`.
    #[must_use]
    pub fn of(&self, name: &[u8]) -> Vec<u8> {
        let stem = match name.iter().rposition(|&byte| byte == b'.') {
            Some(0) | None => name,
            Some(dot) => &name[..dot],
        };
        let (word, value) = if self.pattern.contains("{stem}") {
            ("{stem}", stem)
        } else {
            ("{name}", name)
        };
        let (before, after) = self.pattern.split_once(word).unwrap_or((&self.pattern, ""));
        [before.as_bytes(), value, after.as_bytes()].concat()
    }
}

impl Source {
    /// Returns true if `id` can be a job's.
    #[must_use]
    pub fn is_id(&self, id: &str) -> bool {
        let pattern = self.id_pattern.as_ref();
        !id.is_empty() && pattern.is_none_or(|pattern| pattern.is_match(id))
    }
}

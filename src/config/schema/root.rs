//! `[[root]]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::{Table, Value, Values};
use super::super::value::Name;
use super::{Alert, Limit};
use crate::core::template::Template;

/// A directory tree to watch. The daemon waits for a root that does not exist yet. If roots are
/// nested, a file belongs to the innermost one. Files that no rule matches are kept forever.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Root {
    /// Name of the root, unique. Default: the last component of the path.
    #[schemars(example = &"results")]
    pub name: Value<Name>,
    /// Path of the directory.
    #[schemars(extend("x-required" = true), example = &"/srv/results")]
    pub path: Value<PathBuf>,
    /// Template that finds the job of a path: "{job}/**", or "{job}_{name}" for every name that
    /// begins with an id. With a list, all templates apply: ["{job}.*", "{job}_processed.mp3"].
    #[schemars(example = &"{job}/**")]
    pub owner: Values<Template>,
    /// Source whose jobs own the files. A root without `owner` may also name one, for the files
    /// that its jobs claim. Default with `owner`: the only [[source]], or "api" if there is none;
    /// with several sources, the key is required.
    #[schemars(example = &"app")]
    pub source: Value<String>,
    /// Template of the names that may be orphans: files that match it, while the source is healthy
    /// and knows no job that owns them. Only rules with job = "none" remove orphans. Default: none.
    #[schemars(example = &"{uuid}/**")]
    pub orphans: Value<Template>,
    /// Remove directories that a removal emptied. Other empty directories are always kept.
    #[schemars(extend("default" = false), example = true)]
    pub prune_empty_dirs: Value<bool>,
    /// Patterns of the top-level names that belong to the root, one or a list. Everything else is
    /// ignored. Default: all.
    #[schemars(example = &["out_*"])]
    pub only: Values<String>,
    /// Treat a missing root as empty. By default, a missing root holds the jobs that may own files
    /// in it, because it may be a disk that is not mounted. Its parent directories may be missing,
    /// too, but the nearest existing one must be readable and must not contain the next name. Not
    /// for a root on a mount of its own.
    #[schemars(extend("default" = false), example = true)]
    pub optional: Value<bool>,
    /// Watch this root even if it is refused by default: /, a home directory, a system directory,
    /// the state directory.
    #[schemars(extend("default" = false, "x-process" = true), example = true)]
    pub allow_unsafe: Value<bool>,
    // Subtables come last.
    pub limit: Table<Limit>,
    pub alert: Table<Alert>,
}

//! `[[variables]]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;

/// A file whose entries stand for variables in this file, such as the .env file of an application.
/// The environment of the process goes before it, an earlier file before a later one. The short
/// form at the top level is: variables = [{ file = ".env", optional = true }].
///
/// A name ending in .yaml, .yml or .json is read as such: "${retention.days:-7}" is the entry
/// "days" of "retention". Any other file has lines NAME=value, as python-dotenv reads them, but
/// nothing in a value is expanded.
///
/// Only root and the user of the daemon may be able to change or replace the file; otherwise it is
/// refused, because it decides what is removed. It is read at start and on reload. A reload fails
/// if the file, or an entry in use, has disappeared; a root whose path changes by it takes effect
/// at the next start. base_dir, allow_unsafe, allow_unsafe_roots and the keys here only use
/// variables of the process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Variables {
    /// Path of the file.
    #[schemars(extend("x-required" = true, "x-process" = true), example = &".env")]
    pub file: Value<PathBuf>,
    /// Go on without the file if it does not exist.
    #[schemars(extend("default" = false, "x-process" = true), example = true)]
    pub optional: Value<bool>,
    /// Case of the names: "exact", or "any" if FOO and foo are the same; then the last one counts.
    #[schemars(extend("default" = "exact", "x-process" = true), example = &"any")]
    pub case: Value<NameCase>,
}

/// Case of names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum NameCase {
    Exact,
    Any,
}

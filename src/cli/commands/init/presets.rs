//! The presets: configurations for systems of some kind, as `config/presets/` has them.
//!
//! **Invariant:** whatever is put into a preset's text, its comments and its variables stay, and it
//! says what was meant: no character of a path is taken for anything else.

use std::path::Path;
use std::sync::LazyLock;

use include_dir::{Dir, DirEntry, File, include_dir};

use super::shims::Shim;
use super::text;

/// The folder of the presets: one folder each.
static FOLDER: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/config/presets");

/// All of them, by name.
pub(in crate::cli::commands) static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let mut all: Vec<Preset> = FOLDER.dirs().filter_map(Preset::of).collect();
    all.sort_by_key(|preset| preset.name);
    all
});

/// A configuration for systems of one kind.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::cli::commands) struct Preset {
    /// Name.
    pub(super) name: &'static str,
    /// The file.
    pub(in crate::cli::commands) text: &'static str,
    /// Scripts under the names of the system's.
    pub(in crate::cli::commands) shims: Vec<Shim>,
}

/// Failure to put a directory into a preset.
#[derive(Debug, thiserror::Error)]
pub(super) enum PresetError {
    /// TOML is UTF-8.
    #[error(
        "the directory {0} is not UTF-8, which a configuration has to be\n  give --base-dir another path that leads there"
    )]
    NotUtf8(String),
}

/// Names of all presets.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|preset| preset.name)
}

/// The one that is called `name`.
pub(super) fn named(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The preset in the folder `dir`, with the scripts in `shims/` there.
    fn of(dir: &'static Dir<'static>) -> Option<Self> {
        let file = dir.get_file(dir.path().join("preset.toml"))?;
        let place = dir.path().join("shims");
        let mut scripts = Vec::new();
        if let Some(dir) = dir.get_dir(&place) {
            files_in(dir, &mut scripts);
        }
        let shims = scripts.into_iter().filter_map(|script| {
            Some(Shim {
                path: script.path().strip_prefix(&place).ok()?.to_str()?,
                text: script.contents_utf8()?,
            })
        });
        Some(Self {
            name: dir.path().to_str()?,
            text: file.contents_utf8()?,
            shims: shims.collect(),
        })
    }

    /// Purpose, from its first line: `# NAME: description`.
    pub(super) fn description(&self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default();
        let line = line.trim_start_matches('#').trim();
        let named = line.strip_prefix(self.name);
        named
            .and_then(|rest| rest.strip_prefix(':'))
            .unwrap_or(line)
            .trim()
    }
}

/// Adds all files below `dir`.
fn files_in(dir: &'static Dir<'static>, files: &mut Vec<&'static File<'static>>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => files_in(dir, files),
            DirEntry::File(file) => files.push(file),
        }
    }
}

/// The line that says what relative paths are below.
const BASE_DIR: &str = "base_dir = ";

/// `preset` with `dir`, which is absolute, as its base directory: where the preset names an
/// variable, that one still goes before it.
pub(super) fn with_base_dir(preset: &str, dir: &Path) -> Result<String, PresetError> {
    let Some(dir) = dir.to_str() else {
        return Err(PresetError::NotUtf8(format!("{:?}", dir.to_string_lossy())));
    };
    let edited = preset.split_inclusive('\n').map(|line| {
        let value = line.strip_prefix(BASE_DIR);
        value.map_or_else(|| line.to_owned(), |value| edit(value, dir))
    });
    Ok(edited.collect())
}

/// The line whose value begins with `value`, with another one; what follows the value stays.
fn edit(value: &str, dir: &str) -> String {
    let rest = end_of_string(value).map_or("\n", |end| &value[end..]);
    let dollars = dir.replace('$', "$$");
    let variable = value
        .strip_prefix("\"${")
        .map(|name| &name[..name.find([':', '}']).unwrap_or(0)])
        // A default ends with the first brace: such a directory stands alone.
        .filter(|name| !name.is_empty() && !dir.contains('}'));
    let value = match variable {
        Some(name) => format!("${{{name}:-{dollars}}}"),
        None => dollars,
    };
    format!("{BASE_DIR}{}{rest}", text::quote(&value))
}

/// End of the TOML string that `value` begins with.
fn end_of_string(value: &str) -> Option<usize> {
    let quote = value.chars().next().filter(|&c| c == '"' || c == '\'')?;
    let mut escaped = false;
    for (at, c) in value.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            return Some(at + 1);
        }
    }
    None
}

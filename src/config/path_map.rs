//! `path_map`: prefixes of paths as an application writes them, and the local paths that they stand
//! for.
//!
//! **Invariant:** longer prefixes always come first, so that the first match is the most specific
//! one.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::endpoints::Bases;
use super::error::{Refusal, quoted};
use super::reader::Reader;
use super::resolve::resolve;
use super::schema::{Source, TOP};

/// Pairs of a prefix and its local path, the longest prefixes first.
pub(super) type PathMap = Vec<(PathBuf, PathBuf)>;

/// Reads the translations of `source`; invalid ones are reported and left out.
pub(super) fn read(reader: &mut Reader, source: &Source, bases: &Bases) -> PathMap {
    let mut map: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for (word, text, path) in source.path_map.iter() {
        let Some(prefix) = prefix(word) else {
            let reason =
                format!("is for {word:?}, which is not the beginning of a path without \"..\"");
            let example = &TOP.nested("source").key("path_map").example;
            reader.note(text.refuse(Refusal::new(reason).hint(format!("such as {example}"))));
            continue;
        };
        let target = text.path_below(path, bases.file.as_deref());
        let target = target.and_then(|path| resolve(&path).map_err(|refusal| text.refuse(refusal)));
        match target {
            Err(problem) => reader.note(problem),
            Ok(_) if map.contains_key(&prefix) => {
                let reason = format!(
                    "is for {}, which has a translation already",
                    quoted(&prefix)
                );
                reader.note(text.refuse(Refusal::new(reason).hint("leave out one of them")));
            }
            Ok(target) => drop(map.insert(prefix, target.path)),
        }
    }
    longest_first(map)
}

/// Sorts `map` so that the longest prefixes come first.
pub(super) fn longest_first(map: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> PathMap {
    let mut map: PathMap = map.into_iter().collect();
    map.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.components().count()));
    map
}

/// Removes `.` and doubled slashes from `word`; `None` if it cannot begin a path.
fn prefix(word: &str) -> Option<PathBuf> {
    let is_sound = |part: &Component| !matches!(part, Component::ParentDir | Component::Prefix(_));
    let parts = || Path::new(word).components();
    let sound = !word.contains('\0') && parts().all(|part| is_sound(&part));
    let prefix: PathBuf = parts().filter(|part| *part != Component::CurDir).collect();
    (sound && !prefix.as_os_str().is_empty()).then_some(prefix)
}

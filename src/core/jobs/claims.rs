//! Paths that a job names as its own.
//!
//! A claim is data from outside. It is a bare name in the source's `files_root`, a path relative to
//! `base_dir`, or an absolute one; whatever it is, it counts only beneath a root, and leads
//! nowhere: it is compared with paths that were found there. Its prefix may stand for another
//! (`path_map`: as an application's container sees it).
//!
//! **Invariant:** a claim with `..`, with a NUL, or outside every root, is refused; so is one of a
//! root itself.

use std::path::{Component, Path, PathBuf};

use crate::core::facts::RootId;
use crate::core::path::RelPath;
use crate::core::policy::{Policy, Source};

/// Longer texts are no paths: `PATH_MAX`.
const BYTES_MAX: usize = 4096;

/// Returns where the claim `file` of a job of `source` leads.
///
/// # Errors
/// Why it is refused, for people.
pub(super) fn resolve(
    policy: &Policy,
    source: &Source,
    file: &str,
) -> Result<(RootId, RelPath), String> {
    let path = absolute(source, file)?;
    let Some((root, rel)) = policy.locate(&path) else {
        return Err(format!("\"{}\" lies beneath no root", path.display()));
    };
    if rel.is_root() {
        return Err(format!("\"{}\" is a root itself", path.display()));
    }
    Ok((root, rel))
}

/// The names that the refused claim `file` may mean: its last component, and those derived from it;
/// `None`: it may mean any.
///
/// A backslash separates components here, too: the claim may have been made on another system.
pub(super) fn names(source: &Source, file: &str) -> Option<Vec<Vec<u8>>> {
    if file.contains('\0') {
        return None;
    }
    let mut parts = file.rsplit(['/', '\\']);
    let name = parts.find(|part| !matches!(*part, "" | "."))?;
    if !crate::core::path::is_component(name.as_bytes()) {
        return None;
    }
    let mut names: Vec<Vec<u8>> = vec![name.into()];
    names.extend(source.derived.iter().map(|of| of.of(name.as_bytes())));
    Some(names)
}

/// All that the claim of `path` in `root` covers: it, and the names that are derived from it.
pub(super) fn covered(source: &Source, path: &RelPath) -> Vec<RelPath> {
    let mut all = vec![path.clone()];
    if let Some((dir, name)) = path.split() {
        for derived in &source.derived {
            let name = derived.of(name);
            if crate::core::path::is_component(&name) {
                all.push(dir.join(&name));
            }
        }
    }
    all
}

fn absolute(source: &Source, file: &str) -> Result<PathBuf, String> {
    if file.len() > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    if file.contains('\0') {
        return Err("it holds a NUL".to_owned());
    }
    if let [drive, b':', b'\\', ..] = file.as_bytes()
        && drive.is_ascii_alphabetic()
    {
        return Err("it is a path of another operating system".to_owned());
    }
    let mut given = PathBuf::new();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => return Err("it holds \"..\"".to_owned()),
            Component::CurDir | Component::Prefix(_) => {}
            Component::RootDir | Component::Normal(_) => given.push(part),
        }
    }
    let in_files = source.files_root.as_ref().filter(|_| !file.contains('/'));
    let path = match translate(&source.path_map, &given) {
        Some(path) => path,
        // An absolute path takes the place of what it is joined to.
        None => in_files.unwrap_or(&source.base_dir).join(&given),
    };
    // No other links are followed: what they lead to now may be another thing tomorrow.
    Ok(translate(&source.links, &path).unwrap_or(path))
}

/// `path` with what stands for its longest prefix in `map`; `None`: no prefix of it is there.
fn translate(map: &[(PathBuf, PathBuf)], path: &Path) -> Option<PathBuf> {
    map.iter().find_map(|(prefix, target)| {
        let rest = path.strip_prefix(prefix).ok()?;
        Some(target.components().chain(rest.components()).collect())
    })
}

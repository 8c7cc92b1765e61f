//! Watches the directory of a database: whatever a writer does shows at its file, its log or its journal.
//!
//! **Invariant:** an event is a rumour: it says when to ask the database, not what has changed.
//! **Invariant:** our own reading raises no event that counts, or it would wake itself for ever.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::notify::event::{AccessKind, AccessMode};
use ::notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::error::Fault;
use super::open::Identity;
use crate::jobs::change_signal::ChangeSignal;

/// A watch of a database's directory; if the path is a symbolic link, of the directory that it leads to as well.
pub(super) struct ParentWatcher {
    /// Ends the watches when it is dropped.
    _watcher: RecommendedWatcher,
    /// What is watched, under which path.
    places: Vec<(PathBuf, Identity)>,
}

impl ParentWatcher {
    /// Rings `signal` from now on whenever something happens to the database at `path`.
    ///
    /// # Errors
    /// When its directory is not there, or the system gives out no watch.
    pub(super) fn watch(path: &Path, signal: &Arc<ChangeSignal>) -> Result<Self, Fault> {
        let files = files_of(path);
        let dirs = dirs_of(&files);
        let handler = {
            let (signal, files, dirs) = (Arc::clone(signal), names_of(&files), dirs.clone());
            move |event: ::notify::Result<Event>| {
                // An error may stand for events that were lost.
                if event.is_ok_and(|event| !matters(&event, &files, &dirs)) {
                    return;
                }
                signal.raise();
            }
        };
        let unwatched = |error: ::notify::Error| Fault::Unwatched(error.to_string());
        let mut watcher = RecommendedWatcher::new(handler, Config::default()).map_err(unwatched)?;
        let mut places = Vec::new();
        for dir in dirs {
            let identity = Identity::of(&dir)?;
            watcher
                .watch(&dir, RecursiveMode::NonRecursive)
                .map_err(unwatched)?;
            places.push((dir, identity));
        }
        Ok(Self {
            _watcher: watcher,
            places,
        })
    }

    /// Returns whether the watches are still where the database at `path` is.
    pub(super) fn are_right(&self, path: &Path) -> bool {
        let dirs = dirs_of(&files_of(path));
        dirs.len() == self.places.len()
            && self.places.iter().zip(&dirs).all(|((place, known), dir)| {
                place == dir && Identity::of(dir).is_ok_and(|now| now == *known)
            })
    }
}

/// Returns why events may not tell of every change of the database at `path`: other machines write to its file system.
pub(super) fn why_silent(path: &Path) -> Option<String> {
    /// NFS, the three of SMB, FUSE, 9P, Ceph and AFS (`statfs(2)`).
    const KINDS: [(u32, &str); 8] = [
        (0x6969, "NFS"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x517b, "SMB"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9P"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
    ];
    let stat = rustix::fs::statfs(path).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the type differs by architecture; the numbers have 32 bits"
    )]
    let kind = stat.f_type as u32;
    let (_, name) = KINDS.iter().find(|(magic, _)| *magic == kind)?;
    Some(format!(
        "its file system ({name}) does not tell of changes that others make"
    ))
}

/// The path, and where it leads to if that is elsewhere: SQLite keeps log and journal beside the latter.
fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_path_buf()];
    if let Ok(real) = std::fs::canonicalize(path)
        && real != path
    {
        files.push(real);
    }
    files
}

fn dirs_of(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| file.parent())
        .map(Path::to_path_buf)
        .collect();
    dirs.dedup();
    dirs
}

fn names_of(files: &[PathBuf]) -> Vec<OsString> {
    files
        .iter()
        .filter_map(|file| file.file_name())
        .map(OsString::from)
        .collect()
}

fn matters(event: &Event, files: &[OsString], dirs: &[PathBuf]) -> bool {
    let is_of_a_writer = match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    };
    let is_ours = |path: &PathBuf| {
        dirs.contains(path)
            || path.file_name().is_some_and(|name| {
                files
                    .iter()
                    .any(|file| name.as_bytes().starts_with(file.as_bytes()))
            })
    };
    event.need_rescan()
        || (is_of_a_writer && (event.paths.is_empty() || event.paths.iter().any(is_ours)))
}

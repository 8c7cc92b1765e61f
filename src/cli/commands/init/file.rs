//! Writing the file.
//!
//! **Invariant:** a file that is there is replaced only when that was asked for, as a whole, and
//! what was in it is kept beside it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::reason;

/// Failure to write it.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// There is one.
    #[error("there is a file at \"{}\" already, which is left as it is\n  replace it with --force (it is kept as \"{}\"), or write to another one: --output FILE", .0.display(), backup(.0).display())]
    Taken(PathBuf),
    /// The operating system refuses.
    #[error("cannot {action} \"{}\": {}\n  write to another place: --output FILE, or --output - for standard output", path.display(), reason(error))]
    Refused {
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
}

/// Everybody may read it: secrets belong into variables.
const MODE: u32 = 0o644;

/// Refuses a path where something is, before anybody is put to work.
pub(super) fn refuse_to_replace(path: &Path) -> Result<(), FileError> {
    match path.symlink_metadata() {
        Ok(_) => Err(FileError::Taken(path.to_path_buf())),
        // What else is wrong with the path shows when it is written.
        Err(_) => Ok(()),
    }
}

/// Writes a file that is not there yet, and the directories that lead to it.
pub(super) fn create(path: &Path, text: &str) -> Result<(), FileError> {
    make_parent(path)?;
    write_new(path, text, MODE)
}

/// Writes a file in the place of the one that may be there, which is kept as `FILE~`. Says where.
#[expect(
    clippy::disallowed_methods,
    reason = "the configuration is no user's temporary file"
)]
pub(super) fn replace(path: &Path, text: &str) -> Result<Option<PathBuf>, FileError> {
    // Behind a link it is the file that is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let Ok(old) = fs::metadata(path) else {
        create(path, text)?;
        return Ok(None);
    };
    let kept = backup(path);
    let mode = old.permissions().mode() & 0o777;
    let new = with_ending(path, &format!(".{}.new", std::process::id()));
    write_new(&new, text, mode)?;
    let replaced = remove_if_there(&kept)
        .and_then(|()| fs::hard_link(path, &kept).map_err(refused("keep", path)))
        .and_then(|()| fs::rename(&new, path).map_err(refused("replace", path)));
    if replaced.is_err() {
        // It is not needed any more; that it cannot be removed is not what matters.
        let _ = fs::remove_file(&new);
    }
    replaced.map(|()| Some(kept))
}

fn make_parent(path: &Path) -> Result<(), FileError> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent)
        .map_err(refused("make the directory", parent))
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is removed was just made here, and is not whole"
)]
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Taken(path.to_path_buf()),
            _ => refused("write", path)(error),
        })?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| File::sync_all(&file));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.map_err(refused("write", path))
}

#[expect(
    clippy::disallowed_methods,
    reason = "an older copy of the configuration, as editors leave it"
)]
fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(refused("replace", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Path of the backup of `path`.
fn backup(path: &Path) -> PathBuf {
    with_ending(path, "~")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_path_buf();
    move |error| FileError::Refused {
        action,
        path,
        error,
    }
}

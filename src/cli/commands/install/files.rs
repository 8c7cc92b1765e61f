//! Files of cron and systemd that `lapsed install` writes.
//!
//! **Invariant:** a file that another program or a person wrote is never replaced or removed, and
//! no link is followed.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Text that the first line of each of our files has.
pub(super) const MARK: &str = "# Written by lapsed install";

/// Programs of other users read them, and write them never.
const MODE: u32 = 0o644;

/// Failure to write or remove a file.
#[derive(Debug, Error)]
pub(super) enum FileError {
    /// Another program or a person wrote it.
    #[error("\"{}\" was not written by lapsed install, and is left as it is\n  move it away, or give another name: --unit NAME", .0.display())]
    NotOurs(PathBuf),
    /// The system refuses.
    #[error("cannot {action} \"{}\": {error}{}", path.display(), hint(error))]
    Refused {
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "\n  run it as root, or give --user",
        _ => "",
    }
}

/// Refuses a file that is there and not ours. Returns true if one of ours is there.
pub(super) fn check(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(refused("look at", path)(error)),
        Ok(found) if !found.is_file() => return Err(FileError::NotOurs(path.to_owned())),
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(refused("read", path))?;
    if text.starts_with(MARK.as_bytes()) {
        return Ok(true);
    }
    Err(FileError::NotOurs(path.to_owned()))
}

/// Writes `text`, as a whole, in the place of what [`check`] has found.
pub(super) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(refused("make the directory", dir))?;
    // cron passes over names with a dot, and systemd over this ending.
    let mut new = tempfile::Builder::new()
        .prefix(".")
        .suffix(".new")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(dir)
        .map_err(refused("write to", dir))?;
    let file = new.as_file_mut();
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(Permissions::from_mode(MODE)))
        .and_then(|()| file.sync_all());
    written.map_err(refused("write", path))?;
    let placed = new.persist(path).map_err(|error| error.error);
    placed.map(|_| ()).map_err(refused("write", path))
}

/// Removes a file that [`check`] has found to be ours.
#[expect(clippy::disallowed_methods, reason = "what is removed is ours")]
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    fs::remove_file(path).map_err(refused("remove", path))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_path_buf();
    move |error| FileError::Refused {
        action,
        path,
        error,
    }
}

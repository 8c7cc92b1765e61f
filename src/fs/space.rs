//! Space of a file system (`statvfs(3)`).

use std::path::Path;

use super::error::{Action, FsError};
pub use crate::core::facts::Space;

/// Asks for the space of the file system that `path` is on. May wait without end for a server.
///
/// # Errors
/// When there is no such path, or it cannot be asked.
pub fn space(path: &Path) -> Result<Space, FsError> {
    let stat = rustix::fs::statvfs(path).map_err(|errno| FsError {
        action: Action::Look,
        path: path.to_path_buf(),
        errno,
    })?;
    Ok(Space {
        size_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        available_inodes: stat.f_favail,
    })
}

//! Files that no other user than root and the daemon's can change.
//!
//! **Invariant:** a file is opened only if no other user can change it, replace it, or replace a
//! directory or link on the way to it: it decides what a privileged process removes.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::super::error::{Refusal, quoted};
use super::super::resolve::reason;

/// Most symbolic links in a row: as many as the kernel follows (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// Permission to write for the group and for others.
const WRITE_OF_OTHERS: u32 = 0o022;

/// Others may add names to a directory, and remove only their own.
const STICKY: u32 = 0o1000;

/// Directories to which others may add names, and from which they remove only their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sticky {
    /// On the way: others cannot replace a directory or a link of ours.
    Accepted,
    /// Not accepted.
    Refused,
}

/// Opens the file at `path`, which is absolute, for the user `uid`. `None`: there is none.
pub(super) fn open(path: &Path, uid: u32) -> Result<Option<File>, Refusal> {
    let Some(real) = examine(path, uid)? else {
        return Ok(None);
    };
    // In a directory with the sticky bit, another user can add the file: a link to one of ours.
    let parent = real.parent().unwrap_or(Path::new("/"));
    check(parent, &metadata(parent)?, uid, Sticky::Refused)?;
    // Neither a pipe nor a device may make this wait.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&real);
    let found = opened.and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) =
        found.map_err(|error| Refusal::new(format!("cannot be read: {}", reason(&error))))?;
    if !metadata.is_file() {
        return Err(Refusal::new("is not a regular file"));
    }
    check(&real, &metadata, uid, Sticky::Refused)?;
    Ok(Some(file))
}

/// Follows `path` one component at a time. Returns the path without links; `None`: nothing is
/// there.
fn examine(path: &Path, uid: u32) -> Result<Option<PathBuf>, Refusal> {
    let mut links = 0;
    let mut reached = PathBuf::from("/");
    // Components that are left, the next one last.
    let mut rest = components(path);
    check(&reached, &metadata(&reached)?, uid, Sticky::Accepted)?;
    while let Some(name) = rest.pop() {
        if name == ".." {
            reached.pop();
            continue;
        }
        let next = reached.join(&name);
        let found = match fs::symlink_metadata(&next) {
            Ok(found) => found,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(unexamined(&next, &error)),
        };
        if found.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                let reason = format!("leads through more than {LINKS_MAX} symbolic links");
                return Err(Refusal::new(reason));
            }
            check_owner(&next, &found, uid)?;
            let target = fs::read_link(&next).map_err(|error| unexamined(&next, &error))?;
            if target.is_absolute() {
                reached = PathBuf::from("/");
            }
            rest.extend(components(&target));
            continue;
        }
        check(&next, &found, uid, Sticky::Accepted)?;
        reached = next;
    }
    Ok(Some(reached))
}

/// Names in `path`, the first one last.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

fn metadata(path: &Path) -> Result<Metadata, Refusal> {
    fs::symlink_metadata(path).map_err(|error| unexamined(path, &error))
}

fn unexamined(path: &Path, error: &std::io::Error) -> Refusal {
    let path = quoted(path);
    Refusal::new(format!("cannot be examined: {path}: {}", reason(error)))
}

/// Refuses what another user than root and `uid` owns or may write.
fn check(path: &Path, found: &Metadata, uid: u32, sticky: Sticky) -> Result<(), Refusal> {
    check_owner(path, found, uid)?;
    let mode = found.mode();
    let is_sticky = found.is_dir() && mode & STICKY != 0;
    if mode & WRITE_OF_OTHERS == 0 || (is_sticky && sticky == Sticky::Accepted) {
        return Ok(());
    }
    let writer = if mode & 0o002 == 0 {
        format!("members of group {}", found.gid())
    } else {
        "all users".to_owned()
    };
    Err(Refusal::new(format!(
        "can be changed by {writer}: {} has mode {:04o}",
        quoted(path),
        mode & 0o7777
    ))
    .hint(format!("chmod go-w {}", quoted(path))))
}

fn check_owner(path: &Path, found: &Metadata, uid: u32) -> Result<(), Refusal> {
    let owner = found.uid();
    if owner == 0 || owner == uid {
        return Ok(());
    }
    let trusted = match uid {
        0 => "root".to_owned(),
        uid => format!("root or user {uid}, who runs this process"),
    };
    let path = quoted(path);
    Err(Refusal::new(format!(
        "can be changed by user {owner}: {path} belongs to that user, but must belong to {trusted}"
    ))
    .hint(format!(
        "chown it, run the daemon as user {owner}, or keep a copy of the file elsewhere"
    )))
}

//! The quarantine of a root: where a thing lies between its disappearance and its end.
//!
//! **Invariant:** what is used as a quarantine is a real directory on the root's own mount, ours, and closed to everybody
//! else. Nothing about a directory that is not like that is changed.

use std::path::PathBuf;

use rustix::io::Errno;

use super::dir::Dir;
use super::error::{FsError, reason};
use super::root::RootDir;
use super::{QUARANTINE, root};
use crate::core::facts::Kind;

/// Why a root's quarantine cannot be had or trusted, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use \"{}\" as the quarantine: {why}\n{mend}", path.display())]
pub struct QuarantineError {
    /// Where it should be.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
    /// What a person can do.
    pub mend: String,
}

/// Opens the quarantine of `root`; makes it when it is missing.
///
/// # Errors
/// When it cannot be made, or what is there cannot be trusted.
pub fn open(root: &RootDir) -> Result<Dir, QuarantineError> {
    if let Some(dir) = find(root)? {
        return Ok(dir);
    }
    match root.top().make_dir(QUARANTINE) {
        Ok(()) => {}
        Err(error) if error.errno == Errno::EXIST => {}
        Err(error) => return Err(not_made(root, &error)),
    }
    find(root)?.ok_or_else(|| untrusted(root, "it vanished again", "see who removes it"))
}

/// Opens the quarantine of `root`; `None` when there is none.
///
/// # Errors
/// When what is there cannot be trusted.
pub fn find(root: &RootDir) -> Result<Option<Dir>, QuarantineError> {
    let mend_other = "move away what stands there; it is made anew at the next removal";
    let failed = |error: &FsError| {
        untrusted(
            root,
            &reason(error.errno),
            "see that the directory can be read by the service",
        )
    };
    let facts = match root.top().look(QUARANTINE) {
        Ok(None) => return Ok(None),
        Ok(Some(facts)) => facts,
        Err(error) => return Err(failed(&error)),
    };
    match facts.kind {
        Kind::Dir => {}
        Kind::Mount => {
            let mend = "unmount it: the quarantine must lie on the root's own mount";
            return Err(untrusted(root, "something is mounted on it", mend));
        }
        Kind::File | Kind::Other => {
            return Err(untrusted(root, "it is no directory", mend_other));
        }
    }
    let dir = match root.top().open_beneath(QUARANTINE) {
        Ok(dir) => dir,
        Err(error) if error.is_absence() => {
            return Err(untrusted(
                root,
                "it was just replaced",
                "see who replaces it",
            ));
        }
        Err(error) => return Err(failed(&error)),
    };
    let stat = rustix::fs::fstat(dir.fd())
        .map_err(|errno| failed(&dir.failed(super::error::Action::Look, b"", errno)))?;
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me {
        let why = format!(
            "it belongs to user id {}, and the service runs as {me}",
            stat.st_uid
        );
        let mend = format!("look into it, then move it away, or give it to user id {me}");
        return Err(untrusted(root, &why, &mend));
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        let why = format!("others can enter it (its mode is {mode:04o})");
        return Err(untrusted(
            root,
            &why,
            "look into it, then set its mode to 0700",
        ));
    }
    Ok(Some(dir))
}

fn untrusted(root: &RootDir, why: &str, mend: &str) -> QuarantineError {
    QuarantineError {
        path: root::named(root.path(), QUARANTINE),
        why: why.to_owned(),
        mend: mend.to_owned(),
    }
}

fn not_made(root: &RootDir, error: &FsError) -> QuarantineError {
    let me = rustix::process::geteuid().as_raw();
    let mend = match error.errno {
        Errno::ROFS => "mount the file system for writing".to_owned(),
        Errno::ACCESS | Errno::PERM => format!(
            "give user id {me} write and search permission on \"{}\", or make the directory beforehand with mode 0700, \
             owned by user id {me}",
            root.path().display()
        ),
        _ => "it is tried again at the next removal".to_owned(),
    };
    untrusted(
        root,
        &format!("it cannot be made ({})", reason(error.errno)),
        &mend,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::common::machine::{NOBODY, has_other_users};

    #[test]
    fn only_a_closed_directory_of_ours_is_trusted() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        let place = base.join(".lapsed");
        let root = RootDir::open(&base).unwrap();

        assert!(find(&root).unwrap().is_none());
        open(&root).unwrap();
        assert_eq!(
            place.metadata().unwrap().permissions().mode() & 0o7777,
            0o700
        );
        assert!(find(&root).unwrap().is_some());

        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = open(&root).unwrap_err().to_string();
        assert!(
            error.contains("mode is 0755") && error.contains("set its mode to 0700"),
            "{error}"
        );
        assert_eq!(
            place.metadata().unwrap().permissions().mode() & 0o7777,
            0o755
        );

        root.top().remove_dir(QUARANTINE).unwrap();
        std::os::unix::fs::symlink("/tmp", &place).unwrap();
        assert!(open(&root).unwrap_err().why.contains("no directory"));
        root.top().remove_file(QUARANTINE).unwrap();
    }

    #[test]
    fn a_directory_of_another_user_is_not_trusted() {
        if !has_other_users() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        let root = RootDir::open(&base).unwrap();
        root.top().make_dir(QUARANTINE).unwrap();
        std::os::unix::fs::chown(base.join(".lapsed"), Some(NOBODY), None).unwrap();
        assert!(open(&root).unwrap_err().why.contains("65534"));
    }
}

//! The way back out of the quarantine: into the place, or aside when that is taken.
//!
//! **Invariant:** nothing is replaced on the way back, and what cannot go back is never deleted.

use std::path::Path;

use rustix::io::Errno;

use super::location::os;
use super::names::quarantine_name;
use super::origin::{self, DISPLACED, DISPLACED_BYTES_MAX};
use crate::core::claim::Outcome;
use crate::core::hold::{Hold, Recovery};
use crate::fs::Dir;
use crate::fs::error::{Action, FsError, reason};

/// The end of the way back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RestoreOutcome {
    /// In its place.
    Home,
    /// In the quarantine, under its displaced name.
    Displaced,
    /// In the quarantine under its number: the file system refuses everything. Recovery tries
    /// again.
    Stuck,
}

/// Puts the part `part` of the removal `id` back to `name` in `home`; aside when there is no home
/// or its name is taken. `path` is for messages.
pub(super) fn put_back(
    quarantine: &Dir,
    (id, part): (u64, u32),
    home: Result<&Dir, &FsError>,
    name: &[u8],
    path: &Path,
) -> RestoreOutcome {
    let quarantined = quarantine_name(id, part);
    let why = match home {
        Ok(home) => match quarantine.move_to(&quarantined, home, name) {
            Ok(()) => return RestoreOutcome::Home,
            Err(error) if error.errno == Errno::EXIST => "its name was taken meanwhile".to_owned(),
            Err(error) => reason(error.errno),
        },
        Err(error) => error.to_string(),
    };
    set_aside(quarantine, &quarantined, name, path, &why)
}

/// Gives the thing that is in the quarantine as `quarantined` its displaced name.
pub(super) fn set_aside(
    quarantine: &Dir,
    quarantined: &[u8],
    name: &[u8],
    path: &Path,
    why: &str,
) -> RestoreOutcome {
    let mut aside = [DISPLACED.as_bytes(), quarantined, b"-", name].concat();
    aside.truncate(DISPLACED_BYTES_MAX);
    let kept_as = quarantine.path().join(os(&aside));
    match quarantine.move_to(quarantined, quarantine, &aside) {
        Ok(()) => {
            origin::note(quarantine, &aside, path, why);
            tracing::error!(
                path = %path.display(),
                kept_as = %kept_as.display(),
                why,
                "displaced: it could not go back to its place and is kept; `lapsed displaced` restores or deletes it"
            );
            RestoreOutcome::Displaced
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "left in the quarantine; the next start tries again");
            RestoreOutcome::Stuck
        }
    }
}

/// Gives the thing that is in the trash `dir` as `name` a displaced name in the quarantine.
pub(super) fn displace_from(
    dir: &Dir,
    (quarantine, name): (&Dir, &[u8]),
    path: &Path,
    why: &str,
) -> Result<(), FsError> {
    let aside = [DISPLACED.as_bytes(), b"trash-", name].concat();
    let kept_as = quarantine.path().join(os(&aside));
    dir.move_to(name, quarantine, &aside)?;
    origin::note(quarantine, &aside, path, why);
    tracing::error!(
        path = %path.display(),
        kept_as = %kept_as.display(),
        why,
        "displaced: it is kept; `lapsed displaced` restores or deletes it"
    );
    Ok(())
}

/// The answer for a claim whose `name` cannot be moved out of `dir`.
pub(super) fn refused(error: &FsError, dir: &Dir, name: &[u8]) -> Outcome {
    let path = dir.path().join(os(name));
    match error.errno {
        Errno::NOENT => Outcome::Gone,
        Errno::BUSY => Outcome::Held(Hold::MountInside {
            path: path.display().to_string(),
        }),
        // Only what lies there: the rest of the root is no matter of this.
        Errno::XDEV => held(
            format!(
                "cannot move \"{}\" into the root's quarantine: the file system treats it as another one\n\
                 a project quota or a layered file system stands between them; make what lies there a root of its own",
                path.display()
            ),
            Recovery::RetryOnly,
        ),
        Errno::EXIST | Errno::NOSPC | Errno::DQUOT => Outcome::Held(Hold::NoQuarantine {
            error: format!(
                "cannot move \"{}\" into the root's quarantine: {}",
                path.display(),
                reason(error.errno)
            ),
        }),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => denied(error, dir, name),
        _ => held(error.to_string(), Recovery::RetryOnly),
    }
}

fn held(error: String, ends: Recovery) -> Outcome {
    Outcome::Held(Hold::Denied { error, ends })
}

/// The hold that names the missing permission, the directory, and what would mend it.
fn denied(error: &FsError, dir: &Dir, name: &[u8]) -> Outcome {
    let me = rustix::process::geteuid().as_raw();
    let (place, what) = (dir.path().display(), reason(error.errno));
    if error.errno == Errno::ROFS {
        let error = format!("\"{place}\" is on a read-only file system\nmount it for writing");
        return held(error, Recovery::RetryOnly);
    }
    let mode = rustix::fs::fstat(dir.fd()).map(|stat| (stat.st_mode & 0o7777, stat.st_uid));
    let may_change = dir.may_change();
    let (ends, mend) = match mode {
        Ok((mode, owner)) if may_change && mode & 0o1000 != 0 => (
            Recovery::Event,
            format!(
                "the directory is sticky (mode {mode:04o}, owner {owner}): run the service as the owner of its files, or with \
                 CAP_FOWNER"
            ),
        ),
        Ok(_) if may_change => (
            Recovery::RetryOnly,
            format!(
                "look for an immutable or append-only attribute on \"{}\" or its directory (lsattr), and for write permission \
                 on it when it is a directory",
                String::from_utf8_lossy(name)
            ),
        ),
        Ok((mode, owner)) => (
            Recovery::Event,
            format!(
                "give user id {me} write and search permission on that directory (mode {mode:04o}, owner {owner}), or run the \
                 service as its owner"
            ),
        ),
        Err(_) => (
            Recovery::Event,
            format!("give user id {me} write and search permission on that directory"),
        ),
    };
    let error = format!("user id {me} may not change \"{place}\" ({what})\n{mend}");
    held(error, ends)
}

/// The error when a directory in a unit does not let its content be removed.
pub(super) fn closed(path: &Path) -> FsError {
    FsError {
        action: Action::Remove,
        path: path.to_path_buf(),
        errno: Errno::ACCESS,
    }
}

//! Quarantine of a root: the directory that things are in between their removal from their place
//! and their deletion.
//!
//! **Invariant:** a quarantine must be a real directory on the root's own mount that belongs to the
//! user of this process and is closed to all others. A directory that is not is never changed.
//! **Invariant:** at most one process has a quarantine locked. The lock (`flock(2)`) is on the
//! directory itself, so it follows the directory through renames, and the kernel releases it when
//! the process ends.

use std::path::PathBuf;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::QUARANTINE;
use super::dir::Dir;
use super::error::{FsError, reason};
use super::open::named;
use super::root::RootDir;
use crate::core::facts::Kind;

/// Reason for which the quarantine of a root cannot be made or trusted, and the advice that mends
/// it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use \"{}\" as the quarantine: {why}\n{mend}", path.display())]
pub struct QuarantineError {
    /// Path of the quarantine.
    pub path: PathBuf,
    /// The reason.
    pub why: String,
    /// The advice.
    pub mend: String,
}

/// Reason for which a quarantine is not locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockError {
    /// Another process has locked it: the process with this id, if it is visible.
    InUse(Option<u32>),
    /// It cannot be locked.
    Refused(QuarantineError),
}

/// Creates the quarantine of `root`, which is missing.
///
/// # Errors
/// When it cannot be created, or when the directory that has appeared meanwhile cannot be trusted.
pub fn make(root: &RootDir) -> Result<Dir, QuarantineError> {
    match root.top().make_dir(QUARANTINE) {
        Ok(()) => {}
        Err(error) if error.errno == Errno::EXIST => {}
        Err(error) => return Err(not_made(root, &error)),
    }
    find(root)?.ok_or_else(|| untrusted(root, "it vanished again", "see who removes it"))
}

/// Locks `quarantine` of `root` for as long as it is open.
///
/// # Errors
/// When another process, or another descriptor of this one, has it locked; or when the file system
/// refuses.
pub fn lock(root: &RootDir, quarantine: &Dir) -> Result<(), LockError> {
    match rustix::fs::flock(quarantine.fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(LockError::InUse(holder_of(quarantine))),
        Err(errno) => Err(LockError::Refused(untrusted(
            root,
            &format!("it cannot be locked ({})", reason(errno)),
            "use a file system with locks (flock); it is tried again by itself",
        ))),
    }
}

/// Checks whether the quarantine of `root` could be used, without creating or locking it.
///
/// # Errors
/// As [`find`], [`make`] and [`lock`] would fail.
pub fn check(root: &RootDir) -> Result<(), LockError> {
    if let Some(dir) = find(root).map_err(LockError::Refused)? {
        return match holder_of(&dir) {
            Some(pid) if pid != std::process::id() => Err(LockError::InUse(Some(pid))),
            Some(_) | None => Ok(()),
        };
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let top = root.top();
    rustix::fs::accessat(top.fd(), ".", access, rustix::fs::AtFlags::EACCESS).map_err(|errno| {
        let error = top.failed(super::error::Action::Create, QUARANTINE, errno);
        LockError::Refused(not_made(root, &error))
    })
}

/// Returns the process that has locked `dir`, if `/proc/locks` has one that is visible to this
/// process.
#[must_use]
pub fn holder_of(dir: &Dir) -> Option<u32> {
    let stat = rustix::fs::fstat(dir.fd()).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = (
        rustix::fs::major(stat.st_dev),
        rustix::fs::minor(stat.st_dev),
    );
    find_holder(&locks, device, stat.st_ino)
}

/// Searches lines such as `1: FLOCK  ADVISORY  WRITE 18811 fe:00:5513727 0 EOF`: the fifth field is
/// the process, the sixth the device and the inode.
fn find_holder(locks: &str, device: (u32, u32), ino: u64) -> Option<u32> {
    let of_ino = locks.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = *fields else {
            return None;
        };
        let mut parts = place.split(':');
        let mut hex = || u32::from_str_radix(parts.next()?, 16).ok();
        let on = (hex()?, hex()?);
        let is_it = parts.next()?.parse() == Ok(ino);
        Some((on, pid.parse().ok()?)).filter(|_| is_it)
    });
    let of_ino: Vec<((u32, u32), u32)> = of_ino.collect();
    let exact = of_ino.iter().find(|(on, _)| *on == device);
    // On btrfs the device number there differs from that of stat(2).
    let only = of_ino.first().filter(|_| of_ino.len() == 1);
    exact.or(only).map(|(_, pid)| *pid).filter(|&pid| pid > 0)
}

/// Opens the quarantine of `root`; `None` if there is none.
///
/// # Errors
/// When the directory cannot be trusted.
pub fn find(root: &RootDir) -> Result<Option<Dir>, QuarantineError> {
    let mend_other = "move away what stands there; it is made anew at the next removal";
    let failed = |error: &FsError| unreadable(root, error.errno);
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
    check_private(root, &dir)?;
    Ok(Some(dir))
}

/// Checks that `quarantine` of `root` belongs to the user of this process and is closed to others.
///
/// # Errors
/// When it cannot be trusted.
pub fn check_private(root: &RootDir, quarantine: &Dir) -> Result<(), QuarantineError> {
    let stat = rustix::fs::fstat(quarantine.fd()).map_err(|errno| unreadable(root, errno))?;
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
        let mend = "look into it, then set its mode to 0700";
        return Err(untrusted(root, &why, mend));
    }
    Ok(())
}

fn unreadable(root: &RootDir, errno: Errno) -> QuarantineError {
    let mend = "see that the directory can be read by the service";
    untrusted(root, &reason(errno), mend)
}

fn untrusted(root: &RootDir, why: &str, mend: &str) -> QuarantineError {
    QuarantineError {
        path: named(root.path(), QUARANTINE),
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
        make(&root).unwrap();
        assert_eq!(
            place.metadata().unwrap().permissions().mode() & 0o7777,
            0o700
        );
        assert!(find(&root).unwrap().is_some());

        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = find(&root).unwrap_err().to_string();
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
        assert!(make(&root).unwrap_err().why.contains("no directory"));
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
        assert!(find(&root).unwrap_err().why.contains("65534"));
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_process_that_has_the_first() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        let root = RootDir::open(&base).unwrap();
        let first = make(&root).unwrap();
        lock(&root, &first).unwrap();
        let second = find(&root).unwrap().unwrap();
        let me = std::process::id();
        assert_eq!(lock(&root, &second), Err(LockError::InUse(Some(me))));
        // It is the directory that is locked, not its name.
        std::process::Command::new("mv")
            .args([base.join(".lapsed"), base.join("elsewhere")])
            .status()
            .unwrap();
        let other = make(&root).unwrap();
        assert_eq!(lock(&root, &other), Ok(()));
        assert_eq!(lock(&root, &second), Err(LockError::InUse(Some(me))));
        drop(first);
        assert_eq!(lock(&root, &second), Ok(()));
    }

    #[test]
    fn the_holder_is_found_by_device_or_by_a_number_that_is_there_once() {
        let locks = "1: FLOCK  ADVISORY  WRITE 18811 fe:0a:55 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 1 fe:0a:66 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 18812 fd:0a:55 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 7 fe:0a:55 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 18813 00:2a:77 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 0 00:2a:88 0 EOF\n";
        assert_eq!(find_holder(locks, (0xfd, 0xa), 55), Some(18812));
        assert_eq!(find_holder(locks, (0xff, 0xa), 55), None);
        assert_eq!(find_holder(locks, (0xff, 0xa), 77), Some(18813));
        assert_eq!(find_holder(locks, (0xfe, 0xa), 66), None);
        assert_eq!(find_holder(locks, (0, 0x2a), 88), None);
        assert_eq!(find_holder("", (0, 0), 1), None);
    }
}

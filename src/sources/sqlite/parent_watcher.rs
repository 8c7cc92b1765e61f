//! Watches the directory of a database: whatever a writer does shows at its file, its log or its
//! journal.
//!
//! **Invariant:** an event is a rumour: it says when to ask the database, not what has changed.
//! **Invariant:** our own reading raises no event that counts, or it would wake itself for ever.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::WatchFlags;

use crate::fs::file_watch::{FileWatch, Names, Woken};
use crate::sources::change_signal::ChangeSignal;

/// The rest after each word of a change: neighbours of the database may be busy.
const REST: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

/// A watch of a database's directory; if the path is a symbolic link, of the directory that it
/// leads to as well.
pub(super) struct ParentWatcher {
    /// Ends the thread when it is written to.
    stop: Arc<OwnedFd>,
    is_watched: Arc<AtomicBool>,
}

impl ParentWatcher {
    /// Raises `signal` from now on whenever something happens to the database at `path`, or to the
    /// way there.
    ///
    /// # Errors
    /// When its directory is not there, or the system gives out no watch.
    pub(super) fn watch(path: &Path, signal: &Arc<ChangeSignal>) -> io::Result<Self> {
        // A write-ahead log is written to without being closed, which only `MODIFY` shows. Our own
        // reading raises none of these.
        let mask = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO;
        let mut watch = FileWatch::new(path, Names::Beginning, mask)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let stop = Arc::new(stop);
        let is_watched = Arc::new(AtomicBool::new(true));
        let (stopped, told, signal) = (
            Arc::clone(&stop),
            Arc::clone(&is_watched),
            Arc::clone(signal),
        );
        std::thread::Builder::new()
            .name("jobs-watch".to_owned())
            .spawn(move || {
                loop {
                    let woken = watch.wait(&stopped);
                    if matches!(woken, Ok(Woken::Stopped)) {
                        return;
                    }
                    told.store(woken.is_ok() && watch.is_watched(), Ordering::Relaxed);
                    signal.raise();
                    if woken.is_err() {
                        return;
                    }
                    let mut stopped = [PollFd::new(&*stopped, PollFlags::IN)];
                    let _ = poll(&mut stopped, Some(&REST));
                }
            })?;
        Ok(Self { stop, is_watched })
    }

    /// Returns whether the database at `path` is still watched where it is, or its directory's
    /// return is waited for.
    pub(super) fn is_right(&self, path: &Path) -> bool {
        let is_here = || path.parent().is_some_and(Path::is_dir);
        self.is_watched.load(Ordering::Relaxed) || !is_here()
    }
}

impl Drop for ParentWatcher {
    fn drop(&mut self) {
        // Fails only when the counter is full: then the thread is woken already.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }
}

/// Returns why some changes of the database at `path` may have no event: other machines write to
/// its file system.
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

//! Notices edits of the configuration file.
//!
//! The debouncer wakes 40 times a second while it lives, and the mask of the crate below it holds `OPEN` and `MODIFY`: beside
//! a busy root, state directory or log it would never rest. So it is made when a first event of the file itself comes, gathers
//! the burst that an editor makes, and is dropped when all is quiet. In between a watch of our own, which hears of names only
//! and of files that were written and closed, sleeps.
//!
//! **Invariant:** told only when the content has changed; a file that is gone or cannot be read keeps what runs.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use notify::RecursiveMode;
use notify_debouncer_full::{DebouncedEvent, new_debouncer};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::clock;

/// An editor's burst (write to a temporary file, rename, change the mode) is over when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(200);

/// A file that changes without end is read after so long all the same.
const BURST_MAX: Duration = Duration::from_secs(10);

/// One `read(2)` takes at most this much: at least 14 events, whose names have up to 256 bytes.
const READ_BYTES: usize = 4096;

/// Watches the configuration file until it is dropped.
pub(super) struct ConfigFile {
    stop: Arc<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ConfigFile {
    /// Calls `changed` after each edit of `file`, of which `loaded` is in force; also after one that came before this call.
    ///
    /// # Errors
    /// When its directory cannot be watched.
    pub(super) fn watch(
        file: &Path,
        loaded: Option<String>,
        changed: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let watched = Watched::new(file)?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let stopped = Arc::clone(&stop);
        let loaded = loaded.map(String::into_bytes);
        let thread = std::thread::Builder::new()
            .name("config".to_owned())
            .spawn(move || watched.follow(loaded, &stopped, &changed))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        // Fails only when the counter is full: then the thread is told already.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The file, and the watch on the directory that it is in.
struct Watched {
    file: PathBuf,
    dir: PathBuf,
    events: OwnedFd,
}

impl Watched {
    fn new(file: &Path) -> std::io::Result<Self> {
        let dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // Neither `OPEN` nor `MODIFY`: our own reading and whoever writes a log beside it would wake us.
        let mask = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&events, &dir, mask)?;
        Ok(Self {
            file: file.to_path_buf(),
            dir,
            events,
        })
    }

    fn follow(&self, mut content: Option<Vec<u8>>, stop: &OwnedFd, changed: &dyn Fn()) {
        // First without an event: the file may have been edited between being loaded and being watched.
        loop {
            let read = std::fs::read(&self.file).ok();
            if read.is_some() && read != content {
                content = read;
                changed();
            }
            loop {
                let mut fds = [
                    PollFd::new(&self.events, PollFlags::IN),
                    PollFd::new(stop, PollFlags::IN),
                ];
                match poll(&mut fds, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => {
                        tracing::warn!(
                            "edits of the configuration are not noticed any more: {error}; reload with SIGHUP"
                        );
                        return;
                    }
                }
                if !fds[1].revents().is_empty() {
                    return;
                }
                if self.drain() == Heard::Edit {
                    break;
                }
            }
            self.wait_for_quiet();
            self.drain();
        }
    }

    /// Takes all events that wait; whether one of them may be an edit of the file.
    fn drain(&self) -> Heard {
        let mut heard = Heard::Nothing;
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut reader = inotify::Reader::new(&self.events, buffer.spare_capacity_mut());
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()));
                    if event.events().contains(ReadFlags::QUEUE_OVERFLOW) || self.is_about(name) {
                        heard = Heard::Edit;
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return heard,
            }
        }
    }

    /// Whether a change at `name` in the directory may change the file. Where the file is a symbolic link, what it leads to
    /// may be replaced under any name there.
    fn is_about(&self, name: Option<&OsStr>) -> bool {
        name == self.file.file_name() || name.is_some() && self.file.is_symlink()
    }

    /// Returns when the burst that has begun is over.
    fn wait_for_quiet(&self) {
        let (sender, bursts) = channel();
        let debouncer = new_debouncer(QUIET, None, move |burst| {
            // Nobody listens any more: the burst is over.
            let _ = sender.send(burst);
        })
        .and_then(|mut debouncer| {
            debouncer.watch(&self.dir, RecursiveMode::NonRecursive)?;
            Ok(debouncer)
        });
        if let Err(error) = &debouncer {
            tracing::warn!("cannot wait for edits of the configuration to end: {error}");
        }
        let begun = clock::now().boot;
        let mut quiet_at = begun + QUIET;
        loop {
            let now = clock::now().boot;
            let left = quiet_at.saturating_sub(now);
            if left.is_zero() || now.saturating_sub(begun) > BURST_MAX {
                break;
            }
            match bursts.recv_timeout(left) {
                // Other files beside it are no reason to wait.
                Ok(burst) => {
                    if burst.map_or(true, |events| events.iter().any(|one| self.has(one))) {
                        quiet_at = clock::now().boot + QUIET;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn has(&self, event: &DebouncedEvent) -> bool {
        event
            .paths
            .iter()
            .any(|path| self.is_about(path.file_name()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Edit,
    Nothing,
}

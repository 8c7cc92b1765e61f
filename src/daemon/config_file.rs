//! Notices edits of the configuration file.
//!
//! The debouncer wakes 40 times a second while it lives, and the mask of the crate below it holds
//! `OPEN` and `MODIFY`: beside a busy root, state directory or log it would never rest. So it is
//! made when a first event of the file itself comes, gathers the burst that an editor makes, and is
//! dropped when all is quiet. In between a watch of our own, which hears of names only and of files
//! that were written and closed, sleeps.
//!
//! **Invariant:** told only when the content has changed; a file that is gone or cannot be read
//! keeps what runs.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use notify::RecursiveMode;
use notify_debouncer_full::{DebouncedEvent, new_debouncer};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::WatchFlags;

use crate::clock;
use crate::fs::file_watch::{FileWatch, Names, Woken};

/// An editor's burst (write to a temporary file, rename, change the mode) is over when nothing has
/// come for this long.
const QUIET: Duration = Duration::from_millis(200);

/// A file that changes without end is read after so long all the same.
const BURST_MAX: Duration = Duration::from_secs(10);

/// Watches the configuration file until it is dropped.
pub(super) struct ConfigFile {
    stop: Arc<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ConfigFile {
    /// Calls `changed` after each edit of `file`, of which `loaded` is in force; also after one
    /// that came before this call.
    ///
    /// # Errors
    /// If its directory cannot be watched.
    pub(super) fn watch(
        file: &Path,
        loaded: Option<String>,
        changed: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut watched = Watched::new(file)?;
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

/// The file, and its watch.
struct Watched {
    file: PathBuf,
    dir: PathBuf,
    watch: FileWatch,
}

impl Watched {
    fn new(file: &Path) -> std::io::Result<Self> {
        // Neither `OPEN` nor `MODIFY`: our own reading and whoever writes a log beside it would
        // wake us.
        let mask = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVED_TO;
        Ok(Self {
            file: file.to_path_buf(),
            dir: file.parent().unwrap_or(Path::new("/")).to_path_buf(),
            watch: FileWatch::new(file, Names::File, mask)?,
        })
    }

    fn follow(&mut self, mut content: Option<Vec<u8>>, stop: &OwnedFd, changed: &dyn Fn()) {
        // First without an event: the file may have been edited between being loaded and being
        // watched.
        loop {
            let read = std::fs::read(&self.file).ok();
            if read.is_some() && read != content {
                content = read;
                changed();
            }
            match self.watch.wait(stop) {
                Ok(Woken::Changed) => {}
                Ok(Woken::Stopped) => return,
                Err(error) => {
                    tracing::warn!(
                        "edits of the configuration are not noticed any more: {error}; reload with SIGHUP"
                    );
                    return;
                }
            }
            self.wait_for_quiet();
            self.watch.clear();
        }
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
            .any(|path| path.file_name() == self.file.file_name() || self.file.is_symlink())
    }
}

//! Notices edits of the configuration file.
//!
//! The debouncer wakes 40 times a second while it lives: it is made when a first event comes, gathers the burst that an editor
//! makes, and is dropped when all is quiet. In between a plain watch on the file's directory sleeps.
//!
//! **Invariant:** told only when the content has changed; a file that is gone or cannot be read keeps what runs.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use notify_debouncer_full::new_debouncer;

/// An editor's burst (write to a temporary file, rename, change the mode) is over when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(200);

/// A file that changes without end is read after so many bursts all the same.
const BURSTS_MAX: usize = 50;

/// Watches the configuration file until it is dropped.
pub(super) struct ConfigFile {
    /// Dropped first: it owns the sender that the thread waits on.
    watcher: Option<RecommendedWatcher>,
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
    ) -> notify::Result<Self> {
        let dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();
        let (sender, events) = channel();
        let mut watcher = notify::recommended_watcher(forward(sender))?;
        watcher.watch(&dir, RecursiveMode::NonRecursive)?;
        let file = file.to_path_buf();
        let loaded = loaded.map(String::into_bytes);
        let thread = std::thread::Builder::new()
            .name("config".to_owned())
            .spawn(move || {
                follow(&file, &dir, loaded, &events, &changed);
            })?;
        Ok(Self {
            watcher: Some(watcher),
            thread: Some(thread),
        })
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        drop(self.watcher.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Hands on every event but those of reading, which our own reading raises.
fn forward(sender: Sender<()>) -> impl FnMut(notify::Result<notify::Event>) + Send {
    move |event| {
        let matters = event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
        if matters {
            // Nobody listens any more: we are being dropped.
            let _ = sender.send(());
        }
    }
}

fn follow(
    file: &Path,
    dir: &Path,
    mut content: Option<Vec<u8>>,
    events: &Receiver<()>,
    changed: &dyn Fn(),
) {
    // First without an event: the file may have been edited between being loaded and being watched.
    loop {
        let read = std::fs::read(file).ok();
        if read.is_some() && read != content {
            content = read;
            changed();
        }
        if events.recv().is_err() {
            return;
        }
        wait_for_quiet(dir, events);
    }
}

/// Returns when the burst that has begun is over.
fn wait_for_quiet(dir: &Path, events: &Receiver<()>) {
    let (sender, bursts) = channel();
    let debouncer = new_debouncer(QUIET, None, move |burst| {
        let _ = sender.send(burst);
    })
    .and_then(|mut debouncer| {
        debouncer.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(debouncer)
    });
    if let Err(error) = &debouncer {
        tracing::warn!("cannot wait for edits of the configuration to end: {error}");
    }
    for _ in 0..BURSTS_MAX {
        match bursts.recv_timeout(QUIET) {
            Ok(Ok(_) | Err(_)) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(debouncer);
    while events.try_recv().is_ok() {}
}

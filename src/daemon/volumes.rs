//! Space of file systems, for the engine: asked by a thread for each root, since a file system that
//! does not answer must hold up nothing else.
//!
//! **Invariant:** the engine never waits for a file system: a question that cannot be asked is
//! answered as if the file system could not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::core::engine::Input;
use crate::core::facts::RootId;
use crate::fs::space;

/// Asks file systems for their space. The engine asks for one root again only after an answer.
pub(super) struct VolumeProbe {
    inbox: mpsc::Sender<Input>,
    threads: Mutex<BTreeMap<RootId, Sender<PathBuf>>>,
}

impl VolumeProbe {
    /// For an engine that reads `inbox`. A thread is started for a root when it is asked first.
    pub(super) fn new(inbox: mpsc::Sender<Input>) -> Self {
        Self {
            inbox,
            threads: Mutex::default(),
        }
    }

    /// Asks the file system of `root`, at `path`. Returns at once.
    pub(super) fn ask(&self, root: RootId, path: Option<PathBuf>) {
        let Some(path) = path else {
            return;
        };
        let mut threads = self.threads.lock();
        let sender = threads.entry(root).or_insert_with(|| {
            let (sender, asked) = channel::<PathBuf>();
            let inbox = self.inbox.clone();
            let started = std::thread::Builder::new()
                .name("volume".to_owned())
                .spawn(move || {
                    for path in asked {
                        let space = space::space(&path).ok();
                        // No one takes it in any more: the daemon ends.
                        let _ = inbox.blocking_send(Input::Space(root, space));
                    }
                });
            if let Err(error) = started {
                tracing::warn!(%error, "cannot ask a file system for its space: limits on it wait");
            }
            sender
        });
        let _ = sender.send(path);
    }
}

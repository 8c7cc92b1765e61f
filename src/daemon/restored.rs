//! Content of the cache, in the form of the watchers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::owner::sink_into;
use super::parts;
use crate::config::Settings;
use crate::core::engine::{Input, SavedState};
use crate::core::facts::RootId;
use crate::core::index::{DirId, Index};
use crate::watch::{self, RestoredDir, RestoredRoot, WatchError, Watcher};

/// The watcher of a daemon, which knows what was saved of the roots.
pub(super) fn watcher(
    settings: &Settings,
    memory: &SavedState,
    inbox: &mpsc::Sender<Input>,
) -> Result<Arc<Watcher>, WatchError> {
    let options = watch::Options {
        restored: roots(memory),
        ..parts::watch_options(settings)
    };
    Watcher::start(options, sink_into(inbox)).map(Arc::new)
}

/// The directories of every root of which all is known that the rules in force ask for. Of the
/// others everything has to be read anyway.
fn roots(memory: &SavedState) -> Vec<RestoredRoot> {
    let settled = memory.roots.iter().filter(|(_, root)| root.settled);
    settled
        .filter_map(|(&id, _)| root(&memory.index, id))
        .collect()
}

fn root(index: &Index, id: RootId) -> Option<RestoredRoot> {
    let top = index.dir_id(id, b"")?;
    let mut places: BTreeMap<DirId, usize> = BTreeMap::new();
    let mut dirs = Vec::new();
    index.each_dir(top, |dir, parent, name, ino, stamp| {
        places.insert(dir, dirs.len());
        dirs.push(RestoredDir {
            parent: parent
                .and_then(|parent| places.get(&parent).copied())
                .unwrap_or(0),
            name: name.into(),
            ino,
            stamp,
        });
    });
    Some(RestoredRoot { id, dirs })
}

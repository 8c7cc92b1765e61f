//! The running cache: its start, what it calls back, and its state.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc;

use crate::app::daemon::TellCache;
use crate::cache::{self, Cache, CacheStats};
use crate::core::engine::{Engine, Input};
use crate::types::{self, CacheState, JsonPath};
use crate::watch::{LOW_PRIORITY_BARRIER, Watcher};

pub(super) fn cache_hooks(inbox: &mpsc::Sender<Input>, watcher: &Arc<Watcher>) -> cache::Hooks {
    let (inbox, watcher) = (inbox.clone(), Arc::clone(watcher));
    cache::Hooks {
        request_barrier: Box::new(move || watcher.sync(LOW_PRIORITY_BARRIER)),
        on_save_state: Arc::new(move |why| drop(inbox.blocking_send(Input::Unsaved(why)))),
    }
}

pub(super) fn start_cache(
    cache: cache::Unstarted,
    engine: &Engine,
    hooks: cache::Hooks,
) -> anyhow::Result<Arc<Cache>> {
    let cache = cache.start(Arc::clone(engine.index()), hooks);
    Ok(Arc::new(cache.context("cannot start to save")?))
}

pub(super) fn tell_cache(cache: &Arc<Cache>) -> Box<TellCache> {
    let cache = Arc::clone(cache);
    Box::new(move || {
        let CacheStats {
            failing,
            pending,
            unstamped,
            size_bytes,
            saved_at,
            saves,
            compactions,
            loaded,
            set_aside,
        } = cache.stats();
        types::Cache {
            state: failing
                .as_ref()
                .map_or_else(CacheState::default, |_| CacheState::Failing),
            why: failing,
            pending,
            unstamped,
            size_bytes,
            saved_at: saved_at.map(|at| at.to_string()),
            saves,
            compactions,
            loaded: types::Loaded {
                entries: loaded.entries,
                dirs: loaded.dirs,
                took_ms: loaded.took_ms,
                lost_pages: loaded.lost.pages,
                lost_dirs: loaded.lost.dirs,
            },
            set_aside: set_aside.map(|(path, why)| types::SetAside {
                path: JsonPath::new(&path),
                why,
            }),
        }
    })
}

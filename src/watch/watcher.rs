//! The handle of a running watcher, and the crawl without one.

use std::sync::Arc;

use super::backend::{Backend, Marker};
use super::error::WatchError;
use super::event_loop::{EventLoop, Parts};
use super::inbox::{Inbox, Order};
use super::inotify::Inotify;
use super::notify::Notify;
use super::null_backend::NullBackend;
use super::options::{BackendKind, Options, Report, Sink, WatchRoot};
use super::parent_watcher::ParentWatcher;
use super::poll::Poll;
use super::stats::{Counters, WatchStats};
use super::workers::Workers;
use crate::core::facts::RootId;
use crate::core::observed::Observed;
use crate::core::path::RelPath;

/// Watches roots until it is dropped. All its methods return at once, whatever the sink does
/// meanwhile.
pub struct Watcher {
    backend: Arc<dyn Backend>,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    crew: Workers,
}

impl Watcher {
    /// Starts to watch. What is there already is reported to `sink` as a crawl.
    ///
    /// # Errors
    /// When the operating system refuses what watching needs. Roots that are missing are no error:
    /// they are waited for.
    pub fn start(options: Options, sink: Sink) -> Result<Self, WatchError> {
        let every = options.reconcile_every;
        match options.backend {
            BackendKind::Inotify => Self::start_with(options, sink, |bytes_max, crew, wake| {
                Ok(Arc::new(Inotify::start(bytes_max, crew, wake)?))
            }),
            BackendKind::Notify => Self::start_with(options, sink, |bytes_max, _, wake| {
                Ok(Arc::new(Notify::start(bytes_max, wake)?))
            }),
            BackendKind::Poll => Self::start_with(options, sink, move |_, crew, wake| {
                Ok(Arc::new(Poll::start(every, crew, wake)?))
            }),
        }
    }

    /// Starts to watch with the events of another backend.
    pub(super) fn start_with<B: Backend + 'static>(
        options: Options,
        sink: Sink,
        backend: impl FnOnce(usize, &Workers, Box<dyn Fn() + Send + Sync>) -> Result<Arc<B>, WatchError>,
    ) -> Result<Self, WatchError> {
        let inbox = Arc::new(Inbox::default());
        let waker = Arc::clone(&inbox);
        let crew = Workers::default();
        let wake = Box::new(move || waker.put_events());
        let watcher = Self {
            backend: backend(options.queue_bytes_max, &crew, wake)?,
            inbox,
            counters: Arc::default(),
            crew,
        };
        // From here on, whatever fails ends the threads that run already: the watcher is dropped.
        let parts = Parts {
            backend: Arc::clone(&watcher.backend),
            inbox: Arc::clone(&watcher.inbox),
            counters: Arc::clone(&watcher.counters),
            surroundings: Some(ParentWatcher::start(&watcher.crew, &watcher.inbox)?),
        };
        let event_loop = EventLoop::new(parts, options, &sink, &watcher.crew)?;
        let (counters, inbox) = (Arc::clone(&watcher.counters), Arc::clone(&watcher.inbox));
        watcher.crew.start(
            "lapsed-looker",
            || event_loop.run(),
            move || {
                counters.die();
                inbox.stop();
                let doubts = counters.roots().into_iter().map(|root| Observed::Doubted {
                    root,
                    why: "the watcher failed; this is a bug: start the daemon again".into(),
                });
                sink(Report::Observed(doubts.collect()));
            },
        )?;
        Ok(watcher)
    }

    /// Takes over which roots there are. A root that stays keeps what is known of it.
    pub fn set_roots(&self, roots: Vec<WatchRoot>) {
        self.inbox.put_order(Order::SetRoots(roots));
    }

    /// Lists everything in a root again; ends with [`Observed::Reconciled`]. Nothing while the root
    /// is not there.
    pub fn recrawl(&self, root: RootId) {
        self.inbox.put_order(Order::Recrawl(root));
    }

    /// Lists a directory and all beneath it again.
    pub fn relist(&self, root: RootId, dir: RelPath) {
        self.inbox.put_order(Order::Relist(root, dir));
    }

    /// Forgets a directory that is about to be moved away, and ends the watches in it and beneath.
    /// Nothing is reported. When it stays after all, it has to be listed again
    /// ([`Watcher::relist`]).
    pub fn drop_subtree(&self, root: RootId, dir: RelPath) {
        self.inbox.put_order(Order::DropSubtree(root, dir));
    }

    /// Asks for [`Report::Synced`] with `token`, after all that happened before this call is
    /// reported: looks, listings and those that follow from them; after an overflow the
    /// reconciliation, and after a restart the comparison with what was saved.
    pub fn sync(&self, token: u64) {
        self.backend.mark(Marker::Sync(token));
    }

    /// Number of names that were opened to list directories.
    #[cfg(test)]
    pub(super) fn opened(&self) -> usize {
        self.inbox.opened.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Returns the figures of the watcher.
    #[must_use]
    pub fn stats(&self) -> WatchStats {
        self.counters.stats(&*self.backend)
    }

    /// Ends it. Waits for its threads, a tenth of a second at most: one that waits for the sink or
    /// for a slow disk ends later by itself.
    pub fn stop(&self) {
        self.inbox.stop();
        self.backend.stop();
        self.crew.join();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Crawls the roots once, without watching anything; returns when all of it is reported. Roots that
/// are missing are reported as lost.
///
/// # Errors
/// When the operating system gives out no threads.
pub fn crawl_once(options: &Options, sink: &Sink) -> Result<(), WatchError> {
    let inbox = Arc::new(Inbox::default());
    let waker = Arc::clone(&inbox);
    let crew = Workers::default();
    let parts = Parts {
        backend: Arc::new(NullBackend::new(Box::new(move || waker.put_events()))),
        inbox: Arc::clone(&inbox),
        counters: Arc::default(),
        surroundings: None,
    };
    EventLoop::new(parts, options.clone(), sink, &crew)?.run_once();
    inbox.stop();
    crew.join();
    Ok(())
}

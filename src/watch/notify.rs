//! The backend over the `notify` crate.
//!
//! Each directory has a non-recursive watch of its own, added before it is listed, so nothing
//! depends on how the crate follows trees: a directory that is made and filled in one go is found
//! by our listing. Its other gaps are closed here:
//!
//! - A watch that ends is announced by `IN_IGNORED`, which it swallows. A removed directory
//!   is reported by its `DELETE_SELF`. What was reported while events were lost is made good by the
//!   reconciliation, which asks for every watch again, and an unmounted root by the event loop,
//!   which lists a root again when something was mounted or unmounted at it.
//! - It knows no barrier: see `cookie_files`. It does not say which renamed names are directories:
//!   the tree knows.
//! - Its mask holds `OPEN`, so our own looks and listings raise events: two each, of the directory
//!   and in its parent. They are dropped here, before anything is taken note of, and so cause no
//!   look. They cannot make overflows cause each other for ever either: in a reconciliation each
//!   listing waits until the crate's thread has added the watch, which it does between two turns
//!   that read the kernel's queue to its end. So there are never more of these events in the queue
//!   than a few for each crawling thread, while the queue holds thousands.
//!
//! **Invariant:** a watch asked for again is added anew: the caller doubts it.
//! **Invariant:** the crate's thread takes no lock that anyone holds while he waits for it.

use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::notify::{Config, Error, Event, EventHandler, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use rustix::fs::inotify::ReadFlags;
use rustix::io::Errno;

use super::backend::{Backend, Marker, More, RawEvent, WatchId};
use super::cookie_files::CookieFiles;
use super::error::{WatchError, of_inotify_init};
use super::fd_paths;
use super::kernel_event::KernelEvent;
use super::limits;
use super::mapped_event::{MappedEvent, errno, map_event};
use super::node_id::NodeId;
use super::node_set::RemoveOutcome;
use super::queue::{self, Queue, Wake};
use super::watched::{Asked, Watched};
use crate::fs::Dir;

/// Watches of directories, by way of the `notify` crate.
pub struct Notify {
    /// `None` once it is stopped. Held for as long as a watch is added or ended, so that a second
    /// one for the same directory waits until the first is in force.
    watcher: Mutex<Option<RecommendedWatcher>>,
    shared: Arc<Shared>,
}

struct Shared {
    watched: Mutex<Watched>,
    beacons: Mutex<CookieFiles>,
    queue: Mutex<Queue>,
    stopped: AtomicBool,
    alive: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
    /// Held by tests to keep the crate's thread from reading.
    #[cfg(test)]
    gate: Mutex<()>,
}

impl Notify {
    /// A watcher of that crate, with a thread of its own. `wake` is called when there is something
    /// to drain; past `bytes_max` bytes of waiting events all of them are dropped and an overflow
    /// stands for them.
    ///
    /// # Errors
    /// When the operating system gives out no inotify instance, or no watches for two files of
    /// ours.
    pub(super) fn start(
        bytes_max: usize,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, WatchError> {
        let beacons = CookieFiles::new().map_err(|errno| WatchError::System {
            call: "memfd_create",
            errno,
        })?;
        let shared = Arc::new(Shared {
            watched: Mutex::default(),
            beacons: Mutex::new(beacons),
            queue: Mutex::new(Queue::new(bytes_max)),
            stopped: AtomicBool::new(false),
            alive: AtomicBool::new(true),
            wake,
            #[cfg(test)]
            gate: Mutex::new(()),
        });
        let handler = Handler {
            shared: Arc::clone(&shared),
            event: Vec::new(),
        };
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(handler, config)
            .map_err(|error| of_inotify_init(errno(&error)))?;
        let backend = Self {
            watcher: Mutex::new(Some(watcher)),
            shared,
        };
        let paths = backend.shared.beacons.lock().paths().map(Path::to_path_buf);
        for path in paths {
            backend.add(&path).map_err(|errno| WatchError::System {
                call: "inotify_add_watch",
                errno,
            })?;
        }
        Ok(backend)
    }

    /// Keeps the crate's thread from reading for as long as the guard lives.
    #[cfg(test)]
    pub(super) fn hold_reader(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.shared.gate.lock()
    }

    fn add(&self, path: &Path) -> Result<(), Errno> {
        self.shared.add(&mut self.watcher.lock(), path)
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Backend for Notify {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn watch(&self, dir: &Dir, node: NodeId) -> Result<WatchId, Errno> {
        let key = dir.facts().map_err(|error| error.errno)?.key;
        let mut watcher = self.watcher.lock();
        // Before the watch is added: an end of it that is lost from now on makes it doubtful.
        let losses = self.shared.queue.lock().losses();
        let fd = dir.fd().as_raw_fd();
        let asked = self.shared.watched.lock().ask(key, node, fd, losses)?;
        let (id, old) = match asked {
            Asked::Joined(id) => return Ok(id),
            Asked::Added { id, old } => (id, old),
        };
        if let Some(old) = old {
            // First, since to the kernel both are the same watch.
            self.shared.end(&mut watcher, &old.path);
            match old.others {
                RemoveOutcome::None => {}
                // What happens until the new watch is there, the others that stand for it do not
                // learn.
                RemoveOutcome::Some => self.shared.push_end(old.id),
            }
        }
        match self.shared.add(&mut watcher, &fd_paths::of(id, fd)) {
            Ok(()) => Ok(id),
            Err(errno) => {
                self.shared.watched.lock().remove(id);
                Err(errno)
            }
        }
    }

    fn unwatch(&self, watch: WatchId, node: NodeId) {
        let mut watcher = self.watcher.lock();
        let last = self.shared.watched.lock().leave(watch, node);
        if let Some(path) = last {
            self.shared.end(&mut watcher, &path);
        }
    }

    fn drain(&self, each: &mut dyn FnMut(RawEvent<'_>)) -> More {
        let shared = &self.shared;
        queue::drain(
            &shared.queue,
            |bytes, each| shared.decode(bytes, each),
            each,
        )
    }

    fn mark(&self, marker: Marker) {
        let mut beacons = self.shared.beacons.lock();
        let asked = beacons.ask(marker);
        if asked.is_err() || !self.is_alive() {
            // No event of the touch will come: what a listing finds is what happened before.
            self.shared.lose(&mut beacons);
        }
    }

    fn watches(&self) -> u64 {
        self.shared.watched.lock().len() as u64
    }

    fn watches_max(&self) -> Option<u64> {
        limits::user_watches()
    }

    fn waiting_bytes(&self) -> u64 {
        self.shared.queue.lock().bytes() as u64
    }

    fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let watcher = self.watcher.lock().take();
        // It panics when its thread is gone already.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(watcher)));
    }
}

/// Event handler, which the crate calls in its thread.
struct Handler {
    shared: Arc<Shared>,
    /// The event at hand, as it waits in the queue.
    event: Vec<u8>,
}

impl EventHandler for Handler {
    fn handle_event(&mut self, event: Result<Event, Error>) {
        #[cfg(test)]
        drop(self.shared.gate.lock());
        match event {
            Ok(event) if event.need_rescan() => {
                self.shared.lose(&mut self.shared.beacons.lock());
            }
            Ok(event) => self.on_event(&event),
            Err(error) => {
                // It reads on, but what it could not read is lost.
                self.shared.die(&error.to_string());
            }
        }
    }
}

impl Drop for Handler {
    /// The crate's thread ends, or never began.
    fn drop(&mut self) {
        if !self.shared.stopped.load(Ordering::Relaxed) {
            self.shared.die("the thread of the notify crate ended");
        }
    }
}

impl Handler {
    fn on_event(&mut self, event: &Event) {
        let Some((mask, cookie)) = map_event(event) else {
            return;
        };
        let Some(path) = event.paths.first() else {
            return;
        };
        let Some((watch, name)) = fd_paths::read(path) else {
            self.shared.arrive(path);
            return;
        };
        let mask = match (mask, name) {
            (MappedEvent::Removed, []) => ReadFlags::IGNORED,
            // The parents of both places have events of the move.
            (MappedEvent::MovedFrom | MappedEvent::MovedTo, []) => return,
            (MappedEvent::MovedFrom, _) => ReadFlags::MOVED_FROM | ReadFlags::ISDIR,
            (MappedEvent::MovedTo, _) => ReadFlags::MOVED_TO | ReadFlags::ISDIR,
            (MappedEvent::Removed | MappedEvent::Touched, _) => {
                ReadFlags::ATTRIB | ReadFlags::ISDIR
            }
        };
        self.event.clear();
        let number = watch.0.get().cast_signed();
        KernelEvent::append(&mut self.event, number, mask, cookie, name);
        let wake = self.shared.queue.lock().push(&self.event);
        self.shared.wake(wake);
    }
}

impl Shared {
    /// Adds a watch, and waits until it is in force.
    fn add(&self, watcher: &mut Option<RecommendedWatcher>, path: &Path) -> Result<(), Errno> {
        self.tell(watcher, |watcher| {
            watcher.watch(path, RecursiveMode::NonRecursive)
        })
        .map_err(|error| error.map_or(Errno::CANCELED, |error| errno(&error)))
    }

    /// Ends a watch. A directory that was removed has taken its watch along.
    fn end(&self, watcher: &mut Option<RecommendedWatcher>, path: &Path) {
        let _ = self.tell(watcher, |watcher| watcher.unwatch(path));
    }

    /// Sends the crate's thread an order. `None` for an error: there is no such thread any more.
    fn tell(
        &self,
        watcher: &mut Option<RecommendedWatcher>,
        what: impl FnOnce(&mut RecommendedWatcher) -> Result<(), Error>,
    ) -> Result<(), Option<Error>> {
        let there = watcher.as_mut().ok_or(None)?;
        // It panics when its thread is gone.
        if let Ok(result) = catch_unwind(AssertUnwindSafe(|| what(there))) {
            return result.map_err(Some);
        }
        self.die("the thread of the notify crate is gone");
        Err(None)
    }

    /// An event of another path than those of directories.
    fn arrive(&self, path: &Path) {
        let mut beacons = self.beacons.lock();
        match beacons.arrive(path) {
            None => {}
            Some(Ok(markers)) if markers.is_empty() => {}
            Some(Ok(markers)) => {
                let wake = self.queue.lock().mark(markers);
                self.wake(wake);
            }
            Some(Err(errno)) => {
                tracing::warn!(%errno, "a barrier's place cannot be marked; everything is listed instead");
                self.lose(&mut beacons);
            }
        }
    }

    /// Events were lost, or no event of a touch will come: the markers come behind the overflow.
    fn lose(&self, beacons: &mut CookieFiles) {
        let mut queue = self.queue.lock();
        let wake = queue.overflow();
        queue.mark(beacons.give_up());
        drop(queue);
        self.wake(wake);
    }

    /// The watch `id` is in force no more, and its nodes learn no more than that.
    fn push_end(&self, id: WatchId) {
        let mut event = Vec::new();
        let number = id.0.get().cast_signed();
        KernelEvent::append(&mut event, number, ReadFlags::IGNORED, 0, b"");
        let wake = self.queue.lock().push(&event);
        self.wake(wake);
    }

    /// Calls `each` with the events in `bytes`.
    fn decode(&self, mut bytes: &[u8], each: &mut dyn FnMut(RawEvent<'_>)) {
        while let Some((event, rest)) = KernelEvent::split(bytes) {
            bytes = rest;
            let Some(id) = NonZeroU32::new(event.watch.cast_unsigned()).map(WatchId) else {
                continue;
            };
            if event.mask.contains(ReadFlags::IGNORED) {
                let holders = self.watched.lock().remove(id);
                if let Some(holders) = holders {
                    holders.each(|node| each(RawEvent::Unwatched(node, id)));
                }
                continue;
            }
            let nodes = self.watched.lock().nodes(id);
            for node in nodes {
                if let Some(raw) = event.raw(node) {
                    each(raw);
                }
            }
        }
    }

    fn wake(&self, wake: Wake) {
        match wake {
            Wake::Needed => (self.wake)(),
            Wake::Coming => {}
        }
    }

    fn die(&self, why: &str) {
        if self.alive.swap(false, Ordering::Relaxed) {
            tracing::error!(why, "file events cannot be read any more");
        }
        self.lose(&mut self.beacons.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_crates_thread_is_gone_every_barrier_passes_behind_an_overflow() {
        let backend = Notify::start(1024, Box::new(|| {})).unwrap();
        assert!(backend.is_alive());
        backend.shared.die("the test says so");
        backend.mark(Marker::Sync(9));
        backend.mark(Marker::Drained);
        let mut events = Vec::new();
        let more = backend.drain(&mut |event| match event {
            RawEvent::Marker(marker) => events.push(Some(marker)),
            RawEvent::Overflow => events.push(None),
            RawEvent::Anywhere
            | RawEvent::Name { .. }
            | RawEvent::Itself(_)
            | RawEvent::Unwatched(..) => panic!("nothing is watched"),
        });
        assert_eq!((more, backend.is_alive()), (More::No, false));
        assert_eq!(events, [None, Some(Marker::Sync(9)), Some(Marker::Drained)]);
    }
}

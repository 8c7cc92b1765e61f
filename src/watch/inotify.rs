//! The `inotify(7)` backend.
//!
//! A thread of its own drains the kernel's queue (16,384 events by default, then it loses some)
//! into a longer one. Between two reads it rests for a moment, so that a busy writer neither wakes
//! us for every event nor is slowed by that.
//!
//! A barrier needs no dummy watch: the reader asks how many bytes the kernel holds (`FIONREAD`),
//! reads as many, and puts the marker behind them. It takes no watch from a user whose limit is
//! reached, and costs one system call.
//!
//! Files that were moved into a quarantine, and nothing else, wake the reader alone: the reaper
//! tells the engine of its removals itself. They are handed over with the next other event, or
//! shortly after.
//!
//! What the mask leaves out: `MODIFY` comes with every `write(2)`. So a file that is written for
//! long is seen when it is closed, and one that is cut by `truncate(2)` or whose mtime alone is set
//! (`touch -m`) at the next event or listing. The look before a removal sees all of that.
//!
//! **Invariant:** the mask never holds `OPEN` or `ACCESS`: our own looks would raise them.
//! **Invariant:** adding a watch and entering its node is one step for those that end watches or
//! reads events.

use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::backend::{Backend, Change, Marker, More, RawEvent, WatchId};
use super::error::{WatchError, of_inotify_init};
use super::kernel_event::KernelEvent;
use super::limits;
use super::node_id::NodeId;
use super::node_set::{NodeSet, RemoveOutcome};
use super::queue::{self, Queue};
use super::workers::Workers;
use crate::clock;
use crate::fs::Dir;

/// One `read(2)` takes at most this much: about 2,000 events with their names.
const READ_BYTES: usize = 64 * 1024;

/// The rest between two reads: the price in latency of one wake-up instead of one per event. In the
/// shortest time in which a kernel queue of the default length has been seen to fill (60 ms), it is
/// read many times.
const REST: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

/// The rest while events keep coming: who writes thousands of files a second notices no difference
/// between one millisecond and three, and a third of the wake-ups, of this thread and of those
/// behind it, is enough. A barrier ends every rest.
const REST_LOADED: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 3_000_000,
};

/// Bytes that a rest must gather to count as a stream: about six events.
const LOADED_BYTES: usize = 256;

/// Time after which the event loop is told of files that were moved into a quarantine, when nothing
/// else happens: one wake-up for all of them.
const REMOVALS_DELAY: Duration = Duration::from_millis(100);

/// Bytes of a read after which the next one follows at once.
const BUSY_BYTES: usize = 16 * 1024;

/// Watches of directories, on an inotify instance of its own.
pub struct Inotify {
    shared: Arc<Shared>,
}

struct Shared {
    fd: OwnedFd,
    kick: OwnedFd,
    watches: Mutex<HashMap<WatchId, NodeSet>>,
    queue: Mutex<Queue>,
    markers: Mutex<Vec<Marker>>,
    stopped: AtomicBool,
    alive: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
    /// Held by tests to keep the reader from reading.
    #[cfg(test)]
    gate: Mutex<()>,
}

impl Inotify {
    /// An instance, and its reader. `wake` is called when there is something to drain; past
    /// `bytes_max` bytes of waiting events all of them are dropped and an overflow stands for them.
    ///
    /// # Errors
    /// When the operating system gives out no instance.
    pub(super) fn start(
        bytes_max: usize,
        crew: &Workers,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, WatchError> {
        let fd =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(of_inotify_init)?;
        let kick = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
            WatchError::System {
                call: "eventfd",
                errno,
            }
        })?;
        let shared = Arc::new(Shared {
            fd,
            kick,
            watches: Mutex::default(),
            queue: Mutex::new(Queue::new(bytes_max)),
            markers: Mutex::default(),
            stopped: AtomicBool::new(false),
            alive: AtomicBool::new(true),
            wake,
            #[cfg(test)]
            gate: Mutex::new(()),
        });
        let (reader, failed) = (Arc::clone(&shared), Arc::clone(&shared));
        crew.start(
            "lapsed-inotify",
            move || {
                if let Err(errno) = reader.read_until_stopped() {
                    tracing::error!(%errno, "the inotify queue cannot be read any more");
                    reader.die();
                }
            },
            move || failed.die(),
        )?;
        Ok(Self { shared })
    }

    /// Keeps the reader from reading for as long as the guard lives.
    #[cfg(test)]
    pub(super) fn hold_reader(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.shared.gate.lock()
    }
}

impl Backend for Inotify {
    fn name(&self) -> &'static str {
        "inotify"
    }

    fn watch(&self, dir: &Dir, node: NodeId) -> Result<WatchId, Errno> {
        let mask = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::EXCL_UNLINK;
        self.shared.watch(dir, node, mask)
    }

    fn watch_arrivals(&self, dir: &Dir) -> Option<WatchId> {
        // A mask that the directory has already must not shrink.
        let mask = WatchFlags::MOVED_TO | WatchFlags::MASK_ADD | WatchFlags::ONLYDIR;
        self.shared.watch(dir, NodeId::QUARANTINE, mask).ok()
    }

    fn unwatch(&self, watch: WatchId, node: NodeId) {
        let mut watches = self.shared.watches.lock();
        let Some(holders) = watches.get_mut(&watch) else {
            return;
        };
        if holders.remove(node) == RemoveOutcome::None {
            watches.remove(&watch);
            if let Ok(watch) = i32::try_from(watch.0.get()) {
                // A directory that was removed has taken its watch along.
                let _ = inotify::remove_watch(&self.shared.fd, watch);
            }
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
        self.shared.markers.lock().push(marker);
        self.shared.kick();
    }

    fn watches(&self) -> u64 {
        self.shared.watches.lock().len() as u64
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
        self.shared.kick();
    }
}

impl Shared {
    fn watch(&self, dir: &Dir, node: NodeId, mask: WatchFlags) -> Result<WatchId, Errno> {
        // Without the dot the name is that of a symbolic link, not of a directory.
        let path = format!("/proc/self/fd/{}/.", dir.fd().as_raw_fd());
        let mut watches = self.watches.lock();
        let watch = inotify::add_watch(&self.fd, path, mask)?;
        let watch = watch_id(watch).ok_or(Errno::INVAL)?;
        watches
            .entry(watch)
            .and_modify(|holders| holders.add(node))
            .or_insert(NodeSet::One(node));
        Ok(watch)
    }

    fn read_until_stopped(&self) -> Result<(), Errno> {
        let mut buffer = vec![0; READ_BYTES];
        // On the boot clock: when the event loop is told of the removals that wait.
        let mut removals_due: Option<Duration> = None;
        loop {
            let wait = removals_due.map(|due| due.saturating_sub(clock::now().boot));
            let timeout = wait.and_then(|wait| Timespec::try_from(wait).ok());
            let mut fds = [
                PollFd::new(&self.fd, PollFlags::IN),
                PollFd::new(&self.kick, PollFlags::IN),
            ];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            if !fds[1].revents().is_empty() {
                let _ = rustix::io::read(&self.kick, &mut [0; 8]);
            }
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            #[cfg(test)]
            let _open = self.gate.lock();
            // Taken before the kernel is asked: whatever happened before these markers were set is
            // in its queue by now.
            let markers = std::mem::take(&mut *self.markers.lock());
            let held = if markers.is_empty() {
                0
            } else {
                usize::try_from(rustix::io::ioctl_fionread(&self.fd)?).unwrap_or(usize::MAX)
            };
            let read = self.read(&mut buffer, held)?;
            if markers.is_empty() && self.are_removals(buffer.get(..read).unwrap_or_default()) {
                let now = clock::now().boot;
                if now < *removals_due.get_or_insert(now + REMOVALS_DELAY) {
                    continue;
                }
            }
            removals_due = None;
            let at_once = read == 0 || read >= BUSY_BYTES || !markers.is_empty();
            if !markers.is_empty() {
                self.queue.lock().mark(markers);
            }
            (self.wake)();
            if !at_once {
                let mut kicked = [PollFd::new(&self.kick, PollFlags::IN)];
                let loaded = read >= LOADED_BYTES;
                let _ = poll(&mut kicked, Some(if loaded { &REST_LOADED } else { &REST }));
            }
        }
    }

    /// Reads once, and on until `bytes_min` bytes are read or nothing is left.
    fn read(&self, buffer: &mut [u8], bytes_min: usize) -> Result<usize, Errno> {
        let mut read = 0;
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(bytes) => {
                    read += bytes;
                    self.queue.lock().push(&buffer[..bytes]);
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(read),
                Err(errno) => return Err(errno),
            }
            if read >= bytes_min {
                return Ok(read);
            }
        }
    }

    /// Returns true if `bytes` are a few events, and all of them of files that were moved into a
    /// quarantine: both halves of each rename.
    fn are_removals(&self, mut bytes: &[u8]) -> bool {
        if bytes.is_empty() || bytes.len() >= LOADED_BYTES {
            return false;
        }
        let watches = self.watches.lock();
        let mut departed = None;
        while let Some((event, rest)) = KernelEvent::split(bytes) {
            bytes = rest;
            let holders = watch_id(event.watch).and_then(|watch| watches.get(&watch));
            let is_arrival = matches!(holders, Some(NodeSet::One(NodeId::QUARANTINE)));
            departed = match event.raw(NodeId::QUARANTINE) {
                Some(RawEvent::Name {
                    change,
                    is_dir: false,
                    ..
                }) => match (departed, change) {
                    (None, Change::MovedFrom(cookie)) if !is_arrival => Some(cookie),
                    (Some(from), Change::MovedTo(to)) if is_arrival && from == to => None,
                    _ => return false,
                },
                _ => return false,
            };
        }
        departed.is_none()
    }

    /// Calls `each` with the events in `bytes`.
    fn decode(&self, mut bytes: &[u8], each: &mut dyn FnMut(RawEvent<'_>)) {
        while let Some((event, rest)) = KernelEvent::split(bytes) {
            bytes = rest;
            if event.mask.contains(ReadFlags::QUEUE_OVERFLOW) {
                each(RawEvent::Overflow);
                continue;
            }
            let Some(watch) = watch_id(event.watch) else {
                continue;
            };
            if event.mask.contains(ReadFlags::IGNORED) {
                let holders = self.watches.lock().remove(&watch);
                if let Some(holders) = holders {
                    holders.each(|node| each(RawEvent::Unwatched(node, watch)));
                }
                continue;
            }
            // Almost always one node; it is copied so that the lock is free while the event is
            // handled.
            let (one, many) = match self.watches.lock().get(&watch) {
                None => continue,
                Some(NodeSet::One(node)) => (Some(*node), Vec::new()),
                Some(NodeSet::Many(nodes)) => (None, nodes.clone()),
            };
            for node in one.into_iter().chain(many) {
                if let Some(raw) = event.raw(node) {
                    each(raw);
                }
            }
        }
    }

    fn kick(&self) {
        // Fails only when the counter is full: then the reader is kicked already.
        let _ = rustix::io::write(&self.kick, &1u64.to_ne_bytes());
    }

    fn die(&self) {
        self.alive.store(false, Ordering::Relaxed);
        self.queue.lock().overflow();
        (self.wake)();
    }
}

/// The kernel's watch descriptors count from 1.
fn watch_id(watch: i32) -> Option<WatchId> {
    u32::try_from(watch)
        .ok()
        .and_then(NonZeroU32::new)
        .map(WatchId)
}

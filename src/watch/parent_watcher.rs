//! Watcher of the directories above the roots: roots may vanish, return, be replaced or mounted
//! over.
//!
//! The directories on the way to each root are watched on an inotify instance of their own, so that
//! these watches and those of the trees never disturb one another (a second watch of one directory
//! replaces the first one's mask).
//!
//! **Invariant:** a place is watched before it is looked at, and looked at again under its path, so
//! that no change falls between.
//! **Invariant:** no polling: without a change no thread wakes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{HashMap, HashSet};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::error::{WatchError, of_inotify_init};
use super::inbox::Inbox;
use super::kernel_event::KernelEvent;
use super::workers::Workers;
use crate::core::facts::FileKey;
use crate::core::observed::Name;
use crate::fs::mounts::{MOUNTINFO, Mount, Mounts, mounts};
use crate::fs::{FsError, RootDir};

/// The rest after each word of a change: neighbours of a root may be busy.
const REST: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// A way that changes while it is gone is gone so many times.
const ATTEMPTS: usize = 16;

/// One `read(2)` takes at most this much.
const READ_BYTES: usize = 16 * 1024;

/// Change around the roots.
pub(super) enum Changed {
    Nothing,
    /// A directory on the way to a root, or a root itself.
    Places,
    /// Mounts: where something was mounted or unmounted. Places may have changed as well.
    Mounts(BTreeSet<PathBuf>),
}

/// See the module.
pub(super) struct ParentWatcher {
    places: OwnedFd,
    mounts: Mounts,
    mounted: BTreeSet<Mount>,
    watched: HashMap<i32, Watched>,
    buffer: Vec<u8>,
    signal: Arc<StopSignal>,
    /// True if a place has no watch: it may have changed, whatever the others say.
    lacks_watch: bool,
}

/// The names in a watched directory that matter. An event of the directory itself always does.
#[derive(Default)]
struct Watched {
    mask: Option<WatchFlags>,
    names: HashSet<Name>,
}

/// Wakes the event loop.
struct StopSignal {
    stop: OwnedFd,
    stopped: AtomicBool,
}

impl ParentWatcher {
    /// Begins to listen, on a thread that wakes `inbox`.
    ///
    /// # Errors
    /// When the operating system gives out no inotify instance, or `/proc` is not there.
    pub(super) fn start(crew: &Workers, inbox: &Arc<Inbox>) -> Result<Self, WatchError> {
        let places =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(of_inotify_init)?;
        let proc = |errno| WatchError::Proc {
            path: MOUNTINFO,
            errno,
        };
        let own = Mounts::open().map_err(proc)?;
        // Polling takes the word of a change away: the thread listens on a descriptor of its own.
        let mount_events = Mounts::open().map_err(proc)?;
        let mounted = mounts().map_err(|error| proc(error.errno))?;
        let system = |call| move |errno| WatchError::System { call, errno };
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(system("eventfd"))?;
        let line = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("epoll_create1"))?;
        let edge = epoll::EventFlags::ET;
        let add = |fd: &dyn Fn() -> Result<(), Errno>| fd().map_err(system("epoll_ctl"));
        let none = epoll::EventData::new_u64(0);
        add(&|| epoll::add(&line, &places, none, edge | epoll::EventFlags::IN))?;
        add(&|| epoll::add(&line, &mount_events, none, edge | epoll::EventFlags::PRI))?;
        add(&|| epoll::add(&line, &stop, none, epoll::EventFlags::IN))?;
        let signal = Arc::new(StopSignal {
            stop,
            stopped: AtomicBool::new(false),
        });
        let (listener, inbox, failed) = (Arc::clone(&signal), Arc::clone(inbox), Arc::clone(inbox));
        crew.start(
            "lapsed-places",
            move || listener.listen(&line, mount_events, &inbox),
            move || failed.fail(),
        )?;
        Ok(Self {
            places,
            mounts: own,
            mounted: mounted.into_iter().collect(),
            watched: HashMap::new(),
            buffer: vec![0; READ_BYTES],
            signal,
            lacks_watch: false,
        })
    }

    /// Returns what has changed since the last call. Asks the kernel: whatever happened before the
    /// call is known.
    pub(super) fn take_changes(&mut self) -> Changed {
        let places = self.read_places();
        if self.mounts.changed()
            && let Ok(now) = mounts()
        {
            let now: BTreeSet<Mount> = now.into_iter().collect();
            let points = self.mounted.symmetric_difference(&now);
            let points: BTreeSet<PathBuf> = points.map(|mount| mount.point.clone()).collect();
            self.mounted = now;
            return Changed::Mounts(points);
        }
        if places || self.lacks_watch {
            Changed::Places
        } else {
            Changed::Nothing
        }
    }

    /// Begins a round over all roots. Places that contain no root of the round are watched no more
    /// at its end.
    pub(super) fn begin(&mut self) -> Round<'_> {
        let before = std::mem::take(&mut self.watched);
        let lacked_watch = std::mem::take(&mut self.lacks_watch);
        Round {
            surroundings: self,
            before,
            lacked_watch,
            is_whole: true,
            ids: HashMap::new(),
        }
    }

    /// Returns whether anything happened at the watched places that matters.
    fn read_places(&mut self) -> bool {
        let mut matters = false;
        loop {
            let read = match rustix::io::read(&self.places, &mut self.buffer) {
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(_) => return matters,
            };
            let mut bytes = &self.buffer[..read];
            while let Some((event, rest)) = KernelEvent::split(bytes) {
                bytes = rest;
                matters |= event.mask.contains(ReadFlags::QUEUE_OVERFLOW)
                    || self.watched.get(&event.watch).is_some_and(|watched| {
                        event.name.is_empty() || watched.names.contains(event.name)
                    });
            }
        }
    }
}

impl Drop for ParentWatcher {
    fn drop(&mut self) {
        self.signal.stopped.store(true, Ordering::Relaxed);
        let _ = rustix::io::write(&self.signal.stop, &1u64.to_ne_bytes());
    }
}

impl StopSignal {
    fn listen(&self, line: &OwnedFd, _mount_events: Mounts, inbox: &Inbox) {
        let mut events = Vec::with_capacity(4);
        while !self.stopped.load(Ordering::Relaxed) {
            events.clear();
            match epoll::wait(line, spare_capacity(&mut events), None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    tracing::error!(%errno, "changes around the roots cannot be noticed any more");
                    inbox.fail();
                    return;
                }
            }
            inbox.put_surroundings();
            let mut stop = [PollFd::new(&self.stop, PollFlags::IN)];
            let _ = poll(&mut stop, Some(&REST));
        }
    }
}

/// One round over all roots.
pub(super) struct Round<'a> {
    surroundings: &'a mut ParentWatcher,
    /// Watches from before that no root has needed yet.
    before: HashMap<i32, Watched>,
    /// True if it was reported before that places have no watch.
    lacked_watch: bool,
    /// True if the way to each root was seen to its end.
    is_whole: bool,
    ids: HashMap<FileKey, i32>,
}

impl Round<'_> {
    /// Watches the way to `path` from the top down, as far as it goes, and returns which directory
    /// stands there.
    ///
    /// # Errors
    /// When none does, or it cannot be opened.
    pub(super) fn approach(&mut self, path: &Path) -> Result<FileKey, FsError> {
        let found = (0..ATTEMPTS)
            .find_map(|_| self.attempt(path))
            // A way that changes so often changes again, which raises another event.
            .unwrap_or_else(|| RootDir::open(path).map(|root| root.key()));
        if let Err(error) = &found {
            self.is_whole &= error.proves_absence() || error.is_denial();
        }
        found
    }

    /// `None`: the way has changed before it was watched, and must be gone again.
    fn attempt(&mut self, path: &Path) -> Option<Result<FileKey, FsError>> {
        // With a directory's mode the way through it opens and closes.
        let itself = WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::ATTRIB;
        let removal = WatchFlags::DELETE | WatchFlags::MOVED_TO;
        let arrival = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
        let stands =
            |dir: &RootDir, at: &Path| RootDir::open(at).is_ok_and(|now| now.key() == dir.key());
        let mut at = PathBuf::from("/");
        let mut parent = RootDir::open(&at).ok();
        let names: Vec<&[u8]> = RelPathNames::of(path).collect();
        for (depth, name) in names.iter().enumerate() {
            let next = at.join(OsStr::from_bytes(name));
            let is_root = depth + 1 == names.len();
            if let Some(parent) = &parent {
                if is_root {
                    self.watch(parent, itself | removal, Some(name));
                } else {
                    // The next one may be readable and not searchable: then it cannot be watched
                    // itself, and changes of its mode raise events here.
                    self.watch(parent, itself, Some(name));
                }
                if !stands(parent, &at) {
                    return None;
                }
            }
            let mut found = RootDir::open(&next);
            if let (Err(_), Some(parent)) = (&found, &parent) {
                self.watch(parent, itself | arrival, Some(name));
                found = RootDir::open(&next);
            }
            match found {
                Ok(dir) if is_root => {
                    self.watch(&dir, itself, None);
                    return stands(&dir, path).then(|| Ok(dir.key()));
                }
                Ok(dir) => parent = Some(dir),
                // It may be searched all the same.
                Err(error) if error.is_denial() => parent = None,
                Err(_) => break,
            }
            at = next;
        }
        RootDir::open(path).err().map(Err)
    }

    /// Ends the watches that no root needs any more. Their events are still wanted when a way
    /// could not be seen to its end.
    pub(super) fn finish(self) {
        let watched = &mut self.surroundings.watched;
        for (watch, names) in self.before {
            if self.is_whole {
                // Its directory may be gone, and the watch with it.
                let _ = inotify::remove_watch(&self.surroundings.places, watch);
            } else {
                watched.entry(watch).or_insert(names);
            }
        }
    }

    fn watch(&mut self, dir: &RootDir, mask: WatchFlags, name: Option<&[u8]>) {
        let flags = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        let known = self.ids.get(&dir.key());
        let before = known.and_then(|id| self.surroundings.watched.get(id));
        let mask = mask | before.and_then(|watched| watched.mask).unwrap_or(flags);
        let path = format!("/proc/self/fd/{}/.", dir.top().fd().as_raw_fd());
        let id = match inotify::add_watch(&self.surroundings.places, path, mask) {
            Ok(id) => id,
            Err(errno) => {
                self.surroundings.lacks_watch = true;
                if !self.lacked_watch {
                    tracing::warn!(
                        path = %dir.path().display(),
                        error = crate::fs::error::reason(errno),
                        "a directory above a root cannot be watched: the root's return may go unnoticed until the next sync"
                    );
                }
                return;
            }
        };
        self.before.remove(&id);
        self.ids.insert(dir.key(), id);
        let watched = self.surroundings.watched.entry(id).or_default();
        watched.mask = Some(mask);
        watched.names.extend(name.map(Name::from));
    }
}

/// The names of the directories on the way to a path.
struct RelPathNames;

impl RelPathNames {
    fn of(path: &Path) -> impl Iterator<Item = &[u8]> {
        let bytes = path.as_os_str().as_bytes();
        bytes.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }
}

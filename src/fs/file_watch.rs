//! Watch of one file by its path, such as a configuration or a database.
//!
//! Events come from the directory that holds the file. The directories above it are watched for
//! their own end and for renames of themselves, so their neighbours raise no events. When one of
//! them is replaced, or something is mounted over it, the watch is taken up again under the path.
//!
//! **Invariant:** a change of the way to the file is always reported as a change of the file.
//! **Invariant:** a watch is added before the way is looked at again, so no change falls between.
//! **Invariant:** no polling, but while the directory is away or cannot be watched.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::mounts::{MOUNTINFO, Mounts};

/// One `read(2)` takes at most this much: at least 14 events, whose names have up to 256 bytes.
const READ_BYTES: usize = 4096;

/// Number of times that a way is watched anew when it changes meanwhile. A process that changes it
/// so often changes it again.
const ATTEMPTS: usize = 16;

/// Time between two searches for a directory that is away or could not be watched.
const RETRY: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// Changes of the names in a directory.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// The end of a directory at its place.
const ITSELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);

/// Names in the directory of the file that are about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// The file's own. All, if it is a symbolic link: its target may be replaced under any name.
    File,
    /// All that begin with the file's name, beside the path and beside the target of a link: the
    /// log and the journal of a database.
    Beginning,
}

/// Reason for which [`FileWatch::wait`] returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The file may have changed, or stand elsewhere.
    Changed,
    /// The caller's descriptor is readable.
    Stopped,
}

/// See the module.
pub struct FileWatch {
    path: PathBuf,
    names: Names,
    /// Events of names in the directory of the file.
    mask: WatchFlags,
    events: OwnedFd,
    mounts: Mounts,
    watches: BTreeMap<i32, Watch>,
    way: Way,
}

/// Names in one watched directory. The end of the directory itself always counts.
#[derive(Default)]
struct Watch {
    /// Links on the way to the file, and names on it that are missing.
    leads: BTreeSet<OsString>,
    /// Names of the file, if it is in this directory.
    files: BTreeSet<OsString>,
}

/// Directories on the way to the file, each with its device and inode; `None` for one that cannot
/// be looked at.
#[derive(PartialEq, Eq, Default)]
struct Way {
    steps: Vec<(PathBuf, Option<(u64, u64)>)>,
    /// True while the directory of the file is watched.
    is_watched: bool,
}

impl FileWatch {
    /// Begins to watch the file at the absolute `path`, which need not be there. `mask` holds the
    /// events of its directory that matter.
    ///
    /// # Errors
    /// When the file's directory is not there, or the operating system gives out no watch.
    pub fn new(path: &Path, names: Names, mask: WatchFlags) -> io::Result<Self> {
        let mut watch = Self {
            path: path.to_path_buf(),
            names,
            mask,
            events: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            mounts: Mounts::open().map_err(|errno| {
                let error = io::Error::from(errno);
                io::Error::new(error.kind(), format!("cannot open {MOUNTINFO}: {error}"))
            })?,
            watches: BTreeMap::new(),
            way: Way::default(),
        };
        watch.renew()?;
        Ok(watch)
    }

    /// Waits until the file may have changed, or `stop` is readable.
    ///
    /// # Errors
    /// When the operating system does not let this thread wait.
    pub fn wait(&mut self, stop: &OwnedFd) -> io::Result<Woken> {
        loop {
            let mut fds = [
                PollFd::new(&self.events, PollFlags::IN),
                PollFd::new(&self.mounts, PollFlags::PRI),
                PollFd::new(stop, PollFlags::IN),
            ];
            let limit = (!self.way.is_watched).then_some(&RETRY);
            let is_over = match poll(&mut fds, limit) {
                Ok(ready) => ready == 0,
                Err(Errno::INTR) => false,
                Err(errno) => return Err(errno.into()),
            };
            let [events, mounts, stopped] = fds.map(|fd| !fd.revents().is_empty());
            if stopped {
                return Ok(Woken::Stopped);
            }
            let meaning = if events {
                self.drain()
            } else {
                Meaning::Nothing
            };
            let is_doubtful = is_over || meaning == Meaning::Way || mounts && self.has_moved();
            if is_doubtful {
                let was_watched = self.way.is_watched;
                if let Err(error) = self.renew()
                    && was_watched
                {
                    tracing::warn!(
                        path = %self.path.display(),
                        %error,
                        "changes of a file are not heard of; its directory is looked for again by itself"
                    );
                }
            }
            if is_doubtful || meaning == Meaning::File {
                return Ok(Woken::Changed);
            }
        }
    }

    /// Takes all events that wait, and forgets them.
    pub fn clear(&mut self) {
        if self.drain() == Meaning::Way {
            // The caller looks at the file anyway. A failure is tried again.
            let _ = self.renew();
        }
    }

    /// Returns true while events report changes. Otherwise the directory is looked for again from
    /// time to time.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.way.is_watched
    }

    /// Returns true if a directory on the way is another one than before.
    fn has_moved(&self) -> bool {
        let known = self.way.steps.iter();
        known.clone().any(|(dir, key)| key_of(dir) != *key)
    }

    /// Watches the way to the file as it is now.
    fn renew(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            for watch in std::mem::take(&mut self.watches).into_keys() {
                // Its directory may be gone, and the watch with it.
                let _ = inotify::remove_watch(&self.events, watch);
            }
            self.way = Way::default();
            let files = self.files();
            result = files.iter().try_for_each(|file| self.approach(file));
            self.way.is_watched = result.is_ok();
            if !self.has_moved() && files == self.files() {
                break;
            }
        }
        result
    }

    /// The path, and what it leads to where that counts.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        if self.names == Names::Beginning
            && let Ok(real) = std::fs::canonicalize(&self.path)
            && real != self.path
        {
            files.push(real);
        }
        files
    }

    /// Watches the directories from the top down to that of `file`.
    fn approach(&mut self, file: &Path) -> io::Result<()> {
        let (Some(home), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut above: Vec<&Path> = home.ancestors().collect();
        above.reverse();
        for (at, dir) in above.iter().enumerate() {
            self.way.steps.push((dir.to_path_buf(), key_of(dir)));
            let Some(next) = above.get(at + 1) else {
                break;
            };
            // A directory that may not be read gets no watch. Its neighbours on the way do.
            let _ = self.add(dir, ITSELF, |_| {});
            let is_plain = next.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            if !is_plain && let Some(name) = next.file_name() {
                let _ = self.add(dir, ITSELF | NAMES, |watch| {
                    watch.leads.insert(name.to_owned());
                });
            }
        }
        self.add(home, ITSELF | self.mask, |watch| {
            watch.files.insert(name.to_owned());
        })
    }

    fn add(
        &mut self,
        dir: &Path,
        mask: WatchFlags,
        note: impl FnOnce(&mut Watch),
    ) -> io::Result<()> {
        let flags = WatchFlags::ONLYDIR | WatchFlags::MASK_ADD;
        let watch = inotify::add_watch(&self.events, dir, mask | flags)?;
        note(self.watches.entry(watch).or_default());
        Ok(())
    }

    /// Takes all events that wait.
    fn drain(&self) -> Meaning {
        let mut meaning = Meaning::Nothing;
        let mut buffer = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name();
                    let name = name.map(|name| OsStr::from_bytes(name.to_bytes()));
                    meaning = meaning.max(self.judge(event.wd(), event.events(), name));
                }
                Err(Errno::INTR) => {}
                Err(_) => return meaning,
            }
        }
    }

    /// Judges one event.
    fn judge(&self, watch: i32, events: ReadFlags, name: Option<&OsStr>) -> Meaning {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Meaning::Way;
        }
        // Events of watches that were ended may still come.
        let Some(watch) = self.watches.get(&watch) else {
            return Meaning::Nothing;
        };
        let ends =
            ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED | ReadFlags::UNMOUNT;
        let Some(name) = name else {
            return if events.intersects(ends) {
                Meaning::Way
            } else {
                Meaning::Nothing
            };
        };
        let is_new = events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        let is_file = watch.files.contains(name);
        if watch.leads.contains(name) || is_file && is_new && self.names == Names::Beginning {
            // The file itself may be another link.
            return Meaning::Way;
        }
        let is_about = is_file
            || match self.names {
                Names::File => !watch.files.is_empty() && self.path.is_symlink(),
                Names::Beginning => watch
                    .files
                    .iter()
                    .any(|file| name.as_bytes().starts_with(file.as_bytes())),
            };
        if is_about {
            Meaning::File
        } else {
            Meaning::Nothing
        }
    }
}

/// Meaning of events for the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Nothing,
    /// The file may have changed.
    File,
    /// Another thing may stand on the way to it.
    Way,
}

/// Device and inode of what `path` leads to.
fn key_of(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests play the neighbours that change the trees"
)]
mod tests {
    use std::sync::mpsc;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;
    use crate::common::machine::patience;

    /// A change beneath a directory, with its name.
    type Act = (&'static str, fn(&Path));

    /// Carries out `acts`, and waits until the watch of a/b/file tells of each.
    fn assert_reported(acts: &[Act]) {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::fs::write(base.join("a/b/file"), b"1").unwrap();
        let mask = NAMES | WatchFlags::CLOSE_WRITE;
        let mut watch = FileWatch::new(&base.join("a/b/file"), Names::File, mask).unwrap();
        let stop = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let (sender, receiver) = mpsc::channel();
        let stopped = rustix::io::dup(&stop).unwrap();
        let waiter = std::thread::spawn(move || {
            while watch.wait(&stopped).unwrap() == Woken::Changed {
                let file = std::fs::read(watch.path.clone()).ok();
                if sender.send(file).is_err() {
                    return;
                }
            }
        });
        for (what, act) in acts {
            act(&base);
            let now = std::fs::read(base.join("a/b/file")).ok();
            loop {
                match receiver.recv_timeout(patience()) {
                    Ok(seen) if seen == now => break,
                    Ok(_) => {}
                    Err(error) => panic!("{what}: {error}"),
                }
            }
        }
        rustix::io::write(&stop, &1u64.to_ne_bytes()).unwrap();
        waiter.join().unwrap();
    }

    #[test]
    fn a_file_is_followed_after_directories_above_it_are_replaced() {
        assert_reported(&[
            ("another directory", |base| {
                std::fs::rename(base.join("a/b"), base.join("a/old")).unwrap();
                std::fs::create_dir(base.join("a/b")).unwrap();
                std::fs::write(base.join("a/b/file"), b"2").unwrap();
            }),
            ("an edit there", |base| {
                std::fs::write(base.join("a/b/file"), b"3").unwrap();
            }),
            ("another directory above", |base| {
                std::fs::create_dir_all(base.join("new/b")).unwrap();
                std::fs::write(base.join("new/b/file"), b"4").unwrap();
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let here = rustix::fs::CWD;
                rustix::fs::renameat_with(here, base.join("new"), here, base.join("a"), flags)
                    .unwrap();
            }),
            ("an edit there", |base| {
                std::fs::write(base.join("a/b/file"), b"5").unwrap();
            }),
            ("nothing", |base| {
                std::fs::remove_dir_all(base.join("a")).unwrap();
            }),
            ("all of it again", |base| {
                std::fs::create_dir_all(base.join("a/b")).unwrap();
                std::fs::write(base.join("a/b/file"), b"6").unwrap();
            }),
            ("an edit there", |base| {
                std::fs::write(base.join("a/b/file"), b"7").unwrap();
            }),
            ("a link to a directory", |base| {
                std::fs::create_dir(base.join("linked")).unwrap();
                std::fs::write(base.join("linked/file"), b"8").unwrap();
                std::fs::remove_dir_all(base.join("a/b")).unwrap();
                std::os::unix::fs::symlink("../linked", base.join("a/b")).unwrap();
            }),
            ("an edit there", |base| {
                std::fs::write(base.join("a/b/file"), b"9").unwrap();
            }),
        ]);
    }
}

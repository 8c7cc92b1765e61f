//! The pool that lists directories: watch first, then look at the directory, then read it.
//!
//! **Invariant:** what is made in a directory after its watch was added raises an event, what was
//! made before is in the listing: nothing falls between.
//! **Invariant:** a directory is left unread only when it is watched, and its change time is the
//! one that was saved.
//! **Invariant:** a listing is of the very directory that it was asked for, by device and inode.
//! **Invariant:** a worker that has nothing to do holds no descriptor open.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::backend::{Backend, WatchId};
use super::error::WatchError;
use super::inbox::Inbox;
use super::listing::{Content, Done, Failure, Job, RootPlace, Seen};
use super::ways::Way;
use super::workers::{Workers, message};
use crate::clock;
use crate::core::facts::{FileKey, Kind};
use crate::core::observed::Name;
use crate::fs::{Dir, FsError, RootDir};

/// Crawling is bound by system calls on warm caches and by seeks on cold ones: more threads were no
/// faster on two cores, and would disturb other users of the disk.
pub(super) const WORKERS: usize = 2;

/// Hands jobs to the workers.
pub(super) struct Pool {
    ready: Arc<Ready>,
}

struct Ready {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    stopped: bool,
}

impl Pool {
    /// Starts the workers. Directories whose key is in `skip` are left out of the listings.
    ///
    /// # Errors
    /// When the operating system gives out no more threads.
    pub(super) fn start(
        crew: &Workers,
        backend: &Arc<dyn Backend>,
        inbox: &Arc<Inbox>,
        skip: &Arc<[FileKey]>,
    ) -> Result<Self, WatchError> {
        let ready = Arc::new(Ready {
            state: Mutex::default(),
            filled: Condvar::new(),
        });
        let held = Arc::new(());
        for name in ["lapsed-crawl-0", "lapsed-crawl-1"]
            .into_iter()
            .take(WORKERS)
        {
            let worker = Worker {
                ready: Arc::clone(&ready),
                backend: Arc::clone(backend),
                inbox: Arc::clone(inbox),
                skip: Arc::clone(skip),
                held: Arc::clone(&held),
                root: None,
            };
            let failed = Arc::clone(inbox);
            crew.start(name, || worker.run(), move || failed.fail())?;
        }
        Ok(Self { ready })
    }

    /// Hands over a job.
    pub(super) fn give(&self, job: Job) {
        self.ready.state.lock().jobs.push_back(job);
        self.ready.filled.notify_one();
    }

    /// Ends the workers after the job that they are at.
    fn stop(&self) {
        let mut state = self.ready.state.lock();
        state.stopped = true;
        state.jobs.clear();
        self.ready.filled.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    ready: Arc<Ready>,
    backend: Arc<dyn Backend>,
    inbox: Arc<Inbox>,
    skip: Arc<[FileKey]>,
    /// Counts the directories that are held open for others.
    held: Arc<()>,
    /// The root of the last job, kept open while one job follows the other.
    root: Option<(Arc<RootPlace>, RootDir)>,
}

impl Worker {
    fn run(mut self) {
        while let Some(job) = self.next() {
            let node = job.node;
            let work = AssertUnwindSafe(|| self.work(&job));
            let done = catch_unwind(work).unwrap_or_else(|panic| {
                let bug = message(&*panic).to_owned();
                tracing::error!(panic = bug, "listing a directory panicked; this is a bug");
                Done {
                    node,
                    watch: None,
                    outcome: Err(Failure::Bug(bug)),
                    way: None,
                    cpu: Duration::ZERO,
                }
            });
            if !self.inbox.put_done(done) {
                return;
            }
        }
    }

    fn next(&mut self) -> Option<Job> {
        let mut state = self.ready.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            self.root = None;
            self.ready.filled.wait(&mut state);
        }
    }

    fn work(&mut self, job: &Job) -> Done {
        let begun = clock::thread_cpu();
        let (mut watch, mut way) = (None, None);
        let outcome = self.open(job).and_then(|(dir, steps)| {
            let seen = self.list(&dir, job, &mut watch)?;
            let goes_on = match &seen {
                Seen::Content(content) => !content.dirs.is_empty(),
                Seen::Unchanged(_) => true,
            };
            if goes_on {
                way = Way::hold(dir, steps, job.era, &self.held);
            }
            Ok(seen)
        });
        Done {
            node: job.node,
            watch,
            outcome,
            way,
            cpu: clock::thread_cpu().saturating_sub(begun),
        }
    }

    /// Opens the directory, from its parent where that is open and it is there; and
    /// the number of steps since the whole way was gone.
    fn open(&mut self, job: &Job) -> Result<(Dir, u8), Failure> {
        if let Some((way, name)) = &job.way
            && let Ok(dir) = way.dir.open_beneath(name)
            && dir.facts().is_ok_and(|facts| facts.key == job.key)
        {
            #[cfg(test)]
            self.inbox.count_opened(1);
            return Ok((dir, way.steps + 1));
        }
        #[cfg(test)]
        self.inbox.count_opened(job.path.components().count());
        let same = |(place, _): &(Arc<RootPlace>, RootDir)| Arc::ptr_eq(place, &job.place);
        if !self.root.as_ref().is_some_and(same) {
            let root =
                RootDir::open_as(&job.place.path, job.place.key).map_err(|_| Failure::Root)?;
            self.root = Some((Arc::clone(&job.place), root));
        }
        let (_, root) = self.root.as_ref().ok_or(Failure::Root)?;
        let dir = root.dir(&job.path).map_err(failure)?;
        if dir.facts().map_err(failure)?.key == job.key {
            Ok((dir, 0))
        } else {
            Err(Failure::Absent)
        }
    }

    fn list(
        &self,
        dir: &Dir,
        job: &Job,
        watch: &mut Option<Result<WatchId, Errno>>,
    ) -> Result<Seen, Failure> {
        if job.watch {
            *watch = Some(self.backend.watch(dir, job.node));
        }
        let facts = dir.facts().map_err(failure)?;
        let is_watched = matches!(watch, Some(Ok(_)));
        if is_watched && job.stamp == Some(facts.ctime) {
            return Ok(Seen::Unchanged(facts));
        }
        let (mut files, mut dirs) = (Vec::new(), Vec::new());
        dir.list(|name, facts| match facts.kind {
            _ if job.hidden.has(name) => {}
            Kind::File => files.push((Name::from(name), facts)),
            Kind::Dir if self.skip.contains(&facts.key) => {}
            Kind::Dir => dirs.push((Name::from(name), facts)),
            Kind::Mount | Kind::Other => {}
        })
        .map_err(failure)?;
        Ok(Seen::Content(Content { facts, files, dirs }))
    }
}

fn failure(error: FsError) -> Failure {
    if error.is_absence() {
        Failure::Absent
    } else {
        Failure::Refused(error)
    }
}

//! The thread that records what a daemon in shadow mode would remove, and what others remove.
//!
//! **Invariant:** the engine never waits for it: at [`QUEUED_MAX`] things in line further ones are
//! counted as lost, and the record says so.
//! **Invariant:** a file that has come to another name was not removed from its old one.
//! **Invariant:** it sleeps while nothing is reported.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::core::facts::RootId;
use crate::core::index::Index;
use crate::core::policy::{Class, Policy, Record, Schedule};
use crate::core::shadow::{ContentKey, ShadowEvent, ShadowKind, ShadowSubject, ShadowThing};
use crate::core::time::Timestamp;
use crate::registry::{ShadowRecord, ShadowReports, ShadowRow};

/// Things that wait in line, and things that are gone for less than [`GRACE`]: ~100 MB each.
const QUEUED_MAX: usize = 200_000;

/// Time within which a file that is gone may turn up under another name, and the other way round.
/// The events of one renaming arrive within some milliseconds of each other.
const GRACE: Duration = Duration::from_secs(2);

/// Files that came within [`GRACE`] and are remembered: ~10 MB.
const APPEARED_MAX: usize = 100_000;

enum Order {
    WouldRemove(Vec<ShadowRow>),
    Gone(Vec<(Option<ContentKey>, ShadowRow)>),
    Appeared(Vec<ContentKey>),
    Complete(CompleteRoot),
    Stop,
}

/// A root of which everything is known.
struct CompleteRoot {
    at: Timestamp,
    id: RootId,
    name: String,
    path: PathBuf,
}

/// The running thread. When this is dropped, it records the rest and ends.
pub(super) struct ShadowRecorder {
    orders: Sender<(usize, Order)>,
    queued: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl ShadowRecorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(record: Arc<ShadowRecord>, index: Arc<Index>) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let (queued, lost) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let mut worker = Worker {
            record,
            index,
            complete: Vec::new(),
            queued: Arc::clone(&queued),
            lost: Arc::clone(&lost),
            reports: ShadowReports::default(),
            gone: Vec::new(),
            appeared: BTreeMap::new(),
            has_failed: false,
            has_dropped: false,
        };
        let thread = std::thread::Builder::new()
            .name("shadow".to_owned())
            .spawn(move || worker.run(&inbox))?;
        Ok(Self {
            orders,
            queued,
            lost,
            thread: Some(thread),
        })
    }

    /// Has `event` recorded, with the names of `policy`. Returns at once.
    pub(super) fn put(&self, event: ShadowEvent, policy: &Policy) {
        let count = match &event {
            ShadowEvent::WouldRemove(_, things) | ShadowEvent::Gone(_, things) => things.len(),
            ShadowEvent::Appeared(files) => files.len(),
            ShadowEvent::Complete(..) => 0,
        };
        let before = self.queued.load(Ordering::Relaxed);
        // One event may have any number of things: an empty line takes it.
        if before > 0 && before + count > QUEUED_MAX {
            self.lost.fetch_add(count as u64, Ordering::Relaxed);
            return;
        }
        self.queued.fetch_add(count, Ordering::Relaxed);
        let order = match event {
            ShadowEvent::WouldRemove(at, things) => {
                let row = |thing| due_row(thing, at, policy);
                Order::WouldRemove(things.iter().filter_map(row).collect())
            }
            ShadowEvent::Gone(at, things) => {
                let row = |thing: &ShadowThing| Some((thing.content, gone_row(thing, at, policy)?));
                Order::Gone(things.iter().filter_map(row).collect())
            }
            ShadowEvent::Appeared(files) => Order::Appeared(files),
            ShadowEvent::Complete(at, id) => {
                let Some(root) = policy.roots.get(&id) else {
                    return;
                };
                let (name, path) = (root.name.clone(), root.path.clone());
                Order::Complete(CompleteRoot { at, id, name, path })
            }
        };
        // Without a receiver the daemon ends.
        let _ = self.orders.send((count, order));
    }
}

impl Drop for ShadowRecorder {
    fn drop(&mut self) {
        let _ = self.orders.send((0, Order::Stop));
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the record of shadow mode ended by a fault of ours");
        }
    }
}

/// The thread's state. Instants are those of the clock that nobody can set.
struct Worker {
    record: Arc<ShadowRecord>,
    index: Arc<Index>,
    /// Roots whose things are compared with the index once no grace runs.
    complete: Vec<CompleteRoot>,
    queued: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
    /// Reports that are recorded next.
    reports: ShadowReports,
    /// Files that are gone, each with the end of its grace.
    gone: Vec<(Duration, Option<ContentKey>, ShadowRow)>,
    /// Files that have come to a new name, with the end of the grace.
    appeared: BTreeMap<ContentKey, Duration>,
    has_failed: bool,
    has_dropped: bool,
}

impl Worker {
    fn run(&mut self, inbox: &Receiver<(usize, Order)>) {
        loop {
            let next = self.gone.iter().map(|(until, ..)| *until).min();
            let first = match next {
                None => inbox.recv().ok(),
                Some(at) => match inbox.recv_timeout(at.saturating_sub(clock::now().boot)) {
                    Ok(order) => Some(order),
                    Err(RecvTimeoutError::Timeout) => Some((0, Order::Appeared(Vec::new()))),
                    Err(RecvTimeoutError::Disconnected) => None,
                },
            };
            let mut ends = first.is_none();
            for (count, order) in first.into_iter().chain(inbox.try_iter()) {
                ends |= !self.take(order);
                self.queued.fetch_sub(count, Ordering::Relaxed);
            }
            self.end_grace(ends);
            self.save();
            if self.gone.is_empty() {
                self.close_absent();
            }
            if ends {
                return;
            }
        }
    }

    /// Takes in an order. Returns false for the last one.
    fn take(&mut self, order: Order) -> bool {
        let until = clock::now().boot + GRACE;
        match order {
            Order::Stop => return false,
            Order::Complete(root) => self.complete.push(root),
            Order::WouldRemove(rows) => self.reports.due.extend(rows),
            Order::Gone(rows) => {
                let room = QUEUED_MAX.saturating_sub(self.gone.len());
                self.reports.lost += rows.len().saturating_sub(room) as u64;
                let rows = rows.into_iter().take(room);
                self.gone
                    .extend(rows.map(|(content, row)| (until, content, row)));
            }
            Order::Appeared(files) => {
                let room = APPEARED_MAX.saturating_sub(self.appeared.len());
                let files = files.into_iter().take(room).map(|content| (content, until));
                self.appeared.extend(files);
            }
        }
        true
    }

    /// Has what is still gone recorded as removed, once its grace is over; at the end all.
    fn end_grace(&mut self, is_end: bool) {
        let now = clock::now().boot;
        let has_moved = |content: &ContentKey| self.appeared.contains_key(content);
        let moved = self.gone.extract_if(.., |(_, content, _)| {
            content.as_ref().is_some_and(has_moved)
        });
        self.reports.moved.extend(moved.map(|(_, _, row)| row));
        let is_over =
            |(until, ..): &mut (Duration, Option<ContentKey>, ShadowRow)| is_end || *until <= now;
        let over = self.gone.extract_if(.., is_over);
        self.reports.gone.extend(over.map(|(_, _, row)| row));
        self.appeared.retain(|_, until| *until > now);
    }

    /// Closes what went while no daemon watched, or was not recorded before a crash.
    fn close_absent(&mut self) {
        for root in std::mem::take(&mut self.complete) {
            let is_there = |path: &[u8]| {
                let path = Path::new(OsStr::from_bytes(path)).strip_prefix(&root.path);
                let path = path.map_or(&[][..], |path| path.as_os_str().as_bytes());
                self.index.find(root.id, path).is_some()
                    || self.index.dir_id(root.id, path).is_some()
            };
            if let Err(error) = self.record.close_absent(&root.name, root.at, is_there) {
                tracing::error!("{error}");
            }
        }
    }

    fn save(&mut self) {
        self.reports.lost += self.lost.swap(0, Ordering::Relaxed);
        let reports = std::mem::take(&mut self.reports);
        if reports == ShadowReports::default() {
            return;
        }
        match self.record.add(&reports) {
            Ok(dropped) => {
                self.has_failed = false;
                if dropped > 0 && !self.has_dropped {
                    self.has_dropped = true;
                    tracing::warn!(
                        "the record of shadow mode is full: the oldest things are dropped from now on"
                    );
                }
            }
            Err(error) => {
                let count = reports.due.len() + reports.gone.len();
                self.reports.lost = reports.lost + count as u64;
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::error!("{error}");
                }
            }
        }
    }
}

/// Row of something that would be removed at `at`; `None` if its root is not configured any more.
fn due_row(thing: &ShadowThing, at: Timestamp, policy: &Policy) -> Option<ShadowRow> {
    let rule = thing.class.rule().map(|rule| policy.rule(rule))?;
    let record = match thing.subject {
        ShadowSubject::Record(_) => Some(record_word(rule.record).to_owned()),
        ShadowSubject::File(..) | ShadowSubject::Dir(..) => None,
    };
    let deadline = thing
        .deadline
        .map(|at| format!(", due since {at}"))
        .unwrap_or_default();
    Some(ShadowRow {
        why: format!("rule {:?} by {}{deadline}", rule.name, rule.since.as_str()),
        due_at: Some(at),
        record,
        ..row(thing, policy)?
    })
}

/// Row of something that others removed, as was noticed at `at`; `None` if its root is not
/// configured any more.
fn gone_row(thing: &ShadowThing, at: Timestamp, policy: &Policy) -> Option<ShadowRow> {
    let name = thing.class.rule().map(|rule| &policy.rule(rule).name);
    let schedule = thing.class.rule().map(|rule| &policy.rule(rule).schedule);
    let is_by_itself = schedule == Some(&Schedule::AtDeadline);
    let by = name
        .map(|name| format!("rule {name:?}"))
        .unwrap_or_default();
    let why = match (thing.class, thing.deadline, &thing.hold) {
        (Class::Unruled, ..) => "no rule matches it: it is kept for ever".to_owned(),
        (Class::Kept(_), ..) => format!("{by} keeps it for ever"),
        (_, Some(deadline), hold) if deadline > at => match hold {
            None if is_by_itself => format!("{by} keeps it until {deadline}"),
            None => format!(
                "{by} keeps it until {deadline}, and waits for its schedule or a request then"
            ),
            Some(hold) => format!("{by} keeps it until {deadline}, and {hold}"),
        },
        (_, _, Some(hold)) => format!("{by} holds it: {hold}"),
        (_, Some(deadline), None) if is_by_itself => format!("{by}, due since {deadline}"),
        (_, Some(deadline), None) => {
            format!("{by}, due since {deadline}, waits for its schedule or a request")
        }
        (_, None, None) => format!("{by} has no deadline for it yet"),
    };
    let is_foretold = is_by_itself && thing.hold.is_none();
    Some(ShadowRow {
        why,
        foretold: thing.deadline.filter(|_| is_foretold),
        gone_at: Some(at),
        ..row(thing, policy)?
    })
}

fn row(thing: &ShadowThing, policy: &Policy) -> Option<ShadowRow> {
    let (kind, root, path) = match &thing.subject {
        ShadowSubject::File(root, path) | ShadowSubject::Dir(root, path) => {
            let root = policy.roots.get(root)?;
            let kind = match thing.subject {
                ShadowSubject::Dir(..) => ShadowKind::Directory,
                ShadowSubject::File(..) | ShadowSubject::Record(_) => ShadowKind::File,
            };
            let path = path.below(&root.path);
            (kind, &root.name, path.as_os_str().as_bytes().to_vec())
        }
        ShadowSubject::Record(job) => {
            let source = policy.sources.get(&job.source)?;
            (
                ShadowKind::Record,
                &source.name,
                job.id.clone().into_bytes(),
            )
        }
    };
    Some(ShadowRow {
        kind,
        root: root.clone(),
        path,
        basis: thing.basis,
        bytes: thing.bytes,
        job: thing.job.as_ref().map(|job| job.id.clone()),
        rule: thing
            .class
            .rule()
            .map(|rule| policy.rule(rule).name.clone()),
        deadline: thing.deadline,
        ..ShadowRow::default()
    })
}

fn record_word(record: Record) -> &'static str {
    match record {
        Record::Keep => "kept",
        Record::Mark => "marked",
        Record::Forget => "forgotten",
    }
}

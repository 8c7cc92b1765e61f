//! The thread of a source: what it does next.
//!
//! **Invariant:** the directory is watched before the database is opened, and the database's
//! version taken before it is read: what happens in between is seen twice rather than never.
//! **Invariant:** a database that cannot be read keeps its jobs: it is reported as down.

mod catch_up;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use super::error::Fault;
use super::lock_pace::LockPace;
use super::lookup_connection::LookupConnection;
use super::open::{self, FileStamp, Identity};
use super::options::SqliteOptions;
use super::parent_watcher::{self, ParentWatcher};
use super::row::OwnedValue;
use crate::clock;
use crate::core::jobs::{JobChange, JobRow, SourceUpdate};
use crate::sources::change_signal::{ChangeSignal, WakeReason};
use crate::sources::decode::Decoder;
use crate::sources::known_jobs::{ChangeSink, KnownJobs};
use crate::sources::pacing::{ChangeChecks, ReadThrottle, RetryBackoff};
use crate::sources::stats::{ChangeDetection, SourceState, SourceStats};

/// Longest wait of a reading for a writer, before it comes back later.
const PATIENCE: Duration = Duration::from_millis(200);

/// A reading that comes later than this, or takes longer, is announced: until then what is known is
/// not believed.
const ANNOUNCED: Duration = Duration::from_millis(20);

/// Events so soon after a failed attempt on a locked database are of our own making.
const ECHO: Duration = Duration::from_millis(20);

/// Pause after an event: a writer may raise ten thousand events a second.
const SPACING: Duration = Duration::from_millis(1);
/// Likewise while a reading is to come anyway: then an event can only mean that the file is gone.
const SPACING_OWED: Duration = Duration::from_millis(10);

/// Interval at which a database without events is asked whether it has changed: a question reads a
/// hundred bytes.
const POLL_EVERY: Duration = Duration::from_secs(5);

/// Thread of a source.
pub(super) struct Reader {
    pub(super) options: Arc<SqliteOptions>,
    pub(super) decoder: Arc<Decoder>,
    pub(super) view: KnownJobs,
    pub(super) tell: ChangeSink,
    pub(super) signal: Arc<ChangeSignal>,
    pub(super) lookups: Arc<LookupConnection>,
    pub(super) stats: Arc<Mutex<SourceStats>>,
    /// Ends a query that takes long.
    pub(super) interrupt: Arc<Mutex<Option<InterruptHandle>>>,
    pub(super) state: State,
}

/// State of the thread.
#[derive(Default)]
pub(super) struct State {
    around: Option<ParentWatcher>,
    database: Option<Database>,
    looks: ChangeChecks,
    retries: RetryBackoff,
    rests: ReadThrottle,
    pace: LockPace,
    /// Reason why the database is polled. The next field has the next time.
    polled: Option<String>,
    poll_at: Duration,
    /// `data_version` at the last reading.
    version: Option<i64>,
    owes: PendingReads,
    /// From where changes are asked; `None`: nothing was read yet.
    since: Option<OwnedValue>,
    down: Option<Outage>,
    /// Another process has it locked, for a short time so far.
    is_locked: bool,
    is_stale: bool,
    has_reported: bool,
    last_told: Option<LastPublished>,
}

struct Database {
    connection: Connection,
    identity: Identity,
}

/// Readings that are owed.
#[derive(Default)]
struct PendingReads {
    all: bool,
    changes: bool,
}

struct Outage {
    why: String,
    /// The files as they were then; `None`: locked, which does not show.
    look: Option<FileStamp>,
    since: Duration,
}

impl State {
    /// Returns whether it waits for a writer or a missing file before it can read.
    fn is_held_up(&self) -> bool {
        self.is_locked || self.down.is_some()
    }
}

/// Last published row or id.
enum LastPublished {
    Row(Box<JobRow>),
    Gone(String),
}

impl Reader {
    /// Runs until it is stopped.
    pub(super) fn run(mut self) {
        let mut woken = WakeReason::Requested;
        while woken != WakeReason::Stopped {
            self.stats.lock().turns += 1;
            self.turn(woken);
            if woken == WakeReason::Raised {
                self.signal.pause(self.spacing());
            }
            let now = clock::now().boot;
            let limit = self.next(now).map(|next| next.saturating_sub(now));
            woken = self.signal.wait(limit);
        }
    }

    /// Returns how long events are ignored after one.
    fn spacing(&self) -> Duration {
        if !self.will_see_changes() {
            return SPACING;
        }
        let now = clock::now().boot;
        let next = self.next(now).unwrap_or(now);
        next.saturating_sub(now).clamp(SPACING, SPACING_OWED)
    }

    /// Returns when there is something to do without anyone ringing.
    fn next(&self, now: Duration) -> Option<Duration> {
        let polls = self.state.polled.as_ref().map(|_| self.state.poll_at);
        polls.into_iter().chain(self.next_owed(now)).min()
    }

    fn next_owed(&self, now: Duration) -> Option<Duration> {
        let state = &self.state;
        if state.is_held_up() {
            return [state.retries.next(), state.looks.next()]
                .into_iter()
                .flatten()
                .min();
        }
        let reading = [
            (state.owes.changes, state.rests.changes),
            (state.owes.all, state.rests.all),
        ];
        let reading = reading
            .into_iter()
            .filter(|(owes, _)| *owes)
            .map(|(_, at)| at.max(now));
        // While a reading is to come anyway, there is no need to look whether one should.
        let looks = state.looks.next().filter(|_| !self.will_see_changes());
        reading.chain(looks).min()
    }

    /// Returns whether a reading is owed that will see every change.
    fn will_see_changes(&self) -> bool {
        let owes = &self.state.owes;
        owes.changes || (owes.all && self.options.queries.changed.is_none())
    }

    fn turn(&mut self, woken: WakeReason) {
        let now = clock::now().boot;
        let is_rung = woken == WakeReason::Raised && self.is_worth_a_look(now);
        if is_rung {
            self.state.looks.restart(now);
        }
        if woken == WakeReason::Requested {
            self.state.owes.all = true;
        }
        let is_polled = self.state.polled.is_some() && self.state.poll_at <= now;
        if is_polled {
            self.state.poll_at = now + POLL_EVERY;
        }
        if let Err(fault) = self.proceed(is_rung || is_polled, now) {
            self.fail(&fault);
        }
    }

    /// Returns whether something has happened that is not of our own making.
    fn is_worth_a_look(&self, now: Duration) -> bool {
        match &self.state.down {
            None => true,
            Some(down) => match &down.look {
                Some(look) => *look != FileStamp::at(&self.options.path),
                None => now > down.since + ECHO,
            },
        }
    }

    fn proceed(&mut self, is_rung: bool, now: Duration) -> Result<(), Fault> {
        let looks = self.state.looks.take_due(now) || is_rung;
        let retries = self.state.down.is_some() && self.state.retries.is_due(now);
        if self.state.is_held_up() && !looks && !retries {
            return Ok(());
        }
        self.open(now)?;
        if looks && !self.will_see_changes() {
            self.look()?;
        }
        self.read(now)
    }

    /// Sees to it that the right directories are watched and the right file is open.
    fn open(&mut self, now: Duration) -> Result<(), Fault> {
        let options = Arc::clone(&self.options);
        let path = &options.path;
        let around = &mut self.state.around;
        if !around.as_ref().is_some_and(|around| around.is_right(path)) {
            *around = None;
            match ParentWatcher::watch(path, &self.signal) {
                Ok(watch) => {
                    *around = Some(watch);
                    self.state.database = None;
                    self.poll(parent_watcher::why_silent(path), now);
                }
                Err(Fault::Unwatched(why)) => {
                    let mend = "see fs.inotify.max_user_instances and fs.inotify.max_user_watches, and that its directory may be read";
                    let why = format!("its directory cannot be watched: {why}\n  {mend}");
                    self.poll(Some(why), now);
                }
                Err(fault) => return Err(fault),
            }
        }
        let identity = Identity::of(path)?;
        let is_right = |database: &Database| database.identity == identity;
        if self.state.database.as_ref().is_some_and(is_right) {
            return Ok(());
        }
        self.state.database = None;
        let (connection, identity) = open::to_read(&self.options, PATIENCE)?;
        *self.interrupt.lock() = Some(connection.get_interrupt_handle());
        self.state.database = Some(Database {
            connection,
            identity,
        });
        // Another database: nothing of what was read before counts.
        self.state.owes = PendingReads {
            all: true,
            changes: false,
        };
        self.state.since = None;
        self.state.version = None;
        self.state.rests.all = now;
        Ok(())
    }

    /// Asks from time to time from now on, for this reason; `None`: every change raises an event.
    fn poll(&mut self, why: Option<String>, now: Duration) {
        if self.state.polled == why {
            return;
        }
        if let Some(why) = &why {
            let source = &self.options.name;
            tracing::warn!(source, every = ?POLL_EVERY, "changes are asked for: {why}");
        }
        self.stats.lock().detection = why.clone().map(|why| ChangeDetection::Polling { why });
        self.state.polled = why;
        self.state.poll_at = now + POLL_EVERY;
    }

    /// Looks whether there is something to read.
    fn look(&mut self) -> Result<(), Fault> {
        let Some(database) = &self.state.database else {
            return Ok(());
        };
        let version = open::data_version(&database.connection)?;
        if self.state.version != Some(version) {
            self.state.version = Some(version);
            self.owe();
        }
        Ok(())
    }

    /// The database has changed.
    fn owe(&mut self) {
        self.state.owes.all = true;
        self.state.owes.changes =
            self.options.queries.changed.is_some() && self.state.since.is_some();
    }

    /// Says that what is known is not the newest, if that lasts.
    fn announce(&mut self, lasts: Duration) {
        if lasts > ANNOUNCED && !self.state.is_stale && self.state.down.is_none() {
            self.state.is_stale = true;
            self.tell(JobChange::Stale);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        let now = clock::now().boot;
        let is_locked = match fault {
            Fault::Stopped => return,
            Fault::Busy => true,
            Fault::Missing
            | Fault::Refused(_)
            | Fault::Unwatched(_)
            | Fault::NoDatabase(_)
            | Fault::Query(_)
            | Fault::Failed(_) => false,
        };
        if is_locked && self.state.down.is_none() {
            self.announce(ANNOUNCED * 2);
            if !self.state.is_locked {
                self.state.is_locked = true;
                self.state.looks.restart(now);
            }
            if self.state.looks.next().is_some() {
                return;
            }
        }
        if !is_locked {
            self.state.owes.all = true;
            self.state.database = None;
            self.lookups.forget();
        }
        // An attempt for an event's sake does not put off the next one.
        if self.state.retries.is_due(now) {
            self.state.retries.fail(now);
        }
        let why = fault.about(&self.options.path);
        let is_new = self.state.down.as_ref().is_none_or(|down| down.why != why);
        self.state.down = Some(Outage {
            why: why.clone(),
            look: (!is_locked).then(|| FileStamp::at(&self.options.path)),
            since: now,
        });
        self.state.is_stale = false;
        if is_new {
            tracing::warn!(source = self.options.name, "{why}");
            self.stats.lock().state = SourceState::Down { why: why.clone() };
            self.tell(JobChange::Down { why });
        }
    }

    fn tell(&self, news: JobChange) {
        (self.tell)(SourceUpdate {
            source: self.options.id,
            news: vec![news],
            more: false,
        });
    }
}

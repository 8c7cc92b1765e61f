//! An SQLite database as a source of jobs, as the rest of the daemon sees it.
//!
//! **Invariant:** a database that is missing or broken is no error here: it is reported.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::InterruptHandle;

use super::lookup_connection::LookupConnection;
use super::options::SqliteOptions;
use super::reader::{Reader, State};
use super::write;
use crate::core::jobs::{JobChange, JobLookup, Jobs, SourceUpdate};
use crate::sources::change_signal::ChangeSignal;
use crate::sources::decode::Decoder;
use crate::sources::error::WriteError;
use crate::sources::known_jobs::{ChangeSink, KnownJobs};
use crate::sources::stats::{SourceState, SourceStats};
use crate::sources::write_back::{WriteBack, WriteOutcome};

/// Limit of [`Sqlite::stop`]; a thread that is busy for longer, in the database or with reporting,
/// ends by itself.
const JOIN_MAX: Duration = Duration::from_secs(1);

/// An SQLite database as a source of jobs. Dropping it stops it.
pub struct Sqlite {
    options: Arc<SqliteOptions>,
    decoder: Arc<Decoder>,
    lookups: Arc<LookupConnection>,
    signal: Arc<ChangeSignal>,
    stats: Arc<Mutex<SourceStats>>,
    interrupt: Arc<Mutex<Option<InterruptHandle>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Starts to read jobs, on a thread of its own, comparing them with `jobs` and reporting what
    /// is new to `tell`, which may wait.
    ///
    /// # Errors
    /// When the system gives out no thread, or a time zone is unknown.
    pub fn start(options: SqliteOptions, jobs: Arc<Jobs>, tell: ChangeSink) -> io::Result<Self> {
        let view = KnownJobs::of(jobs, options.id);
        Self::start_with(options, view, tell)
    }

    /// Likewise, comparing with `view`.
    pub(super) fn start_with(
        options: SqliteOptions,
        view: KnownJobs,
        tell: ChangeSink,
    ) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let decoder = Arc::new(Decoder::new(&options.name, &options.queries).map_err(invalid)?);
        let options = Arc::new(options);
        let signal = Arc::new(ChangeSignal::default());
        let lookups = Arc::new(LookupConnection::new(
            Arc::clone(&options),
            Arc::clone(&decoder),
            Arc::clone(&signal),
        ));
        let source = Self {
            options,
            decoder,
            lookups,
            signal,
            stats: Arc::default(),
            interrupt: Arc::default(),
            thread: Mutex::default(),
        };
        let reader = Reader {
            options: Arc::clone(&source.options),
            decoder: Arc::clone(&source.decoder),
            view,
            tell,
            signal: Arc::clone(&source.signal),
            lookups: Arc::clone(&source.lookups),
            stats: Arc::clone(&source.stats),
            interrupt: Arc::clone(&source.interrupt),
            state: State::default(),
        };
        let name = format!("jobs-{}", source.options.name);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || guard(reader))?;
        *source.thread.lock() = Some(thread);
        Ok(source)
    }

    /// Returns what the database says of the job `id` at this moment. Waits about a second for a
    /// writer, at most.
    #[must_use]
    pub fn fresh(&self, id: &str) -> JobLookup {
        self.lookups.fresh(id)
    }

    /// Returns whether everything was read, and nothing has changed since. Cheap; when it is not
    /// so, a reading is on its way.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.lookups.is_current()
    }

    /// Writes back what became of a job, in one transaction, if its row is still as it was judged.
    ///
    /// # Errors
    /// When the database cannot be written now. Nothing was, and it may be tried again.
    pub fn write(&self, order: &WriteBack) -> Result<WriteOutcome, WriteError> {
        write::write(&self.options, &self.decoder, order)
    }

    /// Returns how it is doing.
    #[must_use]
    pub fn stats(&self) -> SourceStats {
        self.stats.lock().clone()
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Returns what it was started with.
    #[must_use]
    pub fn options(&self) -> &SqliteOptions {
        &self.options
    }

    /// Ends the reading. Nothing is reported afterwards, unless the thread was in the midst of
    /// reporting for a second.
    pub fn stop(&self) {
        self.signal.stop();
        if let Some(interrupt) = self.interrupt.lock().as_ref() {
            interrupt.interrupt();
        }
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        if thread.thread().id() != std::thread::current().id() && self.signal.wait_for_end(JOIN_MAX)
        {
            // Its panics are caught within.
            let _ = thread.join();
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `reader`; a panic is reported, never swallowed.
fn guard(reader: Reader) {
    let (signal, tell, stats) = (
        Arc::clone(&reader.signal),
        Arc::clone(&reader.tell),
        Arc::clone(&reader.stats),
    );
    let options = Arc::clone(&reader.options);
    if catch_unwind(AssertUnwindSafe(|| reader.run())).is_err() {
        let why = format!(
            "cannot read jobs from \"{}\": the thread that reads it panicked; this is a bug\n  restart the service",
            options.path.display()
        );
        tracing::error!(source = options.name, "{why}");
        stats.lock().state = SourceState::Down { why: why.clone() };
        // It may panic as well, for the same reason.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            tell(SourceUpdate {
                source: options.id,
                news: vec![JobChange::Down { why }],
                more: false,
            });
        }));
    }
    signal.end();
}

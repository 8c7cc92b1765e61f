//! A database as a source of jobs, as the rest of the daemon sees it.
//!
//! **Invariant:** a database that is away, missing or broken is no error here: it is reported.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::context::SourceContext;
use super::driver::Driver;
use super::error::{QueryError, WriteError};
use super::known_jobs::{ChangeSink, KnownJobs};
use super::options::DatabaseOptions;
use super::reader::Reader;
use super::stats::{SourceState, SourceStats};
use super::write_back::{WriteBack, WriteOutcome};
use super::{postgres, sqlite, writer};
use crate::core::jobs::{JobChange, JobLookup, Jobs, SourceId, SourceUpdate};

/// Limit of [`Source::stop`]; a thread that is busy for longer, in the database or with reporting,
/// ends by itself.
const JOIN_MAX: Duration = Duration::from_secs(1);

/// A database as a source of jobs. Dropping it stops it.
pub struct Source {
    context: Arc<SourceContext>,
    driver: Arc<dyn Driver>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("id", &self.context.id)
            .field("name", &self.context.name)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Starts to read jobs, on a thread of its own, comparing them with `jobs` and reporting what
    /// is new to `sink`, which may wait.
    ///
    /// # Errors
    /// When the system gives out no thread, or a time zone is unknown.
    pub fn start(
        id: SourceId,
        name: &str,
        options: &DatabaseOptions,
        jobs: Arc<Jobs>,
        sink: ChangeSink,
    ) -> io::Result<Self> {
        Self::start_with(id, name, options, KnownJobs::of(jobs, id), sink)
    }

    /// Likewise, comparing with `view`.
    pub(super) fn start_with(
        id: SourceId,
        name: &str,
        options: &DatabaseOptions,
        view: KnownJobs,
        sink: ChangeSink,
    ) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let context = SourceContext::new(id, name, options.queries()).map_err(invalid)?;
        let context = Arc::new(context);
        let driver = driver(options, &context);
        let reader = Reader::new(
            Arc::clone(&context),
            Arc::clone(&driver),
            view,
            Arc::clone(&sink),
        );
        let (shared, place) = (Arc::clone(&context), driver.place());
        let thread = std::thread::Builder::new()
            .name(format!("jobs-{name}"))
            .spawn(move || guard(reader, &shared, &place, &sink))?;
        Ok(Self {
            context,
            driver,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Returns what the database says of the job `id` at this moment. Waits some two seconds at
    /// most.
    #[must_use]
    pub fn fresh(&self, id: &str) -> JobLookup {
        self.driver.fresh(id)
    }

    /// Returns whether everything that has committed until now was read. When it is not so, a
    /// reading is on its way. Waits some two seconds at most.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.driver.is_current()
    }

    /// Has the job `id` read again, as if its change had been noticed.
    pub fn look_at(&self, id: &str) {
        self.driver.look_at(id);
    }

    /// Writes back what became of a job, in one transaction, if its row is still as it was judged.
    ///
    /// # Errors
    /// When the database cannot be written now. It may be tried again: what was written after all
    /// is found done.
    pub fn write(&self, order: &WriteBack) -> Result<WriteOutcome, WriteError> {
        writer::write(&*self.driver, &self.context.queries, order)
    }

    /// Returns how it is doing.
    #[must_use]
    pub fn stats(&self) -> SourceStats {
        self.context.stats.lock().clone()
    }

    /// Ends the reading. Nothing is reported afterwards, unless the thread was in the midst of
    /// reporting for a second.
    pub fn stop(&self) {
        self.context.signal.stop();
        self.driver.interrupt();
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        let is_itself = thread.thread().id() == std::thread::current().id();
        if !is_itself && self.context.signal.wait_for_end(JOIN_MAX) {
            // Its panics are caught within.
            let _ = thread.join();
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Checks that the queries of `options` fit their database. Nothing is written or created.
///
/// # Errors
/// When a query does not fit, with the query and the column; [`QueryError::Database`] when the
/// database cannot be asked now.
pub fn check(name: &str, options: &DatabaseOptions) -> Result<(), QueryError> {
    match options {
        DatabaseOptions::Sqlite(sqlite) => sqlite::check(name, sqlite),
        DatabaseOptions::Postgres(postgres) => postgres::check(name, postgres),
    }
}

fn driver(options: &DatabaseOptions, context: &Arc<SourceContext>) -> Arc<dyn Driver> {
    let context = Arc::clone(context);
    match options {
        DatabaseOptions::Sqlite(sqlite) => Arc::new(sqlite::SqliteDatabase::new(sqlite, context)),
        DatabaseOptions::Postgres(postgres) => {
            Arc::new(postgres::PostgresDatabase::new(postgres, context))
        }
    }
}

/// Runs `reader`; a panic is reported, never swallowed.
fn guard(reader: Reader, context: &SourceContext, place: &str, sink: &ChangeSink) {
    if catch_unwind(AssertUnwindSafe(|| reader.run())).is_err() {
        let why = format!(
            "cannot read jobs from {place}: the thread that reads it panicked; this is a bug\n  restart the service"
        );
        tracing::error!(source = context.name, "{why}");
        context.stats.lock().state = SourceState::Down { why: why.clone() };
        // It may panic as well, for the same reason.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            sink(SourceUpdate {
                source: context.id,
                news: vec![JobChange::Down { why }],
                more: false,
            });
        }));
    }
    context.signal.end();
}

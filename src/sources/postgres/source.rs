//! A PostgreSQL database as a source of jobs, as the rest of the daemon sees it.
//!
//! **Invariant:** a server that is away is no error here: it is reported.
//! **Invariant:** a question waits for a bounded time.

use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use super::context::SourceContext;
use super::error::{Fault, ServerError};
use super::lookup_connection::{LookupConnection, PATIENCE};
use super::publisher::ChangePublisher;
use super::reader::{Reader, State};
use super::write::Writer;
use crate::core::jobs::{JobChange, JobLookup, Jobs, SourceUpdate};
use crate::sources::decode::Decoder;
use crate::sources::error::WriteError;
use crate::sources::known_jobs::{ChangeSink, KnownJobs};
use crate::sources::postgres_options::PostgresOptions;
use crate::sources::stats::{SourceState, SourceStats};
use crate::sources::write_back::{WriteBack, WriteOutcome};

/// Limit of [`Postgres::stop`]; a thread that is busy reporting for longer ends by itself.
const JOIN_MAX: Duration = Duration::from_secs(1);
/// Time that an answer may take beyond the question's own limit: the thread may be busy.
const SLACK: Duration = Duration::from_millis(500);
/// Time limit of writing a record; its transaction gives up before.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// Time limit of finding out whether everything was read.
const CURRENT_MAX: Duration = Duration::from_secs(2);

/// A PostgreSQL database as a source of jobs. Dropping it stops it.
pub struct Postgres {
    shared: Arc<SourceContext>,
    lookups: Arc<LookupConnection>,
    writer: Arc<Writer>,
    handle: Handle,
    stop: Arc<Notify>,
    thread: Mutex<Option<(JoinHandle<()>, mpsc::Receiver<()>)>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Starts to read jobs, on a thread of its own, comparing them with `jobs` and reporting what
    /// is new to `tell`, which may wait.
    ///
    /// # Errors
    /// When the system gives out no thread, or a time zone is unknown.
    pub fn start(options: PostgresOptions, jobs: Arc<Jobs>, tell: ChangeSink) -> io::Result<Self> {
        let view = KnownJobs::of(jobs, options.id);
        Self::start_with(options, view, tell)
    }

    /// Likewise, comparing with `view`.
    pub(super) fn start_with(
        options: PostgresOptions,
        view: KnownJobs,
        tell: ChangeSink,
    ) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let decoder = Decoder::new(&options.name, &options.queries).map_err(invalid)?;
        let shared = Arc::new(SourceContext::new(options, decoder));
        let lookups = Arc::new(LookupConnection::new(Arc::clone(&shared)));
        let writer = Arc::new(Writer::new(Arc::clone(&shared)));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let reader = Reader {
            shared: Arc::clone(&shared),
            lookups: Arc::clone(&lookups),
            writer: Arc::clone(&writer),
            view,
            telling: ChangePublisher::new(Arc::clone(&tell), shared.options.id),
            state: State::default(),
        };
        let (ends, ended) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let name = format!("jobs-{}", shared.options.name);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            live(runtime, reader, &stopped, &tell);
            drop(ends);
        })?;
        Ok(Self {
            shared,
            lookups,
            writer,
            handle,
            stop,
            thread: Mutex::new(Some((thread, ended))),
        })
    }

    /// Returns what the database says of the job `id` at this moment. Waits some two seconds at
    /// most. Not to be called by the source's own thread.
    #[must_use]
    pub fn fresh(&self, id: &str) -> JobLookup {
        let (lookups, wanted) = (Arc::clone(&self.lookups), id.to_owned());
        let answer = self.ask(
            PATIENCE + SLACK,
            async move { lookups.fresh(&wanted).await },
        );
        answer.unwrap_or_else(|fault| JobLookup::Unknown(self.shared.about(&fault)))
    }

    /// Returns whether everything that has committed until now was read. When it is not so, a
    /// reading is on its way.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let lookups = Arc::clone(&self.lookups);
        self.ask(CURRENT_MAX, async move { lookups.is_current().await })
            .unwrap_or(false)
    }

    /// Has the job `id` read again, as if its change had been notified.
    pub fn look_at(&self, id: &str) {
        if let Some(listener) = &*self.shared.listener.lock() {
            listener.on_notification(id);
        }
    }

    /// Writes back what became of a job, in one transaction, if its row is still as it was judged.
    ///
    /// # Errors
    /// When the database cannot be written now. It may be tried again: what was written after all
    /// is found done.
    pub fn write(&self, order: &WriteBack) -> Result<WriteOutcome, WriteError> {
        let (writer, order) = (Arc::clone(&self.writer), order.clone());
        self.ask(WRITE_MAX, async move { writer.write(&order).await })
            .unwrap_or_else(|fault| {
                Err(WriteError::Database(format!(
                    "cannot write to {}: {fault}",
                    self.shared.options.place()
                )))
            })
    }

    /// Returns how it is doing.
    #[must_use]
    pub fn stats(&self) -> SourceStats {
        self.shared.stats.lock().clone()
    }

    /// Returns what it was started with.
    #[must_use]
    pub fn options(&self) -> &PostgresOptions {
        &self.shared.options
    }

    /// Ends the reading. Nothing is reported afterwards, unless it was in the midst of reporting.
    pub fn stop(&self) {
        self.stop.notify_one();
        let Some((thread, ended)) = self.thread.lock().take() else {
            return;
        };
        let is_itself = thread.thread().id() == std::thread::current().id();
        if !is_itself && ended.recv_timeout(JOIN_MAX) == Err(RecvTimeoutError::Disconnected) {
            // Its panics are caught within.
            let _ = thread.join();
        }
    }

    /// The answer of the source's thread, within `limit`.
    fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        question: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answers, answer) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // The caller may be gone.
            let _ = answers.send(question.await);
        });
        answer
            .recv_timeout(limit)
            .map_err(|_| Fault::of(&ServerError::silence(), self.shared.options.user()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `reader` until it is stopped; a panic is reported, never swallowed.
fn live(runtime: Runtime, reader: Reader, stop: &Notify, tell: &ChangeSink) {
    let shared = Arc::clone(&reader.shared);
    runtime.block_on(async {
        let ended = tokio::select! {
            () = stop.notified() => return,
            ended = AssertUnwindSafe(reader.run()).catch_unwind() => ended,
        };
        if ended.is_err() {
            let why = format!(
                "cannot read jobs from {}: the thread that reads it panicked; this is a bug\n  restart the service",
                shared.options.place()
            );
            tracing::error!(source = shared.options.name, "{why}");
            shared.stats.lock().state = SourceState::Down { why: why.clone() };
            let (tell, source) = (Arc::clone(tell), shared.options.id);
            // It may panic as well, for the same reason.
            let told = tokio::task::spawn_blocking(move || {
                tell(SourceUpdate {
                    source,
                    news: vec![JobChange::Down { why }],
                more: false,
                });
            });
            let _ = told.await;
            stop.notified().await;
        }
    });
    // What is being reported may take as long as it likes.
    runtime.shutdown_background();
}

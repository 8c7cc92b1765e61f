//! The sources of jobs while the daemon runs: who is asked, who is told, and the thread that writes
//! records back.
//!
//! ```text
//! news      source → engine (Input::Jobs)
//! question  reaper → source: one row, as it is now
//! record    reaper: prepared in the registry → ledger → files removed → engine (Effect::Recorded)
//!           → file systems synchronized → confirmed → written to the source → done
//! ```
//!
//! **Invariant:** a record is written only after its removal is in the ledger and all files of the
//! job are gone from the disk; it stays in the outbox until its source has taken it.
//! **Invariant:** a source that is down delays its own records, and nobody else's; a record that is
//! refused delays no other.
//! **Invariant:** once the end has begun, a source that hangs keeps nobody waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::database::{self, STILL_READ};
use super::records::{Order, Patience, Records};
use crate::clock;
use crate::config::{SourceKind, SourceSettings};
use crate::core::engine::Input;
use crate::core::jobs::{JobChange, JobKey, JobLookup, JobRow, Jobs, SourceId, SourceUpdate};
use crate::core::pauses::Pause;
use crate::core::policy::Record;
use crate::core::report::SavedSource;
use crate::fs::Dir;
use crate::reap::Recording;
use crate::registry::{OutboxItem, Registry};
use crate::sources::{Source, WriteBack, WriteError, WriteOutcome};

/// Maximum time for the threads of sources to end. One that is busy for longer ends with the
/// process.
const STOP_MAX: Duration = Duration::from_millis(50);

/// A source that is asked.
pub(super) enum Handle {
    /// Programs tell of its jobs: the registry has them.
    Api,
    Database(Source),
}

/// One source.
pub(super) struct Running {
    pub(super) settings: SourceSettings,
    pub(super) handle: Handle,
}

/// All of them.
pub(super) struct Sources {
    pub(super) running: Mutex<BTreeMap<SourceId, Arc<Running>>>,
    pub(super) jobs: Arc<Jobs>,
    registry: Arc<Registry>,
    inbox: mpsc::Sender<Input>,
    records: Mutex<Option<Records>>,
    /// True once the end has begun: no source is asked any more.
    is_ending: AtomicBool,
}

impl Sources {
    /// Sources, none of which is asked yet, and to which no record is written back.
    pub(super) fn to_read(
        jobs: Arc<Jobs>,
        registry: Arc<Registry>,
        inbox: mpsc::Sender<Input>,
    ) -> Arc<Self> {
        Arc::new(Self {
            running: Mutex::default(),
            jobs,
            registry,
            inbox,
            records: Mutex::default(),
            is_ending: AtomicBool::new(false),
        })
    }

    /// Has records written back by `records`.
    pub(super) fn set_records(&self, records: Records) {
        *self.records.lock() = Some(records);
    }

    /// Asks the sources of `settings` from now on: those that are as they were go on. Waits for the
    /// engine, which has to run.
    pub(super) fn set(&self, settings: &BTreeMap<SourceId, SourceSettings>) {
        let mut ended = Vec::new();
        let mut fresh = Vec::new();
        {
            let mut running = self.running.lock();
            running.retain(|id, one| {
                let stays = settings.get(id) == Some(&one.settings);
                if !stays {
                    ended.push(Arc::clone(one));
                }
                stays
            });
            for (&id, settings) in settings {
                if !running.contains_key(&id) {
                    fresh.push((id, settings.clone()));
                }
            }
        }
        for one in &ended {
            one.stop();
        }
        for (id, settings) in fresh {
            if ended.iter().any(|one| one.settings.name == settings.name) {
                let why = "its configuration has changed, and it is being read".to_owned();
                self.tell(id, vec![JobChange::Down { why }]);
            }
            match self.start_one(id, settings) {
                Ok(one) => drop(self.running.lock().insert(id, Arc::new(one))),
                Err(why) => self.tell(id, vec![JobChange::Down { why }]),
            }
        }
        self.wake();
    }

    fn start_one(&self, id: SourceId, settings: SourceSettings) -> Result<Running, String> {
        let handle = match &settings.kind {
            SourceKind::Api => {
                let rows = self
                    .registry
                    .jobs(&settings.name)
                    .map_err(|error| error.to_string())?;
                let jobs = rows.len() as u64;
                let mut news: Vec<JobChange> = chunks(rows).map(JobChange::Rows).collect();
                news.push(JobChange::Loaded { jobs });
                self.tell(id, news);
                Handle::Api
            }
            SourceKind::Database(database) => {
                let (name, jobs) = (&settings.name, Arc::clone(&self.jobs));
                let started = Source::start(id, name, database, jobs, self.teller());
                Handle::Database(started.map_err(|error| error.to_string())?)
            }
        };
        Ok(Running { settings, handle })
    }

    /// Passes a database's news on to the engine.
    fn teller(&self) -> Arc<dyn Fn(SourceUpdate) + Send + Sync> {
        let (inbox, jobs) = (self.inbox.clone(), Arc::clone(&self.jobs));
        Arc::new(move |news: SourceUpdate| {
            jobs.on_news_sent(news.source);
            // Nobody takes it in any more: the daemon ends.
            drop(inbox.blocking_send(Input::Jobs(news)));
        })
    }

    fn tell(&self, source: SourceId, news: Vec<JobChange>) {
        self.jobs.on_news_sent(source);
        let _ = self.inbox.blocking_send(Input::Jobs(SourceUpdate {
            source,
            news,
            more: false,
        }));
    }

    fn get(&self, source: SourceId) -> Option<Arc<Running>> {
        self.running.lock().get(&source).cloned()
    }

    /// Returns the row of a job at its source now.
    pub(super) fn fresh(&self, key: &JobKey) -> JobLookup {
        if self.is_ending.load(Ordering::Relaxed) {
            return JobLookup::Unknown("the daemon is ending".to_owned());
        }
        let Some(one) = self.get(key.source) else {
            return JobLookup::Unknown("the source is not there any more".to_owned());
        };
        match &one.handle {
            Handle::Api => match self.registry.job(&one.settings.name, &key.id) {
                Ok(Some(row)) => JobLookup::Row(Box::new(row)),
                Ok(None) => JobLookup::Gone,
                Err(error) => JobLookup::Unknown(error.to_string()),
            },
            Handle::Database(database) => match database::fresh(database, &key.id) {
                // Another job may claim it, by a row that was read and has not been taken in.
                JobLookup::Gone if !self.jobs.has_taken_in_all(key.source) => {
                    JobLookup::Unknown(STILL_READ.to_owned())
                }
                fresh => fresh,
            },
        }
    }

    /// Has a source read again whose row of a job differs from the known one.
    pub(super) fn disagrees(&self, key: &JobKey) {
        let Some(one) = self.get(key.source) else {
            return;
        };
        match &one.handle {
            Handle::Api => match self.registry.job(&one.settings.name, &key.id) {
                Ok(Some(row)) => self.tell(key.source, vec![JobChange::Rows(vec![row])]),
                Ok(None) => self.tell(key.source, vec![JobChange::Gone(vec![key.id.clone()])]),
                Err(error) => tracing::error!("{error}"),
            },
            Handle::Database(database) => database.look_at(&key.id),
        }
    }

    /// Returns true if `source` is an API source.
    pub(super) fn is_api(&self, source: SourceId) -> bool {
        let one = self.get(source);
        one.is_some_and(|one| matches!(one.handle, Handle::Api))
    }

    /// Keeps what is to become of the records of jobs that are about to go.
    pub(super) fn prepare(&self, recordings: &[Recording<'_>]) -> Result<(), String> {
        let items: Vec<OutboxItem> = recordings.iter().filter_map(item).collect();
        self.registry
            .prepare(&items)
            .map_err(|error| error.to_string())
    }

    /// They did not go after all.
    pub(super) fn cancel(&self, ids: &[u64]) {
        if let Err(error) = self.registry.cancel(ids) {
            // The next start finds that they are not in the ledger.
            tracing::warn!("{error}");
        }
    }

    /// The engine has taken in the removal `id`.
    pub(super) fn on_recorded(&self, id: u64) {
        self.order(Order::Recorded(id));
    }

    /// All that goes under `id` is gone, once the file systems of `dirs` are synchronized.
    pub(super) fn finish(&self, id: u64, dirs: Vec<Arc<Dir>>) {
        self.order(Order::Finished(id, dirs));
    }

    /// Keeps what is known of a source.
    pub(super) fn remember(&self, name: String, memory: SavedSource) {
        self.order(Order::Remember(name, memory));
    }

    /// Keeps a pause no longer that has ended by itself.
    pub(super) fn forget_pause(&self, pause: Pause) {
        self.order(Order::ForgetPause(pause));
    }

    fn wake(&self) {
        self.order(Order::Wake);
    }

    fn order(&self, order: Order) {
        if let Some(records) = &*self.records.lock() {
            records.order(order);
        }
    }

    pub(super) fn shared_registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The sources that records can be written to, by name.
    pub(super) fn names(&self) -> Vec<(SourceId, String)> {
        let running = self.running.lock();
        let names = running.iter();
        names
            .map(|(&id, one)| (id, one.settings.name.clone()))
            .collect()
    }

    /// Writes one record to its source.
    ///
    /// # Errors
    /// Error, if it has to be tried again.
    pub(super) fn write(
        &self,
        source: SourceId,
        item: &OutboxItem,
    ) -> Result<WriteOutcome, WriteError> {
        let Some(one) = self.get(source) else {
            let why = "the source is not there any more".to_owned();
            return Err(WriteError::Database(why));
        };
        match &one.handle {
            Handle::Api => self.write_api(source, item),
            Handle::Database(database) => {
                let order = WriteBack {
                    job: item.job.clone(),
                    action: item.action,
                    now: item.at,
                    summary: item.summary.clone(),
                };
                let written = database.write(&order)?;
                match &written {
                    WriteOutcome::Done if item.action == Record::Forget => {
                        // The daemon ends when nobody takes it in.
                        let _ = self.inbox.blocking_send(Input::Forgotten(source));
                    }
                    WriteOutcome::Done | WriteOutcome::Gone => {}
                    WriteOutcome::Changed { how } => tracing::warn!(
                        source = item.source,
                        job = item.job.id,
                        "its record is left as it is: the row has changed since its files went: {how}"
                    ),
                }
                Ok(written)
            }
        }
    }

    fn write_api(&self, source: SourceId, item: &OutboxItem) -> Result<WriteOutcome, WriteError> {
        // A row that is not as it was judged has come back to life: it stays as it is.
        let change = |before: Option<JobRow>| match (before, item.action) {
            (Some(row), Record::Forget) if row.decides_as(&item.job) => None,
            (Some(mut row), Record::Mark) if row.decides_as(&item.job) => {
                row.moments.cleaned_at = Some(item.at);
                Some(row)
            }
            (before, Record::Keep | Record::Mark | Record::Forget) => before,
        };
        let changed = self
            .registry
            .change_job(&item.source, &item.job.id, change)
            .map_err(|error| WriteError::Database(error.to_string()))?;
        let written = match &changed.before {
            None => WriteOutcome::Gone,
            Some(row) if row.decides_as(&item.job) => WriteOutcome::Done,
            Some(_) => WriteOutcome::Changed {
                how: "it was told again".to_owned(),
            },
        };
        match changed.after {
            None => self.tell(source, vec![JobChange::Gone(vec![item.job.id.clone()])]),
            Some(row) => self.tell(source, vec![JobChange::Rows(vec![row])]),
        }
        Ok(written)
    }

    /// Those that are asked, by name.
    pub(super) fn databases(&self) -> Vec<(String, Arc<Running>)> {
        let running = self.running.lock();
        let databases = running.values().filter(|one| one.database().is_some());
        databases
            .map(|one| (one.settings.name.clone(), Arc::clone(one)))
            .collect()
    }

    /// Writes the records that are ready, as far as `patience` reaches, and no more after that.
    pub(super) fn finish_records(&self, patience: Patience) {
        let records = self.records.lock().take();
        if let Some(records) = records {
            records.stop(patience, || self.interrupt());
        }
    }

    /// Ends all of them; records that wait are written as far as `patience` reaches.
    pub(super) fn stop(&self, patience: Patience) {
        self.finish_records(patience);
        self.interrupt();
    }

    /// Has every source end, and whoever waits for its answer go on.
    pub(super) fn interrupt(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        let running: Vec<Arc<Running>> = self.running.lock().values().cloned().collect();
        let (ends, ended) = std::sync::mpsc::channel::<()>();
        for one in running {
            let ends = ends.clone();
            // Without a thread it ends with the process.
            let thread = std::thread::Builder::new().name("stop-source".to_owned());
            let _ = thread.spawn(move || {
                one.stop();
                drop(ends);
            });
        }
        drop(ends);
        let _ = ended.recv_timeout(STOP_MAX);
    }
}

impl Running {
    /// The database that is asked; `None`: its jobs are told.
    pub(super) fn database(&self) -> Option<&Source> {
        match &self.handle {
            Handle::Api => None,
            Handle::Database(database) => Some(database),
        }
    }

    fn stop(&self) {
        if let Some(database) = self.database() {
            database.stop();
        }
    }
}

/// Write to the record of a job whose removal is about to be recorded.
fn item(recording: &Recording<'_>) -> Option<OutboxItem> {
    let line = recording.line;
    let job = line.job.as_ref()?;
    let summary = serde_json::json!({
        "rule": line.rule, "files": line.files, "bytes": line.bytes, "at": line.at.to_string(), "ledger_id": line.id,
    });
    Some(OutboxItem {
        id: line.id,
        source: job.source.clone(),
        job: job.row.clone(),
        action: recording.record,
        at: clock::now().wall,
        summary: summary.to_string(),
    })
}

fn chunks(rows: Vec<JobRow>) -> impl Iterator<Item = Vec<JobRow>> {
    const ROWS_MAX: usize = 1000;
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        Some(rows.by_ref().take(ROWS_MAX).collect())
    })
}

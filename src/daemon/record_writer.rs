//! Writes records back to their sources, out of the outbox.
//!
//! **Invariant:** a dry run writes to no source.
//! **Invariant:** nothing is written before the removal of the job's files is on the disk: a power
//! failure must not bring back files whose row says that they are gone.
//! **Invariant:** it sleeps while nothing waits; a source that takes nothing is tried again with
//! exponential backoff, and so is each record that it refuses.
//! **Invariant:** a record that its source refuses delays no other one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::records::{Order, Progress, Records};
use super::removals::Removals;
use super::saved_state;
use super::sources::Sources;
use crate::clock;
use crate::core::engine::Input;
use crate::core::jobs::{Jobs, SourceId};
use crate::core::pauses::Pause;
use crate::core::policy::Record;
use crate::core::report::{Mode, SavedSource};
use crate::ledger::Ledger;
use crate::registry::{FailureScope, OutboxItem, Registry, RegistryError, SourceSeen};
use crate::sources::{WriteError, WriteOutcome};

/// The first pause after a source has taken nothing, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// Records that a source may refuse before it gets a pause: a statement that is wrong for all
/// records would else be tried for each of them, as fast as the database can refuse it.
const REFUSALS_MAX: u32 = 16;

/// Returns sources, none of which is asked yet, and whose records are written back by a thread; in
/// a dry run that keeps what is known of sources, and writes nothing to them. Returns also the
/// numbers of removals that were cut off.
///
/// # Errors
/// If the registry cannot be read, or a thread cannot be started.
pub(super) fn start_sources(
    jobs: Arc<Jobs>,
    registry: Arc<Registry>,
    ledger: &Ledger,
    inbox: mpsc::Sender<Input>,
    mode: Mode,
) -> anyhow::Result<(Arc<Sources>, Vec<u64>)> {
    let cut_off = saved_state::settle_prepared(&registry, ledger)?;
    let sources = Sources::to_read(jobs, registry, inbox);
    let (writes_to, removals) = (Arc::clone(&sources), Removals::after(&cut_off));
    let records = Records::start(move |inbox, progress| {
        let mut writer = Writer {
            sources: &writes_to,
            mode,
            progress,
            removals,
            pauses: BTreeMap::new(),
            retries: BTreeMap::new(),
        };
        writer.run(inbox);
    })?;
    sources.set_records(records);
    Ok((sources, cut_off))
}

/// Outcome for the records of one source.
enum Round {
    /// All that were due were tried.
    Through,
    /// The source takes nothing, or refused too many.
    Cut,
}

/// The thread's state. Instants are those of the clock that nobody can set.
struct Writer<'a> {
    sources: &'a Sources,
    mode: Mode,
    progress: &'a Progress,
    removals: Removals,
    /// Until when a source is left alone, and for how long it was.
    pauses: BTreeMap<SourceId, (Duration, Duration)>,
    /// Instant at which a refused record of a source is due again.
    retries: BTreeMap<SourceId, Duration>,
}

impl Writer<'_> {
    fn run(&mut self, inbox: &Receiver<Order>) {
        loop {
            let Some(order) = self.wait(inbox) else {
                return;
            };
            let mut ends = false;
            for order in std::iter::once(order).chain(inbox.try_iter()) {
                match order {
                    Order::Recorded(id) => self.removals.on_recorded(id),
                    Order::Finished(id, dirs) => self.removals.on_finished(id, dirs),
                    Order::Remember(name, memory) => self.remember(&name, memory),
                    Order::ForgetPause(pause) => self.forget_pause(pause),
                    Order::Wake => {}
                    Order::Stop => ends = true,
                }
            }
            // What went just now is written, too: after a single `lapsed clean` nobody else would.
            if !self.confirm() && ends {
                return;
            }
            // The outbox of an earlier run waits for the next one that is no dry run.
            let writable = match self.mode {
                Mode::Live | Mode::OnRequest => self.sources.names(),
                Mode::DryRun => Vec::new(),
            };
            for (id, name) in writable {
                let now = clock::now().boot;
                let pause = self.pauses.get(&id);
                if pause.is_none_or(|(until, _)| *until <= now) {
                    self.write_source(id, &name);
                }
            }
            if ends {
                return;
            }
        }
    }

    /// The next order; [`Order::Wake`] when a pause has ended or a retry is due.
    fn wait(&self, inbox: &Receiver<Order>) -> Option<Order> {
        let pause = |id| self.pauses.get(id).map(|(until, _)| *until);
        let retries = self.retries.iter();
        // During a pause there is no retry.
        let retries = retries.map(|(id, at)| pause(id).map_or(*at, |until| until.max(*at)));
        let pauses = self.pauses.values().map(|(until, _)| *until);
        let Some(next) = pauses.chain(retries).chain(self.removals.retry_at()).min() else {
            return inbox.recv().ok();
        };
        match inbox.recv_timeout(next.saturating_sub(clock::now().boot)) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => Some(Order::Wake),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Confirms the removals that are complete, when they are on the disk. Returns whether there
    /// were any.
    fn confirm(&mut self) -> bool {
        let now = clock::now().boot;
        match self.removals.synchronize(now) {
            Ok(ids) if ids.is_empty() => false,
            Ok(ids) => {
                if let Err(error) = self.sources.registry().confirm(&ids) {
                    // The next start finds them in the ledger.
                    tracing::error!("{error}");
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "records wait: it is not known whether the removal of their files is on the disk; it is tried again");
                false
            }
        }
    }

    fn remember(&self, name: &str, memory: SavedSource) {
        let SavedSource {
            jobs,
            trip,
            read_at,
        } = memory;
        let seen = SourceSeen {
            jobs,
            trip,
            read_at,
        };
        let kept = self.sources.registry().set_source_seen(name, &seen);
        if let Err(error) = kept {
            tracing::error!("{error}");
        }
    }

    fn forget_pause(&self, pause: Pause) {
        // The next start ends it once more.
        if let Err(error) = self.sources.registry().change_pauses(&[], &[pause]) {
            tracing::error!("{error}");
        }
    }

    /// Writes what is due for one source, and sets when to go on.
    fn write_source(&mut self, id: SourceId, name: &str) {
        let before = self.pauses.remove(&id);
        self.retries.remove(&id);
        let mut written = 0;
        let done = self.write_round(id, name, &mut written);
        let now = clock::now();
        let next = self.sources.registry().next_ready(name, now.wall);
        match (done, next) {
            (Ok(Round::Through), Ok(None)) => {}
            (Ok(Round::Through), Ok(Some(at))) => {
                let ms = u64::try_from(at.ms_since(now.wall)).unwrap_or(0);
                // A pause at least: what is due again by now waits for the others.
                let rest = Duration::from_millis(ms).max(PAUSE_MIN);
                self.retries.insert(id, now.boot + rest);
            }
            (Ok(Round::Cut) | Err(_), _) | (_, Err(_)) => {
                let pause = match before {
                    Some((_, pause)) if written == 0 => (pause * 2).min(PAUSE_MAX),
                    Some(_) | None => PAUSE_MIN,
                };
                self.pauses.insert(id, (now.boot + pause, pause));
            }
        }
    }

    fn write_round(
        &self,
        id: SourceId,
        name: &str,
        written: &mut u64,
    ) -> Result<Round, RegistryError> {
        let registry = self.sources.registry();
        let told = |error: &RegistryError| tracing::error!("{error}");
        let mut refusals = 0;
        loop {
            let items = registry.ready(name, clock::now().wall).inspect_err(told)?;
            if items.is_empty() {
                return Ok(Round::Through);
            }
            for item in items {
                if self.progress.is_hurried() {
                    return Ok(Round::Cut);
                }
                let done = self.sources.write(id, &item);
                self.progress.on_tried();
                match done {
                    // It was cut off: that is no fault of the source.
                    Err(_) if self.progress.is_hurried() => {
                        return Ok(Round::Cut);
                    }
                    Ok(outcome) => {
                        let done = match (item.action, outcome) {
                            (Record::Forget, WriteOutcome::Done | WriteOutcome::Gone) => {
                                registry.done_forgetting(item.id, clock::now().wall)
                            }
                            (Record::Keep | Record::Mark | Record::Forget, _) => {
                                registry.done(item.id)
                            }
                        };
                        done.inspect_err(told)?;
                        *written += 1;
                    }
                    Err(error) => match self.note(name, &item, &error) {
                        FailureScope::Source => return Ok(Round::Cut),
                        FailureScope::Item => refusals += 1,
                    },
                }
                if refusals >= REFUSALS_MAX {
                    return Ok(Round::Cut);
                }
            }
        }
    }

    /// Notes why a record was not written, and tells whose fault it is.
    fn note(&self, source: &str, item: &OutboxItem, error: &WriteError) -> FailureScope {
        let scope = match error {
            WriteError::Database(_) => FailureScope::Source,
            WriteError::Record(_) | WriteError::Statement { .. } => FailureScope::Item,
        };
        let (job, why) = (&item.job.id, error.to_string());
        tracing::warn!(source, job, "its record waits: {why}");
        let registry = self.sources.registry();
        match registry.failed(item.id, scope, &why, clock::now().wall) {
            Ok(()) => scope,
            Err(error) => {
                tracing::error!("{error}");
                // Nothing tells it from those that were not tried: only a pause keeps it from being
                // tried at once.
                FailureScope::Source
            }
        }
    }
}

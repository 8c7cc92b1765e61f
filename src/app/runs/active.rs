//! Runs under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::record::{self, Recording};
use crate::app::clean::{other_rules, refuse_unknown};
use crate::app::daemon::{Daemon, source_name};
use crate::app::error::{AppError, ErrorKind};
use crate::app::link::Stopping;
use crate::app::order::wait;
use crate::app::report::{self, report_of};
use crate::clock;
use crate::core::claim::Unit;
use crate::core::effect::Event;
use crate::core::facts::RootId;
use crate::core::policy::{Policy, Record};
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest, Mode};
use crate::core::run::{Run, RunStatus};
use crate::ledger::Ledger;
use crate::registry::RunRow;
use crate::types::{self, Report, RunDetails};

/// Milliseconds between looks at records that a source has not taken yet: five seconds in all. What
/// takes longer is written later.
const RECORD_PAUSES: [u64; 10] = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560];

/// Behaviour of a run that meets one under way on a root of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnConflict {
    /// It is refused.
    Refuse,
    /// It waits.
    Wait,
    /// It begins, and others do not wait for it either.
    Ignore,
}

/// Order of a run.
#[derive(Clone, Debug)]
pub struct RunOrder {
    /// Scope.
    pub request: CleanRequest,
    /// Order and requester, as they are recorded.
    pub details: RunDetails,
    /// The rules that it is given under.
    pub policy: Arc<Policy>,
    /// Behaviour beside others.
    pub on_conflict: OnConflict,
}

/// Sign that a run was cancelled.
#[derive(Clone, Debug)]
pub struct Cancellation {
    run: Run,
    sign: watch::Receiver<()>,
}

impl Cancellation {
    /// Returns true once the run was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.run.is_cancelled()
    }

    /// Waits until the run is cancelled.
    pub async fn cancelled(&self) {
        let mut sign = self.sign.clone();
        while !self.run.is_cancelled() {
            if sign.changed().await.is_err() {
                // The run has ended.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The runs of a daemon that are under way.
#[derive(Debug)]
pub struct ActiveRuns {
    state: Mutex<State>,
    /// Rings when a run ends.
    ended: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The largest number that was given.
    last: u64,
    runs: BTreeMap<u64, Active>,
}

#[derive(Debug)]
struct Active {
    recording: Recording,
    /// Roots that it may remove from; `None`: all.
    roots: Option<BTreeSet<RootId>>,
    /// True if others keep off its roots.
    is_exclusive: bool,
    /// Rings when it is cancelled.
    sign: watch::Sender<()>,
}

impl Default for ActiveRuns {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            ended: watch::Sender::new(()),
        }
    }
}

impl ActiveRuns {
    /// Returns the run `id`, if it is under way.
    pub(super) fn get(&self, id: u64) -> Option<types::Run> {
        self.state.lock().runs.get(&id).map(Active::to_type)
    }

    /// Returns the runs, newest first.
    pub(super) fn list(&self) -> Vec<types::Run> {
        self.state
            .lock()
            .runs
            .values()
            .rev()
            .map(Active::to_type)
            .collect()
    }

    /// Returns the row of the run `id`, if it is under way.
    pub(super) fn row(&self, id: u64) -> Option<RunRow> {
        let state = self.state.lock();
        state
            .runs
            .get(&id)
            .map(|active| active.recording.row.clone())
    }

    /// Cancels the run `id` by the word of `by`. Returns it, if it is under way.
    pub(super) fn cancel(&self, id: u64, by: &Principal) -> Option<types::Run> {
        let mut state = self.state.lock();
        let active = state.runs.get_mut(&id)?;
        let why = || format!("cancelled by {by}");
        active.recording.details.why.get_or_insert_with(why);
        active.recording.run.cancel();
        active.sign.send_replace(());
        Some(active.to_type())
    }

    /// Admits a run of `order` on `roots` with a number above `last`, or says which run keeps it
    /// off.
    fn admit(
        &self,
        last: u64,
        order: &RunOrder,
        roots: Option<BTreeSet<RootId>>,
        ledger: &Ledger,
    ) -> Result<(Recording, watch::Receiver<()>), u64> {
        let mut state = self.state.lock();
        let is_exclusive = match order.on_conflict {
            OnConflict::Refuse | OnConflict::Wait => true,
            OnConflict::Ignore => false,
        };
        if let Some(other) = state.conflict(roots.as_ref()).filter(|_| is_exclusive) {
            return Err(other);
        }
        let id = state.last.max(last) + 1;
        state.last = id;
        let recording = Recording::new(id, order.details.clone(), ledger);
        let sign = watch::Sender::new(());
        let cancelled = sign.subscribe();
        let active = Active {
            recording: recording.clone(),
            roots,
            is_exclusive,
            sign,
        };
        state.runs.insert(id, active);
        Ok((recording, cancelled))
    }
}

impl State {
    fn conflict(&self, roots: Option<&BTreeSet<RootId>>) -> Option<u64> {
        let mut active = self.runs.iter().filter(|(_, active)| active.is_exclusive);
        let found = active.find(|(_, active)| match (&active.roots, roots) {
            (Some(theirs), Some(ours)) => !theirs.is_disjoint(ours),
            (None, _) | (_, None) => true,
        });
        found.map(|(&id, _)| id)
    }
}

impl Active {
    fn to_type(&self) -> types::Run {
        let recording = &self.recording;
        let progress = recording.run.progress();
        let mut run = record::to_type(
            &recording.row,
            recording.details.clone(),
            RunStatus::Running,
        );
        run.due = Some(progress.due);
        run.settled = Some(progress.settled);
        run.details.summary.files = progress.files;
        run.details.summary.bytes = progress.bytes;
        run
    }
}

/// Roots that a run of `request` may remove from; `None`: all.
fn roots_of(request: &CleanRequest, policy: &Policy) -> Option<BTreeSet<RootId>> {
    if let Some(roots) = &request.roots {
        return Some(roots.iter().copied().collect());
    }
    let mut roots = BTreeSet::new();
    for &rule in request.rules.as_ref()? {
        roots.extend(policy.rule(rule).roots.as_ref()?);
    }
    Some(roots)
}

/// A run under way, from its begin to [`Running::end`]. Dropped before, it stays unfinished in the
/// registry: the next start tells that its process ended first.
pub struct Running {
    daemon: Arc<Daemon>,
    policy: Arc<Policy>,
    recording: Recording,
    cancellation: Cancellation,
}

impl Running {
    /// Begins a run of `order`. `None`: the daemon removes nothing, so it is none.
    ///
    /// # Errors
    /// If another run is in progress on one of its roots, the registry cannot be read, or the
    /// daemon is stopping.
    pub async fn begin(daemon: &Arc<Daemon>, order: RunOrder) -> Result<Option<Self>, AppError> {
        let mode = daemon.link().ask(|engine, _| engine.mode()).await?;
        if mode == Mode::DryRun {
            return Ok(None);
        }
        let registry = Arc::clone(&daemon.parts.registry);
        let last = wait(move || registry.last_run()).await??;
        let roots = roots_of(&order.request, &order.policy);
        let (recording, sign) = loop {
            let mut ended = daemon.runs.ended.subscribe();
            let begun = daemon
                .runs
                .admit(last, &order, roots.clone(), &daemon.parts.ledger);
            match begun {
                Ok(begun) => break begun,
                Err(other) if order.on_conflict == OnConflict::Refuse => {
                    return Err(in_progress(other));
                }
                Err(_) => tokio::select! {
                    _ = ended.changed() => {}
                    () = daemon.link().ended() => return Err(Stopping.into()),
                },
            }
        };
        let running = Self {
            daemon: Arc::clone(daemon),
            policy: order.policy,
            cancellation: Cancellation {
                run: recording.run.clone(),
                sign,
            },
            recording: recording.clone(),
        };
        running.publish(RunStatus::Running, 0, 0);
        let registry = Arc::clone(&daemon.parts.registry);
        wait(move || recording.save_start(&registry)).await?;
        Ok(Some(running))
    }

    /// Returns the run, for the engine.
    #[must_use]
    pub fn run(&self) -> Run {
        self.recording.run.clone()
    }

    /// Returns the sign that it was cancelled.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.cancellation.clone()
    }

    /// Ends the run with what the engine says; `None`: other rules came into force before it
    /// began.
    ///
    /// # Errors
    /// If nothing was removed because of other rules, or because the order names an unknown job.
    pub async fn end(mut self, cleaned: Option<&CleanReport>) -> Result<Report, AppError> {
        let is_cancelled = self.recording.run.is_cancelled();
        let nothing = CleanReport::default();
        let cleaned = match cleaned {
            None if is_cancelled => Ok(&nothing),
            None => Err(other_rules()),
            Some(cleaned) => refuse_unknown(cleaned).map(|()| cleaned),
        };
        // Whoever cancelled it is known there.
        if let Some(known) = self.daemon.runs.get(self.recording.run.id()) {
            self.recording.details.why = known.details.why;
        }
        let cleaned = match cleaned {
            Ok(cleaned) => cleaned,
            Err(error) => {
                let why = error.message.clone();
                self.finish(move |recording, daemon| {
                    let parts = &daemon.parts;
                    recording.refuse(&parts.registry, &parts.ledger, RunStatus::Failed, why);
                })
                .await?;
                return Err(error);
            }
        };
        self.wait_for_records(cleaned).await?;
        let daemon = Arc::clone(&self.daemon);
        let sources = wait(move || (daemon.parts.sources)()).await?;
        let run = report::Run {
            started: self.recording.started(),
            finished: clock::now().wall,
            is_interrupted: is_cancelled,
            sources: &sources,
        };
        let mut report = report_of(cleaned, &self.policy, run);
        self.finish(move |recording, daemon| {
            let parts = &daemon.parts;
            recording.end(&parts.registry, &parts.ledger, &mut report);
            report
        })
        .await
    }

    /// Waits until the sources have taken the records of what was removed, or have failed to, or
    /// have had enough time: who is answered finds the rows as the report says.
    async fn wait_for_records(&self, cleaned: &CleanReport) -> Result<(), AppError> {
        let policy = &self.policy;
        let jobs = cleaned.removed.iter().filter_map(|item| {
            let job = item.job.as_ref()?;
            let has_record =
                item.unit == Unit::Job && policy.rule(item.rule).record != Record::Keep;
            let source = source_name(policy, job.key.source).to_owned();
            has_record.then(|| (source, job.key.id.clone()))
        });
        let jobs: Arc<BTreeSet<(String, String)>> = Arc::new(jobs.collect());
        for pause in RECORD_PAUSES {
            if jobs.is_empty() {
                break;
            }
            let (registry, mine) = (Arc::clone(&self.daemon.parts.registry), Arc::clone(&jobs));
            let untried = wait(move || registry.untried().map(|all| !all.is_disjoint(&mine)));
            if !untried.await?? {
                break;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    async fn finish<T: Send + 'static>(
        self,
        end: impl FnOnce(&mut Recording, &Daemon) -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let (daemon, mut recording) = (Arc::clone(&self.daemon), self.recording.clone());
        let (ended, recording) = wait(move || (end(&mut recording, &daemon), recording)).await?;
        let summary = &recording.details.summary;
        self.publish(recording.row.status, summary.files, summary.bytes);
        Ok(ended)
    }

    fn publish(&self, status: RunStatus, files: u64, bytes: u64) {
        let event = Event::Run {
            id: self.recording.run.id(),
            status,
            cause: self.recording.details.cause,
            by: self.recording.details.by.clone(),
            files,
            bytes,
        };
        let events = &self.daemon.parts.events;
        events.publish(clock::now().wall, &event, &self.policy);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let runs = &self.daemon.runs;
        runs.state.lock().runs.remove(&self.recording.run.id());
        runs.ended.send_replace(());
    }
}

/// Refusal of a run beside the run `id`.
fn in_progress(id: u64) -> AppError {
    let message = format!("run {id} is in progress on a root of this one");
    let hint = format!(
        "wait for it (GET /v1/runs/{id}), cancel it (DELETE /v1/runs/{id}), or name other roots"
    );
    AppError {
        run: Some(id),
        ..AppError::new(ErrorKind::RunInProgress, message).hint(hint)
    }
}

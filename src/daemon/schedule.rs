//! Rules with a schedule: at their instants the engine is told to let go what is due under them.
//! And once, at the start, whatever is due, where the configuration says so.
//!
//! **Invariant:** nothing goes at an instant that passed while no daemon ran. One that passed while
//! the machine was asleep comes when it wakes, once.
//! **Invariant:** nothing wakes between the instants.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::app::Daemon;
use crate::app::link::Stopping;
use crate::app::runs::{Cancellation, OnConflict, RunOrder, Running, details};
use crate::clock::{self, Alarm};
use crate::core::facts::RuleId;
use crate::core::hold::Hold;
use crate::core::policy::{Policy, Schedule as When};
use crate::core::principal::Principal;
use crate::core::report::{CleanItem, CleanReport, CleanRequest};
use crate::core::run::{Run, RunCause};
use crate::core::time::Timestamp;
use crate::types::{CleanOrder, RunDetails};

/// Maximum time to learn of writes before an instant; after it, the present knowledge decides.
const FILES_MAX: Duration = Duration::from_mins(10);

/// A clock that is set back by less is being corrected: what came does not come again.
const CORRECTION_MAX_MS: i64 = 60_000;

/// The thread that waits for the instants.
pub(super) struct Schedule {
    signal: Arc<ScheduleSignal>,
    thread: JoinHandle<()>,
}

/// Has the thread look again at what it waits for.
pub(super) struct ScheduleSignal {
    alarm: Alarm,
    rung: AtomicBool,
}

impl ScheduleSignal {
    /// Other rules are in force.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        self.alarm.set(Some(Timestamp::MIN));
    }

    /// Waits until `at`, until it is rung, or until the clock is set. Says `false` at the end.
    fn wait_until(&self, at: Option<Timestamp>) -> bool {
        self.alarm.set(at);
        // Rung before it was set: whoever did has not been heard.
        self.rung.swap(false, Ordering::SeqCst) || self.alarm.wait()
    }
}

impl Schedule {
    /// Starts to wait, on a thread beside the current runtime. The daemon started at `started`.
    ///
    /// # Errors
    /// If the process can have no more threads or descriptors.
    pub(super) fn start(daemon: &Arc<Daemon>, started: Timestamp) -> io::Result<Self> {
        let signal = Arc::new(ScheduleSignal {
            alarm: Alarm::new()?,
            rung: AtomicBool::new(false),
        });
        let waiting = Waiting {
            daemon: Arc::clone(daemon),
            signal: Arc::clone(&signal),
            runtime: Handle::current(),
            started,
        };
        let thread = std::thread::Builder::new()
            .name("schedule".to_owned())
            .spawn(move || {
                // The daemon ends.
                let Err(Stopping) = waiting.run();
            })?;
        Ok(Self { signal, thread })
    }

    /// Returns the handle that wakes the thread when other rules are in force.
    pub(super) fn signal(&self) -> Arc<ScheduleSignal> {
        Arc::clone(&self.signal)
    }

    /// Ends the thread. The engine must have ended: it may wait for that.
    pub(super) fn stop(self) {
        self.signal.alarm.stop();
        if self.thread.join().is_err() {
            tracing::error!("the schedules ended by a fault of ours");
        }
    }
}

struct Waiting {
    daemon: Arc<Daemon>,
    signal: Arc<ScheduleSignal>,
    runtime: Handle,
    /// Start of intervals, which do not follow the calendar.
    started: Timestamp,
}

impl Waiting {
    fn run(&self) -> Result<std::convert::Infallible, Stopping> {
        self.clean_at_start();
        let mut policy = self.daemon.policy();
        // Everything until here has come.
        let mut until = clock::now().wall;
        loop {
            let now = clock::now().wall;
            let current = self.daemon.policy();
            if !Arc::ptr_eq(&policy, &current) || until.ms_since(now) > CORRECTION_MAX_MS {
                (policy, until) = (current, now);
            }
            let instants = self.instants(&policy, until);
            let (due, later): (Vec<_>, Vec<_>) =
                instants.into_iter().partition(|&(at, _)| at <= now);
            if due.is_empty() {
                until = until.max(now);
                if !self
                    .signal
                    .wait_until(later.into_iter().map(|(at, _)| at).min())
                {
                    return Err(Stopping);
                }
                continue;
            }
            until = now;
            self.carry_out(
                &policy,
                &due.into_iter().map(|(_, rule)| rule).collect::<Vec<_>>(),
            )?;
        }
    }

    /// The next instant after `until` of each rule with a schedule.
    fn instants(&self, policy: &Policy, until: Timestamp) -> Vec<(Timestamp, RuleId)> {
        let zone = clock::zone();
        let next = |(id, when): (RuleId, &When)| match when {
            When::AtDeadline | When::Manual | When::Named => None,
            When::At(times) => Some((times.next(until, &zone, self.started)?, id)),
        };
        let rules = policy.each_rule();
        rules
            .filter_map(|(id, rule)| next((id, &rule.schedule)))
            .collect()
    }

    fn carry_out(&self, policy: &Arc<Policy>, rules: &[RuleId]) -> Result<(), Stopping> {
        let names: Vec<_> = rules
            .iter()
            .map(|&id| policy.rule(id).name.clone())
            .collect();
        let what = format!("schedule of rule \"{}\"", names.join("\", \""));
        let order = RunOrder {
            request: CleanRequest::due_under(Some(rules.to_vec())),
            details: scheduled(Some(names), RunCause::Schedule),
            policy: Arc::clone(policy),
            on_conflict: OnConflict::Wait,
        };
        let (daemon, policy) = (Arc::clone(&self.daemon), Arc::clone(policy));
        self.runtime
            .block_on(run(&daemon, &what, order, async |run, cancellation| {
                let request = CleanRequest {
                    run,
                    ..CleanRequest::due_under(Some(rules.to_vec()))
                };
                let clean = |_| daemon.link().clean(Arc::clone(&policy), request.clone());
                daemon.clean_prepared(FILES_MAX, cancellation, clean).await
            }))
    }

    /// Begins the clean of the start. It goes on beside the schedules: everything has to be read
    /// first, which may take any time. So it keeps no other run off.
    fn clean_at_start(&self) {
        let policy = self.daemon.policy();
        if !policy.cleans_at_start {
            return;
        }
        let order = RunOrder {
            request: CleanRequest::due_under(None),
            details: scheduled(None, RunCause::Start),
            policy,
            on_conflict: OnConflict::Ignore,
        };
        let (ordered, is_ordered) = oneshot::channel::<()>();
        let daemon = Arc::clone(&self.daemon);
        self.runtime.spawn(async move {
            let clean = async |run: Option<Run>, cancellation: Option<&Cancellation>| {
                let (sender, report) = oneshot::channel();
                // A daemon that stops drops the receiver.
                let done = |report: CleanReport| drop(sender.send(report));
                let again = run.clone();
                let link = daemon.link();
                link.ask(move |engine, _| engine.clean_when_settled(run, done))
                    .await?;
                drop(ordered);
                // Dropped when the rules in force do not want that any more.
                let Ok(mut report) = report.await else {
                    return Ok(None);
                };
                let more = clean_what_was_being_read(&daemon, &report, again, cancellation);
                if let Some(more) = more.await? {
                    report.removed.extend(more.removed);
                    report.held = more.held;
                }
                Ok(Some(report))
            };
            // An engine that has ended cleans nothing more.
            let _ = run(&daemon, "clean at start", order, clean).await;
        });
        // Schedules come behind it. An error is told where it is given.
        let _ = self.runtime.block_on(is_ordered);
    }
}

/// Carries out `order` by `clean`, and logs its end.
async fn run(
    daemon: &Arc<Daemon>,
    what: &str,
    order: RunOrder,
    clean: impl AsyncFnOnce(Option<Run>, Option<&Cancellation>) -> Result<Option<CleanReport>, Stopping>,
) -> Result<(), Stopping> {
    let running = match Running::begin(daemon, order).await {
        Ok(running) => running,
        Err(error) => {
            tracing::error!("{what}: cannot begin: {error}");
            return Ok(());
        }
    };
    let cancellation = running.as_ref().map(Running::cancellation);
    let cleaned = clean(running.as_ref().map(Running::run), cancellation.as_ref()).await?;
    if let Some(cleaned) = &cleaned {
        tell(what, cleaned);
    }
    if let Some(running) = running
        && let Err(error) = running.end(cleaned.as_ref()).await
    {
        tracing::warn!("{what}: {error}");
    }
    Ok(())
}

/// Details of a run without a client, under these rules.
fn scheduled(rules: Option<Vec<String>>, cause: RunCause) -> RunDetails {
    let order = CleanOrder {
        rules,
        ..CleanOrder::default()
    };
    details(order, Principal::Schedule, cause)
}

/// Cleans again if something of the start's `report` is held only because its source was being
/// read: nothing else would, because the clean of the start is the only one.
async fn clean_what_was_being_read(
    daemon: &Daemon,
    report: &CleanReport,
    run: Option<Run>,
    cancellation: Option<&Cancellation>,
) -> Result<Option<CleanReport>, Stopping> {
    let policy = daemon.policy();
    if !policy.cleans_at_start || !daemon.was_being_read(report).await? {
        return Ok(None);
    }
    let request = CleanRequest {
        run,
        ..CleanRequest::due_under(None)
    };
    let clean = |_| daemon.link().clean(Arc::clone(&policy), request.clone());
    daemon.clean_prepared(FILES_MAX, cancellation, clean).await
}

/// Logs what went, and what did not.
fn tell(what: &str, report: &CleanReport) {
    let (removed, would) = if report.dry_run {
        (Sums::default(), sums(&report.removed))
    } else {
        (sums(&report.removed), Sums::default())
    };
    let held = &report.held;
    if removed.items == 0 && would.items == 0 && held.is_empty() {
        tracing::debug!("{what}: nothing was due");
        return;
    }
    tracing::info!(
        files = removed.files,
        bytes = removed.bytes,
        held = held.len(),
        "{what}: {} removed",
        removed.items
    );
    if would.items > 0 {
        tracing::info!(
            files = would.files,
            bytes = would.bytes,
            "{what}: {} would go; dry run: nothing is removed",
            would.items
        );
    }
    let mut whys: Vec<&Hold> = Vec::new();
    for hold in held.iter().filter_map(|item| item.hold.as_ref()) {
        if !whys.iter().any(|known| known.code() == hold.code()) {
            whys.push(hold);
        }
    }
    for hold in whys {
        tracing::warn!(hold = hold.code(), "{what}: some of it is held: {hold}");
    }
}

#[derive(Default)]
struct Sums {
    items: u64,
    files: u64,
    bytes: u64,
}

fn sums<'a>(items: impl IntoIterator<Item = &'a CleanItem>) -> Sums {
    items.into_iter().fold(Sums::default(), |sums, item| Sums {
        items: sums.items + 1,
        files: sums.files + item.files,
        bytes: sums.bytes.saturating_add(item.bytes),
    })
}

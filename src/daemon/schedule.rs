//! Schedules, those of rules and those of their own: at their instants the engine is told to remove
//! what is due under them. And once, at the start, whatever is due, where the configuration says
//! so.
//!
//! **Invariant:** instants that passed while no daemon ran come at most once, at the start, and
//! only those of schedules that make up for them. One that passed while the machine was asleep
//! comes when it wakes, once.
//! **Invariant:** nothing wakes between the instants.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::agenda_items::{items, key_of, name_of_digest};
use super::scheduled_command::ScheduledCommand;
use super::start_run::{
    FILES_MAX, StartRun, clean_what_was_being_read, clean_when_settled, details_of, due_under,
    names_of,
};
use crate::app::Daemon;
use crate::app::digest::digest;
use crate::app::link::Stopping;
use crate::app::runs::{Cancellation, OnConflict, RunOrder, Running};
use crate::clock::{self, Alarm};
use crate::core::agenda::{Agenda, AgendaKey, Position};
use crate::core::facts::RuleId;
use crate::core::hold::Hold;
use crate::core::policy::{Policy, ScheduleAction};
use crate::core::report::{CleanItem, CleanReport};
use crate::core::run::{Run, RunCause};
use crate::core::time::Timestamp;
use crate::notifications::Receiver;

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
    /// Start of the daemon.
    started: Timestamp,
}

impl Waiting {
    fn run(&self) -> Result<std::convert::Infallible, Stopping> {
        self.begin_at_start(StartRun::Everything);
        let mut policy = self.daemon.policy();
        let mut receivers = self.daemon.parts.notifications.receivers();
        let (mut agenda, mut saved) = self.resume(&policy, &receivers);
        loop {
            let now = clock::now().wall;
            let current = self.daemon.policy();
            let current_receivers = self.daemon.parts.notifications.receivers();
            let is_same = Arc::ptr_eq(&receivers, &current_receivers);
            if !Arc::ptr_eq(&policy, &current) || !is_same {
                (policy, receivers) = (current, current_receivers);
                agenda.set_items(&items(&policy, &receivers), now);
            }
            let come = agenda.come(&items(&policy, &receivers), now);
            self.save(&agenda, &mut saved);
            match come {
                Ok(keys) => self.carry_out(&policy, keys)?,
                Err(next) => {
                    if !self.signal.wait_until(next) {
                        return Err(Stopping);
                    }
                }
            }
        }
    }

    /// Goes on where an earlier daemon ended, and begins what has to be done at the start. Returns
    /// what is saved, too.
    fn resume(
        &self,
        policy: &Policy,
        receivers: &[Receiver],
    ) -> (Agenda, BTreeMap<String, Position>) {
        let registry = &self.daemon.parts.registry;
        let saved = registry.schedules().unwrap_or_else(|error| {
            tracing::warn!("times at which no daemon ran are not made up for: {error}");
            BTreeMap::new()
        });
        let positions = saved
            .iter()
            .map(|(name, position)| (key_of(name), position.clone()));
        let seed = RandomState::new().hash_one(self.started.unix_ms());
        let mut agenda = Agenda::new(positions.collect(), clock::zone(), self.started, seed);
        let (items, now) = (items(policy, receivers), clock::now().wall);
        let missed = agenda.missed(&items, now);
        agenda.set_items(&items, now);
        // Everything until here has come, or is made up for.
        agenda.skip_to(now, |key| missed.contains(key));
        for key in &missed {
            if let AgendaKey::Digest(name) = key {
                self.send_digest(name.clone());
            }
        }
        for schedule in policy.enabled_schedules() {
            let is_missed = missed.contains(&AgendaKey::Schedule(schedule.name.clone()));
            let cause = match (schedule.on_start, is_missed && schedule.catch_up) {
                (true, _) => RunCause::Start,
                (false, true) => RunCause::Schedule,
                (false, false) => continue,
            };
            self.begin_at_start(StartRun::Schedule(schedule.name.clone(), cause));
        }
        (agenda, saved)
    }

    /// Saves the positions of schedules, if they have changed.
    fn save(&self, agenda: &Agenda, saved: &mut BTreeMap<String, Position>) {
        let of_schedule = |(key, position): (&AgendaKey, &Position)| match key {
            AgendaKey::Rule(_) => None,
            AgendaKey::Schedule(name) => Some((name.clone(), position.clone())),
            AgendaKey::Digest(name) => Some((name_of_digest(name), position.clone())),
        };
        let positions: BTreeMap<_, _> = agenda.positions().filter_map(of_schedule).collect();
        if positions == *saved {
            return;
        }
        let rows = positions.iter().map(|(name, position)| (&**name, position));
        match self.daemon.parts.registry.put_schedules(rows) {
            Ok(()) => *saved = positions,
            Err(error) => tracing::warn!(
                "after a restart, times may be made up for that have come already: {error}"
            ),
        }
    }

    /// Carries out what has come: all rules as one run, and each schedule as one.
    fn carry_out(&self, policy: &Arc<Policy>, keys: Vec<AgendaKey>) -> Result<(), Stopping> {
        let mut rules = Vec::new();
        let mut schedules = Vec::new();
        for key in keys {
            match key {
                AgendaKey::Rule(name) => rules.extend(policy.rule_named(&name)),
                AgendaKey::Schedule(name) => schedules.push(name),
                AgendaKey::Digest(name) => self.send_digest(name),
            }
        }
        if !rules.is_empty() {
            let names = names_of(policy, &rules).join("\", \"");
            let what = format!("schedule of rule \"{names}\"");
            self.clean(policy, &what, None, Some(&rules))?;
        }
        for name in schedules {
            // A reload that ends it while others are carried out finds it here once more.
            if let Some(schedule) = policy.schedule_named(&name) {
                match &schedule.action {
                    ScheduleAction::Clean(rules) => {
                        let what = format!("schedule \"{name}\"");
                        self.clean(policy, &what, Some(name), rules.as_deref())?;
                    }
                    ScheduleAction::Command {
                        name: command,
                        params,
                    } => {
                        let command = ScheduledCommand {
                            schedule: name,
                            command: command.clone(),
                            params: params.clone(),
                            cause: RunCause::Schedule,
                        };
                        self.runtime.block_on(command.run(&self.daemon));
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends the digest of a receiver, beside the schedules.
    fn send_digest(&self, name: String) {
        let daemon = Arc::clone(&self.daemon);
        self.runtime.spawn(async move {
            if let Err(error) = digest(daemon, &name).await {
                tracing::error!("no digest for \"{name}\": {error}");
            }
        });
    }

    /// Removes what is due under `rules`; `None`: under all that need not be named.
    fn clean(
        &self,
        policy: &Arc<Policy>,
        what: &str,
        schedule: Option<String>,
        rules: Option<&[RuleId]>,
    ) -> Result<(), Stopping> {
        if rules.is_some_and(<[RuleId]>::is_empty) {
            tracing::debug!("{what}: all of its rules are switched off");
            return Ok(());
        }
        let names = rules.map(|rules| names_of(policy, rules));
        let rules = rules.map(<[RuleId]>::to_vec);
        let order = RunOrder {
            request: due_under(rules.clone(), None),
            details: details_of(schedule, names, RunCause::Schedule),
            policy: Arc::clone(policy),
            on_conflict: OnConflict::Wait,
        };
        let (daemon, policy) = (Arc::clone(&self.daemon), Arc::clone(policy));
        self.runtime
            .block_on(run(&daemon, what, order, async |run, cancellation| {
                let request = due_under(rules.clone(), run);
                let clean = |_| daemon.link().clean(Arc::clone(&policy), request.clone());
                daemon.clean_prepared(FILES_MAX, cancellation, clean).await
            }))
    }

    /// Begins a clean of the start. It goes on beside the schedules: everything has to be read
    /// first, which may take any time. So it keeps no other run off.
    fn begin_at_start(&self, start: StartRun) {
        let policy = self.daemon.policy();
        let rules = match (start.action(&policy), &start) {
            (Some(ScheduleAction::Clean(rules)), _) => rules,
            (
                Some(ScheduleAction::Command { name, params }),
                StartRun::Schedule(schedule, cause),
            ) => {
                let (daemon, cause) = (Arc::clone(&self.daemon), *cause);
                let command = ScheduledCommand {
                    schedule: schedule.clone(),
                    command: name,
                    params,
                    cause,
                };
                self.runtime
                    .spawn(async move { command.run(&daemon).await });
                return;
            }
            (_, _) => return,
        };
        if rules.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let order = RunOrder {
            request: due_under(rules, None),
            details: start.details(&policy),
            policy,
            on_conflict: OnConflict::Ignore,
        };
        let (ordered, is_ordered) = oneshot::channel::<()>();
        let daemon = Arc::clone(&self.daemon);
        self.runtime.spawn(async move {
            let clean = async |run: Option<Run>, cancellation: Option<&Cancellation>| {
                let Some(mut report) =
                    clean_when_settled(&daemon, &start, run.as_ref(), ordered).await?
                else {
                    return Ok(None);
                };
                let more = clean_what_was_being_read(&daemon, &start, &report, run, cancellation);
                if let Some(more) = more.await? {
                    report.removed.extend(more.removed);
                    report.held = more.held;
                }
                Ok(Some(report))
            };
            // An engine that has ended cleans nothing more.
            let _ = run(&daemon, &start.what(), order, clean).await;
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

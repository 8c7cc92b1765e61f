//! Cleans of the start, and what they share with those of schedules.
//!
//! **Invariant:** a clean of the start is carried out under the rules in force: a reload that comes
//! first has it ordered again, if the new rules want it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::app::Daemon;
use crate::app::link::Stopping;
use crate::app::runs::{Cancellation, details};
use crate::core::facts::RuleId;
use crate::core::policy::{Policy, ScheduleAction};
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest};
use crate::core::run::{Run, RunCause};
use crate::types::{CleanOrder, RunDetails};

/// Maximum time to learn of writes before an instant; after it, the present knowledge decides.
pub(super) const FILES_MAX: Duration = Duration::from_mins(10);

/// Pause before a clean of the start is ordered again that a reload overtook, …
const PAUSE_AFTER_RELOAD: Duration = Duration::from_secs(1);

/// … so many times: reloads do not follow one another for longer.
const RELOADS_MAX: usize = 60;

/// Clean of the start.
#[derive(Clone, Debug)]
pub(super) enum StartRun {
    /// All that need not be named, where `clean_at_start` says so.
    Everything,
    /// The work of the schedule with this name: at each start, or because of instants at which no
    /// daemon ran.
    Schedule(String, RunCause),
}

impl StartRun {
    /// Its work under `policy`; `None`: it is not wanted.
    pub fn action(&self, policy: &Policy) -> Option<ScheduleAction> {
        match self {
            Self::Everything => policy
                .cleans_at_start
                .then_some(ScheduleAction::Clean(None)),
            Self::Schedule(name, _) => Some(policy.schedule_named(name)?.action.clone()),
        }
    }

    pub fn what(&self) -> String {
        match self {
            Self::Everything => "clean at start".to_owned(),
            Self::Schedule(name, RunCause::Start) => format!("schedule \"{name}\" at start"),
            Self::Schedule(name, _) => {
                format!("schedule \"{name}\", for times at which no daemon ran")
            }
        }
    }

    pub fn details(&self, policy: &Policy) -> RunDetails {
        let rules = self.action(policy).and_then(|action| match action {
            ScheduleAction::Clean(rules) => Some(names_of(policy, &rules?)),
            ScheduleAction::Command { .. } => None,
        });
        match self {
            Self::Everything => details_of(None, rules, RunCause::Start),
            Self::Schedule(name, cause) => details_of(Some(name.clone()), rules, *cause),
        }
    }
}

/// Has the engine clean when everything has been read. A reload that comes first drops the order:
/// it is given again under the new rules. `None`: these do not want it.
pub(super) async fn clean_when_settled(
    daemon: &Arc<Daemon>,
    start: &StartRun,
    run: Option<&Run>,
    ordered: oneshot::Sender<()>,
) -> Result<Option<CleanReport>, Stopping> {
    let mut ordered = Some(ordered);
    for _ in 0..RELOADS_MAX {
        let policy = daemon.policy();
        let Some(ScheduleAction::Clean(rules)) = start.action(&policy) else {
            return Ok(None);
        };
        let request = due_under(rules, run.cloned());
        let (sender, report) = oneshot::channel();
        // A daemon that stops drops the receiver.
        let done = |report: CleanReport| drop(sender.send(report));
        let link = daemon.link();
        link.ask(move |engine, _| engine.clean_when_settled(policy, request, done))
            .await?;
        drop(ordered.take());
        if let Ok(report) = report.await {
            return Ok(Some(report));
        }
        tokio::time::sleep(PAUSE_AFTER_RELOAD).await;
    }
    Ok(None)
}

/// Request for what is due under `rules`, since it is time; `None`: under all that need not be
/// named.
pub(super) fn due_under(rules: Option<Vec<RuleId>>, run: Option<Run>) -> CleanRequest {
    CleanRequest {
        run,
        ..CleanRequest::due_under(rules)
    }
}

pub(super) fn names_of(policy: &Policy, rules: &[RuleId]) -> Vec<String> {
    let names = rules.iter().map(|&id| policy.rule(id).name.clone());
    names.collect()
}

/// Details of a run without a client, under these rules, by the schedule of this name.
pub(super) fn details_of(
    schedule: Option<String>,
    rules: Option<Vec<String>>,
    cause: RunCause,
) -> RunDetails {
    let order = CleanOrder {
        rules,
        ..CleanOrder::default()
    };
    RunDetails {
        schedule,
        ..details(order, Principal::Schedule, cause)
    }
}

/// Cleans again if something of the start's `report` is held only because its source was being
/// read: nothing else would, because the clean of the start is the only one.
pub(super) async fn clean_what_was_being_read(
    daemon: &Daemon,
    start: &StartRun,
    report: &CleanReport,
    run: Option<Run>,
    cancellation: Option<&Cancellation>,
) -> Result<Option<CleanReport>, Stopping> {
    let policy = daemon.policy();
    let Some(ScheduleAction::Clean(rules)) = start.action(&policy) else {
        return Ok(None);
    };
    if !daemon.was_being_read(report).await? {
        return Ok(None);
    }
    let request = due_under(rules, run);
    let clean = |_| daemon.link().clean(Arc::clone(&policy), request.clone());
    daemon.clean_prepared(FILES_MAX, cancellation, clean).await
}

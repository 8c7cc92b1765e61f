//! Commands and endpoints of an older system, carried out by the daemon.
//!
//! **Invariant:** an endpoint goes through the same use cases as `/v1`, with the client's own role.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use super::access::Viewer;
use super::clean::{clean, clean_by_schedule};
use super::daemon::{Daemon, json_path, rule_name, source_name};
use super::error::AppError;
use super::events::{Delivery, Followed, Follower};
use super::history::history;
use super::space::space;
use super::status::status;
use super::{order, runs};
use crate::adapter::{
    Adapter, Backend, Command, Endpoint, Facts, LiveLog, Method, NotDone, OnRemoved, Params,
    RemovedThing, SourceFacts, Wish,
};
use crate::core::effect::Event;
use crate::core::policy::Policy;
use crate::core::run::RunCause;
use crate::types::{
    CleanOrder, HistoryQuery, Report, Retention, Run, RunsQuery, Settings, Space, SpaceQuery,
};

/// The daemon, for one client.
pub(crate) struct DaemonBackend {
    daemon: Arc<Daemon>,
    /// Taken by the one clean.
    requester: Option<CleanRequester>,
}

/// Requester of a clean.
enum CleanRequester {
    /// A client.
    Client(Viewer),
    /// A schedule, because of this.
    Schedule(String, RunCause),
}

impl Backend for DaemonBackend {
    type Error = AppError;

    async fn settings(&mut self) -> Result<Settings, AppError> {
        Ok(self.daemon.settings())
    }

    async fn prepare(&mut self, _: Option<&CleanOrder>) -> Result<(), AppError> {
        Ok(())
    }

    async fn space(&mut self, retention: &BTreeMap<String, String>) -> Result<Space, AppError> {
        let retention = Some(Retention(retention.clone()));
        space(Arc::clone(&self.daemon), SpaceQuery { retention }).await
    }

    async fn clean(
        &mut self,
        order: CleanOrder,
        on_removed: Option<OnRemoved>,
    ) -> Result<Report, AppError> {
        let twice = || AppError::internal("an endpoint cleans once");
        let daemon = Arc::clone(&self.daemon);
        // What is not followed is told in the end.
        let removals = on_removed.and_then(|on_removed| {
            let follower = daemon.parts.events.follow(None, Followed::Told).ok()?;
            Some((follower, on_removed))
        });
        match self.requester.take().ok_or_else(twice)? {
            CleanRequester::Client(viewer) => clean(daemon, viewer, order).await,
            CleanRequester::Schedule(name, cause) => {
                if order.dry_run {
                    // That is the plan, and the run comes after it.
                    self.requester = Some(CleanRequester::Schedule(name.clone(), cause));
                }
                let report = clean_by_schedule(daemon, order, (&name, cause));
                follow_until(report, removals).await
            }
        }
    }

    fn sources(&self) -> Vec<SourceFacts> {
        Vec::new()
    }

    async fn last_run(&mut self) -> Result<Option<Run>, AppError> {
        let query = RunsQuery::default();
        let runs = runs::list(Arc::clone(&self.daemon), query).await?;
        Ok(runs.runs.into_iter().find(|run| run.finished.is_some()))
    }

    async fn status(&mut self) -> Result<serde_json::Value, AppError> {
        Ok(serde_json::json!(status(Arc::clone(&self.daemon)).await?))
    }

    async fn history(&mut self) -> Result<serde_json::Value, AppError> {
        let lines = history(Arc::clone(&self.daemon), HistoryQuery::default()).await?;
        let unreadable = |error| AppError::internal(format!("the history is no JSON: {error}"));
        serde_json::from_slice(&lines).map_err(unreadable)
    }
}

/// Waits for `report`, and has the receiver learn of what is removed until then.
async fn follow_until<T>(
    report: impl Future<Output = T>,
    removals: Option<(Follower, OnRemoved)>,
) -> T {
    let mut report = pin!(report);
    let Some((mut follower, mut on_removed)) = removals else {
        return report.await;
    };
    loop {
        tokio::select! {
            report = &mut report => return report,
            delivery = follower.next() => if let Delivery::Events(events) = delivery {
                let things = events.iter().filter_map(|told| removed_thing(&told.event, &told.policy));
                things.for_each(&mut on_removed);
            },
        }
    }
}

/// The thing that is gone by `event`, under `policy`.
#[must_use]
pub fn removed_thing(event: &Event, policy: &Policy) -> Option<RemovedThing> {
    let Event::Lapsed {
        root,
        path,
        rule,
        job,
        ..
    } = event
    else {
        return None;
    };
    Some(match job {
        Some(job) => RemovedThing::Job {
            source: source_name(policy, job.source).to_owned(),
            id: job.id.clone(),
            rule: rule_name(policy, *rule).to_owned(),
        },
        None => RemovedThing::Path(json_path(policy, *root, path).decode()?),
    })
}

/// Failure at an endpoint, with the run that it had carried out by then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointError {
    /// Failure.
    pub error: AppError,
    /// The run that was carried out.
    pub run: Option<u64>,
}

/// Carries out `endpoint` with `params` for `viewer`, and returns its answer, in JSON.
///
/// # Errors
/// If the role is missing, the operation fails, or the answer cannot be rendered, which does not
/// undo what was carried out.
pub async fn answer(
    daemon: Arc<Daemon>,
    viewer: Viewer,
    adapter: Arc<Adapter>,
    endpoint: Arc<Endpoint>,
    params: Params,
) -> Result<String, EndpointError> {
    let fail = |error| EndpointError { error, run: None };
    let mut backend = DaemonBackend {
        daemon,
        requester: Some(CleanRequester::Client(viewer)),
    };
    let wish = Wish {
        only_ask: endpoint.method == Method::Get,
        ..Wish::default()
    };
    let action = &endpoint.action;
    let done = adapter.carry_out(action, &action.needs, params, wish, &mut backend, |_| None);
    let facts = done.await.map_err(|error| match error {
        NotDone::Failed(error) => fail(error),
        NotDone::Request(error) => fail(AppError::internal(format!(
            "the request of endpoint {}: {error}",
            endpoint.path
        ))),
    })?;
    let run = facts.run;
    let rendered = order::wait(move || render(&adapter, &endpoint, &facts)).await;
    rendered
        .and_then(|answer| answer)
        .map_err(|error| EndpointError { error, run })
}

/// Carries out `command` with `params` for the schedule `name`, and tells `log` what goes on.
///
/// # Errors
/// If the operation fails, or a template does.
pub async fn run_scheduled(
    daemon: &Arc<Daemon>,
    adapter: &Adapter,
    command: &Command,
    params: Params,
    (name, cause): (&str, RunCause),
    log: &LiveLog,
) -> Result<Facts, AppError> {
    let mut backend = DaemonBackend {
        daemon: Arc::clone(daemon),
        requester: Some(CleanRequester::Schedule(name.to_owned(), cause)),
    };
    let action = &command.action;
    let begin = |facts: &Facts| log.begin(facts);
    let wish = Wish::default();
    let done = adapter.carry_out(action, &action.needs, params, wish, &mut backend, begin);
    done.await.map_err(|error| match error {
        NotDone::Failed(error) => error,
        NotDone::Request(error) => AppError::internal(format!("its request: {error}")),
    })
}

fn render(adapter: &Adapter, endpoint: &Endpoint, facts: &Facts) -> Result<String, AppError> {
    adapter.answer(endpoint, facts).map_err(|error| {
        let done = match facts.run {
            Some(run) => format!("run {run} is done; "),
            None => String::new(),
        };
        let path = &endpoint.path;
        let message = format!("{done}its answer at {path} cannot be rendered: {error}");
        AppError::internal(message).hint("the history has what was removed: lapsed history")
    })
}

//! Lists and reports of runs, and their cancelling.

use std::sync::Arc;

use super::record::{ENDED_FIRST, to_type};
use crate::app::access::Operator;
use crate::app::daemon::Daemon;
use crate::app::error::AppError;
use crate::app::history::{Filter, LIMIT};
use crate::app::order::wait;
use crate::clock;
use crate::core::principal::Principal;
use crate::core::run::{RunCause, RunStatus};
use crate::registry::RunRow;
use crate::types::{self, CleanOrder, RunDetails, RunQuery, RunSummary, RunsQuery};

/// Runs in an answer by default.
const RUNS_LIMIT: u64 = 50;

/// Maximum number of runs in an answer: ~1 MB of JSON.
const RUNS_LIMIT_MAX: u64 = 1000;

/// Rows that are read from the registry at once.
const ROWS: usize = 200;

/// Returns the runs that `query` asks for, newest first.
///
/// # Errors
/// If the query makes no sense, or the registry cannot be read.
pub async fn list(daemon: Arc<Daemon>, query: RunsQuery) -> Result<types::Runs, AppError> {
    let limit = query.limit.unwrap_or(RUNS_LIMIT);
    if !(1..=RUNS_LIMIT_MAX).contains(&limit) {
        let error = AppError::invalid_parameter("limit", &limit.to_string());
        return Err(error.hint(format!("give a number from 1 to {RUNS_LIMIT_MAX}")));
    }
    let cursor = query.cursor.as_ref().map(|cursor| {
        let error = AppError::invalid_parameter("cursor", cursor);
        let error = error.hint("give the cursor of an earlier answer");
        cursor.parse::<u64>().map_err(|_| error)
    });
    let before = cursor.transpose()?;
    let since = query.since.map(|since| since.instant(clock::now().wall));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if query.status == Some(RunStatus::Running) {
        let mut runs = daemon.runs.list();
        runs.retain(|run| before.is_none_or(|before| run.id < before) && matches(&query, run));
        let is_cut = runs.len() > limit;
        runs.truncate(limit);
        let last = runs.last().filter(|_| is_cut);
        let cursor = last.map(|run| run.id.to_string());
        return Ok(types::Runs { runs, cursor });
    }
    wait(move || {
        let mut page = types::Runs::default();
        let mut before = before;
        loop {
            let rows = daemon.parts.registry.runs(before, ROWS)?;
            let is_last = rows.len() < ROWS;
            for row in rows {
                if since.is_some_and(|since| row.started < since) {
                    return Ok(page);
                }
                if page.runs.len() == limit {
                    page.cursor = before.map(|before| before.to_string());
                    return Ok(page);
                }
                before = Some(row.id);
                let run = current(&daemon, &row);
                if matches(&query, &run) {
                    page.runs.push(run);
                }
            }
            if is_last {
                return Ok(page);
            }
        }
    })
    .await?
}

fn matches(query: &RunsQuery, run: &types::Run) -> bool {
    let order = &run.details.order;
    // In records of earlier versions an empty list stands for all.
    let roots = order.roots.as_ref().filter(|roots| !roots.is_empty());
    let has_root = |root: &String| roots.is_none_or(|roots| roots.contains(root));
    query.status.is_none_or(|status| run.status == status)
        && query.cause.is_none_or(|cause| run.details.cause == cause)
        && query.root.as_ref().is_none_or(has_root)
        && query
            .key
            .as_ref()
            .is_none_or(|key| order.key.as_ref() == Some(key))
}

/// The run of `row`: as it is under way, or as it ended.
fn current(daemon: &Daemon, row: &RunRow) -> types::Run {
    if let Some(run) = daemon.runs.get(row.id) {
        return run;
    }
    // A later version may write what this one does not know.
    let mut details = serde_json::from_str(&row.details).unwrap_or_else(|error| RunDetails {
        schedule: None,
        cause: RunCause::Order,
        by: Principal::Rule,
        order: CleanOrder::default(),
        jobs_left_out: 0,
        why: Some(format!("its record cannot be read: {error}")),
        summary: RunSummary::default(),
    });
    let status = match row.status {
        RunStatus::Running => {
            details.why.get_or_insert_with(|| ENDED_FIRST.to_owned());
            RunStatus::Interrupted
        }
        status => status,
    };
    to_type(row, details, status)
}

/// Returns the row of the run `id`.
///
/// # Errors
/// If there is none, or the registry cannot be read.
pub(crate) fn row(daemon: &Daemon, id: u64) -> Result<RunRow, AppError> {
    if let Some(row) = daemon.runs.row(id) {
        return Ok(row);
    }
    daemon.parts.registry.run(id)?.ok_or_else(|| {
        let error = AppError::not_found(format!("there is no run {id}"));
        error.hint("`lapsed history --runs` lists the runs")
    })
}

/// Returns the run `id` with one page of what it removed, as JSON.
///
/// # Errors
/// If there is no such run, or the registry or the ledger cannot be read.
pub async fn report(daemon: Arc<Daemon>, id: u64, query: RunQuery) -> Result<Vec<u8>, AppError> {
    wait(move || {
        let row = row(&daemon, id)?;
        let run = current(&daemon, &row);
        let filter = Filter::of_run(&row, query.limit.unwrap_or(LIMIT), query.cursor)?;
        let answer = filter.find(&daemon.parts.ledger, false)?;
        Ok(answer.into_json_with("removed", &serde_json::json!(run)))
    })
    .await?
}

/// Cancels the run `id`: it stops before its next removal. Returns it as it is then.
///
/// # Errors
/// If there is no such run, or it has ended.
pub async fn cancel(
    daemon: Arc<Daemon>,
    operator: &Operator,
    id: u64,
) -> Result<types::Run, AppError> {
    if let Some(run) = daemon.runs.cancel(id, &operator.principal()) {
        // A step of the engine takes notice.
        daemon.link().ask(|_, _| ()).await?;
        return Ok(run);
    }
    let reader = Arc::clone(&daemon);
    let row = wait(move || row(&reader, id)).await??;
    let status = current(&daemon, &row).status;
    let error = AppError::conflict(format!("run {id} has ended: {}", status.as_str()));
    Err(error.hint("what it removed is in its report"))
}

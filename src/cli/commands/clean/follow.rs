//! Waiting for a run of the daemon: its progress on a terminal, and its end by Ctrl-C.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use hyper::Method;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::client::{Client, ClientError, Endpoint, Target};
use crate::cli::human;
use crate::types::{CleanOrder, Report, Run, Runs, RunsQuery};

/// Interval of the progress on a terminal.
const PROGRESS: Duration = Duration::from_millis(250);

/// Waits for the answer to an order whose run has `key`. An interrupt cancels the run, whose report
/// comes then; a second one stops waiting. `None`: the user did not wait.
pub(super) async fn until_reported(
    report: impl Future<Output = Result<Report, ClientError>>,
    endpoint: &Endpoint,
    key: &str,
) -> anyhow::Result<Option<Report>> {
    let mut report = pin!(report);
    let mut follower = Follower {
        endpoint,
        key,
        client: None,
        shown: 0,
    };
    let is_shown = std::io::stderr().is_terminal();
    let mut ticks = interval(PROGRESS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    ticks.tick().await;
    let (mut is_interrupted, mut is_cancelled) = (false, false);
    loop {
        tokio::select! {
            report = &mut report => {
                follower.clear();
                return Ok(Some(report?));
            }
            _ = tokio::signal::ctrl_c() => {
                follower.clear();
                if is_interrupted {
                    eprintln!("interrupted again: `lapsed history --runs` tells how the run ends");
                    return Ok(None);
                }
                is_interrupted = true;
                ticks.reset_immediately();
            }
            _ = ticks.tick(), if is_shown || is_interrupted => {
                if !is_interrupted {
                    follower.update().await;
                } else if !is_cancelled {
                    // Again, until it is found: it may not have begun.
                    is_cancelled = follower.cancel().await.unwrap_or_else(|error| {
                        eprintln!("interrupted, but the run cannot be cancelled: {error}");
                        true
                    });
                }
            }
        }
    }
}

/// The run, as a second connection sees it.
struct Follower<'f> {
    endpoint: &'f Endpoint,
    key: &'f str,
    client: Option<Client>,
    /// Characters of the progress that stand on the terminal.
    shown: usize,
}

impl Follower<'_> {
    async fn client(&mut self) -> Result<&mut Client, ClientError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.endpoint).await?,
        };
        Ok(self.client.insert(client))
    }

    /// Returns the run, if it is under way.
    async fn find(&mut self) -> Result<Option<Run>, ClientError> {
        let target = Target::new("/v1/runs").query(&RunsQuery {
            status: Some(crate::core::run::RunStatus::Running),
            key: Some(self.key.to_owned()),
            limit: Some(1),
            ..RunsQuery::default()
        });
        let found: Result<Runs, _> = self.client().await?.get(&target).await;
        if found.is_err() {
            self.client = None;
        }
        Ok(found?.runs.pop())
    }

    /// Cancels the run. Returns true if it is cancelled, or has ended.
    async fn cancel(&mut self) -> Result<bool, ClientError> {
        let Some(run) = self.find().await? else {
            return Ok(false);
        };
        let target = Target::new("/v1/runs").below(&run.id.to_string());
        let client = self.client().await?;
        let cancelled = client.order::<Run>(Method::DELETE, &target, None::<&CleanOrder>);
        match cancelled.await {
            Ok(run) => {
                eprintln!("interrupted: run {} ends before its next removal", run.id);
                Ok(true)
            }
            Err(ClientError::Refused(problem)) if problem.status == 409 => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Shows the progress. What cannot be shown now is shown later, or the report says why.
    async fn update(&mut self) {
        if let Ok(Some(run)) = self.find().await {
            self.show(&run);
        }
    }

    fn show(&mut self, run: &Run) {
        let summary = &run.details.summary;
        let due = run.due.unwrap_or_default();
        let text = if due == 0 {
            format!("run {}: looking", run.id)
        } else {
            format!(
                "run {}: {} of {} ({}, {})",
                run.id,
                human::count(run.settled.unwrap_or_default()),
                human::count(due),
                human::files(summary.files),
                human::size(summary.bytes)
            )
        };
        let (width, shown) = (text.chars().count(), self.shown);
        self.shown = width;
        eprint!("\r{text:shown$}");
        let _ = std::io::stderr().flush();
    }

    fn clear(&mut self) {
        let shown = std::mem::take(&mut self.shown);
        if shown > 0 {
            eprint!("\r{:shown$}\r", "");
            let _ = std::io::stderr().flush();
        }
    }
}

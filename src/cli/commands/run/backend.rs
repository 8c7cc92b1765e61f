//! Whoever carries out a command: the daemon, or this process where none runs.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tokio::task::spawn_blocking;

use super::removals;
use crate::adapter::{Backend, OnRemoved, SourceFacts};
use crate::cli::client::{Client, Target};
use crate::cli::commands::clean::{self, Answer};
use crate::cli::context::{Context, WatchOptions};
use crate::config::Settings;
use crate::daemon::{Baseline, Once, describe, once};
use crate::types::{self, CleanOrder, Report, Run, Space, SpaceQuery};

/// Reason why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The user interrupted it.
    Interrupted,
    /// Anything else.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// State of the backend.
enum State {
    /// Nothing was asked yet.
    Fresh,
    /// A daemon answers, or what was read answers in its place.
    Asking(Client),
    /// This process removes what is due.
    Acting(Option<Box<Once>>),
}

/// Backend of a command.
pub(super) struct CommandBackend<'c> {
    context: &'c Context,
    watching: &'c WatchOptions,
    settings: Option<Settings>,
    described: types::Settings,
    sources: Vec<SourceFacts>,
    state: State,
}

impl<'c> CommandBackend<'c> {
    pub(super) fn new(
        context: &'c Context,
        watching: &'c WatchOptions,
        settings: Settings,
    ) -> Self {
        Self {
            context,
            watching,
            described: describe(&settings),
            sources: settings
                .queries()
                .map(|(source, sql)| SourceFacts {
                    source,
                    sql,
                    rows: 0,
                })
                .collect(),
            settings: Some(settings),
            state: State::Fresh,
        }
    }

    /// The client, once it is known that this process does not act.
    fn client(&mut self) -> anyhow::Result<&mut Client> {
        match &mut self.state {
            State::Asking(client) => Ok(client),
            State::Fresh | State::Acting(_) => anyhow::bail!("a one-shot run answers no questions"),
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&mut self, target: &Target) -> Result<T, Failure> {
        Ok(self.client()?.get(target).await?)
    }

    /// Notes how many jobs the sources have.
    async fn count_jobs(&mut self) -> Result<(), Failure> {
        let status = self.status().await?;
        for source in &mut self.sources {
            let lines = status["sources"].as_array();
            let line =
                lines.and_then(|lines| lines.iter().find(|line| line["name"] == *source.source));
            source.rows = line.and_then(|line| line["jobs"].as_u64()).unwrap_or(0);
        }
        Ok(())
    }
}

impl Backend for CommandBackend<'_> {
    type Error = Failure;

    async fn settings(&mut self) -> Result<types::Settings, Failure> {
        match self.context.connect_to_act(self.watching).await? {
            Ok(mut client) => Ok(client.get(&Target::new("/v1/settings")).await?),
            Err(_) => Ok(self.described.clone()),
        }
    }

    async fn prepare(&mut self, order: Option<&CleanOrder>) -> Result<(), Failure> {
        let acts = order.is_some_and(|order| !order.dry_run) && !self.described.dry_run;
        if acts && self.context.connect_to_act(self.watching).await?.is_err() {
            if let Some(settings) = self.settings.take() {
                let once = spawn_blocking(move || once(settings)).await??;
                self.state = State::Acting(Some(Box::new(once)));
            }
        } else {
            let client = self.context.connect_to_read(self.watching, Baseline::Saved);
            self.state = State::Asking(client.await?);
        }
        Ok(())
    }

    async fn space(&mut self, retention: &BTreeMap<String, String>) -> Result<Space, Failure> {
        if let State::Acting(Some(once)) = &self.state {
            return Ok(once.space(retention)?);
        }
        let retention = types::Retention(retention.clone());
        let query = SpaceQuery {
            retention: Some(retention).filter(|retention| !retention.0.is_empty()),
        };
        let target = Target::new("/v1/space").query(&query);
        self.get(&target).await
    }

    fn sources(&self) -> Vec<SourceFacts> {
        self.sources.clone()
    }

    async fn clean(
        &mut self,
        order: CleanOrder,
        on_removed: Option<OnRemoved>,
    ) -> Result<Report, Failure> {
        if let State::Acting(place) = &mut self.state {
            let Some(mut once) = place.take() else {
                return Err(anyhow::anyhow!("a one-shot run cleans once").into());
            };
            let (report, once) = spawn_blocking(move || {
                let report = if order.dry_run {
                    clean::plan_with(&mut once, &order)
                } else {
                    clean::clean_with(&mut once, &order, on_removed)
                };
                (report, once)
            })
            .await?;
            for source in &mut self.sources {
                source.rows = once.jobs_of(&source.source);
            }
            *place = Some(once);
            return Ok(report?);
        }
        let order = CleanOrder {
            dry_run: order.dry_run || self.described.dry_run,
            ..order
        };
        if order.dry_run {
            let report = self
                .client()?
                .post(&Target::new("/v1/clean"), &order)
                .await?;
            self.count_jobs().await?;
            return Ok(report);
        }
        let client = self.context.connect_to_act(self.watching).await??;
        let follower = match on_removed {
            Some(on_removed) => {
                let endpoint = self.context.endpoint(self.watching)?;
                removals::follow(&endpoint, on_removed).await
            }
            None => None,
        };
        let answer = clean::ask(self.context, self.watching, client, &order).await;
        if let Some(follower) = follower {
            // What it has not told by now, the report does.
            follower.abort();
        }
        match answer? {
            Answer::Report(report) => {
                self.count_jobs().await?;
                Ok(*report)
            }
            Answer::Interrupted => Err(Failure::Interrupted),
            Answer::Absent(absence) => Err(absence.into()),
        }
    }

    async fn last_run(&mut self) -> Result<Option<Run>, Failure> {
        if let State::Acting(_) = self.state {
            return Ok(None);
        }
        let runs: types::Runs = self.get(&Target::new("/v1/runs")).await?;
        Ok(runs.runs.into_iter().find(|run| run.finished.is_some()))
    }

    async fn status(&mut self) -> Result<Json, Failure> {
        self.get(&Target::new("/v1/status")).await
    }

    async fn history(&mut self) -> Result<Json, Failure> {
        self.get(&Target::new("/v1/history")).await
    }
}

//! Carrying out what a command or an endpoint declares.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::context::{Facts, SourceFacts};
use super::declaration::{Action, Adapter};
use super::live::{OnPlanned, OnRemoved};
use super::operation::Operation;
use super::params::{ParamEffect, Params};
use super::templates::{Need, TemplateError};
use crate::clock;
use crate::core::span;
use crate::types::{CleanOrder, Report, Run, Settings, Space, seconds};

/// Name of all rules in a retention.
const EVERY_RULE: &str = "*";

/// Word of rules for orphans, which a retention for all rules leaves alone.
const ORPHANS: &str = "none";

/// Whoever carries out operations: the daemon, a client of it, or a process without a daemon.
#[expect(
    async_fn_in_trait,
    reason = "each implementation is used where its futures are known"
)]
pub trait Backend {
    /// Reason why an operation failed.
    type Error;

    /// Settings in force.
    async fn settings(&mut self) -> Result<Settings, Self::Error>;

    /// Makes ready for `order`, before anything else is asked; `None`: for a question.
    async fn prepare(&mut self, order: Option<&CleanOrder>) -> Result<(), Self::Error>;

    /// Space, under other lifetimes.
    async fn space(&mut self, retention: &BTreeMap<String, String>) -> Result<Space, Self::Error>;

    /// Removes what is due, or lists it. `on_removed` learns of each thing as soon as possible.
    async fn clean(
        &mut self,
        order: CleanOrder,
        on_removed: Option<OnRemoved>,
    ) -> Result<Report, Self::Error>;

    /// Sources that were read, with their queries.
    fn sources(&self) -> Vec<SourceFacts>;

    /// The last run that has ended.
    async fn last_run(&mut self) -> Result<Option<Run>, Self::Error>;

    /// The state, as `/v1/status` tells it.
    async fn status(&mut self) -> Result<Json, Self::Error>;

    /// The last removals, as `/v1/history` tells them.
    async fn history(&mut self) -> Result<Json, Self::Error>;
}

/// Reason why an action was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotDone<E> {
    /// The operation failed.
    Failed(E),
    /// The request's template makes no order.
    Request(TemplateError),
}

/// A wish beside an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    /// Release the breaker first.
    pub release: bool,
    /// Remove nothing: refuse an order that would.
    pub only_ask: bool,
}

impl Adapter {
    /// Carries out `action` by `backend`. Calls `begin` with what is known before anything is done;
    /// where it wants the plan, a run that removes something is a dry run first.
    ///
    /// # Errors
    /// If the request makes no order, or the operation fails.
    pub async fn carry_out<B: Backend>(
        &self,
        action: &Action,
        needs: &BTreeSet<Need>,
        params: Params,
        wish: Wish,
        backend: &mut B,
        begin: impl FnOnce(&Facts) -> Option<OnPlanned>,
    ) -> Result<Facts, NotDone<B::Error>> {
        let settings = backend.settings().await.map_err(NotDone::Failed)?;
        let now = || clock::now().wall.to_string();
        let operation = operation_of(action, &params);
        let mut facts = Facts {
            params,
            is_dry_run: settings.dry_run,
            settings,
            started: now(),
            finished: now(),
            ..Facts::default()
        };
        let order = self.wanted(action, operation, &facts)?;
        if let Some(order) = &order {
            facts.is_dry_run |= order.dry_run;
            facts.retention = retention(order, &facts.settings);
            if wish.only_ask && !order.dry_run {
                return Err(NotDone::Request(mistake("would remove files")));
            }
        }
        let on_planned = begin(&facts);
        let prepared = backend.prepare(order.as_ref()).await;
        prepared.map_err(NotDone::Failed)?;
        if needs.contains(&Need::Last) || operation == Operation::Status {
            facts.last = backend.last_run().await.map_err(NotDone::Failed)?;
        }
        let other = order.as_ref().map(|order| order.retention.clone());
        let other = other.unwrap_or_default();
        if operation == Operation::Stats || needs.contains(&Need::Before) {
            facts.before = Some(backend.space(&other).await.map_err(NotDone::Failed)?);
        }
        match operation {
            Operation::Clean => {
                let order = CleanOrder {
                    release: wish.release,
                    ..order.unwrap_or_default()
                };
                let on_removed = match on_planned {
                    Some(on_planned) if !facts.is_dry_run && !order.release => {
                        plan(backend, &order, &facts, on_planned).await
                    }
                    Some(_) | None => None,
                };
                let report = backend.clean(order, on_removed).await;
                let report = report.map_err(NotDone::Failed)?;
                facts.sources = backend.sources();
                facts.run = report.run;
                facts.is_dry_run = report.dry_run;
                facts.started.clone_from(&report.started);
                facts.finished.clone_from(&report.finished);
                facts.report = Some(Arc::new(report));
            }
            Operation::Status => {
                let status = backend.status().await.map_err(NotDone::Failed)?;
                facts.answer = Some(("status", status));
            }
            Operation::History => {
                let history = backend.history().await.map_err(NotDone::Failed)?;
                facts.answer = Some(("history", history));
            }
            Operation::Stats | Operation::Settings => {}
        }
        if operation == Operation::Stats {
            facts.after.clone_from(&facts.before);
        } else if needs.contains(&Need::After) {
            facts.after = Some(backend.space(&other).await.map_err(NotDone::Failed)?);
        }
        Ok(facts)
    }

    /// The order of a clean or of a question about space.
    fn wanted<E>(
        &self,
        action: &Action,
        operation: Operation,
        facts: &Facts,
    ) -> Result<Option<CleanOrder>, NotDone<E>> {
        match operation {
            Operation::Clean => self
                .order(action, facts)
                .map(Some)
                .map_err(NotDone::Request),
            Operation::Stats if action.request.is_some() => self
                .order(action, facts)
                .map(Some)
                .map_err(NotDone::Request),
            Operation::Stats | Operation::Status | Operation::Settings | Operation::History => {
                Ok(None)
            }
        }
    }
}

/// Has `on_planned` learn what `order` is going to remove. Without an answer nothing is planned:
/// the order itself tells what fails.
async fn plan<B: Backend>(
    backend: &mut B,
    order: &CleanOrder,
    facts: &Facts,
    on_planned: OnPlanned,
) -> Option<OnRemoved> {
    let dry = CleanOrder {
        dry_run: true,
        ..order.clone()
    };
    let report = backend.clean(dry, None).await.ok()?;
    Some(on_planned(Facts {
        started: report.started.clone(),
        finished: report.finished.clone(),
        report: Some(Arc::new(report)),
        sources: backend.sources(),
        ..facts.clone()
    }))
}

/// The operation that `params` choose.
fn operation_of(action: &Action, params: &Params) -> Operation {
    let mut chosen = params.effects(&action.params);
    let chosen = chosen.find_map(|(effect, _)| match effect {
        ParamEffect::Operation(operation) => Some(*operation),
        ParamEffect::Json | ParamEffect::Level(_) | ParamEffect::Setting(_) => None,
    });
    chosen.unwrap_or(action.operation)
}

/// Lifetimes in seconds that `order` wants instead of those of the rules.
fn retention(order: &CleanOrder, settings: &Settings) -> BTreeMap<String, serde_json::Number> {
    let in_seconds = |ttl: &str| {
        let ms = span::parse(ttl).ok()?.as_millis();
        Some(seconds(i64::try_from(ms).ok()?))
    };
    let every = order.retention.get(EVERY_RULE);
    let rules = settings.rules.iter().filter_map(|rule| {
        let is_for_orphans = rule.job.as_ref().is_some_and(|job| job == &[ORPHANS]);
        let own = order.retention.get(&rule.name);
        let ttl = own.or(every.filter(|_| !is_for_orphans))?;
        Some((rule.name.clone(), in_seconds(ttl)?))
    });
    rules.collect()
}

fn mistake(why: &str) -> TemplateError {
    TemplateError {
        why: why.to_owned(),
        line: None,
        included: None,
    }
}

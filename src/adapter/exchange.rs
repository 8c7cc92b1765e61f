//! Recorded exchanges: a request of an older system, an assumed result of the operation, and the
//! expected answer. They are replayed without a daemon, and nothing is carried out.
//!
//! - `recorded`: the assumed result, as the backend that a request meets
//! - `compare`: differences between what is expected and what was rendered

use serde::Deserialize;
use serde_json::Value as Json;

use super::context::{Facts, SourceFacts};
use super::declaration::{Adapter, Command, Endpoint};
use super::log_line::LogLevel;
use super::params::Params;
use super::progress::LogProgress;
use super::run::{NotDone, Wish};
use super::templates::TemplateError;
use crate::core::run::RunStatus;
use crate::types::Settings;

mod compare;
mod recorded;

use compare::Differences;
use recorded::Recorded;

/// A file of exchanges.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exchange: Vec<Exchange>,
}

/// A recorded exchange. What is not given is not compared.
///
/// Instants without a zone are in the zone of the adapter, and paths that are not absolute are
/// below `base_dir`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Name, for people.
    pub about: String,
    /// Line of the older system's document that it comes from, as it is there.
    #[serde(default)]
    pub line: Option<String>,
    /// Request: method and path, or a command with its arguments, separated by spaces.
    pub call: String,
    /// Body of the request, in JSON.
    #[serde(default)]
    pub body: Option<String>,
    /// Base directory that the result assumes. Default: that of the configuration.
    #[serde(default)]
    pub base_dir: Option<String>,
    /// Assumed report, in JSON: members that are left out are empty.
    #[serde(default)]
    pub result: Option<String>,
    /// Assumed space before, in JSON.
    #[serde(default)]
    pub before: Option<String>,
    /// Assumed space after, in JSON.
    #[serde(default)]
    pub after: Option<String>,
    /// Sources that were read, in JSON.
    #[serde(default)]
    pub sources: Option<String>,
    /// Expected request of the operation, in JSON.
    #[serde(default)]
    pub order: Option<String>,
    /// Expected status of the answer.
    #[serde(default)]
    pub status: Option<u16>,
    /// Expected answer, or output of the command, in JSON.
    #[serde(default)]
    pub answer: Option<String>,
    /// Expected output of the command as text.
    #[serde(default)]
    pub text: Option<String>,
    /// Expected lines of the command's log.
    #[serde(default)]
    pub log: Option<String>,
    /// Expected exit status of the command.
    #[serde(default)]
    pub exit: Option<u8>,
    /// Expected names of files that the command writes.
    #[serde(default)]
    pub files: Option<Vec<String>>,
}

/// Reason why an exchange cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The file is not TOML, or has unknown keys.
    #[error("{0}")]
    File(#[from] toml::de::Error),
    /// A member is not what it should be.
    #[error("{0} is not understood: {1}")]
    Member(&'static str, String),
    /// A template failed.
    #[error("{0}: {1}")]
    Template(&'static str, TemplateError),
}

/// Outcome of a replayed request.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// The order that the request makes.
    pub order: Option<Json>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// The answer, or the output in JSON.
    pub answer: Option<Json>,
    /// The output as text.
    pub text: Option<String>,
    /// Lines of the log.
    pub log: Vec<String>,
    /// Exit status.
    pub exit: Option<u8>,
    /// Names of files.
    pub files: Vec<String>,
}

/// Form of a command's output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputForm {
    /// JSON, not text.
    pub is_json: bool,
    /// Least level of the log.
    pub level: LogLevel,
}

impl Exchange {
    /// Reads a file of exchanges.
    ///
    /// # Errors
    /// If it is not TOML, or has unknown keys.
    pub fn read(text: &str) -> Result<Vec<Self>, ExchangeError> {
        let file: File = toml::from_str(text)?;
        Ok(file.exchange)
    }

    /// Differences between what is expected and `outcome`.
    ///
    /// # Errors
    /// If an expectation is not JSON.
    pub fn differences(&self, outcome: &Outcome) -> Result<Vec<String>, ExchangeError> {
        let mut found = Differences::default();
        found.json("order", self.order.as_deref(), outcome.order.as_ref())?;
        found.number("status", self.status, outcome.status);
        found.json("answer", self.answer.as_deref(), outcome.answer.as_ref())?;
        found.text("text", self.text.as_deref(), outcome.text.as_deref());
        let log = outcome.log.join("\n");
        found.text("log", self.log.as_deref(), Some(&log));
        found.number("exit", self.exit, outcome.exit);
        if let Some(files) = &self.files {
            let (files, written) = (files.join("\n"), outcome.files.join("\n"));
            found.text("files", Some(&files), Some(&written));
        }
        Ok(found.lines)
    }
}

impl Adapter {
    /// Replays `exchange`, whose request is `params` for `endpoint`.
    ///
    /// # Errors
    /// If the exchange is not understood, or a template fails.
    pub async fn replay_request(
        &self,
        settings: &Settings,
        exchange: &Exchange,
        (endpoint, params): (&Endpoint, Params),
    ) -> Result<Outcome, ExchangeError> {
        let mut backend = Recorded::new(settings, exchange, self)?;
        let action = &endpoint.action;
        let wish = Wish::default();
        let done = self.carry_out(action, &action.needs, params, wish, &mut backend, |_| None);
        let facts = done.await.map_err(not_done)?;
        let answer = self.answer(endpoint, &facts);
        let answer = answer.map_err(|error| ExchangeError::Template("answer", error))?;
        Ok(Outcome {
            order: backend.order,
            status: Some(200),
            answer: Some(json_of("answer", &answer)?),
            ..Outcome::default()
        })
    }

    /// Replays `exchange`, whose request is `params` for `command`.
    ///
    /// # Errors
    /// If the exchange is not understood, or a template fails.
    pub async fn replay_command(
        &self,
        settings: &Settings,
        exchange: &Exchange,
        (command, params): (&Command, Params),
        form: OutputForm,
    ) -> Result<Outcome, ExchangeError> {
        let mut backend = Recorded::new(settings, exchange, self)?;
        let action = &command.action;
        let started = backend.started().to_owned();
        let mut log = Ok(Vec::new());
        let wish = Wish::default();
        let done = self.carry_out(action, &action.needs, params, wish, &mut backend, |facts| {
            let started = Facts {
                started,
                ..facts.clone()
            };
            log = self.log_at_start(command, form.level, &started);
            None
        });
        let facts = done.await.map_err(not_done)?;
        let facts = Facts {
            sources: sources(exchange)?,
            ..facts
        };
        let of_log = |error| ExchangeError::Template("log", error);
        let rest = self.log_of_run(command, form.level, &facts, &LogProgress::default());
        let lines = log
            .map_err(of_log)?
            .into_iter()
            .chain(rest.map_err(of_log)?);
        let mut outcome = Outcome {
            order: backend.order,
            log: lines.map(|line| line.text).collect(),
            exit: Some(exit_of(command, &facts)),
            ..Outcome::default()
        };
        let template = if form.is_json {
            &command.json
        } else {
            &command.text
        };
        if let Some(template) = template {
            let text = self.output(template, form.is_json, &facts);
            let text = text.map_err(|error| ExchangeError::Template("output", error))?;
            if form.is_json {
                outcome.answer = Some(json_of("output", &text)?);
            } else {
                outcome.text = Some(text);
            }
        }
        for file in &command.files {
            if !facts.is_dry_run || file.in_dry_runs {
                let name = self.file_name(&file.name, &facts);
                let name = name.map_err(|error| ExchangeError::Template("files", error))?;
                outcome.files.push(name);
            }
        }
        Ok(outcome)
    }
}

fn sources(exchange: &Exchange) -> Result<Vec<SourceFacts>, ExchangeError> {
    let text = exchange.sources.as_deref().unwrap_or("[]");
    serde_json::from_str(text).map_err(|error| ExchangeError::Member("sources", error.to_string()))
}

fn exit_of(command: &Command, facts: &Facts) -> u8 {
    match facts.report.as_ref().map(|report| report.status) {
        None | Some(RunStatus::Done) => 0,
        Some(RunStatus::Errors) => command.exit.errors,
        Some(_) => command.exit.failed,
    }
}

fn json_of(what: &'static str, text: &str) -> Result<Json, ExchangeError> {
    serde_json::from_str(text).map_err(|error| ExchangeError::Member(what, error.to_string()))
}

fn not_done(error: NotDone<ExchangeError>) -> ExchangeError {
    match error {
        NotDone::Failed(error) => error,
        NotDone::Request(error) => ExchangeError::Template("request", error),
    }
}

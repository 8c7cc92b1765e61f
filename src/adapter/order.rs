//! Requests that templates make, answers and errors.

use super::context::Facts;
use super::declaration::{Action, Adapter, Command, Endpoint, ErrorForm};
use super::instant::value_of;
use super::log::{Log, Logged};
use super::log_line::LogLevel;
use super::params::Fault;
use super::progress::LogProgress;
use super::templates::{Template, TemplateError};
use crate::types::CleanOrder;

/// Kind of a failure, for its status and its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// A parameter cannot be taken.
    Invalid,
    /// Another run is in progress, or the configuration changed.
    Conflict,
    /// It could not be carried out.
    Failed,
    /// Anything else: its status is that of `/v1`.
    Other,
}

/// A failure at an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// Kind.
    pub kind: FailureKind,
    /// Its code, as in `/v1`.
    pub code: String,
    /// Description.
    pub message: String,
    /// Advice.
    pub hint: Option<String>,
    /// The run that is in the way, or that was carried out.
    pub run: Option<u64>,
    /// Parameters that cannot be taken.
    pub params: Vec<Fault>,
}

impl ErrorForm {
    /// The status of `failure`, if the adapter has its own.
    #[must_use]
    pub const fn status(&self, failure: &Failure) -> Option<u16> {
        match failure.kind {
            FailureKind::Invalid => self.status.invalid,
            FailureKind::Conflict => self.status.conflict,
            FailureKind::Failed => self.status.failed,
            FailureKind::Other => None,
        }
    }
}

impl Adapter {
    /// The order that `action` makes of these facts. It never releases a breaker.
    ///
    /// # Errors
    /// If the template fails, or makes no order.
    pub fn order(&self, action: &Action, facts: &Facts) -> Result<CleanOrder, TemplateError> {
        let wrong = |why: String| TemplateError {
            why,
            line: None,
            included: None,
        };
        let Some(request) = &action.request else {
            return Err(wrong("there is no request".to_owned()));
        };
        let text = self.templates.render_json(request, &facts.context(), 0)?;
        let order: CleanOrder = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("makes no order of a clean: {error}")))?;
        if order.release || order.key.is_some() {
            return Err(wrong(
                "a request cannot have \"release\" and \"key\"".to_owned(),
            ));
        }
        Ok(order)
    }

    /// The answer of `endpoint`, in JSON.
    ///
    /// # Errors
    /// If the template fails.
    pub fn answer(&self, endpoint: &Endpoint, facts: &Facts) -> Result<String, TemplateError> {
        self.templates
            .render_json(&endpoint.answer, &facts.context(), facts.items())
    }

    /// The output of a command: JSON, indented, or text.
    ///
    /// # Errors
    /// If the template fails.
    pub fn output(
        &self,
        template: &Template,
        is_json: bool,
        facts: &Facts,
    ) -> Result<String, TemplateError> {
        let (context, items) = (facts.context(), facts.items());
        if is_json {
            self.templates.render_indented(template, &context, items)
        } else {
            let text = self.templates.render_text(template, &context, items)?;
            Ok(text.trim_matches('\n').to_owned())
        }
    }

    /// The lines of `command`'s log before it does anything, at `level` and above.
    ///
    /// # Errors
    /// If a template fails.
    pub fn log_at_start(
        &self,
        command: &Command,
        level: LogLevel,
        facts: &Facts,
    ) -> Result<Vec<Logged>, TemplateError> {
        self.log(command, level).begin(facts)
    }

    /// The lines of `command`'s log of all that happened, at `level` and above, but those that were
    /// `told`.
    ///
    /// # Errors
    /// If a template fails.
    pub fn log_of_run(
        &self,
        command: &Command,
        level: LogLevel,
        facts: &Facts,
        told: &LogProgress,
    ) -> Result<Vec<Logged>, TemplateError> {
        self.log(command, level).rest(facts, told)
    }

    pub(super) fn log<'a>(&'a self, command: &'a Command, level: LogLevel) -> Log<'a> {
        Log {
            command,
            templates: &self.templates,
            level,
        }
    }

    /// The name of a file that a command writes.
    ///
    /// # Errors
    /// If the template fails, or makes no name: one component of a path.
    pub fn file_name(&self, template: &Template, facts: &Facts) -> Result<String, TemplateError> {
        let name = self.templates.render_text(template, &facts.context(), 0)?;
        let is_name =
            !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
        if is_name {
            return Ok(name);
        }
        Err(TemplateError {
            why: format!("makes no name of a file: {name:?}"),
            line: None,
            included: None,
        })
    }

    /// The body of an error; `None`: that of `/v1`.
    ///
    /// # Errors
    /// If the template fails.
    #[must_use]
    pub fn error_body(&self, failure: &Failure) -> Option<Result<String, TemplateError>> {
        let body = self.error.body.as_ref()?;
        let error = minijinja::context! {
            kind => failure.code.as_str(),
            message => failure.message.as_str(),
            hint => failure.hint.clone(),
            run => failure.run,
            params => value_of(&failure.params),
        };
        let context = minijinja::context! { error => error };
        Some(
            self.templates
                .render_json(body, &context, failure.params.len()),
        )
    }
}

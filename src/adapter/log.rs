//! Lines of a command's log.

use minijinja::value::Value;

use super::context::Facts;
use super::declaration::Command;
use super::log_line::{LogLevel, LogMoment};
use super::progress::LogProgress;
use super::report::{Block, ReportView};
use super::templates::{TemplateError, Templates};

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
    /// Level.
    pub level: LogLevel,
    /// Text, in the form of the command.
    pub text: String,
}

/// Log of a command, from the facts of its run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log<'a> {
    pub command: &'a Command,
    pub templates: &'a Templates,
    /// Least level.
    pub level: LogLevel,
}

impl Log<'_> {
    /// Lines of the beginning, before anything is done.
    pub fn begin(self, facts: &Facts) -> Result<Vec<Logged>, TemplateError> {
        let mut lines = Vec::new();
        self.add(
            &mut lines,
            LogMoment::Start,
            &facts.context(),
            &facts.started_at(),
        )?;
        Ok(lines)
    }

    /// Lines about what goes, before anything is gone.
    pub fn plan(self, facts: &Facts, at: &Value) -> Result<Vec<Logged>, TemplateError> {
        let mut lines = Vec::new();
        let context = facts.context();
        for source in facts.sources() {
            let context = with(&context, "query", &source);
            self.add(&mut lines, LogMoment::Query, &context, at)?;
        }
        self.add(&mut lines, LogMoment::Planned, &context, at)?;
        Ok(lines)
    }

    /// Lines of what goes as a whole, in the `context` of its run.
    pub fn block(
        self,
        context: &Value,
        block: &Block,
        at: &Value,
    ) -> Result<Vec<Logged>, TemplateError> {
        let mut lines = Vec::new();
        if let Some(job) = &block.job {
            let of_job = with(context, "job", job);
            let verdict = job.get_attr("verdict").unwrap_or_default();
            let verdict = with(&of_job, "verdict", &verdict);
            self.add(&mut lines, LogMoment::Verdict, &verdict, at)?;
            if !block.items.is_empty() {
                self.add(&mut lines, LogMoment::Job, &of_job, at)?;
            }
        }
        for item in &block.items {
            let context = with(context, "item", item);
            self.add(&mut lines, LogMoment::Examined, &context, at)?;
            self.add(&mut lines, LogMoment::Item, &context, at)?;
        }
        Ok(lines)
    }

    /// Lines of everything after the beginning but what was `told`.
    pub fn rest(self, facts: &Facts, told: &LogProgress) -> Result<Vec<Logged>, TemplateError> {
        let context = facts.context();
        let at = &facts.finished_at();
        let mut lines = Vec::new();
        if !told.is_planned {
            lines = self.plan(facts, at)?;
        }
        let view = facts.view();
        let blocks = view.as_ref().map(ReportView::blocks).unwrap_or_default();
        for block in &blocks {
            if !told.things.contains(&block.thing) {
                lines.extend(self.block(&context, block, at)?);
            }
        }
        let problems = view.as_ref().map(ReportView::problems);
        let warnings = view.as_ref().map(ReportView::warnings);
        for (name, moment, list) in [
            ("problem", LogMoment::Problem, problems),
            ("warning", LogMoment::Warning, warnings),
        ] {
            for value in list.into_iter().flatten() {
                self.add(&mut lines, moment, &with(&context, name, &value), at)?;
            }
        }
        self.add(&mut lines, LogMoment::End, &context, at)?;
        Ok(lines)
    }

    fn add(
        self,
        lines: &mut Vec<Logged>,
        moment: LogMoment,
        context: &Value,
        at: &Value,
    ) -> Result<(), TemplateError> {
        let declared = self.command.log.iter();
        for line in declared.filter(|line| line.on == moment && line.level >= self.level) {
            let text = self.templates.render_text(&line.text, context, 0)?;
            if text.is_empty() {
                continue;
            }
            let text = match &self.command.log_line {
                None => text,
                Some(form) => {
                    let level: &str = line.level.into();
                    let context =
                        minijinja::context! { at => at.clone(), level => level, text => text };
                    self.templates.render_text(form, &context, 0)?
                }
            };
            // One line each, whatever is in a name.
            let text = text.replace(['\n', '\r'], " ");
            lines.push(Logged {
                level: line.level,
                text,
            });
        }
        Ok(())
    }
}

/// `context`, in which `name` is `value`.
fn with(context: &Value, name: &str, value: &Value) -> Value {
    minijinja::context! { ..Value::from_pairs([(name, value.clone())]), ..context.clone() }
}

//! Lines of a command's log.

use minijinja::value::Value;

use super::context::Facts;
use super::declaration::Command;
use super::log_line::{LogLevel, LogMoment};
use super::report::ReportView;
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

    /// Lines of everything after the beginning.
    pub fn rest(self, facts: &Facts) -> Result<Vec<Logged>, TemplateError> {
        let mut lines = Vec::new();
        let context = facts.context();
        let at = &facts.finished_at();
        let with = |name: &str, value: &Value| {
            minijinja::context! { ..Value::from_pairs([(name, value.clone())]), ..context.clone() }
        };
        for source in facts.sources() {
            self.add(&mut lines, LogMoment::Query, &with("query", &source), at)?;
        }
        self.add(&mut lines, LogMoment::Planned, &context, at)?;
        let view = facts.view();
        let lists = view.as_ref().map(ReportView::lists).unwrap_or_default();
        for (job, items) in &lists {
            if let Some(job) = job {
                let verdict = minijinja::context! { verdict => job.get_attr("verdict").unwrap_or_default(), ..with("job", job) };
                self.add(&mut lines, LogMoment::Verdict, &verdict, at)?;
            }
            if let Some(job) = job.as_ref().filter(|_| !items.is_empty()) {
                self.add(&mut lines, LogMoment::Job, &with("job", job), at)?;
            }
            for item in items {
                let context = with("item", item);
                self.add(&mut lines, LogMoment::Examined, &context, at)?;
                self.add(&mut lines, LogMoment::Item, &context, at)?;
            }
        }
        for (name, moment, list) in [
            (
                "problem",
                LogMoment::Problem,
                view.as_ref().map(ReportView::problems),
            ),
            (
                "warning",
                LogMoment::Warning,
                view.as_ref().map(ReportView::warnings),
            ),
        ] {
            for value in list.into_iter().flatten() {
                self.add(&mut lines, moment, &with(name, &value), at)?;
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

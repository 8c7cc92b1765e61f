//! Names that templates know.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;
use serde::{Deserialize, Serialize};

use super::instant::{self, value_of};
use super::params::Params;
use super::report::ReportView;
use crate::types::{Report, Run, Settings, Space};

/// What is known of a run, or of the answer to a question.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Parameters.
    pub params: Params,
    /// Settings in force.
    pub settings: Settings,
    /// Number of the run.
    pub run: Option<u64>,
    /// True if nothing is removed.
    pub is_dry_run: bool,
    /// Start, in UTC.
    pub started: String,
    /// End, in UTC.
    pub finished: String,
    /// Other lifetimes that the request wants: seconds by rule.
    pub retention: BTreeMap<String, serde_json::Number>,
    /// What there was before.
    pub before: Option<Space>,
    /// What there is after.
    pub after: Option<Space>,
    /// Report of the run.
    pub report: Option<Arc<Report>>,
    /// The last run before.
    pub last: Option<Run>,
    /// Answer of `GET /v1/status`, or of `GET /v1/history`.
    pub answer: Option<(&'static str, serde_json::Value)>,
    /// Sources: name, query, number of jobs.
    pub sources: Vec<SourceFacts>,
}

/// A source that a run read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Its name.
    pub source: String,
    /// Its query.
    pub sql: String,
    /// Rows that it has.
    pub rows: u64,
}

impl Facts {
    /// Number of things that templates may loop over.
    #[must_use]
    pub fn items(&self) -> usize {
        let report = self.report.as_ref();
        report.map_or(0, |report| {
            let of_jobs = report.jobs.iter();
            let of_jobs = of_jobs.map(|job| 1 + job.files.len() + job.directories.len());
            report.removed.len() + report.held.len() + report.errors.len() + of_jobs.sum::<usize>()
        })
    }

    /// The names, for a template.
    #[must_use]
    pub(super) fn context(&self) -> Value {
        let mut names: BTreeMap<&str, Value> = BTreeMap::from([
            ("params", value_of(&self.params)),
            ("settings", self.settings_value()),
            (
                "run",
                minijinja::context! {
                    id => self.run,
                    dry_run => self.is_dry_run,
                    started => self.started_at(),
                    finished => self.finished_at(),
                },
            ),
        ]);
        for (name, space) in [("before", &self.before), ("after", &self.after)] {
            if let Some(space) = space {
                names.insert(name, self.space_value(space));
            }
        }
        if let Some(report) = &self.report {
            names.insert("report", ReportView::new(report, &self.settings).value());
        }
        let last = self.last.as_ref().map(|run| {
            let at = |text: &str| instant::seconds(text).unwrap_or_default();
            minijinja::context! {
                started => at(&run.started),
                finished => run.finished.as_deref().map(at),
                ..value_of(run)
            }
        });
        names.insert("last", last.unwrap_or_else(|| Value::from(())));
        if let Some((name, answer)) = &self.answer {
            names.insert(name, value_of(answer));
        }
        Value::from_pairs(names)
    }

    /// Instant of the start.
    pub(super) fn started_at(&self) -> Value {
        instant::seconds(&self.started).unwrap_or_default()
    }

    /// Instant of the end.
    pub(super) fn finished_at(&self) -> Value {
        instant::seconds(&self.finished).unwrap_or_default()
    }

    /// The sources, for lines of a log.
    pub(super) fn sources(&self) -> impl Iterator<Item = Value> {
        self.sources.iter().map(value_of)
    }

    /// The report, for lines of a log.
    pub(super) fn view(&self) -> Option<ReportView> {
        let report = self.report.as_ref()?;
        Some(ReportView::new(report, &self.settings))
    }

    fn settings_value(&self) -> Value {
        let settings = &self.settings;
        let rules = settings.rules.iter().map(|rule| {
            let other = self.retention.get(&rule.name);
            let expire = other.or(rule.expire.as_ref());
            let value = minijinja::context! {
                expire => expire.map(value_of),
                ..value_of(rule)
            };
            (rule.name.clone(), value)
        });
        let roots = settings.roots.iter();
        let roots = roots.map(|root| (root.name.clone(), value_of(root)));
        let schedules = settings.schedules.iter().map(|schedule| {
            let next = schedule.next.as_deref().and_then(instant::seconds);
            let value = minijinja::context! { next => next, ..value_of(schedule) };
            (schedule.name.clone(), value)
        });
        minijinja::context! {
            rules => Value::from_pairs(rules),
            roots => Value::from_pairs(roots),
            schedules => Value::from_pairs(schedules),
            base_dir => settings.base_dir.as_str(),
            file => settings.file.clone(),
            dry_run => settings.dry_run,
            automatic => settings.automatic,
            clean_at_start => settings.clean_at_start,
        }
    }

    fn space_value(&self, space: &Space) -> Value {
        let zeros = |names: &[&str]| Value::from_pairs(names.iter().map(|name| (*name, 0)));
        let nothing = zeros(&["files", "bytes", "top_files", "top_directories"]);
        let roots = self.settings.roots.iter().map(|root| {
            let found = space.roots.iter().find(|found| found.root == root.name);
            let value = found.map_or_else(|| nothing.clone(), value_of);
            (root.name.clone(), value)
        });
        let nothing = zeros(&["files", "bytes", "due_files", "due_bytes"]);
        let rules = self.settings.rules.iter().map(|rule| {
            let found = space.rules.iter().find(|found| found.rule == rule.name);
            let value = found.map_or_else(|| nothing.clone(), value_of);
            (rule.name.clone(), value)
        });
        minijinja::context! { roots => Value::from_pairs(roots), rules => Value::from_pairs(rules) }
    }
}

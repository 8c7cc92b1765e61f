//! A report, for templates.
//!
//! **Invariant:** lists are made one element at a time, as a template comes to it: a report of a
//! hundred thousand removals is never there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use serde_json::Value as Json;

use super::instant::{self, value_of};
use super::progress::RemovedThing;
use crate::types::{
    JobRecord, JsonPath, Report, ReportError, ReportItem, ReportJob, ReportThing, Settings,
};

/// A report with what its paths are relative to.
#[derive(Clone, Debug)]
pub(super) struct ReportView(Arc<Context>);

#[derive(Debug)]
struct Context {
    report: Arc<Report>,
    base_dir: String,
    /// Paths of the roots by name.
    roots: BTreeMap<String, String>,
    /// Names of the rules.
    rules: Vec<String>,
}

/// A list that is made as it is looked at.
struct List {
    context: Arc<Context>,
    len: usize,
    element: fn(&Arc<Context>, usize) -> Option<Value>,
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements", self.len)
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (self.element)(&self.context, key.as_usize()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len)
    }
}

/// What goes as a whole.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub thing: RemovedThing,
    /// The job, if it is all that a job owns.
    pub job: Option<Value>,
    pub items: Vec<Value>,
}

/// An element of [`Report::removed`].
#[derive(Debug)]
struct Removed {
    context: Arc<Context>,
    index: usize,
}

impl Object for Removed {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let item = self.context.report.removed.get(self.index)?;
        self.context.of_item(item, key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&[
            "path", "relative", "name", "top", "root", "rule", "unit", "job", "since", "deadline",
            "files", "bytes",
        ])
    }
}

impl Context {
    fn of_item(&self, item: &ReportItem, key: &str) -> Option<Value> {
        Some(match key {
            "path" => Value::from(item.path.path.as_str()),
            "relative" => Value::from(self.relative(&item.path)),
            "name" => Value::from(name(&item.path)),
            "top" => Value::from(self.top(&item.root, &item.path)),
            "root" => Value::from(item.root.as_str()),
            "rule" => Value::from(item.rule.as_str()),
            "unit" => value_of(item.unit),
            "job" => Value::from(item.job.clone()),
            "since" => instant::seconds(&item.since)?,
            "deadline" => instant::seconds(&item.deadline)?,
            "files" => Value::from(item.files),
            "bytes" => Value::from(item.bytes),
            _ => return None,
        })
    }

    /// The path below the base directory, or the whole.
    fn relative(&self, path: &JsonPath) -> String {
        let below = Path::new(&path.path).strip_prefix(&self.base_dir);
        below.map_or_else(
            |_| path.path.clone(),
            |below| below.to_string_lossy().into_owned(),
        )
    }

    /// The first component below the root.
    fn top(&self, root: &str, path: &JsonPath) -> String {
        let root = self.roots.get(root).map_or("", String::as_str);
        let below = Path::new(&path.path).strip_prefix(root);
        let first = below.ok().and_then(|below| below.components().next());
        first.map_or_else(String::new, |first| {
            first.as_os_str().to_string_lossy().into_owned()
        })
    }

    fn job(&self, job: &ReportJob) -> Value {
        let at = |text: &Option<String>| text.as_deref().and_then(instant::seconds);
        let things = |things: &[ReportThing]| -> Value {
            things.iter().map(|thing| self.thing(job, thing)).collect()
        };
        let record: &str = match job.record {
            JobRecord::Kept => "kept",
            JobRecord::Marked => "marked",
            JobRecord::Forgotten => "forgotten",
            JobRecord::Held => "held",
        };
        let why = job.why.clone();
        let why = why.unwrap_or_else(|| {
            format!(
                "its data is over by rule \"{}\"; its record: {record}",
                job.rule
            )
        });
        minijinja::context! {
            created_at => at(&job.created_at),
            started_at => at(&job.started_at),
            completed_at => at(&job.completed_at),
            files => things(&job.files),
            directories => things(&job.directories),
            verdict => minijinja::context! { why => why, record => record },
            ..value_of(job)
        }
    }

    fn thing(&self, job: &ReportJob, thing: &ReportThing) -> Value {
        minijinja::context! {
            path => thing.path.path.as_str(),
            relative => self.relative(&thing.path),
            name => name(&thing.path),
            top => self.top(&thing.root, &thing.path),
            root => thing.root.as_str(),
            rule => job.rule.as_str(),
            unit => "job",
            job => job.id.as_str(),
            files => thing.files,
            bytes => thing.bytes,
        }
    }

    /// A failure or a note: with all of its parts in one text.
    fn problem(&self, error: &ReportError) -> Value {
        let path = error.path.as_ref();
        let subject = path
            .map(|path| path.path.clone())
            .or_else(|| {
                error
                    .source
                    .as_ref()
                    .map(|source| format!("source {source}"))
            })
            .or_else(|| error.root.as_ref().map(|root| format!("root {root}")));
        let text = match subject.filter(|subject| !error.why.contains(subject.as_str())) {
            Some(subject) => format!("{subject}: {}", error.why),
            None => error.why.clone(),
        };
        minijinja::context! {
            text => text,
            relative => path.map(|path| self.relative(path)),
            path => path.map(|path| path.path.clone()),
            ..value_of(error)
        }
    }

    /// Sums by the first component below each root.
    fn tops(&self) -> Value {
        let mut tops: BTreeMap<(&str, String), (u64, u64)> = BTreeMap::new();
        for item in &self.report.removed {
            let sums = tops.entry((&item.root, self.top(&item.root, &item.path)));
            let (files, bytes) = sums.or_default();
            *files += item.files;
            *bytes = bytes.saturating_add(item.bytes);
        }
        let tops = tops.into_iter().map(|((root, top), (files, bytes))| {
            minijinja::context! { root => root, top => top, files => files, bytes => bytes }
        });
        tops.collect()
    }
}

/// The last component of a path.
fn name(path: &JsonPath) -> String {
    let name = Path::new(&path.path).file_name();
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl ReportView {
    /// View of `report` under `settings`.
    pub fn new(report: &Arc<Report>, settings: &Settings) -> Self {
        let roots = settings.roots.iter();
        Self(Arc::new(Context {
            report: Arc::clone(report),
            base_dir: settings.base_dir.clone(),
            roots: roots
                .map(|root| (root.name.clone(), root.path.path.clone()))
                .collect(),
            rules: settings
                .rules
                .iter()
                .map(|rule| rule.name.clone())
                .collect(),
        }))
    }

    /// The report, as templates know it.
    pub fn value(&self) -> Value {
        let report = &self.0.report;
        let zeros = || {
            let names = ["files", "directories", "units", "jobs", "bytes"];
            Value::from_pairs(names.map(|name| (name, 0)))
        };
        let rules = self.0.rules.iter().map(|name| {
            let found = report.rules.iter().find(|totals| totals.rule == *name);
            (name.clone(), found.map_or_else(zeros, value_of))
        });
        let roots = self.0.roots.keys().map(|name| {
            let found = report.roots.iter().find(|totals| totals.root == *name);
            (name.clone(), found.map_or_else(zeros, value_of))
        });
        let units: u64 = report.rules.iter().map(|totals| totals.units).sum();
        minijinja::context! {
            status => value_of(report.status),
            files => report.files,
            bytes => report.bytes,
            units => units,
            rules => Value::from_pairs(rules),
            roots => Value::from_pairs(roots),
            tops => self.0.tops(),
            removed => self.list(report.removed.len(), |context, index| {
                let context = Arc::clone(context);
                Some(Value::from_object(Removed { context, index }))
            }),
            jobs => self.list(report.jobs.len(), |context, index| {
                Some(context.job(context.report.jobs.get(index)?))
            }),
            problems => Value::from_iter(self.problems()),
            warnings => Value::from_iter(self.warnings()),
        }
    }

    fn list(&self, len: usize, element: fn(&Arc<Context>, usize) -> Option<Value>) -> Value {
        let context = Arc::clone(&self.0);
        Value::from_object(List {
            context,
            len,
            element,
        })
    }

    /// Failures, and breakers that hold something of what was asked for.
    pub fn problems(&self) -> Vec<Value> {
        let report = &self.0.report;
        let errors = report.errors.iter().map(|error| self.0.problem(error));
        let trips = breakers(&report.breaker);
        errors.chain(trips).collect()
    }

    /// Notes.
    pub fn warnings(&self) -> Vec<Value> {
        let notes = self.0.report.notes.iter();
        notes.map(|note| self.0.problem(note)).collect()
    }

    /// Jobs, each with what went of it, and what went by itself.
    pub fn blocks(&self) -> Vec<Block> {
        let report = &self.0.report;
        let jobs = report.jobs.iter().map(|job| {
            let things = job.directories.iter().chain(&job.files);
            let items: Vec<Value> = if job.record == JobRecord::Held {
                Vec::new()
            } else {
                things.map(|thing| self.0.thing(job, thing)).collect()
            };
            Block {
                thing: RemovedThing::Job {
                    source: job.source.clone(),
                    id: job.id.clone(),
                    rule: job.rule.clone(),
                },
                job: Some(self.0.job(job)),
                items,
            }
        });
        let of_jobs = report.jobs.iter();
        let of_jobs: BTreeSet<(&str, &str)> = of_jobs.map(|job| (&*job.id, &*job.rule)).collect();
        let alone = report.removed.iter().enumerate().filter(|(_, item)| {
            let job = item.job.as_ref();
            job.is_none_or(|id| !of_jobs.contains(&(&**id, &*item.rule)))
        });
        let alone = alone.map(|(index, item)| {
            let context = Arc::clone(&self.0);
            Block {
                thing: RemovedThing::Path(item.path.decode().unwrap_or_default()),
                job: None,
                items: vec![Value::from_object(Removed { context, index })],
            }
        });
        jobs.chain(alone).collect()
    }
}

/// Breakers as problems.
fn breakers(breaker: &crate::types::Breaker) -> Vec<Value> {
    let json = serde_json::to_value(breaker).unwrap_or_default();
    let lists = ["tripped", "orphans"];
    let trips = lists.iter().filter_map(|list| json[*list].as_array());
    let texts = trips.flatten().map(|trip| {
        let of = trip["root"]
            .as_str()
            .or(trip["source"].as_str())
            .unwrap_or("?");
        let why = match trip["why"].as_str() {
            Some(why) => why.to_owned(),
            None => format!(
                "{} of {} would go at once",
                number(&trip["due"]),
                number(&trip["of"])
            ),
        };
        format!("the breaker holds {of}: {why}; look with `lapsed breaker show`, and release it")
    });
    texts
        .map(|text| minijinja::context! { text => text, kind => "breaker" })
        .collect()
}

fn number(value: &Json) -> u64 {
    value.as_u64().unwrap_or(0)
}

//! Invented results, on which templates are tried when the configuration is loaded: a mistake shows
//! then, and not after files were removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::context::{Facts, SourceFacts};
use super::declaration::{Action, Adapter, Command, Endpoint};
use super::log_line::LogLevel;
use super::operation::Operation;
use super::params::{Param, ParamEffect, ParamKind, Params};
use super::progress::LogProgress;
use super::templates::TemplateError;
use crate::core::claim::Unit;
use crate::core::jobs::Status;
use crate::core::policy::{Record, Since};
use crate::core::run::RunStatus;
use crate::types::{
    Breaker, CleanOrder, ErrorKind, JobRecord, JsonPath, Report, ReportError, ReportItem,
    ReportJob, ReportThing, RootSettings, RootSpace, RootTotals, RuleSettings, RuleSpace,
    RuleTotals, ScheduleSettings, Settings, Space,
};

const STARTED: &str = "2024-01-20T02:00:01.123Z";
const FINISHED: &str = "2024-01-20T02:00:05.789Z";
const BEFORE: &str = "2024-01-13T14:23:45.000Z";

/// The most names that a trial has: a configuration with thousands of rules is loaded quickly.
const NAMES_MAX: usize = 100;

/// Names that the results are invented for.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    settings: Settings,
}

/// The key whose template failed, with the mistake.
type Tried<T> = Result<T, (&'static str, TemplateError)>;

impl Sample {
    /// Results in `base_dir` for these rules, and roots with their paths, and schedules.
    #[must_use]
    pub fn new<'a>(
        base_dir: &str,
        rules: impl IntoIterator<Item = &'a str>,
        roots: impl IntoIterator<Item = (&'a str, &'a str)>,
        schedules: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let rules = rules.into_iter().map(|name| RuleSettings {
            name: name.to_owned(),
            expire: Some(604_800.into()),
            schedule: None,
            roots: Vec::new(),
            since: Since::Newest,
            unit: Unit::File,
            job: None,
            record: Record::Keep,
            enabled: true,
        });
        let roots = roots.into_iter().map(|(name, path)| RootSettings {
            name: name.to_owned(),
            path: JsonPath {
                path: path.to_owned(),
                path_b64: None,
            },
            written: path.to_owned(),
        });
        let schedules = schedules.into_iter().map(|name| ScheduleSettings {
            name: name.to_owned(),
            at: Some("0 3 * * *".to_owned()),
            every: None,
            on_start: false,
            enabled: true,
            next: Some(FINISHED.to_owned()),
        });
        Self {
            settings: Settings {
                base_dir: base_dir.to_owned(),
                rules: rules.take(NAMES_MAX).collect(),
                roots: roots.take(NAMES_MAX).collect(),
                schedules: schedules.take(NAMES_MAX).collect(),
                ..Settings::default()
            },
        }
    }

    /// Tries everything that `command` renders.
    ///
    /// # Errors
    /// The first mistake, with the key that it is in.
    pub fn try_command(&self, adapter: &Adapter, command: &Command) -> Tried<()> {
        for facts in self.trials(&command.action) {
            self.try_request(adapter, &command.action, &facts)?;
            for (key, template, is_json) in [
                ("text", &command.text, false),
                ("json", &command.json, true),
            ] {
                if let Some(template) = template {
                    adapter
                        .output(template, is_json, &facts)
                        .map_err(|error| (key, error))?;
                }
            }
            let log = adapter.log_at_start(command, LogLevel::Debug, &facts);
            log.map_err(|error| ("log", error))?;
            let told = LogProgress::default();
            let log = adapter.log_of_run(command, LogLevel::Debug, &facts, &told);
            log.map_err(|error| ("log", error))?;
            for file in &command.files {
                let name = adapter.file_name(&file.name, &facts);
                name.map_err(|error| ("files", error))?;
            }
        }
        Ok(())
    }

    /// Tries everything that `endpoint` renders, and returns an example of its answer.
    ///
    /// # Errors
    /// The first mistake, with the key that it is in.
    pub fn try_endpoint(&self, adapter: &Adapter, endpoint: &Endpoint) -> Tried<String> {
        let mut example = String::new();
        for facts in self.trials(&endpoint.action) {
            self.try_request(adapter, &endpoint.action, &facts)?;
            example = adapter
                .answer(endpoint, &facts)
                .map_err(|error| ("answer", error))?;
        }
        Ok(example)
    }

    fn try_request(&self, adapter: &Adapter, action: &Action, facts: &Facts) -> Tried<()> {
        if !matches!(action.operation, Operation::Clean | Operation::Stats) {
            return Ok(());
        }
        if action.operation == Operation::Stats && action.request.is_none() {
            return Ok(());
        }
        let order = adapter
            .order(action, facts)
            .map_err(|error| ("request", error))?;
        self.check_names(&order).map_err(|why| {
            let error = TemplateError {
                why,
                line: None,
                included: None,
            };
            ("request", error)
        })
    }

    fn check_names(&self, order: &CleanOrder) -> Result<(), String> {
        let rules: BTreeSet<&str> = self.settings.rules.iter().map(|rule| &*rule.name).collect();
        let roots: BTreeSet<&str> = self.settings.roots.iter().map(|root| &*root.name).collect();
        if rules.len() == NAMES_MAX || roots.len() == NAMES_MAX {
            return Ok(());
        }
        let named = order.rules.iter().flatten().map(String::as_str);
        let retained = order.retention.keys().map(String::as_str);
        let retained = retained.filter(|name| *name != "*");
        if let Some(name) = named.chain(retained).find(|name| !rules.contains(name)) {
            return Err(format!("names a rule that there is not: {name:?}"));
        }
        let mut named = order.roots.iter().flatten();
        match named.find(|name| !roots.contains(name.as_str())) {
            Some(name) => Err(format!("names a root that there is not: {name:?}")),
            None => Ok(()),
        }
    }

    /// Facts to try: of nothing, and of one of everything, each with and without parameters.
    fn trials(&self, action: &Action) -> Vec<Facts> {
        let mut operations = vec![action.operation];
        let params = action.params.iter();
        operations.extend(params.filter_map(|param| match param.effect {
            Some(ParamEffect::Operation(operation)) => Some(operation),
            _ => None,
        }));
        let mut trials = Vec::new();
        for operation in operations {
            for is_full in [false, true] {
                let is_asked = |param: &&Param| match param.effect {
                    Some(ParamEffect::Operation(wanted)) => wanted == operation,
                    _ => is_full,
                };
                let given = action.params.iter().filter(is_asked);
                let given = given.filter_map(|param| {
                    Some((
                        *param.places.first()?,
                        param.name.clone(),
                        example_of(param),
                    ))
                });
                let params = Params::read(&action.params, given).unwrap_or_default();
                trials.push(self.facts(operation, params, is_full));
            }
        }
        trials
    }

    fn facts(&self, operation: Operation, params: Params, is_full: bool) -> Facts {
        let report = || Arc::new(if is_full { self.report() } else { empty() });
        let answer = |name| (name, serde_json::json!({}));
        let space = Some(self.space(is_full));
        Facts {
            params,
            settings: self.settings.clone(),
            run: is_full.then_some(7),
            is_dry_run: !is_full,
            started: STARTED.to_owned(),
            finished: FINISHED.to_owned(),
            before: space.clone(),
            after: space,
            report: (operation == Operation::Clean).then(report),
            answer: match operation {
                Operation::Status => Some(answer("status")),
                Operation::History => Some(answer("history")),
                Operation::Clean | Operation::Stats | Operation::Settings => None,
            },
            sources: vec![SourceFacts {
                source: "jobs".to_owned(),
                sql: "SELECT 1".to_owned(),
                rows: 1,
            }],
            ..Facts::default()
        }
    }

    fn space(&self, is_full: bool) -> Space {
        let number = u64::from(is_full);
        let roots = self.settings.roots.iter().map(|root| RootSpace {
            root: root.name.clone(),
            path: root.path.clone(),
            files: number,
            bytes: number,
            top_files: number,
            top_directories: number,
        });
        let rules = self.settings.rules.iter().map(|rule| RuleSpace {
            rule: rule.name.clone(),
            files: number,
            bytes: number,
            due_files: number,
            due_bytes: number,
        });
        Space {
            roots: roots.collect(),
            rules: rules.collect(),
        }
    }

    /// One of everything.
    fn report(&self) -> Report {
        let root = self.settings.roots.first();
        let (root, at) = root.map_or(("root", "/root"), |root| (&root.name, &root.path.path));
        let path = |name: &str| JsonPath {
            path: format!("{at}/{name}"),
            path_b64: None,
        };
        let item = |rule: &RuleSettings, root: &str| ReportItem {
            path: path("a \"file\".tif"),
            root: root.to_owned(),
            unit: Unit::File,
            rule: rule.name.clone(),
            job: Some("job".to_owned()),
            since: BEFORE.to_owned(),
            deadline: BEFORE.to_owned(),
            files: 1,
            bytes: 1_572_864,
            limit: None,
            hold: None,
            why: None,
        };
        let thing = |name: &str| ReportThing {
            path: path(name),
            root: root.to_owned(),
            files: 1,
            bytes: 1_572_864,
        };
        let job = |rule: &RuleSettings, record| ReportJob {
            id: "job-20240113-123456".to_owned(),
            source: "jobs".to_owned(),
            kind: None,
            status: Status::Completed,
            rule: rule.name.clone(),
            created_at: Some(BEFORE.to_owned()),
            started_at: None,
            completed_at: Some(BEFORE.to_owned()),
            error: None,
            columns: None,
            files: vec![thing("job_dem.tif")],
            directories: vec![thing("job")],
            file_count: 2,
            bytes: 3_145_728,
            record,
            hold: None,
            why: None,
        };
        let rules = &self.settings.rules;
        let roots = &self.settings.roots;
        let jobs = rules.iter().flat_map(|rule| {
            [
                job(rule, JobRecord::Marked),
                job(rule, JobRecord::Forgotten),
            ]
        });
        let problem = |kind| ReportError {
            path: Some(path("x")),
            source: Some("jobs".to_owned()),
            ..ReportError::new(kind, "Permission denied".to_owned())
        };
        Report {
            run: Some(7),
            dry_run: false,
            status: RunStatus::Errors,
            started: STARTED.to_owned(),
            finished: FINISHED.to_owned(),
            files: 1,
            bytes: 1_572_864,
            rules: rules
                .iter()
                .map(|rule| RuleTotals {
                    rule: rule.name.clone(),
                    files: 1,
                    directories: 1,
                    units: 1,
                    jobs: 1,
                    bytes: 1_572_864,
                })
                .collect(),
            roots: roots
                .iter()
                .map(|root| RootTotals {
                    root: root.name.clone(),
                    files: 1,
                    directories: 1,
                    units: 1,
                    jobs: 1,
                    bytes: 1_572_864,
                })
                .collect(),
            removed: rules
                .iter()
                .flat_map(|rule| roots.iter().map(move |root| item(rule, &root.name)))
                .take(NAMES_MAX)
                .collect(),
            jobs: jobs.collect(),
            errors: vec![problem(ErrorKind::Removal)],
            notes: vec![problem(ErrorKind::Source)],
            ..empty()
        }
    }
}

/// The report of a run that found nothing.
fn empty() -> Report {
    Report {
        run: None,
        dry_run: true,
        status: RunStatus::Done,
        started: STARTED.to_owned(),
        finished: FINISHED.to_owned(),
        files: 0,
        bytes: 0,
        rules: Vec::new(),
        roots: Vec::new(),
        removed: Vec::new(),
        held: Vec::new(),
        holds: Vec::new(),
        errors: Vec::new(),
        notes: Vec::new(),
        jobs: Vec::new(),
        breaker: Breaker::default(),
    }
}

fn example_of(param: &Param) -> Json {
    match &param.kind {
        ParamKind::Bool | ParamKind::Flag => true.into(),
        ParamKind::Integer | ParamKind::Number => {
            let value = param
                .max
                .unwrap_or(1.0)
                .min(param.min.unwrap_or(0.0).max(1.0));
            #[expect(clippy::cast_possible_truncation, reason = "an example")]
            Json::from(value as i64)
        }
        ParamKind::String => "a \"word\" {{ x }}".into(),
        ParamKind::Path => "/srv/app".into(),
        ParamKind::Choice(words) => words.first().cloned().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Templates;

    /// Facts of a run with `count` removals of the first rule.
    fn of(count: usize) -> (Facts, Sample) {
        let sample = Sample::new("/srv", ["old"], [("jobs", "/srv/jobs")], []);
        let mut report = sample.report();
        let item = report.removed[0].clone();
        let removed = (0..count).map(|number| ReportItem {
            path: JsonPath {
                path: format!("/srv/jobs/{}/{number}.tif", number % 100),
                path_b64: None,
            },
            ..item.clone()
        });
        report.removed = removed.collect();
        let facts = Facts {
            report: Some(Arc::new(report)),
            ..sample.facts(Operation::Settings, Params::default(), true)
        };
        (facts, sample)
    }

    #[test]
    fn a_report_of_a_hundred_thousand_removals_has_enough_steps() {
        let (facts, _) = of(100_000);
        let mut templates = Templates::new(&jiff::tz::TimeZone::UTC);
        let source = r#"{
            "names": {{ report.removed | selectattr("rule", "eq", "old") | map(attribute="name") | list }},
            "all": [{% for item in report.removed %}{"path": {{ item.relative }}, "at": {{ item.since | isoformat }}, "mb": {{ item.bytes | mb | round(1) }}},{% endfor %}],
            "tops": {{ report.tops | map(attribute="files") | list }},
        }"#;
        let template = templates.add_json("it".into(), source).unwrap();
        let text = templates.render_json(&template, &facts.context(), facts.items());
        let value: Json = serde_json::from_str(&text.unwrap()).unwrap();
        assert_eq!(value["names"].as_array().unwrap().len(), 100_000);
        assert_eq!(value["all"][99_999]["path"], "jobs/99/99999.tif");
        assert_eq!(value["tops"][99], 1000);
    }

    #[test]
    fn names_that_a_request_must_not_have_are_found() {
        let (_, sample) = of(1);
        let order = |rules: &[&str]| CleanOrder {
            rules: Some(rules.iter().map(|name| (*name).to_owned()).collect()),
            ..CleanOrder::default()
        };
        assert_eq!(sample.check_names(&order(&["old"])), Ok(()));
        assert!(sample.check_names(&order(&["odl"])).is_err());
    }
}

//! An assumed result of the operation: the backend that a replayed request meets.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::{Exchange, ExchangeError};
use crate::adapter::run::Backend;
use crate::adapter::{Adapter, OnRemoved, SourceFacts};
use crate::types::{CleanOrder, Report, Run, Settings, Space};

/// Members that hold a path.
const PATH: &str = "path";

/// The backend.
pub(super) struct Recorded {
    settings: Settings,
    report: Report,
    before: Space,
    after: Space,
    /// The order that came.
    pub(super) order: Option<Json>,
    is_cleaned: bool,
}

impl Recorded {
    pub(super) fn new(
        settings: &Settings,
        exchange: &Exchange,
        adapter: &Adapter,
    ) -> Result<Self, ExchangeError> {
        let settings = moved(settings, exchange.base_dir.as_deref());
        let base_dir = settings.base_dir.clone();
        let read = |name, text: &Option<String>| -> Result<Json, ExchangeError> {
            let text = text.as_deref().unwrap_or("{}");
            let mut value: Json = serde_json::from_str(text)
                .map_err(|error| ExchangeError::Member(name, error.to_string()))?;
            complete(&mut value, &base_dir, &adapter.zone);
            Ok(value)
        };
        let report = with_defaults(read("result", &exchange.result)?);
        Ok(Self {
            report: typed("result", report)?,
            before: typed("before", spaces(read("before", &exchange.before)?))?,
            after: typed("after", spaces(read("after", &exchange.after)?))?,
            settings,
            order: None,
            is_cleaned: false,
        })
    }

    /// Start of the assumed run.
    pub(super) fn started(&self) -> &str {
        &self.report.started
    }

    fn note(&mut self, order: &CleanOrder) {
        let mut order = serde_json::to_value(order).unwrap_or_default();
        if let Some(members) = order.as_object_mut() {
            // What every order has, and none of an adapter sets.
            members.retain(|name, value| {
                let is_empty = match value {
                    Json::Array(list) => list.is_empty() && name != "rules",
                    Json::Object(map) => map.is_empty(),
                    Json::Null | Json::Bool(false) => name != "dry_run",
                    _ => false,
                };
                !is_empty
            });
        }
        self.order = Some(order);
    }
}

impl Backend for Recorded {
    type Error = ExchangeError;

    async fn settings(&mut self) -> Result<Settings, ExchangeError> {
        Ok(self.settings.clone())
    }

    async fn prepare(&mut self, order: Option<&CleanOrder>) -> Result<(), ExchangeError> {
        if let Some(order) = order {
            self.note(order);
        }
        Ok(())
    }

    async fn space(&mut self, _: &BTreeMap<String, String>) -> Result<Space, ExchangeError> {
        let space = if self.is_cleaned {
            &self.after
        } else {
            &self.before
        };
        Ok(space.clone())
    }

    fn sources(&self) -> Vec<SourceFacts> {
        Vec::new()
    }

    async fn clean(
        &mut self,
        order: CleanOrder,
        _: Option<OnRemoved>,
    ) -> Result<Report, ExchangeError> {
        self.is_cleaned = true;
        Ok(Report {
            dry_run: order.dry_run || self.settings.dry_run,
            ..self.report.clone()
        })
    }

    async fn last_run(&mut self) -> Result<Option<Run>, ExchangeError> {
        Ok(None)
    }

    async fn status(&mut self) -> Result<Json, ExchangeError> {
        Ok(json!({}))
    }

    async fn history(&mut self) -> Result<Json, ExchangeError> {
        Ok(json!({}))
    }
}

/// The settings as they would be in `base_dir`.
fn moved(settings: &Settings, base_dir: Option<&str>) -> Settings {
    let mut settings = settings.clone();
    let Some(to) = base_dir else {
        return settings;
    };
    let from = std::mem::replace(&mut settings.base_dir, to.to_owned());
    for root in &mut settings.roots {
        if let Ok(below) = Path::new(&root.path.path).strip_prefix(&from) {
            root.path.path = below_dir(to, below);
        }
    }
    settings
}

fn below_dir(dir: &str, path: &Path) -> String {
    let joined = Path::new(dir).join(path);
    joined
        .components()
        .collect::<std::path::PathBuf>()
        .display()
        .to_string()
}

/// Makes paths absolute, and gives instants the zone that they mean.
fn complete(value: &mut Json, base_dir: &str, zone: &TimeZone) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                match member {
                    Json::String(path) if name == PATH => {
                        *path = below_dir(base_dir, Path::new(path.as_str()));
                    }
                    member => complete(member, base_dir, zone),
                }
            }
        }
        Json::Array(list) => list
            .iter_mut()
            .for_each(|element| complete(element, base_dir, zone)),
        Json::String(text) => {
            if let Some(at) = instant(text, zone) {
                *text = at;
            }
        }
        _ => {}
    }
}

/// The instant that a date and a time of day without a zone mean in `zone`.
fn instant(text: &str, zone: &TimeZone) -> Option<String> {
    if text.len() < "2024-01-20T02:00".len() || text.parse::<jiff::Timestamp>().is_ok() {
        return None;
    }
    let local: DateTime = text.parse().ok()?;
    let at = zone.to_zoned(local).ok()?;
    Some(at.timestamp().to_string())
}

fn typed<T: DeserializeOwned>(name: &'static str, value: Json) -> Result<T, ExchangeError> {
    serde_json::from_value(value).map_err(|error| ExchangeError::Member(name, error.to_string()))
}

/// Adds the members of `defaults` that `value` does not have.
fn add(value: &mut Json, defaults: Json) {
    if let (Some(members), Json::Object(defaults)) = (value.as_object_mut(), defaults) {
        for (name, default) in defaults {
            members.entry(name).or_insert(default);
        }
    }
}

/// Adds `defaults` to each element of a list.
fn add_to_each(value: &mut Json, list: &str, defaults: &Json) {
    let elements = value.get_mut(list).and_then(Json::as_array_mut);
    for element in elements.into_iter().flatten() {
        add(element, defaults.clone());
    }
}

fn with_defaults(mut report: Json) -> Json {
    let epoch = "1970-01-01T00:00:00Z";
    let started = report.get("started").cloned().unwrap_or(epoch.into());
    let totals = json!({"files": 0, "directories": 0, "units": 0, "jobs": 0, "bytes": 0});
    let item = json!({
        "root": "", "unit": "file", "rule": "", "job": null, "since": started, "deadline": started,
        "files": 1, "bytes": 0, "hold": null,
    });
    let thing = json!({"root": "", "files": 1, "bytes": 0});
    let job = json!({
        "source": "", "status": "completed", "rule": "", "kind": null, "created_at": null,
        "started_at": null, "completed_at": null, "error": null, "columns": {}, "files": [],
        "directories": [], "file_count": 0, "bytes": 0, "record": "kept",
    });
    for list in ["rules", "roots"] {
        add_to_each(&mut report, list, &totals);
    }
    for list in ["removed", "held"] {
        add_to_each(&mut report, list, &item);
    }
    for list in ["errors", "notes"] {
        add_to_each(&mut report, list, &json!({"kind": "removal", "why": ""}));
    }
    add_to_each(&mut report, "jobs", &job);
    let jobs = report.get_mut("jobs").and_then(Json::as_array_mut);
    for job in jobs.into_iter().flatten() {
        add_to_each(job, "files", &thing);
        add_to_each(job, "directories", &thing);
    }
    let has_errors = report["errors"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    let status = if has_errors { "errors" } else { "done" };
    let breaker = serde_json::to_value(crate::types::Breaker::default()).unwrap_or_default();
    add(
        &mut report,
        json!({
            "run": 1, "dry_run": false, "status": status, "started": started, "finished": started,
            "files": 0, "bytes": 0, "rules": [], "roots": [], "removed": [], "held": [],
            "holds": [], "errors": [], "notes": [], "jobs": [], "breaker": breaker,
        }),
    );
    report
}

fn spaces(mut space: Json) -> Json {
    let root = json!({"path": "", "files": 0, "bytes": 0, "top_files": 0, "top_directories": 0});
    let rule = json!({"files": 0, "bytes": 0, "due_files": 0, "due_bytes": 0});
    add_to_each(&mut space, "roots", &root);
    add_to_each(&mut space, "rules", &rule);
    add(&mut space, json!({"roots": [], "rules": []}));
    space
}

//! Answer of `check` to programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Report, settings};
use crate::app::survey::{Example, RootFindings, RuleFindings, SourceFindings};
use crate::cli::commands::describe;
use crate::core::policy::{Policy, Root, Rule};
use crate::core::report::SourcePhase;
use crate::core::template::Template;
use crate::types::JsonPath;

/// One object. What was found is only there where somebody looked.
pub(super) fn of(report: &Report) -> Value {
    let settings = &report.settings;
    let found = report.found.as_ref().map(|(findings, _)| findings);
    let roots = report.policy.roots.iter().map(|(id, root)| {
        let found = found.and_then(|found| found.roots.get(id));
        merged(of_root(report, root), found.map(found_of_root))
    });
    let rules = report.policy.rules.iter().enumerate().map(|(place, rule)| {
        let found = found.and_then(|found| found.rules.get(place));
        merged(
            of_rule(&report.policy, rule, true),
            found.map(|found| found_of_rule(&report.policy, found)),
        )
    });
    let disabled = report.policy.disabled_rules.iter();
    let rules = rules.chain(disabled.map(|rule| of_rule(&report.policy, rule, false)));
    let sources = settings::asked(settings, &report.policy).filter_map(|(id, asked)| {
        let source = report.policy.sources.get(&id)?;
        let map = source.path_map.iter();
        let map: BTreeMap<_, _> = map
            .map(|(prefix, target)| (prefix.to_string_lossy(), target.to_string_lossy()))
            .collect();
        let source = json!({
            "name": asked.name,
            "kind": asked.kind.as_str(),
            "path_map": map,
            "text": describe::source(source, asked),
        });
        let found = found.and_then(|found| found.sources.get(&id));
        Some(merged(source, found.map(found_of_source)))
    });
    json!({
        "sound": true,
        "file": settings.file.as_ref().map(|file| file.to_string_lossy()),
        "state_dir": settings.state_dir.to_string_lossy(),
        "socket": settings.socket.to_string_lossy(),
        "at": report.found.as_ref().map(|(_, at)| at.to_string()),
        "sources": sources.collect::<Vec<_>>(),
        "roots": roots.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "unread": report.unread,
        "warnings": report.warnings,
    })
}

fn merged(mut one: Value, more: Option<Value>) -> Value {
    if let (Value::Object(one), Some(Value::Object(more))) = (&mut one, more) {
        one.extend(more);
    }
    one
}

fn of_root(report: &Report, root: &Root) -> Value {
    let path = JsonPath::new(&root.path);
    let source = root.source.and_then(|id| report.policy.sources.get(&id));
    json!({
        "name": root.name,
        "path": path.path,
        "path_b64": path.path_b64,
        "present": root.path.is_dir(),
        "source": source.map(|source| &source.name),
        "orphans": root.orphans.as_ref().map(Template::as_str),
    })
}

fn found_of_root(found: &RootFindings) -> Value {
    let held = found.held.iter().map(
        |(code, held)| json!({"code": code, "files": held.files, "why": held.hold.to_string()}),
    );
    json!({
        "files": found.all.files,
        "bytes": found.all.bytes,
        "unmatched": found.unmatched,
        "kept": found.kept,
        "left": found.left,
        "held": held.collect::<Vec<_>>(),
        "breaker": found.trip.map(|trip| json!({"due": trip.due, "of": trip.of, "what": trip.what})),
        "missing": found.missing,
        "owners": {"known": found.known.len(), "unknown": found.unknown.len()},
    })
}

fn of_rule(policy: &Policy, rule: &Rule, is_enabled: bool) -> Value {
    json!({
        "name": rule.name,
        "enabled": is_enabled,
        "schedule": rule.schedule.text(),
        "unit": rule.unit.as_str(),
        "since": rule.since.as_str(),
        "expire_ms": rule.expire_ms,
        "record": rule.record.as_str(),
        "text": describe::rule(policy, rule),
    })
}

fn found_of_rule(policy: &Policy, found: &RuleFindings) -> Value {
    let example = |example: &Example| of_example(policy, example);
    json!({
        "matched": found.matched,
        "now": {
            "files": found.now.files,
            "bytes": found.now.bytes,
            "held": found.held,
            "jobs": found.jobs.len(),
            "examples": found.examples.iter().map(example).collect::<Vec<_>>(),
        },
        "next": found.next.as_ref().map(example),
    })
}

fn of_example(policy: &Policy, example: &Example) -> Value {
    let root = policy.roots.get(&example.root);
    let path = root.map_or_else(JsonPath::default, |root| {
        JsonPath::new(&example.path.below(&root.path))
    });
    json!({"at": example.at.to_string(), "path": path.path, "path_b64": path.path_b64})
}

fn found_of_source(found: &SourceFindings) -> Value {
    let (state, why) = match &found.phase {
        SourcePhase::Ready => ("ready", None),
        SourcePhase::Loading => ("loading", None),
        SourcePhase::Down { why } => ("down", Some(why)),
    };
    json!({
        "state": state,
        "why": why,
        "breaker": found.trip,
        "jobs": found.jobs,
        "running": found.running,
        "refused_claims": found.refused,
    })
}

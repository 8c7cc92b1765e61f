//! `lapsed check`: validates the configuration, and says in plain words what it will do.

use serde_json::json;

use super::app::{Context, End, Watching};
use super::{describe, human};
use crate::api::json_path::JsonPath;
use crate::config::{Settings, SourceSettings};
use crate::core::jobs::SourceId;
use crate::core::policy::{JobFilter, Rule};
use crate::core::report::{Breaker, Mode};
use crate::core::template::Template;
use crate::service::misfits;

pub(super) fn run(context: &mut Context, watching: &Watching) -> anyhow::Result<End> {
    let settings = context.settings(watching)?;
    let misfits = misfits(&settings.sources);
    if !misfits.is_empty() {
        anyhow::bail!(misfits.join("\n"));
    }
    if context.is_json() {
        context.output.json(&object(&settings))?;
        return Ok(End::Done);
    }
    for sentence in sentences(&settings) {
        context.output.line(&human::safe(&sentence))?;
    }
    Ok(End::Done)
}

fn object(settings: &Settings) -> serde_json::Value {
    let roots = settings.policy.roots.values().map(|root| {
        let path = JsonPath::new(&root.path);
        let source = root.source.and_then(|id| settings.policy.sources.get(&id));
        json!({
            "name": root.name,
            "path": path.path,
            "path_b64": path.path_b64,
            "present": root.path.is_dir(),
            "source": source.map(|source| &source.name),
            "orphans": root.orphans.as_ref().map(Template::as_str),
        })
    });
    let rules = settings.policy.rules.iter().map(|rule| {
        json!({
            "name": rule.name,
            "unit": rule.unit.as_str(),
            "since": rule.since.as_str(),
            "expire_ms": rule.expire_ms,
            "record": rule.record.as_str(),
            "text": describe::rule(&settings.policy, rule),
        })
    });
    let sources = described(settings).map(
        |(asked, text)| json!({"name": asked.name, "kind": asked.kind.as_str(), "text": text}),
    );
    json!({
        "sound": true,
        "file": settings.file.as_ref().map(|file| file.to_string_lossy()),
        "state_dir": settings.state_dir.to_string_lossy(),
        "socket": settings.socket.to_string_lossy(),
        "sources": sources.collect::<Vec<_>>(),
        "roots": roots.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn sentences(settings: &Settings) -> Vec<String> {
    let mut lines = vec![match &settings.file {
        Some(file) => format!("\"{}\" is sound", file.display()),
        None => "the command line is sound".to_owned(),
    }];
    let sources: Vec<_> = described(settings).map(|(_, text)| text).collect();
    let have_jobs = !sources.is_empty();
    lines.extend(sources);
    for root in settings.policy.roots.values() {
        let may_be_created = settings.create.contains(&root.path);
        lines.push(describe::root(&settings.policy, root, may_be_created));
    }
    for rule in &settings.policy.rules {
        lines.push(describe::rule(&settings.policy, rule));
    }
    if have_jobs {
        lines.push("jobs that have not ended lose nothing, whatever their age".to_owned());
    }
    lines.push("whatever no rule matches is kept for ever".to_owned());
    lines.push(format!(
        "when more than {} entries and more than {} % of a root become due at once, a person is asked first",
        human::count(settings.breaker.entries),
        settings.breaker.share * 100.0
    ));
    let takes_orphans = |rule: &Rule| rule.jobs == JobFilter::Nobody;
    if settings.policy.rules.iter().any(takes_orphans) {
        lines.push(describe_ceilings(&settings.breaker));
    }
    match settings.mode {
        Mode::Live | Mode::OnRequest => {}
        Mode::DryRun => lines.push("dry run: nothing is removed".to_owned()),
    }
    lines.push(format!(
        "state in \"{}\", socket at \"{}\" (mode {:04o}); {} may act",
        settings.state_dir.display(),
        settings.socket.display(),
        settings.socket_mode,
        match &settings.group {
            Some(group) => format!("root, the daemon's user and members of group \"{group}\""),
            None => "root and the daemon's user".to_owned(),
        }
    ));
    lines
}

/// The sources, each with a sentence; without the one that is always there, where nothing asks it.
fn described(settings: &Settings) -> impl Iterator<Item = (&SourceSettings, String)> {
    let policy = &settings.policy;
    let is_asked = |id: SourceId| {
        let by_root = policy.roots.values().any(|root| root.source == Some(id));
        let named = |rule: &Rule| rule.sources.as_ref().is_some_and(|ids| ids.contains(&id));
        by_root || policy.rules.iter().any(named)
    };
    let is_implied = |asked: &SourceSettings| asked.name == "api";
    settings
        .sources
        .iter()
        .filter(move |&(&id, asked)| is_asked(id) || !is_implied(asked))
        .filter_map(|(id, asked)| Some((asked, describe::source(policy.sources.get(id)?, asked))))
}

fn describe_ceilings(breaker: &Breaker) -> String {
    let bytes = breaker
        .orphan_bytes
        .map(|bytes| format!(" or {}", human::size(bytes)))
        .unwrap_or_default();
    format!(
        "when more than {} entries{bytes} that belong to nobody would go from a root within an hour, or more than {} entries and {} % \
         of it, a person is asked first, too",
        human::count(breaker.orphan_entries),
        human::count(breaker.entries),
        breaker.orphan_share * 100.0
    )
}

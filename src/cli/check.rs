//! `lapsed check`: validates the configuration, and says in plain words what it will do.

use std::fmt::Write as _;

use serde_json::json;

use super::app::{Context, End, Watching};
use super::human;
use crate::api::json_path::JsonPath;
use crate::config::Settings;
use crate::core::claim::Unit;
use crate::core::policy::{Globs, Policy, Root, Rule, Schedule, Since, SkipOpen};
use crate::core::report::Mode;

pub(super) fn run(context: &mut Context, watching: &Watching) -> anyhow::Result<End> {
    let settings = context.settings(watching)?;
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
        json!({"name": root.name, "path": path.path, "path_b64": path.path_b64, "present": root.path.is_dir()})
    });
    let rules = settings.policy.rules.iter().map(|rule| {
        json!({
            "name": rule.name,
            "unit": rule.unit.as_str(),
            "since": rule.since.as_str(),
            "expire_ms": rule.expire_ms,
            "text": describe(&settings.policy, rule),
        })
    });
    json!({
        "sound": true,
        "file": settings.file.as_ref().map(|file| file.to_string_lossy()),
        "state_dir": settings.state_dir.to_string_lossy(),
        "socket": settings.socket.to_string_lossy(),
        "roots": roots.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn sentences(settings: &Settings) -> Vec<String> {
    let mut lines = vec![match &settings.file {
        Some(file) => format!("\"{}\" is sound", file.display()),
        None => "the command line is sound".to_owned(),
    }];
    for root in settings.policy.roots.values() {
        lines.push(describe_root(root, settings.create.contains(&root.path)));
    }
    for rule in &settings.policy.rules {
        lines.push(describe(&settings.policy, rule));
    }
    lines.push("whatever no rule matches is kept for ever".to_owned());
    lines.push(format!(
        "when more than {} entries and more than {} % of a root become due at once, a person is asked first",
        human::count(settings.breaker.entries),
        settings.breaker.share * 100.0
    ));
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

fn describe_root(root: &Root, may_be_created: bool) -> String {
    let presence = match (root.path.is_dir(), may_be_created) {
        (true, _) => "",
        (false, true) => ", which will be created",
        (false, false) => ", which is not there yet and is waited for",
    };
    let prune = if root.prune_empty_dirs {
        "; directories that a removal empties go, too"
    } else {
        ""
    };
    format!(
        "root \"{}\": {}{presence}{prune}",
        root.name,
        root.path.display()
    )
}

/// A rule in one sentence.
pub(super) fn describe(policy: &Policy, rule: &Rule) -> String {
    let what = match rule.unit {
        Unit::File => "files",
        Unit::Dir => "top-level directories as a whole",
    };
    let mut text = format!("rule \"{}\": {what}", rule.name);
    let _ = match &rule.roots {
        None => write!(text, " in every root"),
        Some(roots) => {
            let names: Vec<String> = roots
                .iter()
                .filter_map(|id| policy.roots.get(id))
                .map(|root| format!("\"{}\"", root.name))
                .collect();
            write!(text, " in {}", names.join(", "))
        }
    };
    if let Some(glob) = &rule.glob {
        let _ = write!(text, " that match {}", patterns(glob));
    }
    if let Some(exclude) = &rule.exclude {
        let _ = write!(text, ", except {} (left to later rules)", patterns(exclude));
    }
    let since = match (rule.since, rule.unit) {
        (Since::Newest, Unit::File) => "they were last touched in any way",
        (Since::Newest, Unit::Dir) => "anything in them was last touched in any way",
        (Since::Mtime, _) => "their content last changed (mtime)",
        (Since::Ctime, _) => "content, name or attributes last changed (ctime)",
        (Since::Btime, _) => "they were born (btime)",
    };
    let _ = match rule.expire_ms {
        None => write!(text, " are kept for ever"),
        Some(ms) => {
            let ttl = std::time::Duration::from_millis(ms.unsigned_abs());
            write!(
                text,
                " lapse {} after {since}",
                humantime::format_duration(ttl)
            )
        }
    };
    if let Some(keep) = &rule.keep {
        let _ = write!(text, "; {} stay for ever", patterns(keep));
    }
    text.push_str(match rule.schedule {
        Schedule::AtDeadline => "",
        Schedule::Manual => "; only when asked, through `lapsed clean`",
    });
    text.push_str(match rule.skip_open {
        SkipOpen::Always => "; open files wait",
        SkipOpen::IfKnown => "; open files wait where that can be known",
        SkipOpen::Never => "; open files go, too",
    });
    text
}

fn patterns(globs: &Globs) -> String {
    let patterns: Vec<String> = globs.patterns().map(|glob| format!("\"{glob}\"")).collect();
    patterns.join(", ")
}

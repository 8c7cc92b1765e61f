//! Settings in plain words, whatever the trees hold.

use super::Report;
use crate::cli::commands::describe;
use crate::cli::human;
use crate::config::{Keep, Settings, SourceSettings, VariablesFile};
use crate::core::jobs::SourceId;
use crate::core::policy::{JobFilter, NamedSchedule, Policy, Root, Rule};
use crate::core::report::{Breaker, Mode};

pub(super) fn headline(settings: &Settings) -> String {
    match &settings.file {
        Some(file) => format!("\"{}\" is sound", file.display()),
        None => "the command line is sound".to_owned(),
    }
}

pub(super) fn root(report: &Report, root: &Root) -> String {
    let may_be_created = report.settings.create.contains(&root.path);
    describe::root(&report.policy, root, may_be_created)
}

/// The sources, each with a sentence.
pub(super) fn sources(settings: &Settings, policy: &Policy) -> Vec<(SourceId, String)> {
    let sentence = |(id, asked)| {
        let source = policy.sources.get(&id)?;
        Some((id, describe::source(source, asked)))
    };
    asked(settings, policy).filter_map(sentence).collect()
}

/// The sources, without the one that is always there, where nothing asks it.
pub(super) fn asked<'s>(
    settings: &'s Settings,
    policy: &'s Policy,
) -> impl Iterator<Item = (SourceId, &'s SourceSettings)> {
    let is_asked = |id: SourceId| {
        let by_root = policy.roots.values().any(|root| root.source == Some(id));
        let named = |rule: &Rule| rule.sources.as_ref().is_some_and(|ids| ids.contains(&id));
        by_root || policy.rules.iter().any(named)
    };
    let is_implied = |asked: &SourceSettings| asked.name == "api";
    let all = settings.sources.iter().map(|(&id, asked)| (id, asked));
    all.filter(move |&(id, asked)| is_asked(id) || !is_implied(asked))
}

/// Files of variables, each with a sentence.
pub(super) fn variables(settings: &Settings) -> Vec<String> {
    let sentence = |file: &VariablesFile| {
        let path = file.path.display();
        match file.names {
            None => format!("variables come from \"{path}\" when it exists; it does not now"),
            Some(names) => {
                let names = human::counted(names as u64, "name", "names");
                let used = match file.used.len() {
                    0 => "none is used".to_owned(),
                    _ => format!("used: {}", file.used.join(", ")),
                };
                format!(
                    "variables come from \"{path}\" ({names}; {used}), after those of the process"
                )
            }
        }
    };
    settings.variables.iter().map(sentence).collect()
}

/// A rule that is switched off.
pub(super) fn disabled_rule(rule: &Rule) -> String {
    format!(
        "rule \"{}\" is switched off (enabled = false): it matches no file",
        rule.name
    )
}

/// Schedules, each with a sentence.
pub(super) fn schedules(settings: &Settings, policy: &Policy) -> Vec<String> {
    let sentence = |schedule: &NamedSchedule| {
        let name = &schedule.name;
        if !settings.automatic {
            return format!("schedule \"{name}\" does not run (automatic = false)");
        }
        if !schedule.is_enabled {
            return format!("schedule \"{name}\" is switched off (enabled = false)");
        }
        describe::schedule(policy, schedule)
    };
    policy.schedules.iter().map(sentence).collect()
}

/// Settings of the daemon as a whole.
pub(super) fn rest(settings: &Settings, policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    if asked(settings, policy).next().is_some() {
        lines.push("jobs that have not ended lose nothing, whatever their age".to_owned());
    }
    lines.push("whatever no rule matches is kept for ever".to_owned());
    lines.push(format!(
        "when more than {} and more than {} % of a root become due at once, a person is asked first",
        human::counted(settings.breaker.entries, "entry", "entries"),
        settings.breaker.share * 100.0
    ));
    let takes_orphans = |rule: &Rule| rule.jobs == JobFilter::Nobody;
    if policy.rules.iter().any(takes_orphans) {
        lines.push(ceilings(&settings.breaker));
    }
    if !settings.automatic {
        lines
            .push("automatic = false: nothing goes by itself, only with `lapsed clean`".to_owned());
    }
    if policy.cleans_at_start {
        lines.push(
            "clean_at_start: when the daemon starts, what is due goes once, whatever the schedules"
                .to_owned(),
        );
    }
    lines.extend(kept(settings.ledger.keep));
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

/// Retention of the ledger.
fn kept(keep: Keep) -> Option<String> {
    let age = keep
        .age
        .map(|age| format!("are older than {}", humantime::format_duration(age)));
    let bytes = keep
        .bytes
        .map(|bytes| format!("are together larger than {}", human::size(bytes)));
    let reasons: Vec<String> = age.into_iter().chain(bytes).collect();
    (!reasons.is_empty()).then(|| {
        format!(
            "closed segments of the ledger are dropped, the oldest first, when they {}",
            reasons.join(" or ")
        )
    })
}

fn ceilings(breaker: &Breaker) -> String {
    let bytes = breaker
        .orphan_bytes
        .map(|bytes| format!(" or {}", human::size(bytes)))
        .unwrap_or_default();
    format!(
        "when more than {}{bytes} that belong to nobody would go from a root within an hour, or more than {} and {} % \
         of it, a person is asked first, too",
        human::counted(breaker.orphan_entries, "entry", "entries"),
        human::counted(breaker.entries, "entry", "entries"),
        breaker.orphan_share * 100.0
    )
}

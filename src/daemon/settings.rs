//! Settings of the configuration, as clients see them.

use crate::config::Settings;
use crate::core::jobs::Status;
use crate::core::path::RelPath;
use crate::core::policy::{JobFilter, NamedSchedule, Policy, Rule};
use crate::core::recurrence::Recurrence;
use crate::core::report::Mode;
use crate::types::{self, JsonPath, RootSettings, RuleSettings, ScheduleSettings, seconds};

/// Word for orphans in the configuration.
const ORPHANS: &str = "none";

/// Returns `settings` for clients.
#[must_use]
pub fn describe(settings: &Settings) -> types::Settings {
    let policy = &settings.policy;
    let roots = policy.roots.iter().map(|(id, root)| {
        let written = settings.written.get(id);
        let path = JsonPath::new(&RelPath::root().below(&root.path));
        RootSettings {
            name: root.name.clone(),
            written: written.map_or_else(|| path.path.clone(), Clone::clone),
            path,
        }
    });
    let rules = policy.rules.iter().map(|rule| rule_of(rule, policy, true));
    let disabled = policy.disabled_rules.iter();
    let disabled = disabled.map(|rule| rule_of(rule, policy, false));
    types::Settings {
        file: settings
            .file
            .as_ref()
            .map(|file| file.display().to_string()),
        base_dir: settings.base_dir.display().to_string(),
        dry_run: settings.mode == Mode::DryRun,
        automatic: settings.automatic,
        clean_at_start: policy.cleans_at_start,
        roots: roots.collect(),
        rules: rules.chain(disabled).collect(),
        schedules: policy.schedules.iter().map(schedule_of).collect(),
    }
}

fn schedule_of(schedule: &NamedSchedule) -> ScheduleSettings {
    let times = schedule.times.as_ref();
    let every = times.and_then(Recurrence::interval_ms);
    ScheduleSettings {
        name: schedule.name.clone(),
        at: times
            .filter(|times| times.interval_ms().is_none())
            .map(|times| times.as_str().to_owned()),
        every: every.map(seconds),
        on_start: schedule.on_start,
        enabled: schedule.is_enabled,
        // The daemon tells it for the moment of the question.
        next: None,
    }
}

fn rule_of(rule: &Rule, policy: &Policy, enabled: bool) -> RuleSettings {
    let roots = policy.roots.iter().filter(|(id, _)| rule.applies_to(**id));
    RuleSettings {
        name: rule.name.clone(),
        expire: rule.expire_ms.map(seconds),
        schedule: rule.schedule.text().map(str::to_owned),
        roots: roots.map(|(_, root)| root.name.clone()).collect(),
        since: rule.since,
        unit: rule.unit,
        job: match &rule.jobs {
            JobFilter::Anyone => None,
            JobFilter::Nobody => Some(vec![ORPHANS.to_owned()]),
            JobFilter::Standing(statuses) => Some(statuses.iter().map(Status::to_string).collect()),
        },
        record: rule.record,
        enabled,
    }
}

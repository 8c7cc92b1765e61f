//! Files by root and rule: in the index, due, and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::app::calendar::Calendar;
use crate::app::daemon::{Daemon, root_name};
use crate::core::engine::Kept;
use crate::core::facts::{RootId, RuleId};
use crate::core::index::Forecast;
use crate::core::policy::{Policy, Rule, Schedule};
use crate::core::report::Status;
use crate::core::time::Timestamp;
use crate::core::totals::{Sum, TotalKey, Totals};
use crate::types::{self, Trigger};

type Lines = BTreeMap<(RootId, Option<RuleId>), types::RuleLine>;

/// A line for the files of each root under no rule, and one for each rule that applies to it.
pub(super) struct RuleFigures(Lines);

impl RuleFigures {
    /// Reads them from the index, the jobs and the totals. What is kept as the newest of its group
    /// is not due.
    pub(super) fn read(daemon: &Daemon, policy: &Policy, kept: &Kept, now: Timestamp) -> Self {
        let parts = &daemon.parts;
        // `/v1/stats` tells the error.
        let removed = daemon.totals.up_to_now(&parts.registry, &parts.ledger).ok();
        let mut lines = lines_of(policy, removed.as_ref());
        for usage in parts.index.usage_by_rule() {
            if let Some(line) = lines.get_mut(&(usage.root, usage.rule)) {
                (line.files, line.bytes) = (usage.files, usage.bytes);
            }
        }
        let mut add = |part: Forecast| {
            let line = lines.entry((part.root, Some(part.rule))).or_default();
            line.due.add(part.files, part.bytes);
        };
        let index = &*parts.index;
        index.forecast(None, now).into_iter().for_each(&mut add);
        let jobs = &parts.jobs;
        jobs.each_deadline((index, policy), now, |_, part| add(part));
        for (_, part) in kept.until(now) {
            if let Some(line) = lines.get_mut(&(part.root, Some(part.rule))) {
                line.due.remove(part.files, part.bytes);
            }
        }
        Self(lines)
    }

    /// Takes the lines of `root` out.
    pub(super) fn take(&mut self, root: RootId) -> Vec<types::RuleLine> {
        let of_root = (root, None)..=(root, Some(RuleId(u16::MAX)));
        let lines = self.0.range_mut(of_root);
        lines.map(|(_, line)| std::mem::take(line)).collect()
    }
}

fn lines_of(policy: &Policy, removed: Option<&Totals>) -> Lines {
    let mut lines = Lines::new();
    for &root in policy.roots.keys() {
        lines.insert((root, None), types::RuleLine::default());
        let rules = policy.each_rule().filter(|(_, rule)| rule.applies_to(root));
        for (id, rule) in rules {
            let root_name = root_name(policy, root);
            let line = types::RuleLine {
                rule: Some(rule.name.clone()),
                trigger: Some(trigger(policy, id)),
                removed: removed.map(|removed| removed_under(removed, root_name, rule)),
                ..types::RuleLine::default()
            };
            lines.insert((root, Some(id)), line);
        }
    }
    lines
}

fn trigger(policy: &Policy, id: RuleId) -> Trigger {
    match policy.rule(id).schedule {
        Schedule::AtDeadline => Trigger::Deadline,
        _ if !policy.recurrences(id).is_empty() => Trigger::Schedule,
        Schedule::Manual => Trigger::Asked,
        Schedule::Named => Trigger::Named,
        Schedule::At(_) => Trigger::Schedule,
    }
}

fn removed_under(removed: &Totals, root: &str, rule: &Rule) -> types::RemovalSum {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let key = TotalKey {
        day: String::new(),
        root: root.to_owned(),
        rule: rule.name.clone(),
    };
    let Sum {
        units,
        files,
        bytes,
        displaced,
    } = removed.sums.get(&key).copied().unwrap_or_default();
    types::RemovalSum {
        units: number(units),
        files: number(files),
        bytes: number(bytes),
        displaced: number(displaced),
    }
}

/// Counts what is due: what is removed without a request, and what waits for its schedule or a
/// request.
pub(super) fn backlog(
    daemon: &Daemon,
    policy: &Policy,
    figures: &RuleFigures,
    status: &Status,
    now: Timestamp,
) -> (types::Due, types::Waits) {
    let calendar = Calendar::new(daemon.parts.started);
    let (mut due, mut asked, mut named) = <[types::Tally; 3]>::default().into();
    let mut scheduled = types::Tally::default();
    let mut next = None::<Timestamp>;
    let lines = figures.0.iter().filter(|(_, line)| line.due.files > 0);
    for (&(_, id), line) in lines {
        let has_times = id.is_some_and(|id| !policy.recurrences(id).is_empty());
        let rule = id.and_then(|rule| policy.rules.get(usize::from(rule.0)));
        let tally = match rule.map(|rule| &rule.schedule) {
            None | Some(Schedule::AtDeadline) => &mut due,
            Some(Schedule::Manual) if !has_times => &mut asked,
            Some(Schedule::Named) if !has_times => &mut named,
            Some(Schedule::Manual | Schedule::Named | Schedule::At(_)) => {
                let at = id.and_then(|id| calendar.first_of(policy, id, now.plus_ms(1)));
                next = next.into_iter().chain(at).min();
                &mut scheduled
            }
        };
        tally.add(line.due.files, line.due.bytes);
    }
    let per_second = daemon.parts.events.removals_per_second();
    let held: u64 = status.held.iter().map(|held| held.count).sum();
    let free = due.files.saturating_sub(held);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let left = (free > 0 && per_second > 0.0)
        .then(|| Duration::try_from_secs_f64(free as f64 / per_second).ok())
        .flatten();
    let due = types::Due {
        files: due.files,
        bytes: due.bytes,
        per_second: (per_second * 10.0).round() / 10.0,
        ends: left.map(|left| now.after(left).to_string()),
    };
    let waits = types::Waits {
        asked,
        named,
        scheduled,
        next: next.map(|at| at.to_string()),
    };
    (due, waits)
}

//! Plans: what will lapse, by rule and root, and hour by hour; and what is due and goes later, or
//! when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::calendar::Calendar;
use super::daemon::{Daemon, root_name, rule_name};
use super::limits;
use super::order::wait;
use crate::app::error::AppError;
use crate::clock;
use crate::core::engine::Engine;
use crate::core::facts::{RootId, RuleId};
use crate::core::index::{Forecast, Index};
use crate::core::jobs::Jobs;
use crate::core::policy::{Policy, Schedule};
use crate::core::time::Timestamp;
use crate::types::{self, PlanQuery, Span};

/// Default time that a plan looks ahead.
const WITHIN: Duration = Duration::from_hours(24);

/// Hours told one by one: a month of them. The groups go as far as they are asked to.
const HOURS_MAX: u64 = 31 * 24;

const HOUR: Duration = Duration::from_hours(1);
const HOUR_MS: i64 = 3_600_000;

/// Makes the plan that `query` asks for.
///
/// # Errors
/// If the daemon is stopping.
pub async fn plan(daemon: Arc<Daemon>, query: PlanQuery) -> Result<types::Plan, AppError> {
    let within = query.within.map_or(WITHIN, |Span(within)| within);
    let turn = Arc::clone(&daemon.plans).acquire_owned().await;
    let asked = daemon
        .link()
        .ask(|engine: &mut Engine, now| (engine.kept(), engine.limit_excess(now)));
    let (kept, exceeded) = asked.await?;
    let plan = wait(move || {
        // Held until the plan is made, also when nobody waits for it any more.
        let _turn = turn;
        let parts = &daemon.parts;
        let calendar = Calendar::new(parts.started);
        let now = clock::now().wall;
        let kept = kept.until(now.after(within));
        let policy = daemon.policy();
        let sources = (&*parts.index, &*parts.jobs, &*kept);
        types::Plan {
            limits: limits::excess(&exceeded, &policy),
            ..plan_of(sources, &policy, &calendar, now, within)
        }
    });
    plan.await
}

/// Instants at which due files of a rule are removed, within a plan.
enum Departure {
    /// At its deadline.
    AtDeadline,
    /// On request.
    WhenAsked,
    /// At the instants of its schedule.
    At {
        /// The next one, also after the end of the plan.
        next: Option<Timestamp>,
        /// The last one within the plan.
        last: Option<Timestamp>,
        /// The last one of each hour that has any, with the hour's number; ascending.
        hours: Vec<(usize, Timestamp)>,
    },
}

impl Departure {
    fn of(
        (policy, id): (&Policy, RuleId),
        calendar: &Calendar,
        (now, until): (Timestamp, Timestamp),
        hours: usize,
    ) -> Self {
        let all = policy.recurrences(id);
        match policy.rule(id).schedule {
            Schedule::AtDeadline => Self::AtDeadline,
            Schedule::Manual | Schedule::Named | Schedule::At(_) if all.is_empty() => {
                Self::WhenAsked
            }
            Schedule::Manual | Schedule::Named | Schedule::At(_) => {
                let start = |hour: usize| now.after(HOUR * u32::try_from(hour).unwrap_or(u32::MAX));
                let last_in = |from, until| {
                    let times = all.iter();
                    times
                        .filter_map(|times| calendar.last_until(times, from, until))
                        .max()
                };
                let last_of = |hour| last_in(start(hour), start(hour + 1));
                Self::At {
                    next: calendar.first_of(policy, id, now.plus_ms(1)),
                    last: last_in(now, until),
                    hours: (0..hours)
                        .filter_map(|hour| Some((hour, last_of(hour)?)))
                        .collect(),
                }
            }
        }
    }
}

/// Sums of a group.
#[derive(Default)]
struct Sums {
    /// Goes within the plan.
    goes: types::Tally,
    /// Of that, what should be gone.
    overdue: types::Tally,
    /// Is due by the end of the plan, and goes later or when asked.
    waits: types::Tally,
    /// Is due by the end of the plan, and kept.
    kept: types::Tally,
}

type Groups = BTreeMap<(RootId, RuleId), Sums>;

/// Lists what goes from `now` (with what is overdue) until `within` has passed, and what is due by
/// then and waits. `kept` is what rules with `keep_last` keep of that.
#[must_use]
pub fn plan_of(
    (index, jobs, kept): (&Index, &Jobs, &[(Timestamp, Forecast)]),
    policy: &Policy,
    calendar: &Calendar,
    now: Timestamp,
    within: Duration,
) -> types::Plan {
    let until = now.after(within);
    // Whole ones: a part of an hour would tell more than was asked for.
    let hours = (within.as_secs() / HOUR.as_secs()).min(HOURS_MAX);
    let hours = usize::try_from(hours).unwrap_or(0);
    let rules = policy.each_rule();
    let departures: Vec<Departure> = rules
        .map(|(id, _)| Departure::of((policy, id), calendar, (now, until), hours))
        .collect();
    let departure = |rule: RuleId| {
        let known = departures.get(usize::from(rule.0));
        known.unwrap_or(&Departure::AtDeadline)
    };
    let mut sums = PlanSums::new(now, hours);
    index.each_deadline(None, until, |at, part| {
        sums.add(departure(part.rule), at, part);
    });
    jobs.each_deadline((index, policy), until, |at, part| {
        sums.add(departure(part.rule), at, part);
    });
    let mut stays = PlanSums::new(now, hours);
    for &(at, part) in kept {
        stays.add(departure(part.rule), at, part);
    }
    sums.keep(stays);
    plan_from(policy, &departure, (now, until), sums)
}

/// A plan while it is summed up.
struct PlanSums {
    now: Timestamp,
    groups: Groups,
    /// Files and bytes by hour from `now`; what is overdue counts in the first.
    hours: Vec<(u64, u64)>,
}

impl PlanSums {
    fn new(now: Timestamp, hours: usize) -> Self {
        Self {
            now,
            groups: Groups::new(),
            hours: vec![(0, 0); hours],
        }
    }

    /// Takes out what is kept.
    fn keep(&mut self, kept: Self) {
        for (key, kept) in kept.groups {
            let sums = self.groups.entry(key).or_default();
            let less = |from: &mut types::Tally, kept: types::Tally| {
                from.remove(kept.files, kept.bytes);
            };
            less(&mut sums.goes, kept.goes);
            less(&mut sums.overdue, kept.overdue);
            less(&mut sums.waits, kept.waits);
            for part in [kept.goes, kept.waits] {
                sums.kept.add(part.files, part.bytes);
            }
        }
        for (hour, kept) in self.hours.iter_mut().zip(kept.hours) {
            hour.0 = hour.0.saturating_sub(kept.0);
            hour.1 = hour.1.saturating_sub(kept.1);
        }
    }

    /// Adds what is due at `at`, within the time of the plan.
    fn add(&mut self, departure: &Departure, at: Timestamp, part: Forecast) {
        let (files, bytes) = (part.files, part.bytes);
        let sums = self.groups.entry((part.root, part.rule)).or_default();
        let hour = match departure {
            Departure::AtDeadline => {
                sums.goes.add(files, bytes);
                if at <= self.now {
                    sums.overdue.add(files, bytes);
                }
                usize::try_from(at.ms_since(self.now).max(0) / HOUR_MS).ok()
            }
            Departure::At { last, hours, .. } if last.is_some_and(|last| at <= last) => {
                sums.goes.add(files, bytes);
                let first = hours.partition_point(|&(_, of_hour)| of_hour < at);
                hours.get(first).map(|&(hour, _)| hour)
            }
            Departure::WhenAsked | Departure::At { .. } => {
                sums.waits.add(files, bytes);
                None
            }
        };
        if let Some(sum) = hour.and_then(|hour| self.hours.get_mut(hour)) {
            sum.0 += files;
            sum.1 = sum.1.saturating_add(bytes);
        }
    }
}

fn plan_from<'a>(
    policy: &Policy,
    departure: &impl Fn(RuleId) -> &'a Departure,
    (now, until): (Timestamp, Timestamp),
    sums: PlanSums,
) -> types::Plan {
    let (mut goes, mut waits) = (types::Tally::default(), types::Tally::default());
    let mut lines = Vec::new();
    for ((root, rule), sums) in sums.groups {
        goes.add(sums.goes.files, sums.goes.bytes);
        waits.add(sums.waits.files, sums.waits.bytes);
        lines.push(types::PlanGroup {
            root: root_name(policy, root).to_owned(),
            rule: rule_name(policy, rule).to_owned(),
            files: sums.goes.files,
            bytes: sums.goes.bytes,
            overdue: sums.overdue,
            waits: sums.waits,
            kept: sums.kept,
            schedule: policy
                .rules
                .get(usize::from(rule.0))
                .and_then(|rule| rule.schedule.text().map(str::to_owned)),
            next: match departure(rule) {
                Departure::At { next, .. } => next.map(|at| at.to_string()),
                Departure::AtDeadline | Departure::WhenAsked => None,
            },
        });
    }
    let hours = (0u32..).zip(sums.hours);
    types::Plan {
        from: now.to_string(),
        until: until.to_string(),
        files: goes.files,
        bytes: goes.bytes,
        waits,
        groups: lines,
        limits: Vec::new(),
        hours: hours
            .map(|(hour, (files, bytes))| types::PlanHour {
                from: now.after(HOUR * hour).to_string(),
                files,
                bytes,
            })
            .collect(),
    }
}

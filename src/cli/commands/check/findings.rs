//! Effects of the configuration on the trees as they are, in plain words.
//!
//! **Invariant:** a number and its noun agree.

use super::{Kind, Line, Report};
use crate::app::survey::{Example, Held, RootFindings, RuleFindings, SourceFindings};
use crate::cli::human;
use crate::clock;
use crate::core::claim::Unit;
use crate::core::hold::Hold;
use crate::core::policy::{Policy, Root, Rule, Schedule};
use crate::core::recurrence::Recurrence;
use crate::core::report::{Breaker, SourcePhase};
use crate::core::time::Timestamp;
use crate::types::Tally;

fn finding(text: impl Into<String>) -> Line {
    (Kind::Finding, text.into())
}

pub(super) fn of_source(found: &SourceFindings) -> Vec<Line> {
    let jobs = match (found.jobs, found.running) {
        (0, _) => "it has no jobs now".to_owned(),
        (1, 0) => "it has 1 job, which has ended".to_owned(),
        (1, _) => "it has 1 job, which has not ended".to_owned(),
        (jobs, 0) => format!(
            "it has {} jobs, all of which have ended",
            human::count(jobs)
        ),
        (jobs, running) if jobs == running => {
            format!(
                "it has {} jobs, none of which has ended",
                human::count(jobs)
            )
        }
        (jobs, running) => format!(
            "it has {} jobs; {} not ended",
            human::count(jobs),
            has(running)
        ),
    };
    let mut lines = vec![finding(match &found.phase {
        SourcePhase::Ready => jobs,
        SourcePhase::Loading => {
            "it takes long to be read: until it is, what depends on it stays".to_owned()
        }
        SourcePhase::Down { why } => {
            human::one_line(&format!("{why}\nwhat depends on it stays until then"))
        }
    })];
    lines.extend(
        found
            .refused
            .as_ref()
            .map(|refused| finding(human::one_line(&refused.to_string()))),
    );
    lines.extend(found.trip.as_ref().map(|why| {
        finding(human::one_line(&format!(
            "a person is asked before anything counts as nobody's: {why}"
        )))
    }));
    lines
}

pub(super) fn of_root(report: &Report, root: &Root, found: &RootFindings) -> Vec<Line> {
    if let Some(why) = &found.missing {
        // That it is not there is said already.
        let is_said = !root.path.is_dir();
        let why = format!("it cannot be read now: {why}");
        return if is_said {
            Vec::new()
        } else {
            vec![finding(human::one_line(&why))]
        };
    }
    let mut lines = vec![finding(match found.all.files {
        0 => "it holds no files now".to_owned(),
        _ => format!("it holds {}", tally(found.all)),
    })];
    let stays = |tally: Tally| match tally.files {
        1 => "it is kept",
        _ => "they are kept",
    };
    if found.unmatched.files > 0 {
        lines.push(finding(if found.unmatched == found.all {
            "no rule matches anything in it: all of it is kept for ever".to_owned()
        } else {
            let kept = stays(found.unmatched);
            format!(
                "no rule matches {} of them ({}): {kept} for ever",
                human::count(found.unmatched.files),
                human::size(found.unmatched.bytes)
            )
        }));
    }
    if found.kept.files > 0 {
        let kept = if found.kept.files == 1 {
            "is kept"
        } else {
            "are kept"
        };
        lines.push(finding(format!(
            "{} {kept} for ever by a rule",
            tally(found.kept)
        )));
    }
    if found.left.files > 0 {
        let verb = if found.left.files == 1 { "is" } else { "are" };
        lines.push(finding(format!(
            "{} {verb} what is left of jobs that were cleaned, and {} for ever",
            tally(found.left),
            if found.left.files == 1 {
                "stays"
            } else {
                "stay"
            }
        )));
    }
    lines.extend(found.held.values().filter_map(of_hold));
    if let Some(trip) = found.trip {
        lines.push(finding(format!(
            "a person is asked first: {} of {} would be due at once; nothing of that goes until `lapsed breaker release`",
            human::count(trip.due),
            human::counted_as(trip.of, trip.what)
        )));
    } else if exceeds_ceilings(&report.settings.breaker, found) {
        let verb = if found.orphans.files == 1 {
            "belongs"
        } else {
            "belong"
        };
        lines.push(finding(format!(
            "a person is asked first: {} would go that {verb} to nobody; the rest waits until `lapsed breaker release`",
            tally(found.orphans)
        )));
    }
    lines
}

/// Tells that more orphans are due than may be removed within an hour.
fn exceeds_ceilings(breaker: &Breaker, found: &RootFindings) -> bool {
    let Tally { files, bytes } = found.orphans;
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of files are far below 2^52"
    )]
    let exceeds_share = files as f64 > breaker.orphan_share * found.all.files as f64;
    files > breaker.orphan_entries
        || breaker.orphan_bytes.is_some_and(|most| bytes > most)
        || (files > breaker.entries && exceeds_share)
}

/// Holds and their reasons, without the breaker's, which has a line of its own.
fn of_hold(found: &Held) -> Option<Line> {
    let files = human::files(found.files);
    let is_one = found.files == 1;
    let belong = if is_one { "belongs" } else { "belong" };
    let wait = if is_one { "waits" } else { "wait" };
    let text = match &found.hold {
        Hold::Breaker => return None,
        Hold::Running { job } if is_one => {
            format!("1 file belongs to job \"{job}\", which has not ended, and stays until then")
        }
        Hold::Running { job } => {
            format!(
                "{files} {belong} to jobs that have not ended, such as \"{job}\", and stay until then"
            )
        }
        Hold::SourceDown { source, .. } => {
            format!("{files} {wait} until source \"{source}\" can tell whose")
        }
        Hold::Pinned { .. } => format!("{files} that would be due {wait}, pinned: {}", found.hold),
        Hold::NoTimestamp => {
            let lack = if is_one { "lacks" } else { "lack" };
            format!("{files} {lack} the timestamp that the rule counts from, and {wait} for it")
        }
        Hold::Reconciling
        | Hold::RootMissing
        | Hold::ClockJumped { .. }
        | Hold::ClockBehind { .. }
        | Hold::Open { .. }
        | Hold::OpenUnknown { .. }
        | Hold::Denied { .. }
        | Hold::NoQuarantine { .. }
        | Hold::RootInUse { .. }
        | Hold::RootUnreachable { .. }
        | Hold::LedgerUnavailable { .. }
        | Hold::CacheUnavailable { .. }
        | Hold::MountInside { .. }
        | Hold::RootInside { .. }
        | Hold::StateInside { .. }
        | Hold::Unreadable { .. }
        | Hold::RecheckMismatch
        | Hold::Displaced
        | Hold::LimitFutile { .. }
        | Hold::DryRun
        | Hold::KeptLast { .. }
        | Hold::Paused { .. }
        | Hold::Contested { .. }
        | Hold::RowNeeded { .. }
        | Hold::TrashFull
        | Hold::InTrash { .. }
        | Hold::UnreadableJob { .. }
        | Hold::ClaimRefused { .. } => format!("{files} that would be due {wait}: {}", found.hold),
    };
    Some(finding(human::one_line(&text)))
}

pub(super) fn of_rule(
    policy: &Policy,
    rule: &Rule,
    found: &RuleFindings,
    now: Timestamp,
) -> Vec<Line> {
    let mut lines = Vec::new();
    if found.now.files > 0 {
        lines.push(finding(due(rule, found, now)));
        let examples = found.examples.iter();
        lines.extend(examples.map(|example| path(policy, rule, example)));
    } else if found.matched > 0 && rule.expire_ms.is_some() {
        lines.push(finding("nothing would lapse now"));
    }
    if let Some(next) = &found.next {
        let at = human::by_the_clock(next.at, now);
        lines.push(finding(match &rule.schedule {
            Schedule::AtDeadline => format!("the next at {at}:"),
            Schedule::Manual | Schedule::Named => format!("the next is due at {at}:"),
            Schedule::At(times) => match goes_at(times, next.at.max(now), now) {
                Some(goes) => format!("the next is due at {at}, and goes at {goes}:"),
                None => format!("the next is due at {at}:"),
            },
        }));
        lines.push(path(policy, rule, next));
    }
    lines
}

/// `3 files (1.2 MiB) of 1 job would lapse now; 2 of them wait (see their root above), such as`.
fn due(rule: &Rule, found: &RuleFindings, now: Timestamp) -> String {
    let jobs = match found.jobs.len() as u64 {
        0 => String::new(),
        jobs => format!(" of {}", human::counted(jobs, "job", "jobs")),
    };
    let Tally { files, .. } = found.now;
    let verb = if files == 1 { "is" } else { "are" };
    let stays = if files == 1 {
        "stays"
    } else {
        "all of them stay"
    };
    let what = if found.held >= files {
        format!("{verb} due, but {stays} for now (see above why)")
    } else {
        let what = match &rule.schedule {
            Schedule::AtDeadline => "would lapse now".to_owned(),
            Schedule::Manual => format!("{verb} due, and would go when asked"),
            Schedule::Named => format!("{verb} due, and would go when the rule is named"),
            Schedule::At(times) => match goes_at(times, now, now) {
                Some(goes) => format!("{verb} due, and would go at {goes}"),
                None => format!("{verb} due"),
            },
        };
        match found.held {
            0 => what,
            1 => format!("{what}, but 1 of them stays for now (see above why)"),
            held => format!(
                "{what}, but {} of them stay for now (see above why)",
                human::count(held)
            ),
        }
    };
    let such = match (files, rule.unit) {
        (1, Unit::File | Unit::Job) => ":",
        (_, Unit::File | Unit::Dir | Unit::Job) => ", such as:",
    };
    format!("{}{jobs} {what}{such}", tally(found.now))
}

/// Instant at which the rule's schedule removes what is due at `due`, if the daemon starts now.
fn goes_at(times: &Recurrence, due: Timestamp, now: Timestamp) -> Option<String> {
    let at = times.next(due.plus_ms(-1), &clock::zone(), now)?;
    Some(human::by_the_clock(at, now))
}

fn path(policy: &Policy, rule: &Rule, example: &Example) -> Line {
    let root = policy.roots.get(&example.root);
    let path = root.map_or_else(
        || example.path.to_string(),
        |root| {
            example
                .path
                .below(&root.path)
                .to_string_lossy()
                .into_owned()
        },
    );
    let slash = match rule.unit {
        Unit::Dir => "/",
        Unit::File | Unit::Job => "",
    };
    (Kind::Path, format!("{path}{slash}"))
}

/// `3 files (1.2 MiB)`.
fn tally(tally: Tally) -> String {
    format!(
        "{} ({})",
        human::files(tally.files),
        human::size(tally.bytes)
    )
}

/// `1 has`, `2 have`.
fn has(number: u64) -> String {
    format!(
        "{} {}",
        human::count(number),
        if number == 1 { "has" } else { "have" }
    )
}

#[cfg(test)]
mod tests;

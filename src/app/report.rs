//! The report of a run, for JSON: the same with and without a daemon.
//!
//! **Invariant:** what could not be read, removed or recorded is among its errors or its notes.

mod jobs;

use std::collections::BTreeMap;

use super::breaker::trip;
use super::daemon::{json_path, root_name, rule_name, source_name};
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::policy::Policy;
use crate::core::report::{BreakerTrip, CleanItem, CleanReport, Unread, UnreadPart};
use crate::core::run::RunStatus;
use crate::core::time::Timestamp;
use crate::types::{
    Breaker, ErrorKind, HeldLine, OrphanTrip, Report, ReportError, ReportItem, RootTotals,
    RuleTotals, Source,
};

/// A run, and what it left to be told beside its report.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Start.
    pub started: Timestamp,
    /// End.
    pub finished: Timestamp,
    /// True if it was interrupted.
    pub is_interrupted: bool,
    /// The sources after it; of a dry run none.
    pub sources: &'a [Source],
}

/// `report` for JSON.
#[must_use]
pub fn report_of(report: &CleanReport, policy: &Policy, run: Run<'_>) -> Report {
    let (failed, held): (Vec<_>, Vec<_>) = report
        .held
        .iter()
        .partition(|item| item.hold.as_ref().is_some_and(is_failure));
    let (notes, unread): (Vec<_>, Vec<_>) =
        report.unread.iter().partition(|unread| unread.is_optional);
    let unread = unread.into_iter().map(|unread| unread_of(unread, policy));
    let failed = failed.into_iter().map(|item| failure_of(item, policy));
    let unwritten = run.sources.iter().filter_map(unwritten_of);
    let errors: Vec<ReportError> = unread.chain(failed).chain(unwritten).collect();
    let breaker = breaker_of(&report.breaker, policy);
    let has_tripped = !breaker.tripped.is_empty() || !breaker.orphans.is_empty();
    let status = if run.is_interrupted {
        RunStatus::Interrupted
    } else if report.is_blind {
        RunStatus::Failed
    } else if errors.is_empty() && !has_tripped {
        RunStatus::Done
    } else {
        RunStatus::Errors
    };
    let sum =
        |of: fn(&CleanItem) -> u64| report.removed.iter().map(of).fold(0, u64::saturating_add);
    let items = |items: &[&CleanItem]| {
        let items = items.iter().filter(|item| has_place(item, policy));
        items.map(|item| item_of(item, policy)).collect()
    };
    let (roots, rules) = totals(&report.removed, policy);
    Report {
        run: None,
        dry_run: report.dry_run,
        status,
        started: run.started.to_string(),
        finished: run.finished.to_string(),
        files: sum(|item| item.files),
        bytes: sum(|item| item.bytes),
        roots,
        rules,
        removed: items(&report.removed.iter().collect::<Vec<_>>()),
        held: items(&held),
        holds: holds(&held, policy),
        errors,
        notes: notes
            .into_iter()
            .map(|unread| unread_of(unread, policy))
            .collect(),
        jobs: jobs::of(report, policy),
        breaker,
    }
}

/// Returns true if the item is at a path. A job without files is not.
fn has_place(item: &CleanItem, policy: &Policy) -> bool {
    policy.roots.contains_key(&item.root)
}

/// Totals by root and by rule.
fn totals(removed: &[CleanItem], policy: &Policy) -> (Vec<RootTotals>, Vec<RuleTotals>) {
    let mut roots = BTreeMap::<RootId, RootTotals>::new();
    let mut rules = BTreeMap::<RuleId, RuleTotals>::new();
    for item in removed {
        let of = rules.entry(item.rule).or_insert_with(|| RuleTotals {
            rule: rule_name(policy, item.rule).to_owned(),
            ..RuleTotals::default()
        });
        of.files += item.files;
        of.bytes = of.bytes.saturating_add(item.bytes);
        of.units += 1;
        match item.unit {
            Unit::File => {}
            Unit::Dir => of.directories += 1,
            Unit::Job => of.jobs += 1,
        }
        for (root, files, bytes) in sums(item, policy) {
            let of = roots.entry(root).or_insert_with(|| RootTotals {
                root: root_name(policy, root).to_owned(),
                ..RootTotals::default()
            });
            of.files += files;
            of.bytes = of.bytes.saturating_add(bytes);
            of.units += 1;
            match item.unit {
                Unit::File => {}
                Unit::Dir => of.directories += 1,
                Unit::Job => of.jobs += 1,
            }
        }
    }
    (roots.into_values().collect(), rules.into_values().collect())
}

/// Files and bytes that `item` has in each root.
fn sums(item: &CleanItem, policy: &Policy) -> Vec<(RootId, u64, u64)> {
    match &item.share {
        Some(share) => {
            let sums = share.sums.iter();
            sums.map(|(&root, &(files, bytes))| (root, files, bytes))
                .collect()
        }
        None if has_place(item, policy) => vec![(item.root, item.files, item.bytes)],
        None => Vec::new(),
    }
}

fn holds(held: &[&CleanItem], policy: &Policy) -> Vec<HeldLine> {
    let mut lines: BTreeMap<&str, HeldLine> = BTreeMap::new();
    for (item, hold) in held
        .iter()
        .filter_map(|item| Some((item, item.hold.as_ref()?)))
    {
        let line = lines.entry(hold.code()).or_insert_with(|| HeldLine {
            code: hold.code().to_owned(),
            count: 0,
            why: hold.to_string(),
            example: has_place(item, policy).then(|| json_path(policy, item.root, &item.path).path),
        });
        line.count += 1;
    }
    lines.into_values().collect()
}

fn item_of(item: &CleanItem, policy: &Policy) -> ReportItem {
    ReportItem {
        path: json_path(policy, item.root, &item.path),
        root: root_name(policy, item.root).to_owned(),
        unit: item.unit,
        rule: rule_name(policy, item.rule).to_owned(),
        job: item.job.as_ref().map(|job| job.key.id.clone()),
        since: item.since.to_string(),
        deadline: item.deadline.to_string(),
        files: item.files,
        bytes: item.bytes,
        limit: item.limit.map(|of| of.key.ledger_word(of.scope).to_owned()),
        hold: item.hold.as_ref().map(|hold| hold.code().to_owned()),
        why: item.hold.as_ref().map(ToString::to_string),
    }
}

fn failure_of(item: &CleanItem, policy: &Policy) -> ReportError {
    let why = item.hold.as_ref().map(ToString::to_string);
    let is_placed = has_place(item, policy);
    ReportError {
        source: item
            .job
            .as_ref()
            .filter(|_| item.unit == Unit::Job)
            .map(|job| source_name(policy, job.key.source).to_owned()),
        root: is_placed.then(|| root_name(policy, item.root).to_owned()),
        path: is_placed.then(|| json_path(policy, item.root, &item.path)),
        rule: Some(rule_name(policy, item.rule).to_owned()),
        hold: item.hold.as_ref().map(|hold| hold.code().to_owned()),
        ..ReportError::new(ErrorKind::Removal, why.unwrap_or_default())
    }
}

fn unread_of(unread: &Unread, policy: &Policy) -> ReportError {
    let why = unread.why.clone();
    match &unread.part {
        UnreadPart::Source(source) => ReportError {
            source: Some(source_name(policy, *source).to_owned()),
            ..ReportError::new(ErrorKind::Source, why)
        },
        UnreadPart::Root(root) => ReportError {
            root: Some(root_name(policy, *root).to_owned()),
            path: Some(json_path(
                policy,
                *root,
                &crate::core::path::RelPath::root(),
            )),
            ..ReportError::new(
                if unread.is_optional {
                    ErrorKind::RootMissing
                } else {
                    ErrorKind::Root
                },
                why,
            )
        },
        UnreadPart::Dir(root, dir) => ReportError {
            root: Some(root_name(policy, *root).to_owned()),
            path: Some(json_path(policy, *root, dir)),
            ..ReportError::new(ErrorKind::Directory, why)
        },
    }
}

/// The records that a source did not take.
fn unwritten_of(source: &Source) -> Option<ReportError> {
    let why = source.last_error.as_ref()?;
    let records = match source.waiting_records {
        0 => return None,
        1 => "1 record waits".to_owned(),
        count => format!("{count} records wait"),
    };
    Some(ReportError {
        source: Some(source.name.clone()),
        ..ReportError::new(ErrorKind::Record, format!("{records}: {why}"))
    })
}

fn breaker_of(trips: &[BreakerTrip], policy: &Policy) -> Breaker {
    let mut breaker = Breaker::default();
    for one in trips {
        match one {
            BreakerTrip::Backlog(root, why) => breaker.tripped.push(trip(policy, *root, *why)),
            BreakerTrip::RootOrphans(root, why) => breaker.orphans.push(OrphanTrip {
                root: Some(root_name(policy, *root).to_owned()),
                source: None,
                why: why.clone(),
            }),
            BreakerTrip::SourceOrphans(source, why) => breaker.orphans.push(OrphanTrip {
                root: None,
                source: Some(source_name(policy, *source).to_owned()),
                why: why.clone(),
            }),
        }
    }
    breaker
}

/// Returns true if a removal failed for want of a right, a place, a record or a readable value.
/// Other holds end by themselves or by somebody's word, and are no errors.
fn is_failure(hold: &Hold) -> bool {
    match hold {
        Hold::Denied { .. }
        | Hold::NoQuarantine { .. }
        | Hold::RootInUse { .. }
        | Hold::RootUnreachable { .. }
        | Hold::ClaimRefused { .. }
        | Hold::LedgerUnavailable { .. }
        | Hold::CacheUnavailable { .. }
        | Hold::Unreadable { .. }
        | Hold::UnreadableJob { .. }
        | Hold::OpenUnknown { .. }
        | Hold::ClockBehind { .. }
        | Hold::LimitFutile { .. }
        | Hold::Displaced => true,
        Hold::Reconciling
        | Hold::RootMissing
        | Hold::Breaker
        | Hold::ClockJumped { .. }
        | Hold::Open { .. }
        | Hold::MountInside { .. }
        | Hold::RootInside { .. }
        | Hold::StateInside { .. }
        | Hold::NoTimestamp
        | Hold::RecheckMismatch
        | Hold::DryRun
        | Hold::KeptLast { .. }
        | Hold::Paused { .. }
        | Hold::Running { .. }
        | Hold::SourceDown { .. }
        | Hold::Contested { .. }
        | Hold::RowNeeded { .. }
        | Hold::TrashFull
        | Hold::InTrash { .. }
        | Hold::Pinned { .. } => false,
    }
}

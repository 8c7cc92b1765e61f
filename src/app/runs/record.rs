//! Records of runs in the registry.

use std::collections::BTreeMap;

use crate::app::error::AppError;
use crate::clock;
use crate::core::principal::Principal;
use crate::core::run::{Run, RunCause, RunStatus};
use crate::core::totals::Cursor;
use crate::ledger::{Ledger, Line, LineUnit, Mark};
use crate::registry::{Registry, RegistryError, RunRow};
use crate::types::{
    CleanOrder, ErrorKind, JobRecord, LedgerRange, Report, ReportError, RuleTotals, RunDetails,
    RunSummary,
};

/// Failures that a record keeps: the report has all of them.
const FAILURES_MAX: usize = 20;

/// Bytes of the ids of jobs and the paths that a record keeps of its order.
const LISTS_BYTES_MAX: usize = 4096;

/// A run and its row, which is saved at the start and at the end.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The run.
    pub run: Run,
    pub(super) row: RunRow,
    pub(super) details: RunDetails,
}

/// Details of a run of `order`, which has done nothing yet.
#[must_use]
pub fn details(mut order: CleanOrder, by: Principal, cause: RunCause) -> RunDetails {
    let mut bytes = 0;
    let mut left_out = 0;
    for ids in order.jobs.iter_mut().chain(&mut order.paths) {
        let given = ids.len();
        ids.retain(|id| {
            bytes += id.len();
            bytes <= LISTS_BYTES_MAX
        });
        left_out += given - ids.len();
    }
    if let Some(things) = &mut order.things {
        let given = things.len();
        things.retain(|thing| {
            let coded = thing.path_b64.as_ref();
            bytes += thing.path.as_ref().or(coded).map_or(0, String::len);
            bytes <= LISTS_BYTES_MAX
        });
        left_out += given - things.len();
    }
    RunDetails {
        cause,
        schedule: None,
        by,
        jobs_left_out: left_out as u64,
        order,
        why: None,
        summary: RunSummary::default(),
    }
}

impl Recording {
    /// Run `id`, which has done nothing yet.
    #[must_use]
    pub fn new(id: u64, details: RunDetails, ledger: &Ledger) -> Self {
        let row = RunRow {
            id,
            status: RunStatus::Running,
            started: clock::now().wall,
            finished: None,
            from: ledger.end(),
            to: None,
            details: to_json(&details),
        };
        Self {
            run: Run::new(id),
            row,
            details,
        }
    }

    /// Saves that it began. It goes on when that fails.
    pub fn save_start(&self, registry: &Registry) {
        if let Err(error) = registry.put_run(&self.row) {
            let id = self.run.id();
            tracing::warn!("run {id} goes on, and is recorded when it ends: {error}");
        }
    }

    /// Instant of the start.
    #[must_use]
    pub fn started(&self) -> crate::core::time::Timestamp {
        self.row.started
    }

    /// Ends the run with `report`, which gets its number, and the failure if the run cannot be
    /// recorded.
    pub fn end(&mut self, registry: &Registry, ledger: &Ledger, report: &mut Report) {
        report.run = Some(self.run.id());
        self.details.summary = summary(report);
        if let Err(error) = self.finish(registry, ledger, report.status) {
            report.errors.push(ReportError::new(
                ErrorKind::Run,
                format!("the run cannot be recorded: {error}"),
            ));
            if report.status == RunStatus::Done {
                report.status = RunStatus::Errors;
            }
        }
    }

    /// Ends the run, which removed nothing because of `why`.
    pub fn refuse(
        &mut self,
        registry: &Registry,
        ledger: &Ledger,
        status: RunStatus,
        why: impl Into<String>,
    ) {
        self.details.why = Some(why.into());
        if let Err(error) = self.finish(registry, ledger, status) {
            tracing::warn!("run {} cannot be recorded: {error}", self.run.id());
        }
    }

    fn finish(
        &mut self,
        registry: &Registry,
        ledger: &Ledger,
        status: RunStatus,
    ) -> Result<(), RegistryError> {
        self.row.status = status;
        self.row.finished = Some(clock::now().wall);
        self.row.to = Some(ledger.end());
        self.row.details = to_json(&self.details);
        registry.put_run(&self.row)
    }
}

/// Summary of `report`.
fn summary(report: &Report) -> RunSummary {
    let removed = |job: &&crate::types::ReportJob| job.record != JobRecord::Held;
    let failures = report.errors.iter().take(FAILURES_MAX);
    RunSummary {
        files: report.files,
        bytes: report.bytes,
        jobs: report.jobs.iter().filter(removed).count() as u64,
        held: report.holds.iter().map(|line| line.count).sum(),
        errors: report.errors.len() as u64,
        rules: report.rules.clone(),
        holds: report.holds.clone(),
        failures: failures.cloned().collect(),
    }
}

fn to_json(details: &RunDetails) -> String {
    serde_json::to_string(details).expect("invariant: details have only text and numbers")
}

/// Ends the runs up to the number `last`, whose process ended first, with what the ledger says that
/// they removed.
///
/// # Errors
/// If the registry or the ledger cannot be read, or the registry cannot be written.
pub fn settle(registry: &Registry, ledger: &Ledger, last: u64) -> Result<(), AppError> {
    for mut row in registry.unfinished_runs()? {
        if row.id > last {
            break;
        }
        let to = ledger.end();
        if let Ok(mut details) = serde_json::from_str::<RunDetails>(&row.details) {
            details.summary = removed_by(ledger, row.id, row.from);
            details.why = Some(ENDED_FIRST.to_owned());
            row.details = to_json(&details);
        }
        row.status = RunStatus::Interrupted;
        row.to = Some(to);
        registry.put_run(&row)?;
    }
    Ok(())
}

/// Reason of a run whose process ended first.
pub(super) const ENDED_FIRST: &str = "its process ended before it was through";

/// Sums of what the run `id` removed according to the lines behind `from`.
fn removed_by(ledger: &Ledger, id: u64, from: Cursor) -> RunSummary {
    let mut rules = BTreeMap::<String, RuleTotals>::new();
    let mut lines = ledger.newest_between(from, None);
    while let Some(line) = lines.next_raw() {
        // The history reports lines that cannot be read.
        let Ok(raw) = line else { continue };
        let is_ours = |fields: (&str, crate::ledger::LineFields<'_>)| fields.1.run == Some(id);
        if !lines.decode_fields(&raw).is_ok_and(is_ours) {
            continue;
        }
        if let Ok(line) = lines.decode::<Line>(&raw) {
            let of = rules
                .entry(line.rule.clone())
                .or_insert_with(|| RuleTotals {
                    rule: line.rule.clone(),
                    ..RuleTotals::default()
                });
            add(of, &line);
        }
    }
    let mut summary = RunSummary::default();
    for of in rules.into_values() {
        summary.files += of.files;
        summary.bytes = summary.bytes.saturating_add(of.bytes);
        summary.jobs += of.jobs;
        summary.rules.push(of);
    }
    summary
}

/// Adds `line`, newest first: what was put back later comes before its removal.
fn add(of: &mut RuleTotals, line: &Line) {
    let counts = match line.result {
        // What a run moves to the trash is its work; to delete it there is that of its time.
        Mark::Removed | Mark::Trashed if line.part == 0 => u64::wrapping_add,
        Mark::PutBack => u64::wrapping_sub,
        Mark::Removed
        | Mark::Trashed
        | Mark::Displaced
        | Mark::Pinned
        | Mark::Extended
        | Mark::Unpinned
        | Mark::Paused
        | Mark::Resumed
        | Mark::Restored
        | Mark::Purged => return,
    };
    of.files = counts(of.files, line.files);
    of.bytes = counts(of.bytes, line.bytes);
    if line.unit != LineUnit::EmptyDir {
        of.units = counts(of.units, 1);
    }
    match line.unit {
        LineUnit::File | LineUnit::EmptyDir => {}
        LineUnit::Dir => of.directories = counts(of.directories, 1),
        LineUnit::Job => of.jobs = counts(of.jobs, 1),
    }
}

/// The run of `row`, as clients see it, with `status` in place of the row's.
pub(super) fn to_type(row: &RunRow, details: RunDetails, status: RunStatus) -> crate::types::Run {
    crate::types::Run {
        id: row.id,
        status,
        started: row.started.to_string(),
        finished: row.finished.map(|at| at.to_string()),
        due: None,
        settled: None,
        ledger: LedgerRange {
            from: row.from.to_string(),
            to: row.to.map(|to| to.to_string()),
        },
        details,
    }
}

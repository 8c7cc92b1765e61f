//! The report of a run for people: what was removed, what is held and why, and what failed.
//!
//! **Invariant:** long lists are cut, and the number of lines that are left out is said.

use std::collections::BTreeMap;

use super::breaker::orphans;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::core::run::RunStatus;
use crate::types::{ErrorKind, JobRecord, Report, ReportError, ReportItem, ReportJob, RuleTotals};

/// Lines of each list that people see: more would push the rest off the screen.
const SHOWN_MAX: usize = 20;

/// The exit status that `report` stands for.
pub(super) const fn end_of(report: &Report) -> End {
    match report.status {
        RunStatus::Done => End::Done,
        RunStatus::Errors => End::WithErrors,
        RunStatus::Failed => End::Failed,
        RunStatus::Interrupted | RunStatus::Running => End::Interrupted,
    }
}

/// Prints `report`; all of it with `all`.
pub(super) fn show(context: &mut Context, report: &Report, all: bool) -> anyhow::Result<()> {
    let max = if all { usize::MAX } else { SHOWN_MAX };
    show_removed(context, report, max)?;
    show_jobs(context, report, max)?;
    show_totals(context, report)?;
    let held = report.held.iter().map(|item| {
        let why = item.why.as_deref().or(item.hold.as_deref());
        (item.path.path.clone(), why.unwrap_or("?"))
    });
    show_reasons(context, "held", held, max)?;
    let errors = report.errors.iter().map(|one| (subject(one), &*one.why));
    show_reasons(context, "error", errors, max)?;
    // An optional root that is missing explains why nothing was found.
    let is_useful = |note: &&ReportError| {
        all || note.kind != ErrorKind::RootMissing || report.files == 0 && report.jobs.is_empty()
    };
    let notes = report
        .notes
        .iter()
        .filter(is_useful)
        .map(|one| (subject(one), &*one.why));
    show_reasons(context, "note", notes, max)?;
    show_breaker(context, report)?;
    match report.status {
        RunStatus::Done | RunStatus::Errors | RunStatus::Running => Ok(()),
        RunStatus::Failed => context
            .output
            .line("nothing could be judged, so nothing was removed"),
        RunStatus::Interrupted => context
            .output
            .line("interrupted: what is still due stays for the next run"),
    }
}

fn show_removed(context: &mut Context, report: &Report, max: usize) -> anyhow::Result<()> {
    let shown = &report.removed[..report.removed.len().min(max)];
    if shown.is_empty() {
        return Ok(());
    }
    let table = items(shown).render(context.output.screen);
    context.output.bytes(table.as_bytes())?;
    say_more(context, report.removed.len(), max)
}

/// Jobs without files are in no table.
fn show_jobs(context: &mut Context, report: &Report, max: usize) -> anyhow::Result<()> {
    let bare = |job: &&ReportJob| job.file_count == 0 && job.record != JobRecord::Held;
    let bare: Vec<&ReportJob> = report.jobs.iter().filter(bare).collect();
    for job in bare.iter().take(max) {
        let record = match job.record {
            JobRecord::Kept | JobRecord::Held => "kept",
            JobRecord::Marked => "marked",
            JobRecord::Forgotten => "forgotten",
        };
        let (id, source) = (human::safe(&job.id), human::safe(&job.source));
        let be = if report.dry_run { "would be " } else { "" };
        context
            .output
            .line(&format!("job {id} of {source}: its record {be}{record}"))?;
    }
    say_more(context, bare.len(), max)
}

fn say_more(context: &mut Context, len: usize, max: usize) -> anyhow::Result<()> {
    if len <= max {
        return Ok(());
    }
    let more = human::count((len - max) as u64);
    context
        .output
        .line(&format!("and {more} more; --all lists them"))
}

fn show_totals(context: &mut Context, report: &Report) -> anyhow::Result<()> {
    let verb = if report.dry_run {
        "would remove"
    } else {
        "removed"
    };
    context.output.line(&format!(
        "{verb} {} ({})",
        human::files(report.files),
        human::size(report.bytes)
    ))?;
    if report.rules.len() < 2 && report.rules.iter().all(|of| of.directories + of.jobs == 0) {
        return Ok(());
    }
    for of in &report.rules {
        context.output.line(&format!("  {}", rule(of)))?;
    }
    Ok(())
}

fn rule(of: &RuleTotals) -> String {
    let mut parts = vec![human::files(of.files)];
    if of.directories > 0 {
        parts.push(human::counted(of.directories, "directory", "directories"));
    }
    if of.jobs > 0 {
        parts.push(human::counted(of.jobs, "job", "jobs"));
    }
    format!(
        "{}: {} ({})",
        human::safe(&of.rule),
        parts.join(", "),
        human::size(of.bytes)
    )
}

/// Subject of an error.
fn subject(one: &ReportError) -> String {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
    match (one.kind, &one.path) {
        (ErrorKind::Source | ErrorKind::Record, _) => format!("source {}", name(&one.source)),
        (ErrorKind::Run, _) => "this run".to_owned(),
        (ErrorKind::Root | ErrorKind::RootMissing, _) => format!("root {}", name(&one.root)),
        (ErrorKind::Directory | ErrorKind::Removal, Some(path)) => path.path.clone(),
        (ErrorKind::Directory | ErrorKind::Removal, None) => format!("rule {}", name(&one.rule)),
    }
}

/// Prints a line for each reason, with its subject, or with their number and one of them.
fn show_reasons<'r>(
    context: &mut Context,
    what: &str,
    all: impl Iterator<Item = (String, &'r str)>,
    max: usize,
) -> anyhow::Result<()> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut reasons: Vec<(&str, String, u64)> = Vec::new();
    for (subject, why) in all {
        let place = *places.entry(why).or_insert(reasons.len());
        if place == reasons.len() {
            reasons.push((why, subject, 0));
        }
        reasons[place].2 += 1;
    }
    for (why, subject, count) in reasons.iter().take(max) {
        let (why, subject) = (human::one_line(why), human::safe(subject));
        context.output.line(&match count {
            1 => format!("{what}: {subject}: {why}"),
            _ => format!(
                "{what}: {} × {why} (such as {subject})",
                human::count(*count)
            ),
        })?;
    }
    if reasons.len() > max {
        let more = human::count(reasons[max..].iter().map(|(.., count)| count).sum());
        context
            .output
            .line(&format!("{what}: and {more} more; --all lists them"))?;
    }
    Ok(())
}

fn show_breaker(context: &mut Context, report: &Report) -> anyhow::Result<()> {
    for trip in &report.breaker.tripped {
        let root = human::safe(&trip.root);
        context.output.line(&format!(
            "root {root}: the breaker stopped this run: {} of {} became due at once; look at them with `lapsed clean --dry-run --all`, \
             then go on with `lapsed clean --release` (and the --retention that you gave)",
            human::count(trip.due),
            human::counted_as(trip.of, trip.what)
        ))?;
    }
    for trip in &report.breaker.orphans {
        context.output.line(&orphans(trip))?;
    }
    Ok(())
}

fn items(items: &[ReportItem]) -> Table {
    let mut table = Table::new(&[
        Column::number("FILES", Fit::Yield(0)),
        Column::number("SIZE", Fit::Stay),
        Column::text("RULE", Fit::Yield(1)),
        Column::text("PATH", Fit::Path),
    ]);
    for item in items {
        table.row([
            (human::count(item.files), Tone::Plain),
            (human::size(item.bytes), Tone::Plain),
            (item.rule.clone(), Tone::Plain),
            (item.path.path.clone(), Tone::Plain),
        ]);
    }
    table
}

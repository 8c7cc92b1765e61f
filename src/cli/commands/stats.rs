//! `lapsed stats`: files, bytes and lateness, by root and rule; removals and jobs, by day.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::daemon::Baseline;
use crate::types::{self, Lateness, Plan, PlanQuery, Since, Span, StatsQuery, Status, Totals};

/// Ahead enough for every deadline that is one.
const EVER: Span = Span(Duration::from_hours(10_000 * 365 * 24));

#[derive(Debug, Serialize)]
struct Stats {
    entries: u64,
    bytes: u64,
    groups: Vec<Group>,
    lateness: Lateness,
}

/// Files under one rule in one root; `rule: null`: kept for ever.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Group {
    root: String,
    rule: Option<String>,
    entries: u64,
    bytes: u64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Show removals and jobs for each day (UTC)
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Count only since an instant, a date, or a duration ago
    #[arg(long, value_name = "WHEN", requires = "by")]
    since: Option<Since>,
    #[command(flatten)]
    watching: WatchOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Day,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    // Totals need no look at the trees.
    let baseline = match arguments.by {
        Some(By::Day) => Baseline::Jobs,
        None => Baseline::Saved,
    };
    let watching = &arguments.watching;
    let mut client = context.connect_to_read(watching, baseline).await?;
    if let Some(By::Day) = arguments.by {
        let query = StatsQuery {
            by: Some(types::By::Day),
            since: arguments.since,
        };
        let target = Target::new("/v1/stats").query(&query);
        return show_days(context, &client.get(&target).await?);
    }
    let status: Status = client.get(&Target::new("/v1/status")).await?;
    let plan: Plan = client
        .get(&Target::new("/v1/plan").query(&PlanQuery { within: Some(EVER) }))
        .await?;
    let figures = Stats {
        entries: status.entries,
        bytes: status.bytes,
        groups: groups(&status, &plan),
        lateness: status.lateness,
    };
    if context.is_json() {
        context.output.json(&figures)?;
        return Ok(End::Done);
    }
    context.output.line(&format!(
        "{} ({})",
        human::files(figures.entries),
        human::size(figures.bytes)
    ))?;
    let late = figures.lateness;
    let removals = human::counted(late.count, "removal", "removals");
    if late.count == 0 {
        context.output.line("no removal since the start")?;
    } else {
        context.output.line(&format!(
        "{removals} since the start; lateness {} ms at least, {} ms in the middle, {} ms at p99, {} ms at most",
        late.min_ms,
        late.p50_ms,
        late.p99_ms,
        late.max_ms
    ))?;
    }
    if !figures.groups.is_empty() {
        context.output.line("")?;
        let table = table(&figures.groups).render(context.output.screen);
        context.output.bytes(table.as_bytes())?;
    }
    Ok(End::Done)
}

fn show_days(context: &mut Context, totals: &Totals) -> anyhow::Result<End> {
    if context.is_json() {
        context.output.json(totals)?;
        return Ok(End::Done);
    }
    if totals.totals.is_empty() {
        context.output.line("nothing was removed")?;
    } else {
        let table = removals(totals).render(context.output.screen);
        context.output.bytes(table.as_bytes())?;
    }
    if !totals.jobs.is_empty() {
        context.output.line("")?;
        let table = jobs(totals).render(context.output.screen);
        context.output.bytes(table.as_bytes())?;
    }
    for source in &totals.unread {
        eprintln!("warning: source {source} cannot be read: its jobs are counted as last read");
    }
    Ok(End::Done)
}

fn removals(totals: &Totals) -> Table {
    let mut table = Table::new(&[
        Column::text("DAY", Fit::Stay),
        Column::number("UNITS", Fit::Stay),
        Column::number("JOBS", Fit::Stay),
        Column::number("FILES", Fit::Stay),
        Column::number("SIZE", Fit::Stay),
        Column::text("ROOT", Fit::Stay),
        Column::text("RULE", Fit::Stay),
    ]);
    for total in &totals.totals {
        table.row([
            (total.day.as_deref().unwrap_or("-"), Tone::Plain),
            (&human::count(number(total.units)), Tone::Plain),
            (&human::count(number(total.jobs)), Tone::Plain),
            (&human::count(number(total.files)), Tone::Plain),
            (&human::size(number(total.bytes)), Tone::Plain),
            (&total.root, Tone::Plain),
            (&total.rule, Tone::Plain),
        ]);
    }
    table
}

fn jobs(totals: &Totals) -> Table {
    let mut table = Table::new(&[
        Column::text("ENDED", Fit::Stay),
        Column::number("COMPLETED", Fit::Stay),
        Column::number("FAILED", Fit::Stay),
        Column::number("CANCELLED", Fit::Stay),
        Column::number("RATE", Fit::Stay),
        Column::number("CLEANED", Fit::Stay),
        Column::number("CLEANUP", Fit::Stay),
        Column::text("SOURCE", Fit::Stay),
    ]);
    let percent = |rate: Option<f64>| {
        rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
    };
    for total in &totals.jobs {
        let counts = &total.counts;
        table.row([
            (total.day.as_deref().unwrap_or("-"), Tone::Plain),
            (&human::count(counts.completed), Tone::Plain),
            (&human::count(counts.failed), Tone::Plain),
            (&human::count(counts.cancelled), Tone::Plain),
            (&percent(total.rate), Tone::Plain),
            (&human::count(number(counts.cleaned)), Tone::Plain),
            (&percent(total.cleanup_rate), Tone::Plain),
            (&total.source, Tone::Plain),
        ]);
    }
    table
}

/// Returns `number`; 0 if it is less: what was put back may have been recorded the day before.
fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn table(groups: &[Group]) -> Table {
    let mut table = Table::new(&[
        Column::number("FILES", Fit::Stay),
        Column::number("SIZE", Fit::Stay),
        Column::text("ROOT", Fit::Stay),
        Column::text("RULE", Fit::Stay),
    ]);
    for group in groups {
        let rule = match group.rule.as_deref() {
            Some(rule) => (rule, Tone::Plain),
            None => ("- (kept for ever)", Tone::Dim),
        };
        table.row([
            (human::count(group.entries).as_str(), Tone::Plain),
            (&human::size(group.bytes), Tone::Plain),
            (&group.root, Tone::Plain),
            rule,
        ]);
    }
    table
}

/// By root and rule; what no deadline takes is the rest of its root.
fn groups(status: &Status, plan: &Plan) -> Vec<Group> {
    let mut groups = Vec::new();
    for root in &status.roots {
        let (mut entries, mut bytes) = (root.entries, root.bytes);
        for part in plan.groups.iter().filter(|part| part.root == root.name) {
            let (files, size) = (
                part.files + part.waits.files,
                part.bytes.saturating_add(part.waits.bytes),
            );
            // The two answers are of two instants: the rest may not become less than nothing.
            entries = entries.saturating_sub(files);
            bytes = bytes.saturating_sub(size);
            groups.push(Group {
                root: root.name.clone(),
                rule: Some(part.rule.clone()),
                entries: files,
                bytes: size,
            });
        }
        if entries > 0 {
            groups.push(Group {
                root: root.name.clone(),
                rule: None,
                entries,
                bytes,
            });
        }
    }
    groups
}

//! `lapsed clean`: removes now what is due. Without a daemon it crawls once by itself, with the same policy and reaper.

use clap::Args;

use super::app::{Context, End, Watching, asking};
use super::client::{Client, ClientError, Target};
use super::human;
use super::once;
use super::table::{Column, Fit, Table, Tone};
use crate::api::wire::{CleanOrder, Report, ReportItem};

/// Held things and errors that people are told one by one: more would push the rest off the screen.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only tell what would go
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Only in this root (repeatable)
    #[arg(long, value_name = "NAME")]
    root: Vec<String>,
    /// Only by this rule (repeatable)
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// Only what this job owns (repeatable)
    #[arg(long)]
    job: Vec<String>,
    /// Only what nobody owns
    #[arg(long)]
    orphans_only: bool,
    /// Another time to live than the rule's, this once (repeatable)
    #[arg(long, value_name = "RULE=TTL", value_parser = parse_retention)]
    retention: Vec<(String, String)>,
    #[command(flatten)]
    watching: Watching,
}

fn parse_retention(text: &str) -> Result<(String, String), String> {
    let (rule, ttl) = text
        .rsplit_once('=')
        .ok_or_else(|| "give the rule's name and a duration, such as old=7d".to_owned())?;
    crate::core::span::parse(ttl)
        .map_err(|_| format!("\"{ttl}\" is no duration such as 90s, 15m, 12h, 7d or 1h30m"))?;
    Ok((rule.to_owned(), ttl.to_owned()))
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let order = CleanOrder {
        dry_run: arguments.dry_run,
        roots: arguments.root.clone(),
        rules: arguments.rule.clone(),
        jobs: arguments.job.clone(),
        orphans_only: arguments.orphans_only,
        retention: arguments.retention.iter().cloned().collect(),
    };
    let socket = context.socket(&arguments.watching)?;
    let target = Target::new("/v1/clean");
    let asked: Result<Report, ClientError> = asking(async {
        Ok(async { Client::connect(&socket).await?.post(&target, &order).await }.await)
    })?;
    let report = match asked {
        Err(error) if error.is_absence() => once::clean(
            once::settings(context, &arguments.watching, &error)?,
            &order,
        )?,
        asked => asked?,
    };
    if context.is_json() {
        context.output.json(&report)?;
    } else {
        show(context, &report)?;
    }
    Ok(if report.errors.is_empty() {
        End::Done
    } else {
        End::WithErrors
    })
}

fn show(context: &mut Context, report: &Report) -> anyhow::Result<()> {
    let verb = if report.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let removed = items(&report.removed);
    if !removed.is_empty() {
        let table = removed.render(context.output.screen);
        context.output.bytes(table.as_bytes())?;
    }
    context.output.line(&format!(
        "{verb} {} ({})",
        human::files(report.files),
        human::size(report.bytes)
    ))?;
    for (what, items) in [("held", &report.held), ("error", &report.errors)] {
        for item in items.iter().take(SHOWN_MAX) {
            let why = item.why.as_deref().or(item.hold.as_deref()).unwrap_or("?");
            context.output.line(&format!(
                "{what}: {}: {}",
                human::safe(&item.path.path),
                human::one_line(why)
            ))?;
        }
        if items.len() > SHOWN_MAX {
            let more = human::count((items.len() - SHOWN_MAX) as u64);
            context
                .output
                .line(&format!("{what}: and {more} more; --json has them all"))?;
        }
    }
    for trip in &report.breaker {
        context.output.line(&format!(
            "root {}: the breaker holds {} of {}; look with `lapsed plan`, then `lapsed breaker release`",
            human::safe(&trip.root),
            human::count(trip.due),
            human::files(trip.of)
        ))?;
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

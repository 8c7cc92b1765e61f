//! `lapsed history --runs`: runs of `clean`, newest first.

use serde_json::value::RawValue;

use super::{Arguments, principal};
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::cli::list::List;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::run::RunStatus;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Run, RunsQuery};

/// Runs that one request asks for.
const PAGE_RUNS: u64 = 200;

/// A page, whose runs are printed as they come.
#[derive(serde::Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    runs: Vec<&'p RawValue>,
    cursor: Option<String>,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let watching = &arguments.watching;
    let mut client = context.connect_to_read(watching, Baseline::Records).await?;
    let max = arguments.limit.max(&context.output);
    let mut list = List::new(table(), max);
    let limit = max.map_or(PAGE_RUNS, |max| max.saturating_add(1).min(PAGE_RUNS));
    let mut cursor = None;
    let now = clock::now().wall;
    let is_remote = context.is_remote();
    'pages: loop {
        let page = Target::new("/v1/runs").query(&RunsQuery {
            limit: Some(limit),
            cursor,
            root: arguments.root.clone(),
            since: arguments.since,
            ..RunsQuery::default()
        });
        let body = client.get_bytes(&page).await?;
        let page: Page<'_> = serde_json::from_slice(&body)?;
        for run in page.runs {
            let run = run.get().as_bytes();
            if !list.push(&mut context.output, run, |table, run| {
                row(table, run, now, is_remote);
            })? {
                break 'pages;
            }
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    list.finish(&mut context.output, &arguments.limit, "there was no run")?;
    Ok(End::Done)
}

pub(in crate::cli::commands) fn table() -> Table {
    Table::new(&[
        Column::number("RUN", Fit::Stay),
        Column::text("STARTED", Fit::Stay),
        Column::number("TOOK", Fit::Yield(0)),
        Column::text("STATUS", Fit::Stay),
        Column::number("FILES", Fit::Stay),
        Column::number("SIZE", Fit::Stay),
        Column::number("HELD", Fit::Yield(2)),
        Column::number("ERRORS", Fit::Yield(3)),
        Column::text("BY", Fit::Yield(1)),
        Column::text("RULES", Fit::Path),
    ])
}

pub(in crate::cli::commands) fn row(table: &mut Table, run: &Run, now: Timestamp, is_remote: bool) {
    let (details, summary) = (&run.details, &run.details.summary);
    let instant = |text: Option<&str>| text.and_then(human::instant);
    let ends = instant(run.finished.as_deref()).zip(instant(Some(&run.started)));
    let took = ends.map_or_else(
        || "-".to_owned(),
        |(end, start)| human::span(end.ms_since(start).max(0).unsigned_abs()),
    );
    let tone = match run.status {
        RunStatus::Running | RunStatus::Done => Tone::Plain,
        RunStatus::Errors | RunStatus::Failed | RunStatus::Interrupted => Tone::Warn,
    };
    let rules = details.order.rules.as_ref();
    let rules = rules.map_or_else(|| "all".to_owned(), |rules| rules.join(", "));
    table.row([
        (run.id.to_string(), Tone::Plain),
        (human::relative_or(Some(&run.started), now, ""), Tone::Plain),
        (took, Tone::Dim),
        (run.status.as_str().to_owned(), tone),
        (human::count(summary.files), Tone::Plain),
        (human::size(summary.bytes), Tone::Plain),
        (human::count(summary.held), Tone::Plain),
        (human::count(summary.errors), Tone::Plain),
        (principal(&details.by, is_remote), Tone::Plain),
        (rules, Tone::Plain),
    ]);
}

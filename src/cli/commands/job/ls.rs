//! `lapsed job ls`: the jobs of all sources.

use clap::Args;

use super::status;
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::jobs::Status;
use crate::core::time::Timestamp;
use crate::types::{JobLine, JobsQuery};

/// Rows that one part of the table has.
const ROWS_AT_ONCE: usize = 2000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only jobs that stand like this
    #[arg(long, value_name = "WORD", value_parser = status)]
    status: Option<Status>,
    /// Only jobs of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only jobs of this kind
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
    /// So many at most
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let query = JobsQuery {
        source: arguments.source.clone(),
        status: arguments.status,
        kind: arguments.kind.clone(),
        limit: arguments.limit,
        cursor: None,
    };
    let target = Target::new("/v1/jobs").query(&query);
    let client = context.connect().await?;
    let mut lines = client.lines(&target, "application/x-ndjson").await?;
    let now = clock::now().wall;
    let mut table = table();
    let mut is_empty = true;
    while let Some(line) = lines.next().await? {
        is_empty = false;
        if context.is_json() {
            context.output.bytes(line)?;
            context.output.bytes(b"\n")?;
            continue;
        }
        row(&mut table, &serde_json::from_slice(line)?, now);
        if table.len() == ROWS_AT_ONCE {
            let part = table.render(context.output.screen);
            context.output.bytes(part.as_bytes())?;
            table.go_on();
        }
    }
    if is_empty && !context.is_json() {
        context.output.line("no such jobs")?;
    } else if !table.is_empty() {
        let part = table.render(context.output.screen);
        context.output.bytes(part.as_bytes())?;
    }
    Ok(End::Done)
}

fn table() -> Table {
    Table::new(&[
        Column::text("STATUS", Fit::Stay),
        Column::text("CREATED", Fit::Yield(1)),
        Column::text("ENDED", Fit::Yield(3)),
        Column::text("KIND", Fit::Yield(2)),
        Column::text("SOURCE", Fit::Yield(0)),
        Column::text("ID", Fit::Path),
    ])
}

fn row(table: &mut Table, job: &JobLine, now: Timestamp) {
    let status = job.status.as_deref().unwrap_or("?");
    let status = match job.cleaned_at {
        Some(_) => format!("{status}, cleaned"),
        None => status.to_owned(),
    };
    let seen = |at: &Option<String>| human::relative_or(at.as_deref(), now, "-");
    table.row([
        (status, Tone::Plain),
        (seen(&job.created_at), Tone::Dim),
        (seen(&job.completed_at), Tone::Plain),
        (
            job.kind.clone().unwrap_or_else(|| "-".to_owned()),
            Tone::Plain,
        ),
        (
            job.source.clone().unwrap_or_else(|| "-".to_owned()),
            Tone::Plain,
        ),
        (job.id.clone(), Tone::Plain),
    ]);
}

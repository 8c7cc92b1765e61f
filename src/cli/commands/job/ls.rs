//! `lapsed job ls`: the jobs of all sources.

use clap::Args;

use super::status;
use crate::cli::client::Target;
use crate::cli::context::{Context, End, Limit, WatchOptions};
use crate::cli::human;
use crate::cli::list::List;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::jobs::Status;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{JobLine, JobsQuery};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// List only jobs with this status
    #[arg(long, value_name = "WORD", value_parser = status)]
    status: Option<Status>,
    /// List only jobs of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// List only jobs of this kind
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let max = arguments.limit.max(&context.output);
    let query = JobsQuery {
        source: arguments.source.clone(),
        status: arguments.status,
        kind: arguments.kind.clone(),
        limit: max.map(|max| max.saturating_add(1)),
        cursor: None,
    };
    let target = Target::new("/v1/jobs").query(&query);
    let client = context
        .connect_to_read(&WatchOptions::default(), Baseline::Saved)
        .await?;
    let mut lines = client.lines(&target, "application/x-ndjson").await?;
    let now = clock::now().wall;
    let mut list = List::new(table(), max);
    while let Some(line) = lines.next().await? {
        let more = list.push(&mut context.output, line, |table, job| row(table, job, now))?;
        if !more {
            break;
        }
    }
    list.finish(&mut context.output, &arguments.limit, "no jobs match")?;
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
    let status = job.status.map_or("?", Status::as_str);
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

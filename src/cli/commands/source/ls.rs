//! `lapsed source ls`: lists the sources of jobs.

use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::daemon::Baseline;
use crate::types::{ChangesBy, SourceState, Status};

pub(super) async fn run(context: &mut Context) -> anyhow::Result<End> {
    let mut client = context
        .connect_to_read(&WatchOptions::default(), Baseline::Saved)
        .await?;
    let status: Status = client.get(&Target::new("/v1/status")).await?;
    if context.is_json() {
        for source in &status.sources {
            context.output.json(source)?;
        }
        return Ok(End::Done);
    }
    let mut table = Table::new(&[
        Column::text("SOURCE", Fit::Stay),
        Column::text("KIND", Fit::Yield(1)),
        Column::text("STATE", Fit::Stay),
        Column::number("JOBS", Fit::Stay),
        Column::number("UNWRITTEN", Fit::Yield(0)),
        Column::text("CHANGES BY", Fit::Yield(2)),
        Column::text("WHY", Fit::Path),
    ]);
    for source in &status.sources {
        let tone = if source.state == SourceState::Ready {
            Tone::Plain
        } else {
            Tone::Warn
        };
        let text = |text: &Option<String>| human::one_line(text.as_deref().unwrap_or("-"));
        let by = source.by.map_or("-", ChangesBy::as_str).to_owned();
        table.row([
            (source.name.clone(), Tone::Plain),
            (source.kind.to_string(), Tone::Plain),
            (source.state.to_string(), tone),
            (human::count(source.jobs), Tone::Plain),
            (human::count(source.waiting_records), Tone::Plain),
            (by, Tone::Plain),
            (text(&source.why), Tone::Dim),
        ]);
    }
    let text = table.render(context.output.screen);
    context.output.bytes(text.as_bytes())?;
    Ok(End::Done)
}

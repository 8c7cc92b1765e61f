//! `lapsed pin ls`: lists pins.

use super::target;
use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::daemon::Baseline;
use crate::types::Pins;

pub(super) async fn run(context: &mut Context) -> anyhow::Result<End> {
    let mut client = context
        .connect_to_read(&WatchOptions::default(), Baseline::Records)
        .await?;
    let pins: Pins = client.get(&Target::new("/v1/pins")).await?;
    if context.is_json() {
        for pin in &pins.pins {
            context.output.json(pin)?;
        }
        return Ok(End::Done);
    }
    if pins.pins.is_empty() {
        context.output.line("nothing is pinned")?;
        return Ok(End::Done);
    }
    let now = clock::now().wall;
    let mut table = Table::new(&[
        Column::number("PIN", Fit::Stay),
        Column::text("ENDS", Fit::Stay),
        Column::text("WHO", Fit::Yield(1)),
        Column::text("SET", Fit::Yield(0)),
        Column::text("WHY", Fit::Yield(2)),
        Column::text("WHAT", Fit::Path),
    ]);
    for pin in &pins.pins {
        table.row([
            (pin.id.to_string(), Tone::Plain),
            (human::relative_or(Some(&pin.until), now, ""), Tone::Plain),
            (pin.who.clone(), Tone::Plain),
            (human::relative_or(Some(&pin.set_at), now, ""), Tone::Dim),
            (human::one_line(&pin.why), Tone::Plain),
            (target(pin), Tone::Plain),
        ]);
    }
    let text = table.render(context.output.screen);
    context.output.bytes(text.as_bytes())?;
    Ok(End::Done)
}

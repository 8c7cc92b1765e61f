//! `lapsed pin extend ID --for 7d`: changes when a pin ends.

use clap::Args;
use hyper::Method;

use super::{Time, show};
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::clock;
use crate::types::{Pin, PinChange, Pins};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Number of the pin
    #[arg(value_name = "ID")]
    pin: u64,
    #[command(flatten)]
    time: Time,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let (lasting, until) = arguments.time.parts();
    let target = Target::new("/v1/pins").below(&arguments.pin.to_string());
    let mut client = context.connect().await?;
    let pins: Pins = client.get(&Target::new("/v1/pins")).await?;
    let before = pins.pins.into_iter().find(|pin| pin.id == arguments.pin);
    let change = PinChange { lasting, until };
    let pin: Pin = client.order(Method::PATCH, &target, Some(&change)).await?;
    show(context, &pin, "keeps")?;
    let ends = |pin: &Pin| human::instant(&pin.until);
    if let Some(before) = before.filter(|before| ends(before) > ends(&pin)) {
        let until = human::relative_or(Some(&before.until), clock::now().wall, "");
        eprintln!("note: it ended later before: {until}");
    }
    Ok(End::Done)
}

//! `lapsed extend ID --for 7d`: has a pin end at another time.

use clap::Args;
use hyper::Method;

use super::app::{Context, End};
use super::client::Target;
use super::pin::{Time, show};
use crate::types::{Pin, PinChange};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The pin's number
    #[arg(value_name = "ID")]
    pin: u64,
    #[command(flatten)]
    time: Time,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let (lasting, until) = arguments.time.parts();
    let target = Target::new("/v1/pins").below(&arguments.pin.to_string());
    let mut client = context.connect().await?;
    let change = PinChange { lasting, until };
    let pin: Pin = client.order(Method::PATCH, &target, Some(&change)).await?;
    show(context, &pin, "holds")?;
    Ok(End::Done)
}

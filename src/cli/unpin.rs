//! `lapsed unpin ID|PATH`: lets go what a pin holds.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use hyper::Method;

use super::app::{Context, End};
use super::client::Target;
use super::pin::{json_path, show};
use crate::types::{Pin, Pins};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A pin's number, or a path: then every pin of exactly this path
    #[arg(value_name = "ID|PATH")]
    pin: OsString,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let number = arguments.pin.to_str().and_then(|text| text.parse().ok());
    let ids: Vec<u64> = if let Some(id) = number {
        vec![id]
    } else {
        let path = json_path(context, Path::new(&arguments.pin))?;
        let pins: Pins = client.get(&Target::new("/v1/pins")).await?;
        let of_path = pins
            .pins
            .iter()
            .filter(|pin| pin.path.as_ref() == Some(&path));
        let ids: Vec<u64> = of_path.map(|pin| pin.id).collect();
        anyhow::ensure!(
            !ids.is_empty(),
            "no pin holds exactly \"{}\"\n  `lapsed explain` names the pin that holds a path, `lapsed pins` lists all",
            super::human::safe(&path.path)
        );
        ids
    };
    for id in ids {
        let target = Target::new("/v1/pins").below(&id.to_string());
        let pin: Pin = client.order(Method::DELETE, &target, None::<&()>).await?;
        show(context, &pin, "let go, it held")?;
    }
    Ok(End::Done)
}

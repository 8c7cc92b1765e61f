//! `lapsed pin rm ID|PATH|--job ID`: removes pins.

use std::ffi::OsString;
use std::path::Path;

use clap::{ArgGroup, Args};
use hyper::Method;

use super::{json_path, show};
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::types::{Pin, Pins};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["pin", "job"]).required(true))]
pub(super) struct Arguments {
    /// Number of a pin, or path: all pins of exactly this path
    #[arg(value_name = "ID|PATH")]
    pin: Option<OsString>,
    /// Remove all pins of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Source of the job, if several know its id
    #[arg(long, value_name = "NAME", requires = "job")]
    source: Option<String>,
}

impl Arguments {
    /// Returns the number, if the user gave one.
    fn number(&self) -> Option<u64> {
        self.pin.as_ref()?.to_str()?.parse().ok()
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let ids = if let Some(id) = arguments.number() {
        vec![id]
    } else {
        let path = arguments.pin.as_ref().map(Path::new);
        let path = path.map(|path| json_path(context, path)).transpose()?;
        let source = arguments.source.as_ref();
        let is_of_source = |pin: &Pin| source.is_none_or(|_| pin.source.as_ref() == source);
        let is_meant =
            |pin: &Pin| pin.path == path && pin.job == arguments.job && is_of_source(pin);
        let pins: Pins = client.get(&Target::new("/v1/pins")).await?;
        let pins = pins.pins.iter().filter(|pin| is_meant(pin));
        let ids: Vec<u64> = pins.map(|pin| pin.id).collect();
        let meant = path.map_or_else(
            || format!("job \"{}\"", arguments.job.as_deref().unwrap_or_default()),
            |path| format!("exactly \"{}\"", path.path),
        );
        anyhow::ensure!(
            !ids.is_empty(),
            "no pin keeps {}\n  `lapsed pin ls` lists all pins; `lapsed explain` names the pin that keeps a path",
            human::safe(&meant)
        );
        ids
    };
    for id in ids {
        let target = Target::new("/v1/pins").below(&id.to_string());
        let pin: Pin = client.order(Method::DELETE, &target, None::<&()>).await?;
        show(context, &pin, "removed, kept")?;
    }
    Ok(End::Done)
}

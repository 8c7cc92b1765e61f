//! `lapsed pin add PATH|--job ID --for 7d --why "…"`: keeps something for a while.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{Time, json_path, show};
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::types::{JsonPath, Pin, PinOrder};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["path", "job"]).required(true))]
pub(super) struct Arguments {
    /// File or directory beneath a root, with everything in it
    path: Option<PathBuf>,
    /// Keep all files of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Source of the job, if several know its id
    #[arg(long, value_name = "NAME", requires = "job")]
    source: Option<String>,
    #[command(flatten)]
    time: Time,
    /// Reason, for those who find the pin later
    #[arg(long, value_name = "TEXT")]
    why: String,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let (lasting, until) = arguments.time.parts();
    let mut order = PinOrder {
        job: arguments.job.clone(),
        source: arguments.source.clone(),
        lasting,
        until,
        why: Some(arguments.why.clone()),
        ..PinOrder::default()
    };
    if let Some(path) = &arguments.path {
        let JsonPath { path, path_b64 } = json_path(context, path)?;
        // The text of a path that is not UTF-8 is another path's.
        order.path = path_b64.is_none().then_some(path);
        order.path_b64 = path_b64;
    }
    let mut client = context.connect().await?;
    let pin: Pin = client.post(&Target::new("/v1/pins"), &order).await?;
    show(context, &pin, "keeps")?;
    Ok(End::Done)
}

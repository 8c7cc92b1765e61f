//! `lapsed job put ID --status S`: tells of a job.

use std::collections::BTreeMap;

use clap::Args;
use hyper::Method;

use super::{Which, get, status};
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::clock;
use crate::core::jobs::Status;
use crate::types::{Job, JobOrder, Moment, Since};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Status: pending, running, completed, failed, cancelled
    #[arg(long, value_name = "WORD", value_parser = status)]
    status: Status,
    /// Kind of job
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
    /// Instant of its creation [default: as known, or now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    created_at: Option<Since>,
    /// Instant of its end [default: as known, or now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    completed_at: Option<Since>,
    /// Instant of the last activity
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    last_activity: Option<Since>,
    /// Instant at which it expires by itself
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse_argument, allow_hyphen_values = true)]
    expires_at: Option<Moment>,
    /// Instant of its cleaning; what is left of it is kept
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    cleaned_at: Option<Since>,
    /// Error message of a failed job
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// File or directory that it claims (repeatable)
    #[arg(long, value_name = "FILE")]
    file: Vec<String>,
    /// Other attribute (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = attribute)]
    attribute: Vec<(String, String)>,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "give a name and a value, such as owner=ann".to_owned())
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let attributes: BTreeMap<String, serde_json::Value> = arguments
        .attribute
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    let now = clock::now().wall;
    let at = |since: Since| Moment(since.instant(now));
    let order = JobOrder {
        status: Some(arguments.status.to_string()),
        kind: arguments.kind.clone(),
        created_at: arguments.created_at.map(at),
        completed_at: arguments.completed_at.map(at),
        last_activity: arguments.last_activity.map(at),
        expires_at: arguments.expires_at,
        cleaned_at: arguments.cleaned_at.map(at),
        error: arguments.error.clone(),
        files: arguments.file.clone(),
        attributes,
    };
    let target = Target::new("/v1/jobs")
        .below(&arguments.which.id)
        .query(&arguments.which.query());
    let mut client = context.connect().await?;
    let job: Job = client.order(Method::PUT, &target, Some(&order)).await?;
    get::show(context, &job)?;
    Ok(End::Done)
}

//! `lapsed job rm ID`: forgets a job that was told of here.

use clap::Args;
use hyper::Method;

use super::Which;
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::types::Job;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let target = Target::new("/v1/jobs")
        .below(&arguments.which.id)
        .query(&arguments.which.query());
    let mut client = context.connect().await?;
    let job: Job = client.order(Method::DELETE, &target, None::<&()>).await?;
    if context.is_json() {
        context.output.json(&job)?;
        return Ok(End::Done);
    }
    context.output.line(&format!(
        "forgot job {} of source {}",
        human::safe(&job.line.id),
        human::safe(job.line.source.as_deref().unwrap_or("-"))
    ))?;
    Ok(End::Done)
}

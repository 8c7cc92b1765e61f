//! `lapsed resume`: ends a pause.

use clap::Args;
use hyper::Method;

use super::pause::what;
use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::types::{ResumeQuery, Resumed};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// End only the pause of this root
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let root = arguments.root.clone();
    let target = Target::new("/v1/pause").query(&ResumeQuery { root });
    let ended: Resumed = client.order(Method::DELETE, &target, None::<&()>).await?;
    if context.is_json() {
        context.output.json(&ended)?;
        return Ok(End::Done);
    }
    if ended.resumed.is_empty() {
        context.output.line("nothing was paused")?;
    }
    for pause in &ended.resumed {
        let line = format!("{} not paused any more", what(pause));
        context.output.line(&line)?;
    }
    Ok(End::Done)
}

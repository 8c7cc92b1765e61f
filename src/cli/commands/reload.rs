//! `lapsed reload`: has the daemon read its configuration again.

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::types::Reloaded;

pub(super) async fn run(context: &mut Context) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let target = Target::new("/v1/reload");
    let reloaded: Reloaded = client.post(&target, &serde_json::json!({})).await?;
    if context.is_json() {
        context.output.json(&reloaded)?;
        return Ok(End::Done);
    }
    let file = reloaded.configuration.file.as_deref();
    let file = file.map_or_else(|| "the command line".to_owned(), human::safe);
    context.output.line(&format!("in force: {file}"))?;
    if !reloaded.restart.is_empty() {
        let settings = reloaded.restart.join(", ");
        context
            .output
            .line(&format!("{settings} changed: that takes a restart"))?;
    }
    Ok(End::Done)
}

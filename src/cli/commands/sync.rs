//! `lapsed sync`: waits until everything that happened so far is known.

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::types::Synced;

pub(super) async fn run(context: &mut Context) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let target = Target::new("/v1/sync");
    let synced: Synced = client.post(&target, &serde_json::json!({})).await?;
    if context.is_json() {
        context.output.json(&synced)?;
    } else {
        let (ms, rest) = (synced.took_us / 1000, synced.took_us % 1000 / 10);
        context
            .output
            .line(&format!("in sync after {ms}.{rest:02} ms"))?;
    }
    Ok(End::Done)
}

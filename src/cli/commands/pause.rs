//! `lapsed pause --for 2h --why "…"`: removes nothing for a while.

use clap::Args;

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::clock;
use crate::core::time::Timestamp;
use crate::types::{Pause, PauseOrder, Pauses};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Pause for this long, at most 30d
    #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true)]
    lasting: String,
    /// Reason, for those who wonder
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Pause only this root (repeatable)
    #[arg(long, value_name = "NAME")]
    root: Vec<String>,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let order = PauseOrder {
        lasting: Some(arguments.lasting.clone()),
        why: Some(arguments.why.clone()),
        roots: (!arguments.root.is_empty()).then(|| arguments.root.clone()),
    };
    let mut client = context.connect().await?;
    let pauses: Pauses = client.post(&Target::new("/v1/pause"), &order).await?;
    if context.is_json() {
        context.output.json(&pauses)?;
        return Ok(End::Done);
    }
    let now = clock::now().wall;
    for pause in &pauses.pauses {
        context.output.line(&describe(pause, now))?;
    }
    if pauses.under_way > 0 {
        let removals = human::counted(pauses.under_way, "removal", "removals");
        context
            .output
            .line(&format!("{removals} had begun, and may still end"))?;
    }
    Ok(End::Done)
}

/// `all roots are paused until 2026-11-22 03:12 (in 2 h) by root: why`.
pub(super) fn describe(pause: &Pause, now: Timestamp) -> String {
    let until = human::instant(&pause.until).map_or_else(
        || pause.until.clone(),
        |until| human::by_the_clock(until, now),
    );
    format!(
        "{} paused until {until} by {}: {}",
        what(pause),
        human::safe(&pause.who),
        human::one_line(&pause.why)
    )
}

/// `all roots are`, `root data is`.
pub(super) fn what(pause: &Pause) -> String {
    let root = pause.root.as_deref();
    root.map_or_else(
        || "all roots are".to_owned(),
        |root| format!("root {} is", human::safe(root)),
    )
}

//! `lapsed breaker [release]`: what the backlog breaker holds, and the word that lets it go.

use clap::{Args, Subcommand};

use super::app::{Context, End};
use super::client::Target;
use super::human;
use crate::clock;
use crate::types::{Breaker, OrphanTrip, Release, Released};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Let go what the breaker (or a jump of the clock) holds
    Release {
        /// Only in this root
        #[arg(long, value_name = "NAME")]
        root: Option<String>,
    },
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.order {
        None => show(context).await,
        Some(Order::Release { root }) => release(context, root.clone()).await,
    }
}

async fn show(context: &mut Context) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let breaker: Breaker = client.get(&Target::new("/v1/breaker")).await?;
    if context.is_json() {
        context.output.json(&breaker)?;
        return Ok(End::Done);
    }
    if breaker.tripped.is_empty() && breaker.orphans.is_empty() {
        context.output.line("the breaker holds nothing")?;
    }
    let now = clock::now().wall;
    for trip in &breaker.tripped {
        let root = human::safe(&trip.root);
        context.output.line(&format!(
            "root {root}: {} of {} were due at once {}; look with `lapsed plan`, then `lapsed breaker release --root {root}`",
            human::count(trip.due),
            human::counted_as(trip.of, trip.what),
            human::relative_or(Some(&trip.at), now, ""),
        ))?;
    }
    for trip in &breaker.orphans {
        context.output.line(&orphans(trip))?;
    }
    Ok(End::Done)
}

/// What is held because nobody owns it, for people.
pub(super) fn orphans(trip: &OrphanTrip) -> String {
    let of = match (&trip.root, &trip.source) {
        (Some(root), _) => format!("root {}", human::safe(root)),
        (None, source) => format!("source {}", human::safe(source.as_deref().unwrap_or("?"))),
    };
    format!(
        "{of}: what nobody owns is held: {}; look with `lapsed ls --orphan`, then `lapsed breaker release`",
        human::one_line(&trip.why)
    )
}

async fn release(context: &mut Context, root: Option<String>) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let target = Target::new("/v1/breaker/release");
    let released: Released = client.post(&target, &Release { root }).await?;
    if context.is_json() {
        context.output.json(&released)?;
        return Ok(End::Done);
    }
    if released.released.is_empty() {
        context.output.line("nothing was held")?;
    }
    for root in &released.released {
        context
            .output
            .line(&format!("root {}: released", human::safe(root)))?;
    }
    Ok(End::Done)
}

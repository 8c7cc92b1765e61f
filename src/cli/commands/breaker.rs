//! `lapsed breaker show|release`: what the breaker holds.

use clap::{Args, Subcommand};

use crate::cli::client::Target;
use crate::cli::context::{Consent, Context, End, WatchOptions};
use crate::cli::human;
use crate::clock;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Breaker, OrphanTrip, Release, Released};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what the breaker holds
    Show,
    /// Release what the breaker or a clock jump holds
    Release {
        /// Release only this root
        #[arg(long, value_name = "NAME")]
        root: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Show => show(context).await,
        Command::Release { root, consent } => release(context, root.clone(), consent).await,
    }
}

async fn show(context: &mut Context) -> anyhow::Result<End> {
    let watching = WatchOptions::default();
    let mut client = context.connect_to_read(&watching, Baseline::Saved).await?;
    let breaker: Breaker = client.get(&Target::new("/v1/breaker")).await?;
    if context.is_json() {
        context.output.json(&breaker)?;
        return Ok(End::Done);
    }
    let lines = lines(&breaker, clock::now().wall);
    if lines.is_empty() {
        context.output.line("the breaker holds nothing")?;
    }
    for line in lines {
        context.output.line(&line)?;
    }
    Ok(End::Done)
}

/// Describes what the breaker holds, one line for each root and source.
pub(super) fn lines(breaker: &Breaker, now: Timestamp) -> Vec<String> {
    let trips = breaker.tripped.iter().map(|trip| {
        let root = human::safe(&trip.root);
        format!(
            "root {root}: {} of {} became due at once {} and are held; \
             look with `lapsed plan`, then `lapsed breaker release --root {root}`",
            human::count(trip.due),
            human::counted_as(trip.of, trip.what),
            human::relative_or(Some(&trip.at), now, ""),
        )
    });
    trips.chain(breaker.orphans.iter().map(orphans)).collect()
}

/// Describes orphans that are held.
pub(super) fn orphans(trip: &OrphanTrip) -> String {
    let of = match (&trip.root, &trip.source) {
        (Some(root), _) => format!("root {}", human::safe(root)),
        (None, source) => format!("source {}", human::safe(source.as_deref().unwrap_or("?"))),
    };
    format!(
        "{of}: orphans are held: {}; look with `lapsed ls --orphan`, then `lapsed breaker release`",
        human::one_line(&trip.why)
    )
}

async fn release(
    context: &mut Context,
    root: Option<String>,
    consent: &Consent,
) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    if !consent.is_given() {
        let breaker: Breaker = client.get(&Target::new("/v1/breaker")).await?;
        for line in lines(&breaker, clock::now().wall) {
            eprintln!("{line}");
        }
        if !Consent::ask("release it, so that all that is due is removed?")? {
            return Ok(End::WithErrors);
        }
    }
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

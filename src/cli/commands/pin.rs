//! `lapsed pin add|ls|extend|rm`: paths and jobs' files that are kept for a while.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Args, Subcommand};

use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::clock;
use crate::types::{JsonPath, Moment, Pin};

mod add;
mod extend;
mod ls;
mod rm;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep a path, or all files of a job, for a while
    Add(add::Arguments),
    /// List pins
    Ls,
    /// Change when a pin ends
    Extend(extend::Arguments),
    /// Remove pins
    Rm(rm::Arguments),
}

/// End of a pin.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Time {
    /// Keep for this long, from now on
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    lasting: Option<String>,
    /// Keep until this instant or date
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse_argument, allow_hyphen_values = true)]
    until: Option<Moment>,
}

impl Time {
    /// Returns the duration and the instant, one of which is set.
    fn parts(&self) -> (Option<String>, Option<Moment>) {
        (self.lasting.clone(), self.until)
    }
}

fn duration(text: &str) -> Result<String, String> {
    let lasting = crate::core::span::parse(text).ok();
    lasting
        .filter(|lasting| !lasting.is_zero())
        .map(|_| text.to_owned())
        .ok_or_else(|| "give a duration such as 90s, 15m, 12h, 7d or 1h30m".to_owned())
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Add(arguments) => add::run(context, arguments).await,
        Command::Ls => ls::run(context).await,
        Command::Extend(arguments) => extend::run(context, arguments).await,
        Command::Rm(arguments) => rm::run(context, arguments).await,
    }
}

/// Returns `path` as an absolute path of the daemon.
fn json_path(context: &Context, path: &Path) -> anyhow::Result<JsonPath> {
    anyhow::ensure!(!path.as_os_str().as_bytes().is_empty(), "the path is empty");
    Ok(JsonPath::new(&context.path_of_daemon(path)?))
}

/// Prints the state of `pin` after `change`.
fn show(context: &mut Context, pin: &Pin, change: &str) -> anyhow::Result<()> {
    if context.is_json() {
        return context.output.json(pin);
    }
    context.output.line(&format!(
        "pin {}: {change} {} until {}",
        pin.id,
        target(pin),
        human::instant(&pin.until).map_or_else(
            || pin.until.clone(),
            |until| human::by_the_clock(until, clock::now().wall)
        )
    ))
}

/// Describes the target of a pin.
fn target(pin: &Pin) -> String {
    match (&pin.path, &pin.job) {
        (Some(path), _) => human::safe(&path.path),
        (None, job) => format!(
            "job {} of source {}",
            human::safe(job.as_deref().unwrap_or("?")),
            human::safe(pin.source.as_deref().unwrap_or("?"))
        ),
    }
}

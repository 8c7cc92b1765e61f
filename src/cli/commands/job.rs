//! `lapsed job put|get|ls|rm`: the jobs whose files are kept or lapse with them.

use clap::{Args, Subcommand};

use crate::cli::context::{Context, End};
use crate::core::jobs::Status;
use crate::types::SourceQuery;

mod get;
mod ls;
mod put;
mod rm;

pub(super) use get::pending;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report a job as a whole, replacing what was reported before
    Put(Box<put::Arguments>),
    /// Show a job as its source has it now
    Get(get::Arguments),
    /// List jobs
    Ls(ls::Arguments),
    /// Forget a reported job, leaving its files without an owner
    Rm(rm::Arguments),
}

/// Job that a command is about.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Id of the job
    pub(super) id: String,
    /// Source of the job, if several know its id
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
}

/// Parses a job's status.
pub(super) fn status(word: &str) -> Result<Status, String> {
    Status::of_word(word).ok_or_else(|| {
        let words = Status::ALL.map(Status::as_str);
        format!("give one of {}", words.join(", "))
    })
}

impl Which {
    /// Returns the parameters of a request about the job.
    pub(super) fn query(&self) -> SourceQuery {
        SourceQuery {
            source: self.source.clone(),
        }
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Put(arguments) => put::run(context, arguments).await,
        Command::Get(arguments) => get::run(context, arguments).await,
        Command::Ls(arguments) => ls::run(context, arguments).await,
        Command::Rm(arguments) => rm::run(context, arguments).await,
    }
}

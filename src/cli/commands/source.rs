//! `lapsed source ls|sql`: the sources of jobs.

use clap::{Args, Subcommand};

use crate::cli::context::{Context, End, block_on};

mod ls;
mod sql;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List sources and their state
    Ls,
    /// Print the trigger that notifies changes, for psql
    Sql(sql::Arguments),
}

impl Arguments {
    /// Name of a command that is about this host.
    pub(super) fn name_if_local(&self) -> Option<&'static str> {
        match self.command {
            Command::Ls => None,
            Command::Sql(_) => Some("source sql"),
        }
    }
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Ls => block_on(ls::run(context)),
        Command::Sql(arguments) => sql::run(context, arguments),
    }
}

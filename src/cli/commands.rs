//! Commands: one file each, with a folder for the commands of a noun.

use clap::Subcommand;

use super::context::{Context, End, block_on};
use super::log::Level;

mod adapter;
mod backup;
mod breaker;
mod check;
mod clean;
mod config;
mod describe;
mod displaced;
mod events;
mod explain;
mod history;
mod init;
mod install;
mod job;
mod limit;
mod ls;
mod notify;
mod pause;
mod pin;
mod plan;
mod reload;
mod report;
mod resume;
mod run;
mod serve;
mod shadow;
mod source;
mod stats;
mod status;
mod sync;
mod takeover;
mod token;
mod top;
mod trash;
mod undo;
mod uninstall;

/// A command, with its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon in the foreground
    Serve(serve::Arguments),
    /// Write an annotated configuration file
    Init(init::Arguments),
    /// Validate the configuration and preview its effects
    Check(check::Arguments),
    /// Print the configuration's schema, values, or path
    Config(config::Arguments),
    /// Show the state of the daemon, its roots and sources
    Status(status::Arguments),
    /// Show all of that at a terminal, as it changes
    Top(top::Arguments),
    /// List files and when they lapse
    Ls(ls::Arguments),
    /// Explain when and why a path lapses
    Explain(explain::Arguments),
    /// Report jobs and query them
    Job(job::Arguments),
    /// Keep paths or the files of jobs for a while
    Pin(pin::Arguments),
    /// Show what lapses and when
    Plan(plan::Arguments),
    /// Remove what is due now
    Clean(clean::Arguments),
    /// Restore what was removed, while its undo window lasts
    Undo(undo::Arguments),
    /// List or delete what can be restored
    Trash(trash::Arguments),
    /// Restore or delete what could not go back to its place
    Displaced(displaced::Arguments),
    /// Run a command that the configuration declares
    Run(run::Arguments),
    /// Let the daemon remove what is due by itself
    Takeover(takeover::Arguments),
    /// List and try commands and endpoints of an older system
    Adapter(adapter::Arguments),
    /// Show files, bytes and lateness by root and rule
    Stats(stats::Arguments),
    /// Compare shadow mode with an older script
    Shadow(shadow::Arguments),
    /// List removals, newest first
    History(history::Arguments),
    /// Follow events as they happen
    Events(events::Arguments),
    /// Wait until all past changes are known
    Sync,
    /// Have the daemon read its configuration again
    Reload,
    /// Remove nothing for a while
    Pause(pause::Arguments),
    /// End a pause
    Resume(resume::Arguments),
    /// Show or release what the breaker holds
    Breaker(breaker::Arguments),
    /// List sources or print a database trigger
    Source(source::Arguments),
    /// List and test receivers of notifications
    Notify(notify::Arguments),
    /// Copy registry, ledger and configuration
    Backup(backup::Arguments),
    /// Make, list and revoke tokens of HTTP clients
    Token(token::Arguments),
    /// Have cron or systemd run a declared command
    Install(install::Arguments),
    /// Take back what install and init --shims did
    Uninstall(uninstall::Arguments),
}

impl Command {
    /// Level of the log unless the user asks for another one.
    pub(super) const fn log_level(&self) -> Level {
        match self {
            Self::Serve(_) => Level::Info,
            // Of a log the screen would be in disorder.
            Self::Check(_) | Self::Top(_) => Level::Error,
            _ => Level::Warn,
        }
    }

    /// Name of a command that is about this host, and asks no daemon behind a URL.
    pub(super) fn name_if_local(&self) -> Option<&'static str> {
        match self {
            Self::Serve(_) => Some("serve"),
            Self::Init(_) => Some("init"),
            Self::Check(_) => Some("check"),
            Self::Config(_) => Some("config"),
            Self::Run(_) => Some("run"),
            Self::Takeover(_) => Some("takeover"),
            Self::Adapter(_) => Some("adapter"),
            Self::Backup(_) => Some("backup"),
            Self::Install(_) => Some("install"),
            Self::Uninstall(_) => Some("uninstall"),
            Self::Source(arguments) => arguments.name_if_local(),
            Self::Trash(arguments) => arguments.name_if_local(),
            _ => None,
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// If it cannot run, or its reader is gone.
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<End> {
        match self {
            // The daemon brings its own threads.
            Self::Serve(arguments) => serve::run(context, &arguments),
            Self::Init(arguments) => init::run(context, &arguments),
            Self::Check(arguments) => check::run(context, &arguments),
            Self::Config(arguments) => config::run(context, &arguments),
            Self::Status(arguments) => block_on(status::run(context, &arguments)),
            Self::Top(arguments) => block_on(top::run(context, &arguments)),
            Self::Ls(arguments) => block_on(ls::run(context, &arguments)),
            Self::Explain(arguments) => block_on(explain::run(context, &arguments)),
            Self::Job(arguments) => block_on(job::run(context, &arguments)),
            Self::Pin(arguments) => block_on(pin::run(context, &arguments)),
            Self::Plan(arguments) => block_on(plan::run(context, &arguments)),
            Self::Clean(arguments) => clean::run(context, &arguments),
            Self::Undo(arguments) => block_on(undo::run(context, &arguments)),
            Self::Trash(arguments) => block_on(trash::run(context, &arguments)),
            Self::Displaced(arguments) => block_on(displaced::run(context, &arguments)),
            Self::Run(arguments) => run::run(context, &arguments),
            Self::Takeover(arguments) => takeover::run(context, &arguments),
            Self::Adapter(arguments) => adapter::run(context, &arguments),
            Self::Stats(arguments) => block_on(stats::run(context, &arguments)),
            Self::Shadow(arguments) => block_on(shadow::run(context, &arguments)),
            Self::History(arguments) => block_on(history::run(context, &arguments)),
            Self::Events(arguments) => block_on(events::run(context, &arguments)),
            Self::Sync => block_on(sync::run(context)),
            Self::Reload => block_on(reload::run(context)),
            Self::Pause(arguments) => block_on(pause::run(context, &arguments)),
            Self::Resume(arguments) => block_on(resume::run(context, &arguments)),
            Self::Breaker(arguments) => block_on(breaker::run(context, &arguments)),
            Self::Source(arguments) => source::run(context, &arguments),
            Self::Notify(arguments) => block_on(notify::run(context, &arguments)),
            Self::Backup(arguments) => backup::run(context, &arguments),
            Self::Token(arguments) => block_on(token::run(context, &arguments)),
            Self::Install(arguments) => install::run(context, &arguments),
            Self::Uninstall(arguments) => uninstall::run(context, &arguments),
        }
    }
}

//! From arguments to a command, from its end to an exit status.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::client::Client;
use super::log::{self, Level};
use super::output::{Format, Output, ReaderGone};
use super::{
    breaker, check, clean, config, events, explain, extend, history, init, job, ls, pin, pins,
    plan, serve, stats, status, sync, trigger, unpin,
};
use crate::config::{Environment, Overrides, RootIds, Settings};

/// Done, with errors that were reported.
const EXIT_WITH_ERRORS: u8 = 1;

/// Could not run: bad usage, bad configuration, no daemon.
const EXIT_COULD_NOT_RUN: u8 = 2;

/// Interrupted by SIGINT: 128 and its number, as shells count.
const EXIT_INTERRUPTED: u8 = 130;

/// Lets temporary files live exactly as long as they should.
#[derive(Debug, Parser)]
#[command(
    name = "lapsed",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit status: 0 done, 1 done with errors, 2 could not run, 130 interrupted.\n\
    Durations: 90s, 15m, 12h, 7d, 1h30m. Sizes: 1000, 10kB, 10M, 1.5GiB."
)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The configuration [default: the user's or the host's lapsed.toml]
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// The daemon's socket
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "PATH"
    )]
    socket: Option<PathBuf>,
    /// Where the daemon keeps its state
    #[arg(
        long,
        global = true,
        help_heading = "Common options",
        value_name = "DIR"
    )]
    state_dir: Option<PathBuf>,
    /// Print one JSON object; lists are one object per line
    #[arg(long, global = true, help_heading = "Common options")]
    json: bool,
    /// Log more (repeatable)
    #[arg(short, long, global = true, help_heading = "Common options", action = ArgAction::Count)]
    verbose: u8,
    /// Log less (repeatable)
    #[arg(short, long, global = true, help_heading = "Common options", action = ArgAction::Count)]
    quiet: u8,
}

/// What to watch, for commands that can do without a daemon.
#[derive(Debug, Clone, Default, Args)]
pub struct Watching {
    /// Watch PATH, and let its files lapse TTL after they were last touched (repeatable)
    #[arg(long, value_name = "PATH=TTL")]
    watch: Vec<String>,
    /// What relative paths are below
    #[arg(long, value_name = "DIR")]
    base_dir: Option<PathBuf>,
    /// Take /, home directories and the like as roots, too
    #[arg(long, alias = "allow-unsafe-root")]
    allow_unsafe_roots: bool,
}

impl Watching {
    /// Refuses these options beside a daemon, which goes by its own configuration.
    ///
    /// # Errors
    /// When one of them is given.
    pub fn refuse_beside_daemon(&self) -> anyhow::Result<()> {
        let given = [
            ("--watch", !self.watch.is_empty()),
            ("--base-dir", self.base_dir.is_some()),
            ("--allow-unsafe-roots", self.allow_unsafe_roots),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => anyhow::bail!(
                "{option} means nothing here: a daemon answers, by its own configuration\n  \
                 leave {option} out, or name another socket with --socket to do without the daemon"
            ),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch, and let lapse what is due: the daemon, in the foreground
    Serve(serve::Arguments),
    /// Write an annotated configuration, from a preset or a few questions
    Init(init::Arguments),
    /// Validate the configuration, and say in plain words what it will do
    Check(check::Arguments),
    /// Print the schema of the configuration, its values, or its path
    Config(config::Arguments),
    /// How the daemon is, and what it watches
    Status(status::Arguments),
    /// List files, with when they lapse
    Ls(ls::Arguments),
    /// Why a file lapses when it does, or does not
    Explain(explain::Arguments),
    /// Tell of jobs, and ask about them
    Job(job::Arguments),
    /// Have a path, or all that a job owns, stay for a while
    Pin(pin::Arguments),
    /// What is pinned, by whom, why and until when
    Pins,
    /// Have a pin end at another time
    Extend(extend::Arguments),
    /// Let go what a pin holds
    Unpin(unpin::Arguments),
    /// What will lapse, and when
    Plan(plan::Arguments),
    /// Remove now what is due
    Clean(clean::Arguments),
    /// Files, bytes and lateness, by root and rule
    Stats(stats::Arguments),
    /// What was removed, newest first
    History(history::Arguments),
    /// Follow what happens
    Events(events::Arguments),
    /// Wait until everything that happened so far is known
    Sync,
    /// What the backlog breaker holds; `release` lets it go
    Breaker(breaker::Arguments),
    /// Print the trigger that has a PostgreSQL database tell of changes, ready for psql
    Trigger(trigger::Arguments),
}

/// How a command ended that could run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// All is done.
    Done,
    /// Some of it failed, and was said.
    WithErrors,
    /// Nothing could be done, and it was said why.
    Failed,
    /// The user interrupted it, and it was said what was done.
    Interrupted,
}

/// What every command gets.
pub struct Context {
    /// Where it prints.
    pub output: Output,
    /// What the process was started with.
    pub environment: Environment,
    common: Common,
}

impl Context {
    /// What the command line says to the configuration.
    #[must_use]
    pub fn overrides(&self, watching: &Watching) -> Overrides {
        Overrides {
            config: self.common.config.clone(),
            watch: watching.watch.clone(),
            state_dir: self.common.state_dir.clone(),
            socket: self.common.socket.clone(),
            base_dir: watching.base_dir.clone(),
            allow_unsafe_roots: watching.allow_unsafe_roots,
            ..Overrides::default()
        }
    }

    /// Where the daemon listens.
    ///
    /// # Errors
    /// The configuration's mistakes that keep this from being known.
    pub fn socket(&self, watching: &Watching) -> anyhow::Result<PathBuf> {
        let overrides = self.overrides(watching);
        let (_, socket) = crate::config::endpoints(&overrides, &self.environment)?;
        Ok(socket)
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// Its mistakes.
    pub fn settings(&self, watching: &Watching) -> anyhow::Result<Settings> {
        let overrides = self.overrides(watching);
        let mut ids = RootIds::default();
        Ok(crate::config::load(
            &overrides,
            &self.environment,
            &mut ids,
        )?)
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// The configuration's, or the client's.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.socket(&Watching::default())?).await?)
    }

    /// Whether to print for programs.
    #[must_use]
    pub fn is_json(&self) -> bool {
        match self.output.format {
            Format::Json => true,
            Format::Text => false,
        }
    }
}

/// Runs the command that `arguments` (the program's name first) ask for, and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let cli = match Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; clap knows, and prints where each belongs.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_COULD_NOT_RUN));
        }
    };
    let more = i8::try_from(cli.common.verbose).unwrap_or(i8::MAX);
    let less = i8::try_from(cli.common.quiet).unwrap_or(i8::MAX);
    let usual = match &cli.command {
        Command::Serve(_) => Level::Info,
        Command::Check(_) => Level::Error,
        _ => Level::Warn,
    };
    if let Err(error) = log::start(usual, more.saturating_sub(less)) {
        return exit_status(Err(error));
    }
    let format = if cli.common.json {
        Format::Json
    } else {
        Format::Text
    };
    let mut context = Context {
        output: Output::stdout(format),
        environment: Environment::of_process(),
        common: cli.common,
    };
    exit_status(dispatch(&mut context, cli.command))
}

fn dispatch(context: &mut Context, command: Command) -> anyhow::Result<ExitCode> {
    let end = match command {
        // The daemon brings its own threads.
        Command::Serve(arguments) => return serve::run(context, &arguments),
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Check(arguments) => check::run(context, &arguments),
        Command::Config(arguments) => config::run(context, &arguments),
        Command::Status(arguments) => asking(status::run(context, &arguments)),
        Command::Ls(arguments) => asking(ls::run(context, &arguments)),
        Command::Explain(arguments) => asking(explain::run(context, &arguments)),
        Command::Job(arguments) => asking(job::run(context, &arguments)),
        Command::Pin(arguments) => asking(pin::run(context, &arguments)),
        Command::Pins => asking(pins::run(context)),
        Command::Extend(arguments) => asking(extend::run(context, &arguments)),
        Command::Unpin(arguments) => asking(unpin::run(context, &arguments)),
        Command::Plan(arguments) => plan::run(context, &arguments),
        Command::Clean(arguments) => clean::run(context, &arguments),
        Command::Stats(arguments) => asking(stats::run(context, &arguments)),
        Command::History(arguments) => asking(history::run(context, &arguments)),
        Command::Events(arguments) => asking(events::run(context, &arguments)),
        Command::Sync => asking(sync::run(context)),
        Command::Breaker(arguments) => asking(breaker::run(context, &arguments)),
        Command::Trigger(arguments) => trigger::run(context, &arguments),
    }?;
    context.output.flush()?;
    Ok(match end {
        End::Done => ExitCode::SUCCESS,
        End::WithErrors => ExitCode::from(EXIT_WITH_ERRORS),
        End::Failed => ExitCode::from(EXIT_COULD_NOT_RUN),
        End::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    })
}

/// Runs what asks the daemon.
///
/// # Errors
/// Those of `question`, and that of a system without a free descriptor.
pub fn asking<T>(question: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(question)
}

fn exit_status(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        // Whoever wanted the output has enough of it.
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_COULD_NOT_RUN)
        }
    }
}

#[cfg(test)]
mod tests;

//! From arguments to a command, from its end to an exit status.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind as ClapErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use super::client::{ClientError, Server};
use super::commands::Command;
use super::context::{Common, Context, End};
use super::log;
use super::output::{Format, Output, ReaderGone};
use crate::config::Environment;

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

/// Runs the command that `arguments` (the program's name first) ask for, and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::command()
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistakes; clap knows, and prints where each belongs.
            if error.use_stderr() && asks_for_json(&arguments) {
                eprintln!("{}", serde_json::json!({ "error": usage_error(&error) }));
            } else {
                let _ = error.print();
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_COULD_NOT_RUN));
        }
    };
    let format = if cli.common.json {
        Format::Json
    } else {
        Format::Text
    };
    let more = i8::try_from(cli.common.verbose).unwrap_or(i8::MAX);
    let less = i8::try_from(cli.common.quiet).unwrap_or(i8::MAX);
    let usual = cli.command.log_level();
    if let Err(error) = log::start(usual, more.saturating_sub(less)) {
        return exit_status(Err(error), format);
    }
    let environment = Environment::of_process();
    let server = match server(&cli, &environment) {
        Ok(server) => server.map(Arc::new),
        Err(error) => return exit_status(Err(error), format),
    };
    let mut context = Context {
        output: Output::stdout(format),
        environment,
        common: cli.common,
        server,
    };
    exit_status(dispatch(&mut context, cli.command), format)
}

/// The daemon behind a URL, unless the command is about this host.
fn server(cli: &Cli, environment: &Environment) -> anyhow::Result<Option<Server>> {
    let remote = &cli.common.remote;
    match cli.command.name_if_local() {
        Some(name) => remote.refuse(name).map(|()| None),
        None => remote.server(environment, cli.common.local()),
    }
}

/// Returns true if `--json` stands among `arguments`, which could not be parsed.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    options.any(|argument| argument == "--json")
}

/// The error for programs: the mistake, and behind it what clap suggests.
fn usage_error(error: &clap::Error) -> serde_json::Value {
    let text = match error.kind() {
        // The whole help.
        ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing\nrun lapsed --help".to_owned()
        }
        _ => error.render().to_string(),
    };
    object("usage", text.strip_prefix("error: ").unwrap_or(&text))
}

fn dispatch(context: &mut Context, command: Command) -> anyhow::Result<ExitCode> {
    let end = command.run(context)?;
    context.output.flush()?;
    Ok(match end {
        End::Done => ExitCode::SUCCESS,
        End::WithErrors => ExitCode::from(EXIT_WITH_ERRORS),
        End::Failed => ExitCode::from(EXIT_COULD_NOT_RUN),
        End::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
        End::Status(status) => ExitCode::from(status),
    })
}

fn exit_status(result: anyhow::Result<ExitCode>, format: Format) -> ExitCode {
    match result {
        Ok(code) => code,
        // Whoever wanted the output has enough of it.
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            match format {
                Format::Text => eprintln!("error: {error:#}"),
                Format::Json => eprintln!("{}", serde_json::json!({ "error": object_of(&error) })),
            }
            ExitCode::from(EXIT_COULD_NOT_RUN)
        }
    }
}

/// The error for programs: the daemon's problem details, or the message and what would fix it.
fn object_of(error: &anyhow::Error) -> serde_json::Value {
    if let Some(ClientError::Refused(problem)) = error.downcast_ref() {
        return serde_json::json!(problem);
    }
    object("could-not-run", &format!("{error:#}"))
}

/// The error for programs: the first line of `text`, and the rest as what would fix it.
fn object(code: &str, text: &str) -> serde_json::Value {
    let (detail, hint) = text
        .split_once('\n')
        .map_or((text, None), |(detail, hint)| (detail, Some(hint.trim())));
    serde_json::json!({ "code": code, "detail": detail, "hint": hint })
}

#[cfg(test)]
mod tests;

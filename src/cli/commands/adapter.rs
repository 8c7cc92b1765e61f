//! `lapsed adapter`: commands and endpoints of an older system, as the configuration declares them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::run::parser;
use crate::adapter::{Adapter, Facts};
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::daemon::describe;

mod exchanges;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List commands and endpoints
    Ls,
    /// Print the request that a command makes, and do nothing
    Render {
        /// Name of the command, and its arguments
        #[arg(
            value_name = "NAME",
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        words: Vec<OsString>,
    },
    /// Replay recorded exchanges, and tell what differs
    Test {
        /// File or directory [default: exchanges/ beside the file]
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,
    },
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: String,
    operation: &'a str,
    role: &'a str,
    help: &'a str,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let settings = context.settings(&WatchOptions::default())?;
    match &arguments.action {
        Action::Ls => list(context, &settings.adapter),
        Action::Test { path } => exchanges::run(context, path.as_deref()),
        Action::Render { words } => {
            let adapter = settings.adapter.clone();
            let described = describe(&settings);
            let (name, words) = words
                .split_first()
                .ok_or_else(|| anyhow::anyhow!("give the name of a command"))?;
            let command = super::run::command(&adapter, name)?;
            let params = match parser::parse(&command, words) {
                Ok(asked) => asked.params,
                Err(mistake) => return Ok(super::run::refuse(&command, mistake)),
            };
            let facts = Facts {
                params,
                is_dry_run: described.dry_run,
                settings: described,
                ..Facts::default()
            };
            let order = adapter.order(&command.action, &facts)?;
            context.output.json(&order)?;
            Ok(End::Done)
        }
    }
}

/// Lists what `adapter` declares.
pub(super) fn list(context: &mut Context, adapter: &Adapter) -> anyhow::Result<End> {
    let commands = adapter.commands.values().map(|command| Line {
        name: format!("lapsed run {}", command.name),
        operation: command.action.operation.into(),
        role: command.action.role.as_str(),
        help: &command.help,
    });
    let endpoints = adapter.endpoints.iter().map(|endpoint| {
        let method: &str = endpoint.method.into();
        Line {
            name: format!("{method} {}", endpoint.path),
            operation: endpoint.action.operation.into(),
            role: endpoint.action.role.as_str(),
            help: &endpoint.help,
        }
    });
    let lines: Vec<Line> = commands.chain(endpoints).collect();
    if context.is_json() {
        for line in &lines {
            context.output.json(line)?;
        }
        return Ok(End::Done);
    }
    if lines.is_empty() {
        context
            .output
            .line("the configuration declares no commands and no endpoints")?;
        return Ok(End::Done);
    }
    let mut table = Table::new(&[
        Column::text("NAME", Fit::Path),
        Column::text("OPERATION", Fit::Yield(1)),
        Column::text("ROLE", Fit::Yield(1)),
        Column::text("HELP", Fit::Yield(0)),
    ]);
    for line in lines {
        table.row([
            (line.name, Tone::Plain),
            (line.operation.to_owned(), Tone::Plain),
            (line.role.to_owned(), Tone::Plain),
            (line.help.to_owned(), Tone::Plain),
        ]);
    }
    let text = table.render(context.output.screen);
    context.output.bytes(text.as_bytes())?;
    Ok(End::Done)
}

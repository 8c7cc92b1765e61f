//! `lapsed run NAME …`: a command of an older system, as the configuration declares it.
//!
//! **Invariant:** where a daemon runs, it carries the command out; a one-shot run beside it does
//! not happen.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::Args;

use crate::adapter::{
    Adapter, Command, Facts, LiveLog, LogTarget, Logged, NotDone, ParamEffect, ParamSetting,
    Params, Wish,
};
use crate::cli::context::{Context, End, WatchOptions, block_on};
use crate::config::{RootPath, Settings};
use crate::daemon::write_new_file;

mod backend;
#[cfg(test)]
mod large_tests;
pub(super) mod parser;
mod removals;

use backend::CommandBackend;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Name and arguments of the command [default: list commands]
    #[arg(
        value_name = "NAME",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<OsString>,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let settings = context.settings(&WatchOptions::default())?;
    let adapter = settings.adapter.clone();
    let Some((name, words)) = arguments.words.split_first() else {
        return super::adapter::list(context, &adapter);
    };
    let command = command(&adapter, name)?;
    let asked = match parser::parse(&command, words) {
        Ok(asked) => asked,
        Err(mistake) => return Ok(refuse(&command, mistake)),
    };
    // Its output is that of the older system.
    context.hush();
    match carry_out(context, settings, &adapter, &command, asked) {
        Ok(end) => Ok(end),
        Err(error) => {
            context.output.flush()?;
            eprintln!("error: {error:#}");
            Ok(End::Status(command.exit.failed))
        }
    }
}

/// The command `name`.
///
/// # Errors
/// If there is none.
pub(super) fn command(adapter: &Adapter, name: &OsStr) -> anyhow::Result<Arc<Command>> {
    let name = name.to_string_lossy();
    let found = adapter.commands.get(&*name).cloned();
    found.ok_or_else(|| unknown(&name, adapter))
}

/// Tells what is wrong with the arguments of `command`, or helps.
pub(super) fn refuse(command: &Command, mistake: parser::Mistake) -> End {
    match mistake {
        parser::Mistake::Usage(error) => {
            let _ = error.print();
            if error.use_stderr() {
                End::Status(command.exit.failed)
            } else {
                End::Done
            }
        }
        parser::Mistake::Faults(faults) => {
            for fault in faults {
                let flag = fault.name.replace('_', "-");
                eprintln!("error: --{flag} {}: it {}", fault.given, fault.message);
            }
            End::Status(command.exit.failed)
        }
    }
}

fn unknown(name: &str, adapter: &Adapter) -> anyhow::Error {
    let known: Vec<&str> = adapter.commands.keys().map(String::as_str).collect();
    let hint = match known.as_slice() {
        [] => "the configuration declares none: write [[command]], or `lapsed init --preset`"
            .to_owned(),
        known => format!("known: {}", known.join(", ")),
    };
    anyhow::anyhow!("there is no command {name:?}\n  {hint}")
}

fn carry_out(
    context: &mut Context,
    settings: Settings,
    adapter: &Arc<Adapter>,
    command: &Arc<Command>,
    asked: parser::Asked,
) -> anyhow::Result<End> {
    let mut watching = WatchOptions::default();
    let mut level = command.log_level;
    let mut is_json = asked.is_json || context.is_json();
    for (effect, _) in asked.params.effects(&command.action.params) {
        match effect {
            ParamEffect::Json => is_json = true,
            ParamEffect::Level(other) => level = level.min(*other),
            ParamEffect::Setting(_) | ParamEffect::Operation(_) => {}
        }
    }
    for (setting, flag, path) in asked.params.settings(&command.action.params) {
        match setting {
            ParamSetting::BaseDir => watching.set_base_dir(path.into()),
            ParamSetting::RootPath(root) => {
                let path = path.to_owned();
                watching.set_root(root.clone(), RootPath { flag, path });
            }
        }
    }
    let settings = if watching.is_given() {
        context.settings(&watching)?
    } else {
        settings
    };
    let base_dir = settings.base_dir.clone();
    let Asked { params, wish } = Asked::from(asked);
    // On standard output only where that has nothing else to hold.
    let is_on_stdout = command.log_to == LogTarget::Stdout && !is_json;
    let print = move |line: &Logged| {
        if is_on_stdout {
            println!("{}", line.text);
        } else {
            eprintln!("{}", line.text);
        }
    };
    let log = LiveLog::new(Arc::clone(adapter), Arc::clone(command), level, print);
    let mut backend = CommandBackend::new(context, &watching, settings);
    let done = block_on(async {
        let action = &command.action;
        let begin = |facts: &Facts| log.begin(facts);
        let done = adapter.carry_out(action, &action.needs, params, wish, &mut backend, begin);
        Ok(done.await)
    })?;
    let told = log.end();
    let facts = match done {
        Ok(facts) => facts,
        Err(NotDone::Failed(backend::Failure::Interrupted)) => return Ok(End::Interrupted),
        Err(NotDone::Failed(backend::Failure::Other(error))) => return Err(error),
        Err(NotDone::Request(error)) => anyhow::bail!("the request of the command: {error}"),
    };
    let told = told.map_err(|error| anyhow::anyhow!("a line of the log: {error}"))?;
    let rendered = adapter.render(command, level, is_json, &facts, &told);
    let rendered = rendered.map_err(|error| anyhow::anyhow!("the output: {error}"))?;
    rendered.log.iter().for_each(print);
    for file in &rendered.files {
        let dir = file.dir.as_ref();
        let dir = dir.map_or_else(|| base_dir.clone(), |dir| base_dir.join(dir));
        write_new_file(&dir, &file.name, &file.text)?;
    }
    match (rendered.output, &facts.report) {
        (Some(text), _) if !text.is_empty() => context.output.line(&text)?,
        (None, Some(report)) if is_json => context.output.json(&**report)?,
        (_, _) => {}
    }
    Ok(end_of(command, &facts))
}

/// Parameters and wishes of the arguments.
struct Asked {
    params: Params,
    wish: Wish,
}

impl From<parser::Asked> for Asked {
    fn from(asked: parser::Asked) -> Self {
        Self {
            params: asked.params,
            wish: Wish {
                release: asked.release,
                ..Wish::default()
            },
        }
    }
}

fn end_of(command: &Command, facts: &Facts) -> End {
    let Some(report) = &facts.report else {
        return End::Done;
    };
    match super::report::end_of(report) {
        End::Done => End::Done,
        End::WithErrors => End::Status(command.exit.errors),
        End::Failed => End::Status(command.exit.failed),
        other => other,
    }
}

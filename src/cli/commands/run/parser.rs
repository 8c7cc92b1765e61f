//! Arguments of a declared command.

use std::ffi::OsString;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction};
use serde_json::Value as Json;

use crate::adapter::{Command, Fault, Param, ParamKind, Params, Place};

/// Names of the arguments that every command has.
const RELEASE: &str = "release";
const OUTPUT: &str = "output";

/// Arguments that were parsed.
pub(in crate::cli::commands) struct Asked {
    pub params: Params,
    pub is_json: bool,
    pub release: bool,
}

/// Mistakes in arguments, or a wish for help.
pub(in crate::cli::commands) enum Mistake {
    Usage(clap::Error),
    Faults(Vec<Fault>),
}

pub(in crate::cli::commands) fn parse(
    command: &Command,
    words: &[OsString],
) -> Result<Asked, Mistake> {
    let name = OsString::from(&command.name);
    let words = [&name].into_iter().chain(words);
    let matches = parser(command).try_get_matches_from(words);
    let mut matches = matches.map_err(Mistake::Usage)?;
    let flags = command.action.params.iter().filter(|param| is_flag(param));
    let mut given = Vec::new();
    for param in flags {
        if param.kind == ParamKind::Flag {
            if matches.get_flag(&param.name) {
                given.push((Place::Flag, param.name.clone(), Json::Bool(true)));
            }
        } else if let Some(value) = matches.remove_one::<String>(&param.name) {
            given.push((Place::Flag, param.name.clone(), value.into()));
        }
    }
    let output = matches.get_one::<String>(OUTPUT);
    Ok(Asked {
        params: Params::read(&command.action.params, given).map_err(Mistake::Faults)?,
        is_json: output.is_some_and(|output| output == "json"),
        release: matches.get_flag(RELEASE),
    })
}

/// Parser of the arguments of `command`. As with Python's argparse, the beginning of a flag is
/// enough where it is clear.
pub(in crate::cli::commands) fn parser(command: &Command) -> clap::Command {
    let mut parser = clap::Command::new(command.name.clone())
        .bin_name(format!("lapsed run {}", command.name))
        .about(command.help.clone())
        .infer_long_args(true)
        .args_override_self(true);
    for param in command.action.params.iter().filter(|param| is_flag(param)) {
        parser = parser.arg(argument(param));
    }
    parser
        .arg(
            Arg::new(OUTPUT)
                .long(OUTPUT)
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .help("Print this form of the result"),
        )
        .arg(
            Arg::new(RELEASE)
                .long(RELEASE)
                .action(ArgAction::SetTrue)
                .help("Release the breaker first"),
        )
}

fn argument(param: &Param) -> Arg {
    let mut argument = Arg::new(param.name.clone())
        .long(param.flag())
        .help(param.help.clone());
    if let Some(short) = param.short {
        argument = argument.short(short);
    }
    match &param.kind {
        ParamKind::Flag => argument.action(ArgAction::SetTrue),
        ParamKind::Bool => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_name("BOOL"),
        ParamKind::Integer | ParamKind::Number => {
            argument.allow_negative_numbers(true).value_name("N")
        }
        ParamKind::Path => argument.value_name("PATH"),
        ParamKind::String | ParamKind::Choice(_) => argument.value_name("TEXT"),
    }
}

fn is_flag(param: &Param) -> bool {
    param.places.contains(&Place::Flag)
}

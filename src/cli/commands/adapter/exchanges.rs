//! `lapsed adapter test`: recorded exchanges, replayed without a daemon.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::adapter::{Adapter, Exchange, Method, Outcome, OutputForm, ParamEffect};
use crate::cli::commands::run::parser;
use crate::cli::context::{Context, End, WatchOptions, block_on};
use crate::cli::output::Format;
use crate::daemon::describe;
use crate::http::adapter::read_request;
use crate::types::Settings;

/// Name of the directory beside the configuration that is replayed unless another is given.
const USUAL: &str = "exchanges";

/// Replays the exchanges at `path`, and tells what differs.
pub(super) fn run(context: &mut Context, path: Option<&Path>) -> anyhow::Result<End> {
    let settings = context.settings(&WatchOptions::default())?;
    let path = match (path, &settings.file) {
        (Some(path), _) => path.to_owned(),
        (None, Some(file)) => file.with_file_name(USUAL),
        (None, None) => anyhow::bail!("there is no configuration beside which exchanges may be"),
    };
    let described = describe(&settings);
    let (mut count, mut differing) = (0, 0);
    for file in files(&path)? {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let exchanges = Exchange::read(&text).with_context(|| format!("{}", file.display()))?;
        for exchange in &exchanges {
            let differences = match replay(&settings.adapter, &described, exchange) {
                Ok(outcome) => exchange.differences(&outcome).map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            let differences = differences.unwrap_or_else(|error| vec![format!("{error:#}")]);
            count += 1;
            differing += usize::from(!differences.is_empty());
            show(context, &file, exchange, &differences)?;
        }
    }
    if count == 0 {
        anyhow::bail!("there are no exchanges in {}", path.display());
    }
    if context.output.format == Format::Text {
        let line = format!("{count} exchanges, {differing} differ");
        context.output.line(&line)?;
    }
    Ok(if differing == 0 {
        End::Done
    } else {
        End::WithErrors
    })
}

/// The files at `path`, in order of their names.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| {
        format!(
            "cannot read {}\n  give the file or the directory of the exchanges",
            path.display()
        )
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn show(
    context: &mut Context,
    file: &Path,
    exchange: &Exchange,
    differences: &[String],
) -> anyhow::Result<()> {
    let output = &mut context.output;
    if output.format == Format::Json {
        return output.json(&json!({
            "file": file.to_string_lossy(),
            "about": exchange.about,
            "call": exchange.call,
            "differences": differences,
        }));
    }
    let word = if differences.is_empty() {
        "same"
    } else {
        "differs"
    };
    output.line(&format!("{word}  {} ({})", exchange.about, exchange.call))?;
    for difference in differences {
        output.line(&format!("  {difference}"))?;
    }
    Ok(())
}

fn replay(adapter: &Adapter, settings: &Settings, exchange: &Exchange) -> anyhow::Result<Outcome> {
    let (first, rest) = exchange
        .call
        .split_once(' ')
        .unwrap_or((&exchange.call, ""));
    if let Ok(method) = first.parse::<Method>() {
        return replay_request(adapter, settings, exchange, (method, rest.trim()));
    }
    let command = crate::cli::commands::run::command(adapter, first.as_ref())?;
    let words: Vec<OsString> = rest.split_whitespace().map(OsString::from).collect();
    let Ok(asked) = parser::parse(&command, &words) else {
        return Ok(Outcome {
            exit: Some(command.exit.failed),
            ..Outcome::default()
        });
    };
    let mut form = OutputForm {
        is_json: asked.is_json,
        level: command.log_level,
    };
    for (effect, _) in asked.params.effects(&command.action.params) {
        match effect {
            ParamEffect::Json => form.is_json = true,
            ParamEffect::Level(level) => form.level = form.level.min(*level),
            ParamEffect::Setting(_) | ParamEffect::Operation(_) => {}
        }
    }
    block_on(async {
        let replayed = adapter.replay_command(settings, exchange, (&command, asked.params), form);
        Ok(replayed.await?)
    })
}

fn replay_request(
    adapter: &Adapter,
    settings: &Settings,
    exchange: &Exchange,
    (method, target): (Method, &str),
) -> anyhow::Result<Outcome> {
    let path = target.split('?').next().unwrap_or_default();
    let endpoint = adapter.at(path).find(|endpoint| endpoint.method == method);
    let Some(endpoint) = endpoint else {
        let method: &str = method.into();
        anyhow::bail!("the configuration declares no endpoint {method} {path}");
    };
    let body = exchange.body.as_deref().unwrap_or_default();
    match read_request(adapter, endpoint, target, body) {
        Ok(params) => block_on(async {
            let replayed = adapter.replay_request(settings, exchange, (endpoint, params));
            Ok(replayed.await?)
        }),
        Err((status, body)) => Ok(Outcome {
            status: Some(status),
            answer: serde_json::from_str(&body).ok(),
            ..Outcome::default()
        }),
    }
}

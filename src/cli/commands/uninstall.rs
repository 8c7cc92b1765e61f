//! `lapsed uninstall`: takes back what `lapsed init --shims` put in the place of an older system's
//! scripts.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::init::{presets, shims};
use crate::cli::context::{Context, End};
use crate::cli::human;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Restore the original scripts in DIR
    #[arg(long, value_name = "DIR")]
    shims: PathBuf,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let dir = &arguments.shims;
    if !dir.is_dir() {
        anyhow::bail!("\"{}\" is not a directory", dir.display());
    }
    let all = presets::ALL.iter().flat_map(|preset| preset.shims);
    let restored = shims::restore(dir, all)?;
    let output = &mut context.output;
    for (path, has_original) in &restored {
        let path = path.to_string_lossy();
        if output.format == crate::cli::output::Format::Json {
            output.json(&json!({"path": path, "restored": has_original}))?;
        } else {
            let word = if *has_original { "restored" } else { "removed" };
            output.line(&format!("{word} \"{}\"", human::safe(&path)))?;
        }
    }
    if restored.is_empty() && output.format != crate::cli::output::Format::Json {
        let line = format!("there are no scripts of lapsed in \"{}\"", dir.display());
        output.line(&human::safe(&line))?;
    }
    Ok(End::Done)
}

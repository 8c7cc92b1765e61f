//! `lapsed backup`: copies registry, ledger and configuration.

use std::path::PathBuf;

use clap::Args;

use crate::cli::context::{Context, End, WatchOptions};
use crate::config::path_of_file;
use crate::daemon::backup;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Directory to make; it must not exist, or be empty
    dir: PathBuf,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let overrides = context.overrides(&WatchOptions::default());
    let (state_dir, _) = crate::config::endpoints(&overrides, &context.environment)?;
    // A daemon of the command line has no file.
    let config = path_of_file(&overrides, &context.environment)
        .ok()
        .flatten();
    let manifest = backup(&state_dir, config.as_deref(), &arguments.dir)?;
    if context.is_json() {
        context.output.json(&manifest)?;
    } else {
        let dir = crate::cli::human::safe(&arguments.dir.display().to_string());
        context
            .output
            .line(&format!("backup of registry and ledger in {dir}"))?;
        if let Some(file) = &manifest.configuration {
            let file = crate::cli::human::safe(file);
            context
                .output
                .line(&format!("with the configuration {file}"))?;
        }
    }
    Ok(End::Done)
}

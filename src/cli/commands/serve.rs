//! `lapsed serve`: the daemon, in the foreground.

use clap::Args;

use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::log;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    watching: WatchOptions,
    /// Listen on ADDR, such as 127.0.0.1:7343, too (repeatable)
    #[arg(long, value_name = "ADDR")]
    http: Vec<String>,
    /// Watch, count and report, but remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Record what would be removed beside an older script
    #[arg(long)]
    shadow: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut overrides = context.overrides(&arguments.watching);
    overrides.dry_run = arguments.dry_run;
    overrides.shadow = arguments.shadow;
    overrides.http.clone_from(&arguments.http);
    let mut ids = crate::config::RootIds::default();
    let settings = crate::config::load(&overrides, &context.environment, &mut ids)?;
    log::follow(settings.log_level, settings.log_format);
    let environment = context.environment.clone();
    crate::daemon::serve(settings, overrides, environment, ids, log::follow)?;
    Ok(End::Done)
}

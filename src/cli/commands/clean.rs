//! `lapsed clean`: removes now what is due. Without a daemon it crawls once by itself, with the same policy and reaper.

use std::path::Path;

use clap::Args;

use super::once;
use super::report;
use crate::cli::client::{Client, ClientError, Target};
use crate::cli::context::{Context, End, Watching, block_on};
use crate::types::{CleanOrder, Report};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(in crate::cli) struct Arguments {
    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
    /// Only in this root (repeatable)
    #[arg(long, value_name = "NAME")]
    root: Vec<String>,
    /// Only by this rule (repeatable)
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// Only what this job owns (repeatable)
    #[arg(long)]
    job: Vec<String>,
    /// Only what nobody owns
    #[arg(long)]
    orphans_only: bool,
    /// Another time to live than the rule's, this once (repeatable)
    #[arg(long, value_name = "RULE=TTL", value_parser = parse_retention)]
    retention: Vec<(String, String)>,
    /// Release the breaker of these roots first, and go on
    #[arg(long, conflicts_with = "dry_run")]
    release: bool,
    /// List everything, however long
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    watching: Watching,
}

fn parse_retention(text: &str) -> Result<(String, String), String> {
    let (rule, ttl) = text
        .rsplit_once('=')
        .ok_or_else(|| "give the rule's name and a duration, such as old=7d".to_owned())?;
    crate::core::span::parse(ttl)
        .map_err(|_| format!("\"{ttl}\" is no duration such as 90s, 15m, 12h, 7d or 1h30m"))?;
    Ok((rule.to_owned(), ttl.to_owned()))
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let order = CleanOrder {
        dry_run: arguments.dry_run,
        roots: arguments.root.clone(),
        rules: arguments.rule.clone(),
        jobs: arguments.job.clone(),
        orphans_only: arguments.orphans_only,
        retention: arguments.retention.iter().cloned().collect(),
        release: arguments.release,
    };
    let socket = context.socket(&arguments.watching)?;
    let report = match block_on(ask_daemon(&socket, &order, &arguments.watching))? {
        Asked::Report(report) => *report,
        Asked::Absent(absence) => {
            let settings = once::settings(context, &arguments.watching, &absence)?;
            once::clean(settings, &order)?
        }
        Asked::Interrupted => return Ok(End::Interrupted),
    };
    if context.is_json() {
        context.output.json(&report)?;
    } else {
        report::show(context, &report, arguments.all)?;
    }
    Ok(report::end_of(&report))
}

/// Answer of the daemon.
enum Asked {
    Report(Box<Report>),
    /// There is none.
    Absent(ClientError),
    /// The user did not wait for the answer.
    Interrupted,
}

async fn ask_daemon(
    socket: &Path,
    order: &CleanOrder,
    watching: &Watching,
) -> anyhow::Result<Asked> {
    let mut client = match Client::connect(socket).await {
        Err(error) if error.is_absence() => return Ok(Asked::Absent(error)),
        connected => connected?,
    };
    watching.refuse_beside_daemon()?;
    let target = Target::new("/v1/clean");
    tokio::select! {
        report = client.post(&target, order) => match report {
            Err(error) if error.is_absence() => Ok(Asked::Absent(error)),
            report => Ok(Asked::Report(Box::new(report?))),
        },
        _ = tokio::signal::ctrl_c() => {
            if order.dry_run {
                eprintln!("interrupted: nothing was removed");
            } else {
                eprintln!(
                    "interrupted: the daemon goes on with this run; `lapsed history` lists what it removes"
                );
            }
            Ok(Asked::Interrupted)
        }
    }
}

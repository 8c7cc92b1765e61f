//! `lapsed clean`: removes now what is due. Without a daemon it crawls once by itself, with the
//! same policy and reaper.

use clap::Args;

mod follow;

use super::report;
use crate::adapter::OnRemoved;
use crate::app::clean::{refuse_unknown, resolve};
use crate::app::report::{Run, report_of};
use crate::app::runs::details;
use crate::cli::client::{Client, ClientError, Target};
use crate::cli::context::{Consent, Context, End, WatchOptions, block_on};
use crate::cli::human;
use crate::clock;
use crate::config::Settings;
use crate::core::principal::Principal;
use crate::core::report::{CleanRequest, Mode};
use crate::core::run::RunCause;
use crate::daemon::{Baseline, Once, once};
use crate::types::{CleanOrder, Report};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(in crate::cli) struct Arguments {
    /// Report what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove only in this root (repeatable)
    #[arg(long, value_name = "NAME")]
    root: Option<Vec<String>>,
    /// Remove only by this rule (repeatable)
    #[arg(long, value_name = "NAME")]
    rule: Option<Vec<String>>,
    /// Remove only files that this job owns (repeatable)
    #[arg(long)]
    job: Option<Vec<String>>,
    /// Remove only paths that match, from the root (repeatable)
    #[arg(long, value_name = "GLOB")]
    path: Option<Vec<String>>,
    /// Remove only orphans
    #[arg(long)]
    orphans_only: bool,
    /// Remove at most this many items, oldest first
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Use another lifetime once for a rule, or "*" (repeatable)
    #[arg(long, value_name = "RULE=TTL", value_parser = parse_retention)]
    retention: Vec<(String, String)>,
    /// Release the breaker of these roots first
    #[arg(long, conflicts_with = "dry_run")]
    release: bool,
    /// Print the report in full
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    watching: WatchOptions,
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
        paths: arguments.path.clone(),
        things: None,
        held_limit: None,
        limit: arguments.limit,
        orphans_only: arguments.orphans_only,
        retention: arguments.retention.iter().cloned().collect(),
        release: arguments.release,
        key: None,
    };
    let watching = &arguments.watching;
    if !order.dry_run && !arguments.consent.is_given() {
        let dry = CleanOrder {
            dry_run: true,
            release: false,
            ..order.clone()
        };
        let Some(report) = carry_out(context, watching, &dry)? else {
            return Ok(End::Interrupted);
        };
        let has_work = order.release || report.files > 0 || !report.jobs.is_empty();
        if has_work && !Consent::ask(&question(&order, &report))? {
            return Ok(End::WithErrors);
        }
    }
    let Some(report) = carry_out(context, watching, &order)? else {
        return Ok(End::Interrupted);
    };
    if context.is_json() {
        context.output.json(&report)?;
    } else {
        report::show(context, &report, arguments.all)?;
        if report.dry_run && !order.dry_run {
            let line = "nothing was removed: the daemon runs with --shadow or --dry-run";
            context.output.line(line)?;
        }
    }
    Ok(report::end_of(&report))
}

/// Asks for consent to `order`, of which a dry run says `report`.
fn question(order: &CleanOrder, report: &Report) -> String {
    if order.release {
        return "release the breaker and remove all that is due?".to_owned();
    }
    let files = human::files(report.files);
    format!("remove {files} ({})?", human::size(report.bytes))
}

/// Has the daemon carry out `order`, or does so itself where none runs. `None`: the user
/// interrupted it.
fn carry_out(
    context: &Context,
    watching: &WatchOptions,
    order: &CleanOrder,
) -> anyhow::Result<Option<Report>> {
    let asked = block_on(async {
        if order.dry_run {
            let client = context.connect_to_read(watching, Baseline::Saved).await?;
            return ask(context, watching, client, order).await;
        }
        match context.connect_to_act(watching).await? {
            Ok(client) => ask(context, watching, client, order).await,
            Err(absence) => Ok(Answer::Absent(absence)),
        }
    });
    match asked? {
        Answer::Report(report) => Ok(Some(*report)),
        Answer::Interrupted => Ok(None),
        Answer::Absent(absence) => {
            let settings = context.settings_without_daemon(watching, &absence)?;
            if settings.mode == Mode::DryRun {
                let dry = CleanOrder {
                    dry_run: true,
                    ..order.clone()
                };
                return carry_out(context, watching, &dry);
            }
            clean_once(settings, order).map(Some)
        }
    }
}

/// Answer of the daemon.
pub(super) enum Answer {
    Report(Box<Report>),
    /// There is none.
    Absent(ClientError),
    /// The user did not wait for the answer.
    Interrupted,
}

/// Has the daemon behind `client` carry out `order`. The user can interrupt a run: the daemon
/// cancels it, and reports what it removed until then.
pub(super) async fn ask(
    context: &Context,
    watching: &WatchOptions,
    mut client: Client,
    order: &CleanOrder,
) -> anyhow::Result<Answer> {
    let target = Target::new("/v1/clean");
    if order.dry_run {
        return tokio::select! {
            report = client.post(&target, order) => Ok(Answer::Report(Box::new(report?))),
            _ = tokio::signal::ctrl_c() => {
                eprintln!("interrupted: nothing was removed");
                Ok(Answer::Interrupted)
            }
        };
    }
    let key = key();
    let order = CleanOrder {
        key: Some(key.clone()),
        ..order.clone()
    };
    let endpoint = context.endpoint(watching)?;
    let report = client.post(&target, &order);
    let report = follow::until_reported(report, &endpoint, &key).await?;
    Ok(report.map_or(Answer::Interrupted, |report| {
        Answer::Report(Box::new(report))
    }))
}

/// Word for a run of this process, to find it by.
fn key() -> String {
    format!(
        "lapsed clean, process {} at {}",
        std::process::id(),
        clock::now().wall
    )
}

/// Removes what is due and asked for, after one crawl.
fn clean_once(settings: Settings, order: &CleanOrder) -> anyhow::Result<Report> {
    let principal = Principal::Uid(rustix::process::geteuid().as_raw());
    // Refused before anything is read, let alone removed.
    resolve(order, &settings.policy, principal)?;
    clean_with(&mut once(settings)?, order, None)
}

/// Lists what `order`, a dry run, would remove of what was read.
pub(super) fn plan_with(once: &mut Once, order: &CleanOrder) -> anyhow::Result<Report> {
    let started = clock::now().wall;
    let principal = Principal::Uid(rustix::process::geteuid().as_raw());
    let request = resolve(order, &once.engine().policy(), principal)?;
    let report = once.plan(request);
    refuse_unknown(&report)?;
    let run = Run {
        started,
        finished: clock::now().wall,
        is_interrupted: false,
        sources: &[],
    };
    Ok(report_of(&report, &once.engine().policy(), run))
}

/// Removes what is due and asked for of what was read.
pub(super) fn clean_with(
    once: &mut Once,
    order: &CleanOrder,
    on_removed: Option<OnRemoved>,
) -> anyhow::Result<Report> {
    let started = clock::now().wall;
    let principal = Principal::Uid(rustix::process::geteuid().as_raw());
    let request = resolve(order, &once.engine().policy(), principal.clone())?;
    let recording = once.begin_run(details(order.clone(), principal, RunCause::Order))?;
    let request = CleanRequest {
        run: Some(recording.run.clone()),
        ..request
    };
    let report = once.clean(request, on_removed);
    refuse_unknown(&report)?;
    let sources = once.write_records();
    let run = Run {
        started,
        finished: clock::now().wall,
        is_interrupted: once.is_interrupted(),
        sources: &sources,
    };
    let mut report = report_of(&report, &once.engine().policy(), run);
    once.end_run(recording, &mut report);
    Ok(report)
}

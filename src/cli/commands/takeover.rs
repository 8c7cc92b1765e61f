//! `lapsed takeover`: from a script that is called to a daemon that removes what is due by itself.
//!
//! **Invariant:** the configuration is replaced as a whole, and only by its one line.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::client::Target;
use crate::cli::context::{Consent, Context, End, WatchOptions, block_on};
use crate::cli::human;
use crate::core::span;
use crate::daemon::{Baseline, describe};
use crate::types::{CleanOrder, Mode, Report, RuleSettings, Run, Runs, RunsQuery, Status};

/// Key of the line that is replaced.
const KEY: &str = "automatic = ";

/// Comment behind `automatic = false`, before the value that it stands for.
const UNTIL: &str = "# until `lapsed takeover`: ";

/// Runs that are looked at: a year of nightly ones.
const RUNS_MAX: u64 = 1000;

/// Name of all rules in a retention.
const EVERY_RULE: &str = "*";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Take over although a run kept files for longer
    #[arg(long)]
    shorten: bool,
    #[command(flatten)]
    consent: Consent,
}

/// A rule that keeps files for a shorter time than a run wanted.
#[derive(Debug, Serialize)]
struct Shorter {
    rule: String,
    keeps_s: f64,
    run: u64,
    wanted: String,
    started: String,
}

/// Outcome, in JSON.
#[derive(Debug, Serialize)]
struct Taken {
    file: String,
    automatic: String,
    files: u64,
    bytes: u64,
}

/// Returns the text of a configuration that removes nothing by itself until it is taken over.
#[must_use]
pub(super) fn held_back(text: &str) -> String {
    let hold = |value: &str| format!("{KEY}false {UNTIL}{value}\n");
    let mut is_held = false;
    let lines = text
        .split_inclusive('\n')
        .map(|line| match line.strip_prefix(KEY) {
            Some(value) if !is_held => {
                is_held = true;
                hold(value.trim_end())
            }
            _ => line.to_owned(),
        });
    let text: String = lines.collect();
    if is_held {
        return text;
    }
    // Before the first table, and behind the comment at the top.
    let first = text.find("\n\n").map_or(0, |at| at + 2);
    format!("{}{}\n{}", &text[..first], hold("true"), &text[first..])
}

/// The text without the hold, and the value that is in force then; `None`: it has none.
fn released(text: &str) -> Option<(String, String)> {
    let mut value = None;
    let lines = text.split_inclusive('\n').map(|line| {
        let found = line
            .strip_prefix(KEY)
            .and_then(|rest| rest.split_once(UNTIL));
        match found {
            Some((_, wanted)) if value.is_none() => {
                let wanted = wanted.trim_end();
                value = Some(wanted.to_owned());
                format!("{KEY}{wanted}\n")
            }
            _ => line.to_owned(),
        }
    });
    let text: String = lines.collect();
    Some((text, value?))
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let settings = context.settings(&WatchOptions::default())?;
    let file = settings
        .file
        .clone()
        .context("there is no configuration file to change")?;
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let Some((text, automatic)) = released(&text) else {
        anyhow::ensure!(
            settings.automatic,
            "{}: automatic is false, and `lapsed init` did not write that\n  set automatic = true there",
            file.display()
        );
        anyhow::bail!(
            "{}: what is due is removed automatically already",
            file.display()
        );
    };
    // Without a daemon, the end says so once.
    context.hush();
    let rules = describe(&settings).rules;
    let shorter = block_on(find_shorter(context, &rules))?;
    if !shorter.is_empty() && !arguments.shorten {
        refuse(context, &shorter)?;
        return Ok(End::WithErrors);
    }
    let report = block_on(preview(context))?;
    if !arguments.consent.is_given() {
        let question = format!(
            "from now on, remove what is due without being asked? {} ({}) would go at once",
            human::files(report.files),
            human::size(report.bytes)
        );
        if !Consent::ask(&question)? {
            return Ok(End::WithErrors);
        }
    }
    replace(&file, &text)?;
    let mode = block_on(async {
        match context.connect_to_act(&WatchOptions::default()).await? {
            Ok(mut client) => {
                let target = Target::new("/v1/reload");
                let _: serde_json::Value = client.post(&target, &serde_json::json!({})).await?;
                let status: Status = client.get(&Target::new("/v1/status")).await?;
                Ok(Some(status.mode))
            }
            Err(_) => Ok(None),
        }
    })?;
    if context.is_json() {
        context.output.json(&Taken {
            file: file.display().to_string(),
            automatic,
            files: report.files,
            bytes: report.bytes,
        })?;
        return Ok(End::Done);
    }
    context
        .output
        .line(&format!("{}: automatic = {automatic}", file.display()))?;
    context.output.line(match mode {
        Some(Mode::Live | Mode::OnRequest) => {
            "the daemon removes what is due by itself from now on; take the old script out of cron, Beat and timers"
        }
        Some(Mode::DryRun | Mode::Shadow) => {
            "the daemon still removes nothing: start it again without --shadow and --dry-run, and take the old script out of cron, Beat and timers"
        }
        None => {
            "no daemon runs: start it with `lapsed serve`, and take the old script out of cron, Beat and timers"
        }
    })?;
    Ok(End::Done)
}

/// Rules that keep files for a shorter time than a run of the last ones wanted.
async fn find_shorter(context: &Context, rules: &[RuleSettings]) -> anyhow::Result<Vec<Shorter>> {
    let watching = WatchOptions::default();
    let mut client = context
        .connect_to_read(&watching, Baseline::Records)
        .await?;
    let query = RunsQuery {
        limit: Some(RUNS_MAX),
        ..RunsQuery::default()
    };
    let runs: Runs = client.get(&Target::new("/v1/runs").query(&query)).await?;
    let found = rules.iter().filter_map(|rule| {
        let keeps_s = rule.expire.as_ref()?.as_f64()?;
        let longer = runs
            .runs
            .iter()
            .filter_map(|run| Some((run, wanted(run, rule, keeps_s)?)));
        let (run, wanted) = longer.max_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
        Some(Shorter {
            rule: rule.name.clone(),
            keeps_s,
            run: run.id,
            wanted: wanted.0,
            started: run.started.clone(),
        })
    });
    Ok(found.collect())
}

/// The time to live that `run` wanted for `rule`, where it is longer than the rule's.
fn wanted(run: &Run, rule: &RuleSettings, keeps_s: f64) -> Option<(String, f64)> {
    let retention = &run.details.order.retention;
    let ttl = retention
        .get(&rule.name)
        .or_else(|| retention.get(EVERY_RULE))?;
    let seconds = span::parse(ttl).ok()?.as_secs_f64();
    (seconds > keeps_s).then(|| (ttl.clone(), seconds))
}

fn refuse(context: &mut Context, shorter: &[Shorter]) -> anyhow::Result<()> {
    if context.is_json() {
        return shorter
            .iter()
            .try_for_each(|line| context.output.json(line));
    }
    for line in shorter {
        let keeps = std::time::Duration::from_secs_f64(line.keeps_s);
        context.output.line(&format!(
            "rule {:?} keeps {}, but run {} of {} was asked for {}",
            human::safe(&line.rule),
            humantime::format_duration(keeps),
            line.run,
            line.started,
            line.wanted,
        ))?;
    }
    context.output.line(
        "nothing was changed: give these rules the longer time in the configuration, or take over with --shorten",
    )
}

/// Lists what would go at once.
async fn preview(context: &Context) -> anyhow::Result<Report> {
    let watching = WatchOptions::default();
    let mut client = context.connect_to_read(&watching, Baseline::Saved).await?;
    let order = CleanOrder {
        dry_run: true,
        ..CleanOrder::default()
    };
    Ok(client.post(&Target::new("/v1/clean"), &order).await?)
}

/// Replaces the content of `file`, whose owner and mode stay.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let file = file.canonicalize()?;
    let dir = file.parent().context("a file is in a directory")?;
    let failed = || format!("{} cannot be changed", file.display());
    let metadata = fs::metadata(&file).with_context(failed)?;
    let mut new = tempfile::NamedTempFile::new_in(dir).with_context(failed)?;
    new.write_all(text.as_bytes()).with_context(failed)?;
    fs::set_permissions(new.path(), metadata.permissions()).with_context(failed)?;
    let (uid, gid) = owner(&metadata);
    rustix::fs::fchown(new.as_file(), Some(uid), Some(gid)).with_context(failed)?;
    new.as_file().sync_all().with_context(failed)?;
    new.persist(&file).with_context(failed)?;
    Ok(())
}

fn owner(metadata: &fs::Metadata) -> (rustix::process::Uid, rustix::process::Gid) {
    use std::os::unix::fs::MetadataExt as _;
    let uid = rustix::process::Uid::from_raw(metadata.uid());
    (uid, rustix::process::Gid::from_raw(metadata.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_held_back_and_released() {
        for text in [
            "# top\n\nbase_dir = \".\"\nautomatic = \"${AUTO:-true}\" # said\n[[root]]\n",
            "# top\n\nautomatic = true\n",
        ] {
            let held = held_back(text);
            assert!(
                held.contains("automatic = false # until `lapsed takeover`: "),
                "{held}"
            );
            let (free, _) = released(&held).unwrap();
            assert_eq!(free, text);
        }
        let (free, value) = released(&held_back("# top\n\n[[root]]\n")).unwrap();
        assert_eq!(
            (&*free, &*value),
            ("# top\n\nautomatic = true\n\n[[root]]\n", "true")
        );
        assert_eq!(released("automatic = false\n"), None);
    }
}

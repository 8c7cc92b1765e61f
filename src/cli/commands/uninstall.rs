//! `lapsed uninstall`: takes back what `lapsed init --shims` put in the place of an older system's
//! scripts, and entries of `lapsed install`.
//!
//! **Invariant:** nothing is restored while a root's quarantine is in use, holds something, or
//! cannot be read, unless the user says so: the older system would not know of these things.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::init::{presets, shims};
use super::install::{Target, parse_unit, quoted};
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::daemon::{QuarantineContents, inspect_quarantine};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub(in crate::cli) struct Arguments {
    /// Restore the original scripts in DIR
    #[arg(long, value_name = "DIR", group = "what")]
    shims: Option<PathBuf>,
    /// Remove the entry of this name that install wrote
    #[arg(long, value_name = "NAME", group = "what", value_parser = parse_unit)]
    unit: Option<String>,
    /// Restore scripts although a quarantine is not empty
    #[arg(long, requires = "shims")]
    force: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    if let Some(dir) = &arguments.shims {
        restore(context, dir, arguments.force)?;
    }
    if let Some(unit) = &arguments.unit {
        remove_entry(context, &arguments.target, unit)?;
    }
    Ok(End::Done)
}

fn remove_entry(context: &mut Context, target: &Target, unit: &str) -> anyhow::Result<()> {
    let removed = target.take_back(unit)?;
    let is_json = context.is_json();
    let output = &mut context.output;
    if is_json {
        return output.json(&json!({"unit": unit, "is_removed": !removed.is_empty(), "files": removed.iter().flatten().collect::<Vec<_>>()}));
    }
    for path in &removed {
        let what = path.as_ref().map_or_else(
            || format!("the block of {unit} in the crontab"),
            |path| quoted(path),
        );
        output.line(&format!("removed {what}"))?;
    }
    if removed.is_empty() {
        output.line(&format!("there is no entry of lapsed named {unit} there"))?;
    }
    Ok(())
}

fn restore(context: &mut Context, dir: &Path, is_forced: bool) -> anyhow::Result<()> {
    if !dir.is_dir() {
        anyhow::bail!("\"{}\" is not a directory", dir.display());
    }
    if !is_forced {
        let settings = context
            .settings(&WatchOptions::default())
            .context("the quarantines of its roots cannot be found; --force restores the scripts without a look at them")?;
        check_quarantines(settings.policy.roots.values().map(|root| &*root.path))?;
    }
    let all = presets::ALL.iter().flat_map(|preset| &preset.shims);
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
    Ok(())
}

/// Checks that the quarantines of `roots` are empty, and that no process uses them.
fn check_quarantines<'r>(roots: impl Iterator<Item = &'r Path>) -> anyhow::Result<()> {
    let (mut found, mut hints) = (Vec::new(), Vec::new());
    let mut advise = |line| {
        if !hints.contains(&line) {
            hints.push(line);
        }
    };
    for root in roots {
        let contents = match inspect_quarantine(root) {
            Ok(None) => continue,
            Ok(Some(contents)) => contents,
            Err(error) => {
                found.push(format!("  {error}"));
                advise("run it as the user of the service, or as root");
                continue;
            }
        };
        let QuarantineContents {
            path,
            displaced,
            unfinished,
            holder,
        } = contents;
        let path = path.display();
        if let Some(pid) = holder {
            found.push(format!("  \"{path}\": process {pid} uses it"));
            advise("stop the daemon first: it would remove files beside the restored scripts");
            continue;
        }
        if unfinished > 0 {
            let count = human::counted(unfinished, "unfinished removal", "unfinished removals");
            found.push(format!("  \"{path}\": {count}"));
            advise("start `lapsed serve` once: it finishes removals, or puts things back");
        }
        if displaced > 0 {
            let count = human::counted(displaced, "displaced thing", "displaced things");
            found.push(format!("  \"{path}\": {count}"));
            advise(
                "move displaced things to where they belong, or remove them: `lapsed history` says what they are",
            );
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    hints.push("--force restores the scripts all the same, and leaves the rest as it is");
    anyhow::bail!(
        "things of this system may be left in quarantines:\n{}\n{}",
        found.join("\n"),
        hints.join("\n")
    )
}

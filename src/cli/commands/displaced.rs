//! `lapsed displaced ls|restore|rm`: what could not go back to its place.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{trash, undo};
use crate::cli::client::{Client, Target};
use crate::cli::context::{Consent, Context, End, WatchOptions};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::daemon::Baseline;
use crate::types::{Displaced, DisplacedRemove, DisplacedRestore, DisplacedThing, Emptied, Undone};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what could not go back to its place
    Ls,
    /// Restore it to where it was, or where it belongs
    Restore(Restore),
    /// Delete it
    Rm(Remove),
}

#[derive(Debug, Args)]
struct Restore {
    /// Names, as `lapsed displaced ls` shows them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Path in its root where it belongs [default: where it was]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Restore beside names that are taken by now
    #[arg(long)]
    beside: bool,
    /// Pin what comes back for this long [default: 7d]
    #[arg(long = "for", value_name = "DURATION")]
    lasting: Option<String>,
}

#[derive(Debug, Args)]
struct Remove {
    /// Names, as `lapsed displaced ls` shows them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Ls => ls(context).await,
        Command::Restore(arguments) => restore(context, arguments).await,
        Command::Rm(arguments) => remove(context, arguments).await,
    }
}

async fn ls(context: &mut Context) -> anyhow::Result<End> {
    let watching = WatchOptions::default();
    let mut client = context.connect_to_read(&watching, Baseline::Saved).await?;
    let displaced: Displaced = client.get(&Target::new("/v1/displaced")).await?;
    for why in &displaced.unreadable {
        eprintln!("warning: {}", human::one_line(why));
    }
    let end = if displaced.unreadable.is_empty() {
        End::Done
    } else {
        End::WithErrors
    };
    if context.is_json() {
        for thing in &displaced.things {
            context.output.json(thing)?;
        }
        return Ok(end);
    }
    if displaced.things.is_empty() {
        context.output.line("nothing is displaced")?;
        return Ok(end);
    }
    let now = clock::now().wall;
    let mut table = Table::new(&[
        Column::text("WHEN", Fit::Yield(1)),
        Column::number("SIZE", Fit::Stay),
        Column::text("ROOT", Fit::Yield(0)),
        Column::text("NAME", Fit::Stay),
        Column::text("WHY", Fit::Yield(2)),
        Column::text("WAS AT", Fit::Path),
    ]);
    for thing in &displaced.things {
        table.row([
            (human::relative_or(thing.at.as_deref(), now, "?"), Tone::Dim),
            (
                if thing.is_dir {
                    "-".to_owned()
                } else {
                    human::size(thing.bytes)
                },
                Tone::Plain,
            ),
            (thing.root.clone(), Tone::Plain),
            (thing.name.clone(), Tone::Plain),
            (thing.why.clone().unwrap_or_default(), Tone::Plain),
            (
                thing.origin.clone().unwrap_or_else(|| "?".to_owned()),
                Tone::Plain,
            ),
        ]);
    }
    let text = table.render(context.output.screen);
    context.output.bytes(text.as_bytes())?;
    Ok(end)
}

/// Finds the root of each name. Names that several roots have are refused.
async fn root_of(client: &mut Client, names: &[String]) -> anyhow::Result<String> {
    let displaced: Displaced = client.get(&Target::new("/v1/displaced")).await?;
    let root = |name: &String| {
        let of_name = |thing: &&DisplacedThing| thing.name == *name;
        let mut found = displaced.things.iter().filter(of_name);
        let first = found.next().with_context(|| {
            format!(
                "nothing displaced has the name {name:?}\n  `lapsed displaced ls` lists the names"
            )
        })?;
        anyhow::ensure!(
            found.next().is_none(),
            "several roots have a displaced {name:?}\n  move one of them by hand"
        );
        Ok(first.root.clone())
    };
    let roots: anyhow::Result<Vec<String>> = names.iter().map(root).collect();
    let mut roots = roots?;
    roots.dedup();
    anyhow::ensure!(
        roots.len() == 1,
        "these are of several roots: name those of one at a time"
    );
    Ok(roots.remove(0))
}

async fn restore(context: &mut Context, arguments: &Restore) -> anyhow::Result<End> {
    let to = arguments.to.as_deref();
    let to = to.map(|path| context.path_of_daemon(path)).transpose()?;
    let mut client = context.connect().await?;
    let order = DisplacedRestore {
        root: root_of(&mut client, &arguments.names).await?,
        names: arguments.names.clone(),
        to: to.map(|path| path.display().to_string()),
        beside: arguments.beside,
        lasting: arguments.lasting.clone(),
    };
    let target = Target::new("/v1/displaced/restore");
    let undone: Undone = client.post(&target, &order).await?;
    undo::show(context, &undone)
}

async fn remove(context: &mut Context, arguments: &Remove) -> anyhow::Result<End> {
    let mut client = context.connect().await?;
    let root = root_of(&mut client, &arguments.names).await?;
    if !arguments.consent.is_given() && !Consent::ask("delete this for ever?")? {
        return Ok(End::WithErrors);
    }
    let order = DisplacedRemove {
        root,
        names: arguments.names.clone(),
    };
    let target = Target::new("/v1/displaced/remove");
    let emptied: Emptied = client.post(&target, &order).await?;
    trash::show_emptied(context, &emptied)
}

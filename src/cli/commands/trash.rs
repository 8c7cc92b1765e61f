//! `lapsed trash ls|restore|empty`: what can be restored, also without a daemon.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::undo;
use crate::cli::client::Target;
use crate::cli::context::{Consent, Context, End, Limit, WatchOptions};
use crate::cli::human;
use crate::cli::list::List;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::principal::Principal;
use crate::core::time::Timestamp;
use crate::core::trash::{PINNED_FOR, RestoreOrder, TrashFilter};
use crate::daemon::{Baseline, OfflineTrash};
use crate::types::{Bytes, Emptied, EmptyOrder, Since, Trash, TrashQuery, TrashedThing};

/// Things that one request asks for.
const PAGE_THINGS: u64 = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what can be restored, newest first
    Ls(Ls),
    /// Restore things of a root without a daemon
    Restore(Restore),
    /// Delete things of the trash before their time
    Empty(Empty),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
struct Restore {
    /// Numbers of removals
    #[arg(value_name = "ID", group = "what")]
    ids: Vec<u64>,
    /// Restore all
    #[arg(long, group = "what")]
    all: bool,
    /// Directory of the root
    #[arg(long, value_name = "DIRECTORY")]
    root: PathBuf,
    /// Restore beside names that are taken by now
    #[arg(long)]
    beside: bool,
}

#[derive(Debug, Args)]
struct Ls {
    #[command(flatten)]
    limit: Limit,
    /// List only things of this root, or directory of one
    #[arg(long, value_name = "NAME|DIRECTORY")]
    root: Option<String>,
    /// List only what this run removed
    #[arg(long, value_name = "NUMBER")]
    run: Option<u64>,
    /// List only things of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// List only what was at this path or below it
    #[arg(long)]
    path: Option<PathBuf>,
    /// List only what was removed since then
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
}

#[derive(Debug, Args)]
struct Empty {
    /// Numbers of removals; without it all
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
    /// Delete only things of this root, or directory of one
    #[arg(long, value_name = "NAME|DIRECTORY")]
    root: Option<String>,
    /// Delete only what was removed before then
    #[arg(long, value_name = "WHEN")]
    before: Option<Since>,
    #[command(flatten)]
    consent: Consent,
}

impl Arguments {
    /// Name of a command that is about this host.
    pub(super) fn name_if_local(&self) -> Option<&'static str> {
        match self.command {
            Command::Restore(_) => Some("trash restore"),
            Command::Ls(_) | Command::Empty(_) => None,
        }
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.command {
        Command::Ls(arguments) => ls(context, arguments).await,
        Command::Restore(arguments) => restore(context, arguments),
        Command::Empty(arguments) => empty(context, arguments).await,
    }
}

/// Returns the directory of a root that is given by a path; `None` if it is a name.
fn directory(context: &Context, root: Option<&str>) -> anyhow::Result<Option<PathBuf>> {
    let path = root.filter(|root| root.contains('/') || *root == ".");
    anyhow::ensure!(
        path.is_none() || !context.is_remote(),
        "--root with a directory reads this host, and the daemon is behind a URL\n  \
         give the name of the root"
    );
    path.map(|path| {
        std::fs::canonicalize(path).with_context(|| format!("cannot find the root {path:?}"))
    })
    .transpose()
}

/// Restores things of a root that has no daemon.
fn restore(context: &mut Context, arguments: &Restore) -> anyhow::Result<End> {
    let shown = arguments.root.display();
    let path = std::fs::canonicalize(&arguments.root);
    let path = path.with_context(|| format!("cannot find the root \"{shown}\""))?;
    let trash = OfflineTrash::open(&path)?;
    let ids = if arguments.all {
        let page = trash.page(&TrashFilter::default(), None, usize::MAX)?;
        let now = clock::now().wall;
        // Others were emptied: the next start deletes them.
        let items = page.items.iter().filter(|item| item.what.until > now);
        items.map(|item| item.what.id).collect()
    } else {
        arguments.ids.iter().copied().collect()
    };
    let order = RestoreOrder {
        ids,
        beside: arguments.beside,
        by: Principal::Uid(rustix::process::geteuid().as_raw()),
        ..RestoreOrder::default()
    };
    let results = trash.restore(&order).map_err(anyhow::Error::msg)?;
    // The next start pins what came back.
    let pinned_until = clock::now().wall.after(PINNED_FOR);
    let undone = crate::daemon::undone(results, pinned_until);
    undo::show(context, &undone)
}

/// Lists the trash of the root at `path` without a daemon.
fn ls_on_disk(
    context: &mut Context,
    arguments: &Ls,
    path: &Path,
    query: &TrashQuery,
) -> anyhow::Result<End> {
    let now = clock::now().wall;
    let filter = TrashFilter {
        run: query.run,
        job: query.job.clone(),
        path: query
            .path
            .as_ref()
            .map(|path| PathBuf::from(OsStr::from_bytes(&path.0))),
        since: query.since.map(|since| since.instant(now)),
        ..TrashFilter::default()
    };
    let max = arguments.limit.max(&context.output);
    let limit = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let trash = OfflineTrash::open_to_read(path)?;
    let page = trash.page(&filter, None, limit.saturating_add(1))?;
    for why in &page.unreadable {
        eprintln!("warning: {}", human::one_line(why));
    }
    let mut list = List::new(table(), max);
    for item in &page.items {
        let line = serde_json::to_vec(&crate::daemon::trash_line(item))?;
        if !list.push(&mut context.output, &line, |table, thing| {
            row(table, thing, now);
        })? {
            break;
        }
    }
    list.finish(
        &mut context.output,
        &arguments.limit,
        "nothing is in the trash",
    )?;
    Ok(if page.unreadable.is_empty() {
        End::Done
    } else {
        End::WithErrors
    })
}

/// Ends the windows of things of the root at `path`, which has no daemon.
fn empty_on_disk(context: &mut Context, arguments: &Empty, path: &Path) -> anyhow::Result<End> {
    anyhow::ensure!(
        arguments.before.is_none(),
        "--before needs a daemon\n  name the root instead of its path, or give numbers"
    );
    let ids = &arguments.ids;
    let filter = TrashFilter {
        ids: (!ids.is_empty()).then(|| ids.iter().copied().collect()),
        ..TrashFilter::default()
    };
    let things = OfflineTrash::open(path)?.end_windows(&filter)?;
    if context.is_json() {
        let emptied = Emptied {
            things,
            ..Emptied::default()
        };
        context.output.json(&emptied)?;
    } else {
        context.output.line(&format!(
            "{}: deleted at the next start of lapsed on this root, which records it",
            human::counted(things, "thing", "things")
        ))?;
    }
    Ok(End::Done)
}

async fn ls(context: &mut Context, arguments: &Ls) -> anyhow::Result<End> {
    let path = arguments.path.as_deref();
    let path = path.map(|path| context.path_of_daemon(path)).transpose()?;
    let on_disk = directory(context, arguments.root.as_deref())?;
    let query = TrashQuery {
        root: arguments.root.clone(),
        run: arguments.run,
        job: arguments.job.clone(),
        path: path.map(|path| Bytes(path.into_os_string().into_vec())),
        since: arguments.since,
        ..TrashQuery::default()
    };
    if let Some(path) = on_disk {
        return ls_on_disk(context, arguments, &path, &query);
    }
    let watching = WatchOptions::default();
    let mut client = context.connect_to_read(&watching, Baseline::Saved).await?;
    let max = arguments.limit.max(&context.output);
    let mut list = List::new(table(), max);
    let page_things = max.map_or(PAGE_THINGS, |max| max.saturating_add(1).min(PAGE_THINGS));
    let (mut cursor, mut end) = (None::<String>, End::Done);
    let now = clock::now().wall;
    'pages: loop {
        let page = Target::new("/v1/trash").query(&TrashQuery {
            limit: Some(page_things),
            cursor: cursor.take(),
            ..query.clone()
        });
        let page: Trash = client.get(&page).await?;
        for why in &page.unreadable {
            eprintln!("warning: {}", human::one_line(why));
            end = End::WithErrors;
        }
        for thing in &page.things {
            let line = serde_json::to_vec(thing)?;
            if !list.push(&mut context.output, &line, |table, thing| {
                row(table, thing, now);
            })? {
                break 'pages;
            }
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    list.finish(
        &mut context.output,
        &arguments.limit,
        "nothing is in the trash",
    )?;
    Ok(end)
}

fn table() -> Table {
    Table::new(&[
        Column::number("ID", Fit::Stay),
        Column::text("REMOVED", Fit::Yield(2)),
        Column::text("DELETED", Fit::Stay),
        Column::number("FILES", Fit::Yield(1)),
        Column::number("SIZE", Fit::Stay),
        Column::text("RULE", Fit::Yield(0)),
        Column::text("PATH", Fit::Path),
    ])
}

fn row(table: &mut Table, thing: &TrashedThing, now: Timestamp) {
    let more = match thing.further {
        0 => String::new(),
        further => format!(" and {} more", human::count(further)),
    };
    table.row([
        (thing.id.to_string(), Tone::Plain),
        (human::relative_or(Some(&thing.at), now, ""), Tone::Dim),
        (human::relative_or(Some(&thing.until), now, ""), Tone::Plain),
        (human::count(thing.files), Tone::Plain),
        (human::size(thing.bytes), Tone::Plain),
        (thing.rule.clone(), Tone::Plain),
        (format!("{}{more}", thing.path.path), Tone::Plain),
    ]);
}

async fn empty(context: &mut Context, arguments: &Empty) -> anyhow::Result<End> {
    let on_disk = directory(context, arguments.root.as_deref())?;
    let connected = match &on_disk {
        Some(_) => None,
        None => Some(context.connect().await?),
    };
    if !arguments.consent.is_given()
        && !Consent::ask("delete this from the trash, so that nobody can restore it?")?
    {
        return Ok(End::WithErrors);
    }
    if let Some(path) = on_disk {
        return empty_on_disk(context, arguments, &path);
    }
    let mut client = connected.context("invariant: it was connected to")?;
    let order = EmptyOrder {
        all: arguments.ids.is_empty() && arguments.root.is_none() && arguments.before.is_none(),
        ids: arguments.ids.clone(),
        root: arguments.root.clone(),
        before: arguments.before,
    };
    let emptied: Emptied = client.post(&Target::new("/v1/trash/empty"), &order).await?;
    show_emptied(context, &emptied)
}

/// Prints what was deleted.
pub(super) fn show_emptied(context: &mut Context, emptied: &Emptied) -> anyhow::Result<End> {
    let end = if emptied.left.is_empty() {
        End::Done
    } else {
        End::WithErrors
    };
    if context.is_json() {
        context.output.json(emptied)?;
        return Ok(end);
    }
    context.output.line(&format!(
        "deleted: {}, {}",
        human::files(emptied.files),
        human::size(emptied.bytes)
    ))?;
    for left in &emptied.left {
        eprintln!("left in the trash: {}: {}", left.id, human::safe(&left.why));
    }
    Ok(end)
}

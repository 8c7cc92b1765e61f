//! `lapsed history`: what was removed, newest first.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use nix::unistd::{Uid, User};
use serde_json::value::RawValue;

pub(super) mod runs;

use crate::cli::client::Target;
use crate::cli::context::{Context, End, Limit, WatchOptions};
use crate::cli::human;
use crate::cli::list::List;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::principal::Principal;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Bytes, History, HistoryQuery, Removal, RemovalResult, RemovalUnit, Since};

/// Lines that one request asks for.
const PAGE_LINES: u64 = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    limit: Limit,
    /// List only removals in this root
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// List only removals by this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// List only removals of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// List only what this run removed
    #[arg(long, value_name = "NUMBER")]
    run: Option<u64>,
    /// List runs of clean instead
    #[arg(long, conflicts_with_all = ["rule", "job", "run", "path"])]
    runs: bool,
    /// List only since an instant, a date, or a duration ago
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// List only this path and what was beneath it
    #[arg(long)]
    path: Option<PathBuf>,
    #[command(flatten)]
    watching: WatchOptions,
}

impl Arguments {
    /// Returns the request.
    fn query(&self, context: &Context) -> anyhow::Result<HistoryQuery> {
        let query = HistoryQuery {
            root: self.root.clone(),
            rule: self.rule.clone(),
            job: self.job.clone(),
            run: self.run,
            since: self.since,
            ..HistoryQuery::default()
        };
        let Some(path) = &self.path else {
            return Ok(query);
        };
        let path = context.path_of_daemon(path)?;
        Ok(HistoryQuery {
            path: Some(Bytes(path.into_os_string().into_vec())),
            ..query
        })
    }

    fn is_filtered(&self) -> bool {
        let names = [&self.root, &self.rule, &self.job];
        self.path.is_some()
            || self.run.is_some()
            || self.since.is_some()
            || names.into_iter().any(Option::is_some)
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    if arguments.runs {
        return runs::run(context, arguments).await;
    }
    // Only a source can say that there is a job of which nothing was removed.
    let baseline = match arguments.job {
        Some(_) => Baseline::Saved,
        None => Baseline::Records,
    };
    let watching = &arguments.watching;
    let mut client = context.connect_to_read(watching, baseline).await?;
    let query = arguments.query(context)?;
    let max = arguments.limit.max(&context.output);
    let mut list = List::new(table(), max);
    let page_lines = max.map_or(PAGE_LINES, |max| max.saturating_add(1).min(PAGE_LINES));
    let (mut cursor, mut end) = (None::<String>, End::Done);
    let now = clock::now().wall;
    let is_remote = context.is_remote();
    // The row of a unit stands for all of its paths, unless one of them is asked for.
    let are_parts_shown = context.is_json() || arguments.path.is_some();
    'pages: loop {
        let page = Target::new("/v1/history").query(&HistoryQuery {
            limit: Some(page_lines),
            cursor: cursor.take(),
            ..query.clone()
        });
        let body = client.get_bytes(&page).await?;
        let page: History<&RawValue> = serde_json::from_slice(&body)?;
        for why in &page.unreadable {
            eprintln!("warning: {}", human::one_line(why));
            end = End::WithErrors;
        }
        for line in page.removals {
            let line = line.get().as_bytes();
            if !are_parts_shown && serde_json::from_slice::<Removal>(line)?.part > 0 {
                continue;
            }
            if !list.push(&mut context.output, line, |table, line| {
                row(table, line, now, is_remote);
            })? {
                break 'pages;
            }
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let none = if arguments.is_filtered() {
        "no removals match"
    } else {
        "nothing was removed"
    };
    list.finish(&mut context.output, &arguments.limit, none)?;
    Ok(end)
}

fn table() -> Table {
    Table::new(&[
        Column::text("WHEN", Fit::Stay),
        Column::number("LATE", Fit::Yield(0)),
        Column::number("FILES", Fit::Yield(1)),
        Column::number("SIZE", Fit::Stay),
        Column::text("RULE", Fit::Yield(3)),
        Column::text("BY", Fit::Yield(2)),
        Column::text("PATH", Fit::Path),
    ])
}

fn row(table: &mut Table, removal: &Removal, now: Timestamp, is_remote: bool) {
    let (what, tone) = what(removal, now);
    let figures = match (&removal.pin, &removal.pause) {
        // These remove nothing.
        (Some(_), _) | (_, Some(_)) => ["-", "-", "-", "-"].map(str::to_owned),
        (None, None) => [
            human::span(removal.late_ms.max(0).unsigned_abs()),
            human::count(removal.files),
            human::size(removal.bytes),
            removal.rule.clone(),
        ],
    };
    let [late, files, size, rule] = figures;
    table.row([
        (human::relative_or(Some(&removal.at), now, ""), Tone::Plain),
        (late, Tone::Dim),
        (files, Tone::Plain),
        (size, Tone::Plain),
        (rule, Tone::Plain),
        (principal(&removal.by, is_remote), Tone::Plain),
        (what, tone),
    ]);
}

/// Names who had it removed: users of this host by their names, as the pins have them.
fn principal(by: &Principal, is_remote: bool) -> String {
    let user = match by {
        Principal::Uid(uid) if !is_remote => User::from_uid(Uid::from_raw(*uid)).ok().flatten(),
        _ => None,
    };
    user.map_or_else(|| by.to_string(), |user| user.name)
}

/// Names what was removed, and tells the result where it is another than that.
fn what(removal: &Removal, now: Timestamp) -> (String, Tone) {
    let path = removal.path.as_str();
    let job = removal
        .owner
        .as_deref()
        .filter(|_| removal.unit == RemovalUnit::Job);
    let thing = match (job, path) {
        (Some(job), "") => format!("job {job}"),
        (Some(job), path) => format!("job {job}: {path}"),
        (None, path) => path.to_owned(),
    };
    if let Some(pause) = &removal.pause {
        let root = match removal.root.as_str() {
            "" => "all roots".to_owned(),
            root => format!("root {root}"),
        };
        let ends = human::relative_or(Some(&removal.deadline), now, "");
        let told = match removal.result {
            RemovalResult::Resumed => format!("{root} (resumed)"),
            result => format!(
                "{root} ({result} by {}, ends {ends}; {})",
                pause.who, pause.why
            ),
        };
        return (told, Tone::Dim);
    }
    match (removal.result, &removal.pin) {
        (RemovalResult::Removed, _) => (thing, Tone::Plain),
        (RemovalResult::Trashed, _) => (format!("{thing} (moved to the trash)"), Tone::Plain),
        (RemovalResult::Restored, _) => (format!("{thing} (brought back)"), Tone::Plain),
        (RemovalResult::Purged, _) => (format!("{thing} (deleted from the trash)"), Tone::Plain),
        (result, None) => (format!("{thing} ({result})"), Tone::Warn),
        (RemovalResult::Unpinned, Some(pin)) => {
            (format!("{thing} (unpinned: pin {})", pin.id), Tone::Dim)
        }
        (result, Some(pin)) => {
            let ends = human::relative_or(Some(&removal.deadline), now, "");
            let told = format!(
                "{thing} ({result}: pin {} of {} ends {ends}; {})",
                pin.id, pin.who, pin.why
            );
            (told, Tone::Dim)
        }
    }
}

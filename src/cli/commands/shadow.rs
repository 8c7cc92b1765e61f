//! `lapsed shadow`: what a daemon in shadow mode would remove, beside what an older script removes.

use clap::Args;
use serde_json::value::RawValue;

use crate::cli::client::Target;
use crate::cli::context::{Context, End, Limit, WatchOptions};
use crate::cli::human;
use crate::cli::list::List;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::shadow::{ShadowKind, ShadowList};
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Settings, Shadow, ShadowQuery, ShadowState, ShadowThing, ShadowTotal, Since};

/// Things that one request asks for.
const PAGE_THINGS: u64 = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Since an instant, or for a time such as 12h or 7d
    #[arg(long, value_name = "SINCE")]
    since: Option<Since>,
    /// One list: both, only-others or only-lapsed
    #[arg(long, value_name = "LIST", value_parser = parse_list)]
    list: Option<ShadowList>,
    /// Print the sums alone
    #[arg(long)]
    totals: bool,
    #[command(flatten)]
    limit: Limit,
}

/// Remark where nothing is removed by itself.
const ON_REQUEST: &str = "automatic is false: only cleans by schedule or request are recorded; serve with LAPSED_AUTOMATIC=true to see what `lapsed takeover` would do";

/// A page, whose things are printed as they come.
#[derive(serde::Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    things: Vec<&'p RawValue>,
    cursor: Option<String>,
}

fn parse_list(word: &str) -> Result<ShadowList, String> {
    word.parse()
        .map_err(|_| "give both, only-others or only-lapsed".to_owned())
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let watching = WatchOptions::default();
    let mut client = context
        .connect_to_read(&watching, Baseline::Records)
        .await?;
    let max = arguments.limit.max(&context.output);
    let limit = max.map_or(PAGE_THINGS, |max| max.saturating_add(1).min(PAGE_THINGS));
    let mut query = ShadowQuery {
        list: arguments.list,
        since: arguments.since,
        limit: Some(limit),
        cursor: None,
    };
    let mut body = client
        .get_bytes(&Target::new("/v1/shadow").query(&query))
        .await?;
    if arguments.totals && context.is_json() {
        let mut answer: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body)?;
        answer.retain(|key, _| key != "things" && key != "cursor");
        context.output.json(&answer)?;
        return Ok(End::Done);
    }
    if !context.is_json() {
        let answer: Shadow = serde_json::from_slice(&body)?;
        for line in summary(&answer, clock::now().wall) {
            context.output.line(&line)?;
        }
        if answer.active {
            let settings: Settings = client.get(&Target::new("/v1/settings")).await?;
            if !settings.automatic {
                context.output.line(ON_REQUEST)?;
            }
        }
        context.output.line("")?;
    }
    if arguments.totals {
        return Ok(End::Done);
    }
    let mut list = List::new(table(), max);
    let now = clock::now().wall;
    let add = |table: &mut Table, thing: &ShadowThing| row(table, thing, now);
    'pages: loop {
        let page: Page<'_> = serde_json::from_slice(&body)?;
        for thing in page.things {
            let line = thing.get().as_bytes();
            if !list.push(&mut context.output, line, add)? {
                break 'pages;
            }
        }
        if page.cursor.is_none() {
            break;
        }
        query.cursor = page.cursor;
        body = client
            .get_bytes(&Target::new("/v1/shadow").query(&query))
            .await?;
    }
    list.finish(
        &mut context.output,
        &arguments.limit,
        "nothing was removed, and nothing would have been",
    )?;
    Ok(End::Done)
}

fn summary(answer: &Shadow, now: Timestamp) -> Vec<String> {
    let since = human::relative_or(Some(&answer.since), now, "?");
    let mut lines = vec![if answer.active {
        format!("in shadow mode; recorded since {since}")
    } else {
        format!("no daemon is in shadow mode; recorded from {since} on")
    }];
    let lists = [
        (ShadowList::Both, "removed by both"),
        (ShadowList::OnlyOthers, "removed by others only"),
        (ShadowList::OnlyLapsed, "lapsed only would remove"),
    ];
    for (list, words) in lists {
        let sums = answer.totals.iter().filter(|sum| sum.list == list);
        lines.push(format!("{words:<25} {}", totals(sums)));
    }
    if answer.dropped > 0 {
        let dropped = human::count(answer.dropped);
        lines.push(format!(
            "the record is full: the {dropped} oldest things were dropped"
        ));
    }
    if answer.lost > 0 {
        let lost = human::count(answer.lost);
        lines.push(format!(
            "{lost} things could not be recorded: too many at once, or the log says why"
        ));
    }
    lines
}

/// `3 files (1.2 MiB), 1 directory, 2 records`.
fn totals<'t>(sums: impl Iterator<Item = &'t ShadowTotal>) -> String {
    let (mut files, mut bytes, mut directories, mut records) = (0, 0, 0, 0);
    for sum in sums {
        match sum.kind {
            ShadowKind::File => {
                files += sum.things;
                bytes += sum.bytes;
            }
            ShadowKind::Directory => directories += sum.things,
            ShadowKind::Record => records += sum.things,
        }
    }
    let mut parts = vec![format!("{} ({})", human::files(files), human::size(bytes))];
    for (count, one, many) in [
        (directories, "directory", "directories"),
        (records, "record", "records"),
    ] {
        if count > 0 {
            parts.push(human::counted(count, one, many));
        }
    }
    parts.join(", ")
}

fn table() -> Table {
    Table::new(&[
        Column::text("LIST", Fit::Stay),
        Column::text("WOULD", Fit::Stay),
        Column::text("REMOVED", Fit::Stay),
        Column::number("LATER", Fit::Stay),
        Column::number("SIZE", Fit::Yield(0)),
        Column::text("PATH", Fit::Path),
        Column::text("WHY", Fit::Stay),
    ])
}

fn row(table: &mut Table, thing: &ShadowThing, now: Timestamp) {
    let later = thing.later_ms.map_or_else(
        || "-".to_owned(),
        |ms| {
            format!(
                "{}{}",
                if ms < 0 { "-" } else { "" },
                human::span(ms.unsigned_abs())
            )
        },
    );
    let (name, size) = match thing.kind {
        ShadowKind::File => (thing.path.path.clone(), human::size(thing.bytes)),
        ShadowKind::Directory => (format!("{}/", thing.path.path), "-".to_owned()),
        ShadowKind::Record => {
            let record = thing.record.as_deref().unwrap_or("removed");
            (
                format!("record of job {} {record}", thing.path.path),
                "-".to_owned(),
            )
        }
    };
    let state = match thing.state {
        Some(ShadowState::WrittenAgain) => "; written again since: it is in use",
        Some(ShadowState::There) | None => "",
    };
    let tone = match thing.list {
        ShadowList::Both => Tone::Plain,
        ShadowList::OnlyOthers | ShadowList::OnlyLapsed => Tone::Warn,
    };
    table.row([
        (thing.list.as_str().to_owned(), tone),
        (
            human::relative_or(thing.would.as_deref(), now, "-"),
            Tone::Plain,
        ),
        (
            human::relative_or(thing.removed.as_deref(), now, "-"),
            Tone::Plain,
        ),
        (later, Tone::Plain),
        (size, Tone::Dim),
        (name, Tone::Plain),
        (format!("{}{state}", thing.why), Tone::Plain),
    ]);
}

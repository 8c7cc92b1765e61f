//! `lapsed ls`: files, with when they lapse.

use clap::{Args, ValueEnum};

use crate::cli::client::Target;
use crate::cli::context::{Context, End, Limit, WatchOptions};
use crate::cli::human;
use crate::cli::list::List;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::jobs::Status;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Bytes, Entry, FilesQuery, Size, SortBy, SortOrder, Span, Trigger};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(in crate::cli) struct Arguments {
    /// List only files of this root
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// List only files that this job owns
    #[arg(long)]
    job: Option<String>,
    /// List only files of jobs with this status
    #[arg(long, value_name = "WORD", value_parser = super::job::status)]
    status: Option<Status>,
    /// List only orphans
    #[arg(long)]
    orphan: bool,
    /// List only pinned files
    #[arg(long)]
    pinned: bool,
    /// List only files under this rule, or none
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// List only files whose path beneath the root matches
    #[arg(long)]
    glob: Option<String>,
    /// List only files under this hold, such as open
    #[arg(long, value_name = "CODE")]
    hold: Option<String>,
    /// List only files that lapse within this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expiring_within: Option<Span>,
    /// List only files whose content changed longer ago
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    older_than: Option<Span>,
    /// List only files of this size or more
    #[arg(long, value_name = "SIZE")]
    min_size: Option<Size>,
    /// Sort the files [default: deadline if limited, else none]
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// Reverse the order
    #[arg(long, requires = "sort")]
    reverse: bool,
    #[command(flatten)]
    limit: Limit,
    /// Wait until all past changes are known
    #[arg(long)]
    sync: bool,
    #[command(flatten)]
    watching: WatchOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// Oldest first
    Age,
    /// Largest first
    Size,
    /// Soonest first
    Deadline,
    /// By path
    Path,
}

impl Sort {
    /// Returns the order, and the direction opposite to its usual one.
    fn in_query(self) -> (SortBy, SortOrder) {
        match self {
            Self::Age => (SortBy::Age, SortOrder::Asc),
            Self::Size => (SortBy::Size, SortOrder::Asc),
            Self::Deadline => (SortBy::Deadline, SortOrder::Desc),
            Self::Path => (SortBy::Path, SortOrder::Desc),
        }
    }
}

impl Arguments {
    fn query(&self, limit: Option<u64>) -> FilesQuery {
        // A part of a list is the part that lapses first. All of a list comes as it is read, since
        // sorting it takes several passes.
        let usual = limit.map(|_| Sort::Deadline);
        let sort = self.sort.or(usual).map(Sort::in_query);
        FilesQuery {
            root: self.root.clone(),
            job: self.job.clone().map(|id| Bytes(id.into_bytes())),
            status: self.status,
            orphan: self.orphan,
            pinned: self.pinned,
            rule: self.rule.clone(),
            glob: self.glob.clone(),
            hold: self.hold.clone(),
            expiring_within: self.expiring_within,
            older_than: self.older_than,
            min_size: self.min_size,
            sort: sort.map(|(by, _)| by),
            order: sort.filter(|_| self.reverse).map(|(_, reverse)| reverse),
            limit,
            cursor: None,
            sync: self.sync,
        }
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let max = arguments.limit.max(&context.output);
    let query = arguments.query(max.map(|max| max.saturating_add(1)));
    let target = Target::new("/v1/files").query(&query);
    let client = context
        .connect_to_read(&arguments.watching, Baseline::Saved)
        .await?;
    let mut lines = client.lines(&target, "application/x-ndjson").await?;
    let now = clock::now().wall;
    let mut list = List::new(table(), max);
    while let Some(line) = lines.next().await? {
        let more = list.push(&mut context.output, line, |table, entry| {
            row(table, entry, now);
        })?;
        if !more {
            break;
        }
    }
    list.finish(&mut context.output, &arguments.limit, "no files match")?;
    Ok(End::Done)
}

pub(super) fn table() -> Table {
    Table::new(&[
        Column::number("SIZE", Fit::Stay),
        Column::text("CHANGED", Fit::Yield(2)),
        Column::text("LAPSES", Fit::Stay),
        Column::text("RULE", Fit::Yield(1)),
        Column::text("JOB", Fit::Yield(0)),
        Column::text("PATH", Fit::Path),
    ])
}

pub(super) fn row(table: &mut Table, entry: &Entry, now: Timestamp) {
    let (lapses, tone) = lapses(entry, now);
    table.row([
        (
            entry.size.map_or_else(String::new, human::size),
            Tone::Plain,
        ),
        (
            human::relative_or(entry.mtime.as_deref(), now, ""),
            Tone::Dim,
        ),
        (lapses, tone),
        (
            entry.rule.clone().unwrap_or_else(|| "-".to_owned()),
            Tone::Plain,
        ),
        (job(entry), Tone::Plain),
        (entry.path.path.clone(), Tone::Plain),
    ]);
}

fn job(entry: &Entry) -> String {
    match (&entry.job, &entry.status) {
        (Some(job), Some(status)) => format!("{job} ({status})"),
        (Some(job), None) => job.clone(),
        (None, _) => "-".to_owned(),
    }
}

fn lapses(entry: &Entry, now: Timestamp) -> (String, Tone) {
    match (&entry.hold, entry.pin, entry.deadline.as_deref()) {
        (Some(hold), ..) => (format!("held: {hold}"), Tone::Warn),
        (None, _, None) => ("never".to_owned(), Tone::Dim),
        // Not before the pin ends, whatever the rule says.
        (None, Some(pin), Some(deadline)) => {
            let when = departure(entry, deadline, now);
            (format!("{when}, pin {pin}"), Tone::Plain)
        }
        (None, None, Some(deadline)) => (departure(entry, deadline, now), Tone::Plain),
    }
}

/// `in 3 h`; `03:00` by a schedule; `when asked`.
fn departure(entry: &Entry, deadline: &str, now: Timestamp) -> String {
    let at = entry.lapses_at.as_deref();
    match (entry.reason, at.and_then(human::instant)) {
        (Some(Trigger::Asked), _) => "when asked".to_owned(),
        (Some(Trigger::Named), _) => "when named".to_owned(),
        (Some(Trigger::Schedule), Some(at)) => human::clock_time(at, now),
        (_, _) => human::relative_or(at.or(Some(deadline)), now, ""),
    }
}

//! `lapsed plan`: what lapses, and when.

use clap::Args;

use super::limit;
use crate::cli::client::Target;
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use crate::cli::table::{Column, Fit, Table, Tone};
use crate::clock;
use crate::core::time::Timestamp;
use crate::daemon::Baseline;
use crate::types::{Plan, PlanHour, PlanQuery, Span, Tally};

/// Columns of the longest bar.
const BAR_COLUMNS: u64 = 24;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Look this far ahead
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "24h",
        allow_hyphen_values = true
    )]
    within: Span,
    #[command(flatten)]
    watching: WatchOptions,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let watching = &arguments.watching;
    let mut client = context.connect_to_read(watching, Baseline::Saved).await?;
    let query = PlanQuery {
        within: Some(arguments.within),
    };
    let plan: Plan = client.get(&Target::new("/v1/plan").query(&query)).await?;
    if context.is_json() {
        context.output.json(&plan)?;
        return Ok(End::Done);
    }
    show(context, &plan)?;
    Ok(End::Done)
}

fn show(context: &mut Context, plan: &Plan) -> anyhow::Result<()> {
    let now = clock::now().wall;
    for line in summary(plan) {
        context.output.line(&line)?;
    }
    if plan.groups.is_empty() {
        return Ok(());
    }
    context.output.line("")?;
    let table = groups(plan, now).render(context.output.screen);
    context.output.bytes(table.as_bytes())?;
    let bars = bars(&plan.hours, now);
    if !bars.is_empty() {
        context.output.line("")?;
        let table = bars.render(context.output.screen);
        context.output.bytes(table.as_bytes())?;
    }
    Ok(())
}

/// Sums: `3 files (12 B) lapse within 24 h`, `2 files (1 B) wait to be asked: lapsed clean`.
fn summary(plan: &Plan) -> Vec<String> {
    let until = within(plan);
    let mut asked = Tally::default();
    for group in plan
        .groups
        .iter()
        .filter(|group| group.is_manual() && group.schedule.as_deref() != Some("named"))
    {
        asked.files += group.waits.files;
        asked.bytes = asked.bytes.saturating_add(group.waits.bytes);
    }
    let told = |tally: Tally| {
        let size = human::size(tally.bytes);
        format!("{} ({size})", human::files(tally.files))
    };
    let goes = Tally {
        files: plan.files,
        bytes: plan.bytes,
    };
    let mut lines = vec![match (goes.files, plan.waits.files) {
        (0, 0) => format!("nothing lapses {until}"),
        (0, _) => format!("nothing lapses by itself {until}"),
        _ => format!("{} lapse {until}", told(goes)),
    }];
    if asked.files > 0 {
        let verb = if asked.files == 1 { "waits" } else { "wait" };
        lines.push(format!("{} {verb} to be asked: lapsed clean", told(asked)));
    }
    let kept = plan
        .groups
        .iter()
        .fold(Tally::default(), |mut kept, group| {
            kept.add(group.kept.files, group.kept.bytes);
            kept
        });
    if kept.files > 0 {
        let verb = if kept.files == 1 { "stays" } else { "stay" };
        lines.push(format!("{} {verb} as the newest (keep_last)", told(kept)));
    }
    lines.extend(plan.limits.iter().map(limit::excess));
    lines
}

/// `within 24 h`.
fn within(plan: &Plan) -> String {
    let ends = human::instant(&plan.from).zip(human::instant(&plan.until));
    ends.map_or_else(
        || format!("until {}", plan.until),
        |(from, until)| {
            format!(
                "within {}",
                human::span(until.ms_since(from).unsigned_abs())
            )
        },
    )
}

fn groups(plan: &Plan, now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::number("FILES", Fit::Stay),
        Column::number("SIZE", Fit::Stay),
        Column::number("OVERDUE", Fit::Yield(0)),
        Column::number("WAITING", Fit::Stay),
        Column::text("GOES", Fit::Stay),
        Column::text("ROOT", Fit::Stay),
        Column::text("RULE", Fit::Stay),
    ]);
    let some = |files: u64, tone| match files {
        0 => ("-".to_owned(), Tone::Plain),
        files => (human::count(files), tone),
    };
    for group in &plan.groups {
        let next = group.next.as_deref().and_then(human::instant);
        let goes = match (&group.schedule, next) {
            (None, _) => "when due".to_owned(),
            (Some(_), Some(next)) => format!("at {}", human::clock_time(next, now)),
            (Some(schedule), None) if schedule == "named" => "when named".to_owned(),
            (Some(_), None) => "when asked".to_owned(),
        };
        table.row([
            (human::count(group.files), Tone::Plain),
            (human::size(group.bytes), Tone::Plain),
            some(group.overdue.files, Tone::Warn),
            some(group.waits.files, Tone::Plain),
            (goes, Tone::Plain),
            (group.root.clone(), Tone::Plain),
            (group.rule.clone(), Tone::Plain),
        ]);
    }
    table
}

/// The hours in which something lapses.
fn bars(hours: &[PlanHour], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        Column::text("FROM", Fit::Stay),
        Column::number("FILES", Fit::Stay),
        Column::number("SIZE", Fit::Stay),
        Column::text("", Fit::Yield(0)),
    ]);
    let most = hours
        .iter()
        .map(|hour| hour.files)
        .max()
        .unwrap_or(0)
        .max(1);
    for hour in hours.iter().filter(|hour| hour.files > 0) {
        let columns = (hour.files.saturating_mul(BAR_COLUMNS) / most).max(1);
        table.row([
            (human::relative_or(Some(&hour.from), now, ""), Tone::Plain),
            (human::count(hour.files), Tone::Plain),
            (human::size(hour.bytes), Tone::Plain),
            ("▇".repeat(usize::try_from(columns).unwrap_or(1)), Tone::Dim),
        ]);
    }
    table
}

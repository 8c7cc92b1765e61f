//! `lapsed events`: follows what happens.

use clap::Args;

use crate::cli::client::Target;
use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::core::run::RunStatus;
use crate::types::{Event, EventLine, EventsQuery, Moment};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Print every change of a file, too
    #[arg(long)]
    observed: bool,
    /// Start after the event with this number
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let client = context.connect().await?;
    let query = EventsQuery {
        after: arguments.after,
        observed: arguments.observed,
    };
    let target = Target::new("/v1/events").query(&query);
    let mut lines = client.lines(&target, "text/event-stream").await?;
    let mut last: Option<u64> = arguments.after;
    let mut was_dropped = false;
    while let Some(line) = lines.next().await? {
        if let Some(id) = line.strip_prefix(b"id: ") {
            last = std::str::from_utf8(id)
                .ok()
                .and_then(|id| id.trim().parse().ok());
        }
        // This client was too slow: its last event says so.
        was_dropped |= line == b"event: dropped";
        let Some(data) = line.strip_prefix(b"data: ") else {
            continue;
        };
        if context.is_json() {
            context.output.bytes(data)?;
            context.output.bytes(b"\n")?;
        } else {
            let line: EventLine = serde_json::from_slice(data)?;
            context.output.line(&human::safe(&sentence(&line)))?;
        }
        // Whoever follows wants to see it now.
        context.output.flush()?;
    }
    context.output.flush()?;
    if was_dropped {
        return Ok(End::WithErrors);
    }
    let after = last.map_or_else(String::new, |id| {
        format!("; once it runs again: lapsed events --after {id}")
    });
    eprintln!("error: the daemon has ended, and with it the events{after}");
    Ok(End::WithErrors)
}

fn sentence(line: &EventLine) -> String {
    const LOOK: &str = "look with `lapsed plan`, then `lapsed breaker release`";
    let path = line.path.as_deref().unwrap_or("?");
    let root = line.root.as_deref().unwrap_or("?");
    let what = match &line.event {
        Event::Lapsed {
            files, bytes, rule, ..
        } => format!(
            "{path} ({}, {}), by rule \"{rule}\"",
            human::files(*files),
            human::size(*bytes)
        ),
        Event::Held { why, .. } => format!("{path}: {why}"),
        Event::Observed { size: Some(bytes) } => format!("{path} ({})", human::size(*bytes)),
        Event::Observed { size: None } => format!("{path} (gone)"),
        Event::Root { what, .. } => format!("{root}: {what}"),
        Event::OrphansTripped { source, why } => match source {
            Some(source) => format!("source {source}: {why}; {LOOK}"),
            None => format!("root {root}: {why}; {LOOK}"),
        },
        Event::Source { source, what, .. } => format!("{source}: {what}"),
        Event::ClaimRefused {
            source,
            job,
            file,
            why,
        } => format!("{file}, of job {job} of source {source}: {why}"),
        Event::Run {
            run,
            status: RunStatus::Running,
            by,
            ..
        } => format!("run {run} by {by} begins"),
        Event::Run {
            run,
            status,
            files,
            bytes,
            ..
        } => format!(
            "run {run} ends ({}): {} ({})",
            status.as_str(),
            human::files(*files),
            human::size(*bytes)
        ),
        Event::Space {
            is_crossed,
            measure,
        } => {
            let what = measure.describe(*is_crossed);
            format!("root {root}: {what}")
        }
        Event::Saving {} => "changes can be saved again; removals continue".to_owned(),
        Event::Tripped { due, of, what, .. } => format!(
            "root {root}: {} of {} became due at once; {LOOK}",
            human::count(*due),
            human::counted_as(*of, *what)
        ),
        Event::Paused { who, why, until } => format!(
            "{}, by {who} until {}: {why}",
            line.root.as_deref().unwrap_or("all roots"),
            human::clock_time(until.0, line.at.map_or(until.0, |at| at.0)),
        ),
        Event::Resumed { why, by } => {
            let root = line.root.as_deref().unwrap_or("all roots");
            let by = by
                .as_ref()
                .map_or_else(|| "itself".to_owned(), ToString::to_string);
            format!("{root}, by {by}; it was paused because: {why}")
        }
        Event::Released { by } => format!("root {root}, by {by}"),
        Event::Clock { by_ms } => {
            let way = if *by_ms < 0 { "back" } else { "forward" };
            format!(
                "the wall clock was set {way} by {}",
                human::span(by_ms.unsigned_abs())
            )
        }
        Event::Missing(gap) | Event::Dropped(gap) => gap.why.clone(),
    };
    let at = line.at.map(|Moment(at)| human::time_of_day(at));
    let at = at.unwrap_or_else(|| " ".repeat(8));
    format!("{at}  {:15}  {what}", line.event.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::claim::Unit;
    use crate::core::report::Counted;

    #[test]
    fn events_read_as_sentences() {
        let at = Moment::parse_rfc3339("2024-05-06T07:08:09.123Z").unwrap();
        let line = |event| EventLine {
            id: Some(1),
            at: Some(at),
            root: Some("srv".to_owned()),
            path: Some("/srv/a".to_owned()),
            path_b64: None,
            event,
        };
        let here = human::time_of_day(at.0);
        let text = |text: &str| text.to_owned();
        let lapsed = Event::Lapsed {
            unit: Unit::File,
            rule: text("old"),
            deadline: at,
            removed_at: at,
            late_ms: 0,
            files: 1,
            bytes: 2048,
            ledger_id: 1,
            job: None,
            source: None,
        };
        assert_eq!(
            sentence(&line(lapsed)),
            format!("{here}  lapsed           /srv/a (1 file, 2.0 KiB), by rule \"old\"")
        );
        for (event, expected) in [
            (
                Event::Clock { by_ms: -3_600_000 },
                "the wall clock was set back by 60 min",
            ),
            (
                Event::OrphansTripped {
                    source: Some(text("db")),
                    why: text("it is empty"),
                },
                "source db: it is empty; look with `lapsed plan`, then `lapsed breaker release`",
            ),
            (
                Event::Tripped {
                    tripped_at: at,
                    due: 2000,
                    of: 2001,
                    what: Counted::Jobs,
                },
                "root srv: 2,000 of 2,001 jobs became due at once; look with `lapsed plan`, then `lapsed breaker release`",
            ),
            (
                Event::Source {
                    source: text("db"),
                    is_available: true,
                    what: text("is ready"),
                },
                "db: is ready",
            ),
            (
                Event::ClaimRefused {
                    source: text("db"),
                    job: text("7"),
                    file: text("../x"),
                    why: text("no"),
                },
                "../x, of job 7 of source db: no",
            ),
        ] {
            let told = sentence(&line(event));
            assert!(told.ends_with(&format!("  {expected}")), "{told}");
        }
    }
}

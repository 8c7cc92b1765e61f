//! `lapsed events`: follows what happens.

use crate::core::report::Counted;
use clap::Args;
use serde_json::Value;

use super::app::{Context, End};
use super::client::Target;
use super::human;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Tell every change of a file, too
    #[arg(long)]
    observed: bool,
    /// Begin after the event with this number
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let client = context.connect().await?;
    let target = Target::new("/v1/events")
        .with_some("observed", arguments.observed.then_some("true"))
        .with_some("after", arguments.after.map(|id| id.to_string()));
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
            let event: Value = serde_json::from_slice(data)?;
            context.output.line(&human::safe(&sentence(&event)))?;
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

fn sentence(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or("?").to_owned();
    let number = |key: &str| event[key].as_u64().unwrap_or_default();
    let what = match event["event"].as_str().unwrap_or_default() {
        "lapsed" => format!(
            "{} ({}, {}), by rule \"{}\"",
            text("path"),
            human::files(number("files")),
            human::size(number("bytes")),
            text("rule")
        ),
        "held" => format!("{}: {}", text("path"), text("why")),
        "observed" => match event["size"].as_u64() {
            Some(bytes) => format!("{} ({})", text("path"), human::size(bytes)),
            None => format!("{} (gone)", text("path")),
        },
        "root" => format!("{}: {}", text("root"), text("what")),
        "orphans-tripped" => {
            let whose = match (event["source"].as_str(), event["root"].as_str()) {
                (Some(source), _) => format!("source {source}"),
                (None, root) => format!("root {}", root.unwrap_or("?")),
            };
            format!(
                "{whose}: {}; look with `lapsed plan`, then `lapsed breaker release`",
                text("why")
            )
        }
        "source" => format!("{}: {}", text("source"), text("what")),
        "claim-refused" => format!(
            "{}, of job {} of source {}: {}",
            text("file"),
            text("job"),
            text("source"),
            text("why")
        ),
        "saving" => "what changes can be saved again; removals go on".to_owned(),
        "tripped" => format!(
            "root {}: {} of {} became due at once; look with `lapsed plan`, then `lapsed breaker release`",
            text("root"),
            human::count(number("due")),
            human::counted_as(number("of"), Counted::named(&text("what")))
        ),
        "released" => format!("root {}, by uid {}", text("root"), number("uid")),
        "clock" => {
            let by_ms = event["by_ms"].as_i64().unwrap_or_default();
            let way = if by_ms < 0 { "back" } else { "forward" };
            format!(
                "the wall clock was set {way} by {}",
                human::span(by_ms.unsigned_abs())
            )
        }
        "missing" | "dropped" => text("why"),
        _ => event.to_string(),
    };
    let at = event["at"].as_str().and_then(human::instant);
    let at = at.map_or_else(|| " ".repeat(8), human::time_of_day);
    format!("{at}  {:15}  {what}", text("event"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_read_as_sentences() {
        let at = "2024-05-06T07:08:09.123Z";
        let lapsed = json!({"at": at, "event": "lapsed", "path": "/srv/a", "files": 1, "bytes": 2048, "rule": "old"});
        let here = human::time_of_day(human::instant(at).unwrap());
        assert_eq!(
            sentence(&lapsed),
            format!("{here}  lapsed           /srv/a (1 file, 2.0 KiB), by rule \"old\"")
        );
        let clock = json!({"at": at, "event": "clock", "by_ms": -3_600_000});
        assert_eq!(
            sentence(&clock),
            format!("{here}  clock            the wall clock was set back by 60 min")
        );
        let tripped = json!({
            "at": at, "event": "orphans-tripped", "source": "db", "root": null, "path": null, "why": "it is empty",
        });
        assert_eq!(
            sentence(&tripped),
            format!(
                "{here}  orphans-tripped  source db: it is empty; look with `lapsed plan`, then `lapsed breaker release`"
            )
        );
        for (event, said) in [
            (
                json!({"event": "source", "source": "db", "what": "is ready"}),
                "db: is ready",
            ),
            (
                json!({"event": "claim-refused", "source": "db", "job": "7", "file": "../x", "why": "no"}),
                "../x, of job 7 of source db: no",
            ),
            (
                json!({"event": "saving"}),
                "what changes can be saved again; removals go on",
            ),
        ] {
            assert!(sentence(&event).ends_with(said), "{}", sentence(&event));
        }
        assert!(sentence(&json!({})).starts_with("          ?"));
    }
}

//! Digests of receivers: what was removed since the last one, how it is now, and what lapses soon.
//!
//! **Invariant:** a digest and the position that it goes up to are saved together: nothing is in
//! two digests, and nothing in none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::daemon::Daemon;
use super::order::wait;
use super::soon::{Soon, lapse_soon};
use super::status::status;
use crate::app::error::AppError;
use crate::clock;
use crate::core::size;
use crate::core::time::Timestamp;
use crate::core::totals::{Cursor, Sum};
use crate::notifications::{Kind, Notification, Receiver, Severity};
use crate::types::{Moment, SourceState, Status};

/// Keys of positions in the ledger and in time; the name of the receiver follows.
const LEDGER: &str = "digest:";
const SOON: &str = "soon:";

/// Lines of each part of a text; details have more.
const LINES_MAX: usize = 50;

/// Puts the digest of the receiver `name` into its outboxes, and what lapses soon.
///
/// # Errors
/// If the daemon is stopping, or the registry or the ledger cannot be read or written.
pub async fn digest(daemon: Arc<Daemon>, name: &str) -> Result<(), AppError> {
    let receivers = daemon.parts.notifications.receivers();
    let Some(receiver) = receivers.iter().find(|receiver| receiver.name == name) else {
        return Ok(());
    };
    let receiver = receiver.clone();
    let now = clock::now().wall;
    let soon = match receiver.before {
        None => None,
        Some(before) => {
            let (reader, key) = (Arc::clone(&daemon), format!("{SOON}{name}"));
            let after = wait(move || reader.parts.registry.notify_position(&key)).await??;
            let after = after.and_then(|text| Moment::parse_rfc3339(&text));
            // A clock that was set back repeats rather than leaves out.
            let until = now.after(before);
            let after = after.map_or(now, |Moment(after)| after.min(until));
            let soon = lapse_soon(&daemon, &receiver, after, until).await?;
            Some((soon, until))
        }
    };
    let state = status(Arc::clone(&daemon)).await?;
    wait(move || put(&daemon, &receiver, soon, &state, now)).await?
}

fn put(
    daemon: &Daemon,
    receiver: &Receiver,
    soon: Option<(Soon, Timestamp)>,
    state: &Status,
    now: Timestamp,
) -> Result<(), AppError> {
    let parts = &daemon.parts;
    let (mut notifications, mut positions) = (Vec::new(), Vec::new());
    if receiver.has_digest {
        let key = format!("{LEDGER}{}", receiver.name);
        let from = parts.registry.notify_position(&key)?;
        let from: Option<Cursor> = from.and_then(|text| text.parse().ok());
        // The first digest begins with the day before.
        let (removed, end) = removed(daemon, receiver, from, now);
        notifications.push(of_digest(&removed, state, now));
        positions.push((key, end.to_string()));
    }
    if let Some((soon, until)) = soon {
        if soon.files > 0 {
            notifications.push(of_soon(&soon, until, now));
        }
        positions.push((format!("{SOON}{}", receiver.name), until.to_string()));
    }
    parts
        .notifications
        .put_for(receiver, &notifications, &positions)?;
    Ok(())
}

/// Sums of removals by root and rule.
type Removed = BTreeMap<(String, String), Sum>;

/// Removals behind `from` that `receiver` wants to hear of, and the position behind them. Without a
/// position: those of today and yesterday.
fn removed(
    daemon: &Daemon,
    receiver: &Receiver,
    from: Option<Cursor>,
    now: Timestamp,
) -> (Removed, Cursor) {
    let (mut removed, mut end) = (Removed::new(), from.unwrap_or_default());
    let yesterday = now.plus_ms(-86_400_000).day();
    for stretch in daemon.parts.ledger.stretches(from) {
        end = stretch.end();
        for (key, sum) in stretch.totals().sums {
            let is_meant = (from.is_some() || key.day >= yesterday)
                && receiver.has_place(Some(&key.root), Some(&key.rule));
            if is_meant {
                let all = removed.entry((key.root, key.rule)).or_default();
                all.units += sum.units;
                all.files += sum.files;
                all.bytes += sum.bytes;
                all.displaced += sum.displaced;
            }
        }
    }
    (removed, end)
}

fn of_digest(removed: &Removed, state: &Status, now: Timestamp) -> Notification {
    let files: i64 = removed.values().map(|sum| sum.files).sum();
    let bytes: i64 = removed.values().map(|sum| sum.bytes).sum();
    let shown = |files: i64, bytes: i64| {
        let number = |of: i64| u64::try_from(of).unwrap_or(0);
        size::removed(number(files), number(bytes))
    };
    let mut lines: Vec<String> = removed
        .iter()
        .map(|((root, rule), sum)| {
            let removed = shown(sum.files, sum.bytes);
            format!("{root}, rule \"{rule}\": {removed}")
        })
        .collect();
    cut(&mut lines);
    let due = &state.due;
    lines.push(format!("due now: {}", size::files(due.files, due.bytes)));
    let holds = state.holds.iter();
    lines.extend(holds.map(|held| format!("held: {} by {}: {}", held.count, held.code, held.why)));
    let trips = state.breaker.tripped.len() + state.breaker.orphans.len();
    if trips > 0 {
        lines.push(format!(
            "the breaker waits for a person: {trips}; see `lapsed breaker show`"
        ));
    }
    let down = state
        .sources
        .iter()
        .filter(|source| source.state == SourceState::Down);
    lines.extend(down.map(|source| {
        let why = source.why.as_deref().unwrap_or_default();
        format!("source \"{}\" cannot be read: {why}", source.name)
    }));
    let is_fine = state.holds.is_empty() && trips == 0;
    let details = removed.iter().map(|((root, rule), sum)| {
        json!({ "root": root, "rule": rule, "units": sum.units, "files": sum.files, "bytes": sum.bytes, "displaced": sum.displaced })
    });
    Notification {
        id: format!("digest-{}", now.unix_ms()),
        kind: Kind::Digest,
        severity: if is_fine {
            Severity::Info
        } else {
            Severity::Warning
        },
        at: Moment(now),
        root: None,
        rule: None,
        title: format!("digest: {}, health {}", shown(files, bytes), state.health),
        text: lines.join("\n"),
        details: json!({
            "files": files, "bytes": bytes, "removed": details.collect::<Vec<_>>(),
            "due": due, "holds": state.holds, "health": state.health,
        }),
    }
}

fn of_soon(soon: &Soon, until: Timestamp, now: Timestamp) -> Notification {
    let mut lines = Vec::new();
    let mut listed = 0;
    for group in &soon.groups {
        listed += group.files;
        let owner = match &group.job {
            Some(job) => format!("job {job} in {}", group.root),
            None => group.path.clone(),
        };
        let mut line = format!(
            "{owner}: {}, the first at {}",
            size::files(group.files, group.bytes),
            group.first.0
        );
        let _ = write!(line, "\n    keep: {}", group.keep);
        lines.push(line);
    }
    cut(&mut lines);
    if soon.files > listed {
        lines.push(format!("and {} files of others", soon.files - listed));
    }
    Notification {
        id: format!("lapse-soon-{}", now.unix_ms()),
        kind: Kind::LapseSoon,
        severity: Severity::Info,
        at: Moment(now),
        root: None,
        rule: None,
        title: format!(
            "{} to lapse until {until}",
            size::files(soon.files, soon.bytes)
        ),
        text: lines.join("\n"),
        details: json!({ "files": soon.files, "bytes": soon.bytes, "until": Moment(until), "groups": soon.groups }),
    }
}

/// Leaves as many lines as a person reads.
fn cut(lines: &mut Vec<String>) {
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more"));
    }
}

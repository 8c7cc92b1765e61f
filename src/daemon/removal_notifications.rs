//! Notifications of removals, from a position in the ledger.
//!
//! **Invariant:** a position is saved with the notifications about what is before it: a crash loses
//! none, and tells none with another id.

use std::str::FromStr;

use serde_json::json;

use crate::core::size;
use crate::core::totals::Cursor;
use crate::ledger::{Ledger, Line, Mark};
use crate::notifications::{Kind, Notification, Notifications, Receiver, Severity};
use crate::registry::Registry;
use crate::types::Moment;

/// Bytes of the ledger in one notification: ~200 removals.
const LINES_BYTES: u64 = 64 << 10;

/// Paths in the text of a notification; its details have all.
const PATHS_MAX: usize = 20;

/// Keys of positions in the ledger; the name of the receiver follows.
const LEDGER: &str = "ledger:";

/// Position in the ledger that every receiver of removals has been told up to; `None`: there is
/// none.
pub(super) fn notified_until(registry: &Registry) -> Option<Cursor> {
    let positions = registry.notify_positions(LEDGER).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        // Nothing is dropped.
        vec![(String::new(), Cursor::default().to_string())]
    });
    let positions = positions.iter();
    positions
        .filter_map(|(_, at)| Cursor::from_str(at).ok())
        .min()
}

/// Puts `receivers` in force. One that wants removals is told those from now on, or from where an
/// earlier daemon ended.
pub(super) fn set(
    notifications: &Notifications,
    registry: &Registry,
    ledger: &Ledger,
    receivers: Vec<Receiver>,
) {
    let keys: Vec<_> = receivers
        .iter()
        .filter(|one| wants_removals(one))
        .map(key)
        .collect();
    let end = ledger.end().to_string();
    notifications.set(receivers);
    let begun = (|| {
        registry.forget_notify_positions(LEDGER, &keys)?;
        let known = registry.notify_positions(LEDGER)?;
        let is_new = |key: &String| known.iter().all(|(known, _)| known != key);
        let new = keys
            .into_iter()
            .filter(is_new)
            .map(|key| (key, end.clone()));
        notifications.put(&[], &new.collect::<Vec<_>>())
    })();
    if let Err(error) = begun {
        tracing::error!("removals are not told until a reload: {error}");
    }
}

pub(super) fn wants_removals(receiver: &Receiver) -> bool {
    receiver.kinds.contains(&Kind::Lapsed) && receiver.severity == Severity::Info
}

fn key(receiver: &Receiver) -> String {
    format!("{LEDGER}{}", receiver.name)
}

/// Tells removals to `receiver`, from its position on. Returns true if its outbox is full.
pub(super) fn tell_removals(
    notifications: &Notifications,
    registry: &Registry,
    ledger: &Ledger,
    receiver: &Receiver,
) -> anyhow::Result<bool> {
    let key = key(receiver);
    let Some(begin) = registry.notify_position(&key)? else {
        return Ok(false);
    };
    let mut at: Cursor = begin.parse()?;
    let mut saved = at;
    while let Some(stretch) = ledger
        .stretches(Some(at))
        .into_iter()
        .find(|stretch| !stretch.is_empty())
    {
        if !notifications.has_room(receiver, 1)? {
            break;
        }
        let (lines, end) = stretch.read(LINES_BYTES)?;
        let notification = removals(receiver, &lines, at);
        at = end;
        if let Some(notification) = notification {
            let position = (key.clone(), end.to_string());
            notifications.put_for(receiver, &[notification], &[position])?;
            saved = end;
        }
    }
    if saved != at {
        notifications.put(&[], &[(key, at.to_string())])?;
    }
    Ok(at != ledger.end())
}

/// Notification of those of `lines` that `receiver` wants to hear of; they begin at `from`.
fn removals(receiver: &Receiver, lines: &[Line], from: Cursor) -> Option<Notification> {
    let is_meant = |line: &&Line| {
        let is_removal = match line.result {
            Mark::Removed | Mark::Trashed | Mark::Displaced | Mark::PutBack => line.part == 0,
            Mark::Pinned
            | Mark::Extended
            | Mark::Unpinned
            | Mark::Paused
            | Mark::Resumed
            | Mark::Restored
            | Mark::Purged => false,
        };
        is_removal && receiver.has_place(Some(&line.root), Some(&line.rule))
    };
    let lines: Vec<&Line> = lines.iter().filter(is_meant).collect();
    let last = lines.last()?;
    let gone = || {
        let is_gone = |line: &&&Line| matches!(line.result, Mark::Removed | Mark::Trashed);
        lines.iter().filter(is_gone)
    };
    let files: u64 = gone().map(|line| line.files).sum();
    let bytes = gone().map(|line| line.bytes).fold(0, u64::saturating_add);
    let only = |name: fn(&Line) -> &str| {
        let name_of_last = name(last);
        let is_same = lines.iter().all(|line| name(line) == name_of_last);
        is_same.then(|| name_of_last.to_owned())
    };
    let paths = lines.iter().take(PATHS_MAX).map(|line| match line.result {
        Mark::Removed => line.path.clone(),
        _ => format!(
            "{} ({})",
            line.path,
            json!(line.result).as_str().unwrap_or_default()
        ),
    });
    let mut text: Vec<String> = paths.collect();
    if lines.len() > PATHS_MAX {
        text.push(format!("and {} more", lines.len() - PATHS_MAX));
    }
    let details = lines.iter().map(|line| {
        json!({
            "id": line.id, "at": Moment(line.at), "root": line.root, "rule": line.rule,
            "path": line.path, "path_b64": line.path_b64, "unit": line.unit, "result": line.result,
            "files": line.files, "bytes": line.bytes, "by": line.by,
            "job": line.job.as_ref().map(|job| &job.row.id),
        })
    });
    Some(Notification {
        id: format!("removals-{from}"),
        kind: Kind::Lapsed,
        severity: Severity::Info,
        at: Moment(last.at),
        root: only(|line| &line.root),
        rule: only(|line| &line.rule),
        title: size::removed(files, bytes),
        text: text.join("\n"),
        details: json!({ "files": files, "bytes": bytes, "removals": details.collect::<Vec<_>>() }),
    })
}

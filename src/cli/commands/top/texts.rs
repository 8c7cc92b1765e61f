//! Texts about single files.

use crate::cli::human;
use crate::core::time::Timestamp;
use crate::types::{Entry, Explanation, Pin, Status};

/// Facts about a file that are known without asking.
pub(super) fn details(entry: &Entry, status: Option<&Status>, now: Timestamp) -> Vec<String> {
    let mut lines = vec![entry.path.path.clone(), String::new()];
    let mut tell = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name:<10} {value}")));
    };
    let instant = |text: Option<&str>| {
        let at = text.and_then(human::instant);
        at.map(|at| human::by_the_clock(at, now))
    };
    tell(
        "size",
        entry
            .size
            .map(|size| format!("{} ({} bytes)", human::size(size), human::count(size))),
    );
    tell("changed", instant(entry.mtime.as_deref()));
    tell("root", Some(entry.root.clone()));
    tell(
        "rule",
        Some(
            entry
                .rule
                .clone()
                .unwrap_or_else(|| "none: it is kept".to_owned()),
        ),
    );
    tell(
        "job",
        entry.job.as_ref().map(|job| {
            let status = entry.status.map_or("unknown", |status| status.as_str());
            let source = entry.source.as_deref().unwrap_or("-");
            format!("{job} of source {source}: {status}")
        }),
    );
    tell("deadline", instant(entry.deadline.as_deref()));
    tell("lapses", instant(entry.lapses_at.as_deref()));
    tell("by", entry.reason.map(|reason| reason.as_str().to_owned()));
    tell("pin", entry.pin.map(|pin| format!("{pin}; p ends it")));
    tell(
        "held",
        entry.hold.as_ref().map(|code| {
            let held =
                status.and_then(|status| status.holds.iter().find(|held| held.code == *code));
            held.map_or_else(
                || code.clone(),
                |held| format!("{code}: {}", human::one_line(&held.why)),
            )
        }),
    );
    lines.extend([
        String::new(),
        "e explains it, p pins it, Escape goes back".to_owned(),
    ]);
    lines
}

/// An explanation, as `lapsed explain` prints it.
pub(super) fn explanation(of: &Explanation) -> Vec<String> {
    let sentences = of.text.iter();
    sentences
        .map(|sentence| human::in_local_time(&human::safe(sentence)))
        .collect()
}

/// `pin 3 holds it until 2026-12-06 20:00 (in 7 d)`.
pub(super) fn pinned(pin: &Pin, now: Timestamp) -> String {
    let until = human::instant(&pin.until);
    let until = until.map_or_else(
        || pin.until.clone(),
        |until| human::by_the_clock(until, now),
    );
    format!("pin {} holds it until {until}", pin.id)
}

//! Everything with a schedule, and the names under which positions are kept.

use crate::core::agenda::{AgendaItem, AgendaKey};
use crate::core::policy::{Policy, Schedule as When};
use crate::notifications::Receiver;

/// Prefix of the positions of digests: no schedule has such a name.
const DIGEST: &str = "\u{1}digest:";

/// Name under which the position of the digests of the receiver `name` is kept.
pub(super) fn name_of_digest(name: &str) -> String {
    format!("{DIGEST}{name}")
}

/// Key of a position that is kept under `name`.
pub(super) fn key_of(name: &str) -> AgendaKey {
    match name.strip_prefix(DIGEST) {
        Some(name) => AgendaKey::Digest(name.to_owned()),
        None => AgendaKey::Schedule(name.to_owned()),
    }
}

/// Everything with a schedule in `policy`, and the digests of `receivers`.
pub(super) fn items<'p>(policy: &'p Policy, receivers: &'p [Receiver]) -> Vec<AgendaItem<'p>> {
    let of_rules = policy.rules.iter().filter_map(|rule| match &rule.schedule {
        When::AtDeadline | When::Manual | When::Named => None,
        When::At(times) => Some(AgendaItem {
            key: AgendaKey::Rule(rule.name.clone()),
            times,
            jitter_ms: 0,
        }),
    });
    let schedules = policy.enabled_schedules().filter_map(|schedule| {
        Some(AgendaItem {
            key: AgendaKey::Schedule(schedule.name.clone()),
            times: schedule.times.as_ref()?,
            jitter_ms: schedule.jitter_ms,
        })
    });
    let digests = receivers.iter().filter_map(|receiver| {
        Some(AgendaItem {
            key: AgendaKey::Digest(receiver.name.clone()),
            times: receiver.times.as_ref()?,
            jitter_ms: 0,
        })
    });
    of_rules.chain(schedules).chain(digests).collect()
}

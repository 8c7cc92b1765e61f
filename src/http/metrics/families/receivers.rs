//! Families of receivers of notifications.

use super::{Exposition, instant, number};
use crate::types::Receiver;

/// Adds the families of `receivers`.
pub(super) fn add(all: &mut Exposition, receivers: &[Receiver]) {
    let mut of_receivers = |name, help, value: fn(&Receiver) -> Option<f64>| {
        let mut family = all.family(name, help);
        for receiver in receivers {
            if let Some(value) = value(receiver) {
                let labels = [
                    ("receiver", receiver.name.as_str()),
                    ("channel", receiver.channel.as_str()),
                ];
                family.sample(&labels, value);
            }
        }
    };
    of_receivers(
        "lapsed_notifications_waiting",
        "Notifications that wait for the receiver.",
        |receiver| Some(number(receiver.waiting)),
    );
    of_receivers(
        "lapsed_notifications_oldest_timestamp_seconds",
        "Instant of the oldest notification that waits, in seconds since 1970; absent if none does.",
        |receiver| instant(receiver.since.as_deref()?),
    );
    of_receivers(
        "lapsed_notifications_given_up",
        "Notifications that were given up, and are kept to be retried.",
        |receiver| Some(number(receiver.given_up)),
    );
    of_receivers(
        "lapsed_notifications_delivered_total",
        "Notifications that the receiver has taken.",
        |receiver| Some(number(receiver.delivered)),
    );
    of_receivers(
        "lapsed_notifications_given_up_total",
        "Notifications that were given up.",
        |receiver| Some(number(receiver.given_up_ever)),
    );
    of_receivers(
        "lapsed_notifications_left_out_total",
        "Notifications for which the outbox of the receiver had no room.",
        |receiver| Some(number(receiver.left_out)),
    );
}

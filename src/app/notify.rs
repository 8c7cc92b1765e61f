//! Receivers of notifications, and orders about what waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::daemon::Daemon;
use super::order::{through, wait};
use crate::app::access::{Admin, Operator};
use crate::app::error::AppError;
use crate::clock;
use crate::core::time::Timestamp;
use crate::notifications::{ChannelStatus, Kind, Notification, Notifications, Severity};
use crate::registry::{self, DeliveryFilter, QueueName, QueueSums, Registry, RegistryError};
use crate::types::{
    Delivery, Moment, Notify, NotifyAttempt, NotifyChanged, NotifyOrder, NotifyQuery, NotifyTested,
    Receiver,
};

/// Notifications in an answer.
const DELIVERIES_MAX: usize = 1000;

/// Lists receivers and what waits for them.
///
/// # Errors
/// If there is no such receiver, or the registry cannot be read.
pub async fn list(daemon: Arc<Daemon>, query: NotifyQuery) -> Result<Notify, AppError> {
    wait(move || {
        let parts = &daemon.parts;
        let mut receivers = receivers(&parts.notifications, &parts.registry)?;
        if let Some(name) = &query.receiver {
            receivers.retain(|receiver| receiver.name == *name);
            if receivers.is_empty() {
                return Err(unknown(name));
            }
        }
        let filter = DeliveryFilter {
            receiver: query.receiver,
            ..DeliveryFilter::default()
        };
        let deliveries = parts.registry.deliveries(&filter, DELIVERIES_MAX)?;
        Ok(Notify {
            receivers,
            deliveries: deliveries.into_iter().map(line).collect(),
        })
    })
    .await?
}

/// Tries what `order` means at once.
///
/// # Errors
/// If there is no such receiver, or the registry cannot be written.
pub async fn retry(
    daemon: Arc<Daemon>,
    _: &Operator,
    order: NotifyOrder,
) -> Result<NotifyChanged, AppError> {
    change(daemon, order, Notifications::retry).await
}

/// Drops what `order` means.
///
/// # Errors
/// If there is no such receiver, or the registry cannot be written.
pub async fn drop_deliveries(
    daemon: Arc<Daemon>,
    _: &Admin,
    order: NotifyOrder,
) -> Result<NotifyChanged, AppError> {
    change(daemon, order, Notifications::drop_deliveries).await
}

async fn change(
    daemon: Arc<Daemon>,
    order: NotifyOrder,
    work: fn(&Notifications, &DeliveryFilter) -> Result<u64, RegistryError>,
) -> Result<NotifyChanged, AppError> {
    through(async move {
        wait(move || {
            let parts = &daemon.parts;
            if let Some(name) = &order.receiver {
                let known = receivers(&parts.notifications, &parts.registry)?;
                if known.iter().all(|receiver| receiver.name != *name) {
                    return Err(unknown(name));
                }
            }
            let filter = DeliveryFilter {
                receiver: order.receiver,
                numbers: order.numbers,
                is_given_up: order.given_up,
            };
            let notifications = work(&parts.notifications, &filter)?;
            Ok(NotifyChanged { notifications })
        })
        .await?
    })
    .await
}

/// Notifies the receiver `name` at once, by each way.
///
/// # Errors
/// If there is no such receiver.
pub async fn test(
    daemon: Arc<Daemon>,
    operator: &Operator,
    name: String,
) -> Result<NotifyTested, AppError> {
    let now = clock::now().wall;
    let notification = Notification {
        id: format!("test-{}", now.unix_ms()),
        kind: Kind::Test,
        severity: Severity::Info,
        at: Moment(now),
        root: None,
        rule: None,
        title: "this is a test".to_owned(),
        text: format!("Ordered by {}.", operator.principal()),
        details: serde_json::Value::Null,
    };
    through(async move {
        let results = daemon.parts.notifications.test(&name, &notification).await;
        let results = results.ok_or_else(|| unknown(&name))?;
        let attempts = results.into_iter().map(|result| NotifyAttempt {
            receiver: result.queue.receiver,
            channel: result.queue.channel,
            took_ms: u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX),
            error: result.error,
        });
        Ok(NotifyTested {
            attempts: attempts.collect(),
        })
    })
    .await
}

fn unknown(name: &str) -> AppError {
    AppError::not_found(format!("there is no receiver \"{name}\""))
        .hint("`lapsed notify ls` lists the receivers")
}

/// State of all receivers: those of the configuration, and others for which anything waits.
///
/// # Errors
/// When the registry cannot be read.
pub(super) fn receivers(
    notifications: &Notifications,
    registry: &Registry,
) -> Result<Vec<Receiver>, RegistryError> {
    let sums = registry.delivery_sums()?;
    let mut sums: BTreeMap<QueueName, QueueSums> = sums
        .into_iter()
        .map(|sums| (sums.queue.clone(), sums))
        .collect();
    let mut found = Vec::new();
    for channel in notifications.channels() {
        let sums = sums.remove(&channel.queue);
        let sums = sums.unwrap_or_else(|| QueueSums::empty(channel.queue.clone()));
        found.push(receiver(sums, Some(channel), registry)?);
    }
    let others = sums.into_values();
    for sums in others.filter(|sums| sums.waiting + sums.given_up > 0) {
        found.push(receiver(sums, None, registry)?);
    }
    found.sort_by(|a, b| (&a.name, &a.channel).cmp(&(&b.name, &b.channel)));
    Ok(found)
}

fn receiver(
    sums: QueueSums,
    channel: Option<ChannelStatus>,
    registry: &Registry,
) -> Result<Receiver, RegistryError> {
    let first = match sums.waiting {
        0 => None,
        _ => registry.next_deliveries(&sums.queue, 1)?.pop(),
    };
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let (destination, next, error) = match channel {
        Some(channel) => (Some(channel.destination), channel.next, channel.error),
        None => (None, None, None),
    };
    Ok(Receiver {
        name: sums.queue.receiver,
        channel: sums.queue.channel,
        destination,
        waiting: sums.waiting,
        since: text(sums.since),
        next: text(next),
        error: error.or_else(|| first.and_then(|first| first.error)),
        given_up: sums.given_up,
        delivered: sums.delivered,
        delivered_at: text(sums.delivered_at),
        given_up_ever: sums.given_up_ever,
        left_out: sums.left_out,
    })
}

fn line(delivery: registry::Delivery) -> Delivery {
    Delivery {
        number: delivery.number,
        receiver: delivery.put.queue.receiver,
        channel: delivery.put.queue.channel,
        id: delivery.put.id,
        kind: delivery.put.kind,
        title: delivery.put.title,
        at: delivery.put.at.to_string(),
        attempts: delivery.attempts,
        tried_at: delivery.tried_at.map(|at| at.to_string()),
        error: delivery.error,
        is_given_up: delivery.is_given_up,
    }
}

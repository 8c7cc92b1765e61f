//! Attempts to deliver what waits in one outbox.
//!
//! **Invariant:** the oldest delivery is the only one that is tried; the next follows when it was
//! taken, or given up.
//! **Invariant:** an attempt ends within [`ATTEMPT_TIME`], whatever the receiver does.
//! **Invariant:** nothing wakes while nothing waits.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::failure::{ATTEMPT_TIME, Failure};
use super::http;
use super::notification::Notification;
use super::settings::Channel;
use crate::clock;
use crate::core::time::Timestamp;
use crate::registry::{Delivery, QueueName, Registry, RegistryError};
use crate::remote::Tls;

/// Backoff after the first failure; it doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_secs(5);

/// The longest backoff: a receiver that comes back after days is found within the hour.
const BACKOFF_MAX: Duration = Duration::from_hours(1);

/// Notifications in one mail: a person reads no more.
const MAIL_MAX: usize = 100;

/// Pause after the registry could not be read or written.
const REGISTRY_PAUSE: Duration = Duration::from_mins(1);

/// Signals to a worker.
#[derive(Debug, Default)]
pub(super) struct Wakeup {
    notify: Notify,
    is_retry: AtomicBool,
}

impl Wakeup {
    /// Something was put into the outbox.
    pub(super) fn on_put(&self) {
        self.notify.notify_one();
    }

    /// A person ordered that what waits is tried now.
    pub(super) fn on_retry(&self) {
        self.is_retry.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }
}

/// The worker of one outbox.
pub(super) struct Worker {
    pub(super) registry: Arc<Registry>,
    pub(super) queue: QueueName,
    pub(super) channel: Channel,
    pub(super) give_up: Duration,
    pub(super) host: Arc<str>,
    pub(super) tls: Tls,
    pub(super) wakeup: Arc<Wakeup>,
    /// Instant of the next attempt, for the status.
    pub(super) next: Arc<RwLock<Option<Timestamp>>>,
}

/// What a worker does next.
enum Step {
    /// It looks again at once.
    Again,
    /// It waits for a signal, and so long at most.
    Wait(Option<Duration>),
}

impl Worker {
    /// Delivers for as long as the task lives.
    pub(super) async fn run(self) {
        let mut pace = Pace::default();
        loop {
            let step = self.step(&mut pace).await.unwrap_or_else(|error| {
                let name = &self.queue.receiver;
                tracing::error!("notifications to \"{name}\" wait: {error}");
                Step::Wait(Some(REGISTRY_PAUSE))
            });
            match step {
                Step::Again => continue,
                Step::Wait(None) => self.wakeup.notify.notified().await,
                Step::Wait(Some(time)) => {
                    let _ = timeout(time, self.wakeup.notify.notified()).await;
                }
            }
            if self.wakeup.is_retry.swap(false, Ordering::SeqCst) {
                pace = Pace::default();
            }
        }
    }

    async fn step(&self, pace: &mut Pace) -> Result<Step, RegistryError> {
        let limit = self.channel.batch();
        let waiting = self
            .registry(move |registry, queue| registry.next_deliveries(queue, limit))
            .await?;
        let now = clock::now().wall;
        let Some(first) = waiting.first() else {
            *self.next.write() = None;
            return Ok(Step::Wait(None));
        };
        let mut due = pace.not_before(first);
        // A person who ordered a retry waits for nobody, and a clock that was set back for nothing.
        if first.tried_at.is_none() && first.since <= now && first.since == first.put.at {
            due = due.max(first.since.after(self.channel.gather()));
        }
        if due > now {
            *self.next.write() = Some(due);
            let ms = u64::try_from(due.ms_since(now)).unwrap_or(0);
            return Ok(Step::Wait(Some(Duration::from_millis(ms))));
        }
        *self.next.write() = Some(now);
        let sent = match notifications(&waiting) {
            Ok(notifications) => self.attempt(&notifications).await,
            Err(failure) => Err(failure),
        };
        let now = clock::now().wall;
        let numbers: Vec<u64> = waiting.iter().map(|one| one.number).collect();
        match sent {
            Ok(()) => {
                *pace = Pace::default();
                self.registry(move |registry, queue| registry.delivered(queue, &numbers, now))
                    .await?;
            }
            Err(Failure::Final(why)) => self.give_up(numbers, why, now).await?,
            Err(Failure::Retry { why, after }) => {
                let due = pace.on_failure(first.attempts, now, after);
                *self.next.write() = Some(due);
                self.on_failure(numbers, why, now, due).await?;
            }
        }
        Ok(Step::Again)
    }

    /// Sends `notifications` once.
    pub(super) async fn attempt(&self, notifications: &[Notification]) -> Result<(), Failure> {
        let sent = timeout(ATTEMPT_TIME, self.send(notifications)).await;
        sent.unwrap_or_else(|_| {
            let seconds = ATTEMPT_TIME.as_secs();
            Err(Failure::Retry {
                why: format!("the receiver did not answer within {seconds} s"),
                after: None,
            })
        })
    }

    async fn send(&self, notifications: &[Notification]) -> Result<(), Failure> {
        let now = clock::now().wall;
        match &self.channel {
            Channel::Webhook(webhook) => {
                for notification in notifications {
                    let request = webhook.request(notification, &self.host, now)?;
                    http::send(&webhook.url, &self.tls, request, now).await?;
                }
                Ok(())
            }
            Channel::Mail(mail) => mail.send(notifications, &self.host).await,
        }
    }

    /// Saves a failure, and gives up what has waited for too long: the receiver failed all the
    /// time.
    async fn on_failure(
        &self,
        numbers: Vec<u64>,
        why: String,
        now: Timestamp,
        due: Timestamp,
    ) -> Result<(), RegistryError> {
        let name = &self.queue.receiver;
        tracing::debug!("cannot notify \"{name}\", next attempt at {due}: {why}");
        let limit = now.before(self.give_up);
        let reason = why.clone();
        let old = self
            .registry(move |registry, queue| {
                registry.delivery_failed(&numbers, &reason, now, due)?;
                registry.deliveries_since(queue, limit)
            })
            .await?;
        if !old.is_empty() {
            self.give_up(old, why, now).await?;
        }
        Ok(())
    }

    async fn give_up(
        &self,
        numbers: Vec<u64>,
        why: String,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let name = &self.queue.receiver;
        tracing::error!(
            count = numbers.len(),
            "gave up notifying \"{name}\": {why}; look with `lapsed notify ls`, then `lapsed notify retry`"
        );
        self.registry(move |registry, queue| registry.give_up(queue, &numbers, &why, now))
            .await
    }

    async fn registry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry, &QueueName) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let (registry, queue) = (Arc::clone(&self.registry), self.queue.clone());
        match spawn_blocking(move || work(&registry, &queue)).await {
            Ok(done) => done,
            // The daemon ends: what waits is delivered by the next one.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Backoff of a receiver.
#[derive(Default)]
struct Pace {
    failures: u32,
    not_before: Option<Timestamp>,
    /// Instant of the last failure: a clock that is set back must not prolong the backoff.
    failed_at: Option<Timestamp>,
}

impl Pace {
    /// Instant from which `first` may be tried.
    fn not_before(&self, first: &Delivery) -> Timestamp {
        let now = clock::now().wall;
        let is_past = |at: Option<Timestamp>| at.is_none_or(|at| at <= now);
        let own = if is_past(first.tried_at) {
            first.due
        } else {
            Timestamp::MIN
        };
        let ours = self.not_before.filter(|_| is_past(self.failed_at));
        own.max(ours.unwrap_or(Timestamp::MIN))
    }

    /// Counts a failure at `now`, and returns the instant of the next attempt.
    fn on_failure(&mut self, attempts: u64, now: Timestamp, after: Option<Duration>) -> Timestamp {
        let earlier = u32::try_from(attempts).unwrap_or(u32::MAX);
        self.failures = self.failures.max(earlier).saturating_add(1);
        let time = backoff(self.failures, RandomState::new().hash_one(now.unix_ms()));
        let due = now.after(time.max(after.unwrap_or_default()));
        (self.not_before, self.failed_at) = (Some(due), Some(now));
        due
    }
}

/// Backoff after so many failures: half of it fixed, half of it by `random`.
fn backoff(failures: u32, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let whole = (BACKOFF_MIN * 2_u32.pow(doublings)).min(BACKOFF_MAX);
    let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half + random % (half + 1))
}

/// Notifications of what waits.
fn notifications(waiting: &[Delivery]) -> Result<Vec<Notification>, Failure> {
    let read = |one: &Delivery| serde_json::from_str(&one.put.body);
    let all: Result<_, serde_json::Error> = waiting.iter().map(read).collect();
    all.map_err(|error| {
        Failure::Final(format!(
            "it cannot be read, another version of lapsed wrote it: {error}"
        ))
    })
}

impl Channel {
    /// Time for which the first notification waits for others.
    const fn gather(&self) -> Duration {
        match self {
            Self::Webhook(_) => Duration::ZERO,
            Self::Mail(mail) => mail.gather,
        }
    }

    /// Notifications that one attempt sends.
    const fn batch(&self) -> usize {
        match self {
            Self::Webhook(_) => 1,
            Self::Mail(_) => MAIL_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_an_hour_and_is_never_less_than_half() {
        for (failures, seconds) in [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (99, 3600)] {
            let whole = Duration::from_secs(seconds);
            assert_eq!(backoff(failures, 0), whole / 2);
            let most = backoff(failures, u64::try_from(whole.as_millis()).unwrap() / 2);
            assert_eq!(most, whole);
        }
    }

    #[test]
    fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
        let now = Timestamp::from_unix_ms(1_000_000);
        let mut pace = Pace::default();
        let hour = Duration::from_hours(1);
        assert_eq!(pace.on_failure(0, now, Some(hour)), now.after(hour));
        let due = pace.on_failure(4, now, None);
        assert!(
            due >= now.plus_ms(40_000) && due <= now.plus_ms(80_000),
            "{due}"
        );
    }
}

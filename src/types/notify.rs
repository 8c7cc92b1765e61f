//! The JSON of receivers of notifications, and of orders about their deliveries.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Kind of a notification.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
    ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NotifyKind {
    /// Something failed: an error of the log, or a clock that was set.
    Error,
    /// The breaker tripped, or was released.
    Breaker,
    /// A source of jobs cannot be read, or can be read again.
    Source,
    /// A root is lost, or is there again.
    Root,
    /// A root or its file system crossed a threshold of `alert`, or went back.
    Space,
    /// A run ended.
    Run,
    /// A pause began or ended.
    Pause,
    /// Files, directories and jobs were removed.
    Lapsed,
    /// Files that lapse soon.
    LapseSoon,
    /// Removals since the last digest, and how it is now.
    Digest,
    /// A person ordered it, to see that it arrives.
    Test,
}

/// Severity of a notification.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NotifySeverity {
    /// Nothing has to be done.
    Info,
    /// Somebody should look.
    Warning,
    /// Something is held, or failed.
    Error,
}

impl NotifyKind {
    /// Returns the word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl NotifySeverity {
    /// Returns the word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A way to a receiver of notifications, and its outbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receiver {
    /// Name of the receiver.
    pub name: String,
    /// Way to it: `webhook`, `mail`, or `heartbeat`, for which nothing waits.
    pub channel: String,
    /// Its destination, without secrets; `null`: the configuration does not have it any more.
    pub destination: Option<String>,
    /// Notifications that wait.
    pub waiting: u64,
    /// Instant of the oldest of them.
    pub since: Option<String>,
    /// Instant of the next attempt.
    pub next: Option<String>,
    /// Error of the last attempt for the oldest one.
    pub error: Option<String>,
    /// Notifications that were given up, and are kept to be retried.
    pub given_up: u64,
    /// Notifications that were delivered, ever.
    pub delivered: u64,
    /// Instant of the last of them.
    pub delivered_at: Option<String>,
    /// Notifications that were given up, ever.
    pub given_up_ever: u64,
    /// Notifications for which the outbox had no room, ever.
    pub left_out: u64,
}

/// A notification in an outbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its number in all outboxes.
    pub number: u64,
    /// Name of the receiver.
    pub receiver: String,
    /// Way to it.
    pub channel: String,
    /// Id of the notification, the same at each attempt.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// One line for people.
    pub title: String,
    /// Instant.
    pub at: String,
    /// Number of attempts.
    pub attempts: u64,
    /// Instant of the last one.
    pub tried_at: Option<String>,
    /// Error of the last one.
    pub error: Option<String>,
    /// True if it is not tried any more.
    pub is_given_up: bool,
}

/// `GET /v1/notify`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Notify {
    /// Ways to receivers, by name.
    pub receivers: Vec<Receiver>,
    /// The oldest notifications that wait or were given up, at most 1000.
    pub deliveries: Vec<Delivery>,
}

/// Query of `GET /v1/notify`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NotifyQuery {
    /// Name of a receiver; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
}

/// Body of `POST /v1/notify/retry` and `POST /v1/notify/drop`: which notifications are meant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"receiver": "ops"})))]
pub struct NotifyOrder {
    /// Name of a receiver; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// Numbers of notifications; absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<u64>,
    /// True if only those are meant that were given up.
    #[serde(default)]
    pub given_up: bool,
}

/// Answer of `POST /v1/notify/retry` and `POST /v1/notify/drop`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NotifyChanged {
    /// Number of notifications.
    pub notifications: u64,
}

/// Answer of `POST /v1/notify/test/{name}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NotifyTested {
    /// Attempts, one by each way.
    pub attempts: Vec<NotifyAttempt>,
}

/// An attempt to notify a receiver.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NotifyAttempt {
    /// Name of the receiver.
    pub receiver: String,
    /// Way to it.
    pub channel: String,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Reason of a failure; `null`: the receiver has taken it.
    pub error: Option<String>,
}

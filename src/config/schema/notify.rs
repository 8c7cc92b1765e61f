//! `[[notify]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::schedules::Times;
use super::super::setting::{Table, Value, Values, Words};
use super::super::value::{Code, Name, Period};
use crate::config::queries::Zone;
use crate::notifications::{Encryption, Kind, Severity};

/// A receiver of notifications. What happens is kept until the receiver has taken it, also over a
/// restart, and is delivered in order, at least once, each time with the same id. A delivery that
/// fails is tried again after 5s, 10s, 20s and so on up to 1h, or when the receiver asks for it.
/// 10000 notifications wait for a receiver at most; `lapsed status` counts those that are left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Notify {
    /// Name of the receiver, unique.
    #[schemars(extend("x-required" = true), example = &"ops")]
    pub name: Value<Name>,
    /// Kinds of notifications, one or a list: "error" (an error of the log, or a clock that was
    /// set), "breaker" (it tripped or was released), "source" and "root" (it cannot be read, or can
    /// be again), "space" (disk use crossed a threshold of a root's `alert`), "run" (a run ended),
    /// "pause" (a pause began or ended), "lapsed" (what was removed). Default: "error", "breaker",
    /// "source", "root" and "space"; with `digest`, `before` or `heartbeat` none.
    #[schemars(example = &["error", "breaker", "run"])]
    pub on: Values<Kind>,
    /// Least severity: "info", "warning" or "error".
    #[schemars(extend("default" = "info"), example = &"warning")]
    pub severity: Value<Severity>,
    /// Names of roots, one or a list: nothing is told of other roots. Default: all.
    #[schemars(example = &["results"])]
    pub roots: Values<String>,
    /// Names of rules, one or a list: removals by other rules are not told. Default: all.
    #[schemars(example = &["old"])]
    pub rules: Values<String>,
    /// Time after which a notification that was not taken is given up, at least 1m. It is given up
    /// at once if a webhook answers with a status from 400 to 499 other than 408 and 429. `lapsed
    /// notify retry` tries it again.
    #[schemars(extend("default" = "3d"))]
    pub give_up: Value<Period<60>>,
    /// Times of a digest: what was removed since the last one, what is due or held, and which
    /// source cannot be read. As `at` of a [[schedule]].
    #[schemars(example = &"0 8 * * *")]
    pub digest: Value<Times>,
    /// Tell of each file once that it lapses within this time, by owner, with the command that
    /// keeps it: at the times of `digest`, or else at 8:00 every day.
    #[schemars(example = &"24h")]
    pub before: Value<Period<60>>,
    /// Time zone of `digest`: "local" (TZ), "UTC", or an IANA name.
    #[schemars(extend("default" = "local"), example = &"Europe/Berlin")]
    pub timezone: Value<Zone>,
    /// Use the receiver.
    #[schemars(extend("default" = true), example = &"${NOTIFY:-false}")]
    pub enabled: Value<bool>,
    // Subtables come last.
    pub webhook: Table<Webhook>,
    pub mail: Table<Mail>,
    pub heartbeat: Table<Heartbeat>,
}

/// Heartbeats, also written heartbeat = { url = "…" } in [[notify]]: requests to a service that
/// raises the alarm when they stay away, such as healthchecks.io. When a run begins, /start is
/// appended to the path, when it ended with errors, failed or was interrupted, /fail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Heartbeat {
    /// Address, https://… or http://…. Its path is never shown. If it is empty, there are none.
    #[schemars(extend("x-secret" = true), example = &"https://hc-ping.com/your-uuid")]
    pub url: Value<String>,
    /// Interval of further requests, which say that the daemon lives, at least 10s. Default: none.
    #[schemars(example = &"5m")]
    pub every: Value<Period<10>>,
}

/// Requests to an HTTP server, one for each notification, also written webhook = { url = "…" } in
/// [[notify]]. Each has the headers of Standard Webhooks: webhook-id, the same at each attempt,
/// webhook-timestamp, and with a secret webhook-signature (HMAC-SHA256). An attempt has 30s.
/// Redirects are not followed, and link-local addresses are refused.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Webhook {
    /// Address, https://… or http://…. Its path is never shown; take it from a variable, such as
    /// ${WEBHOOK_URL:-}. If it is empty, the receiver is off, which `lapsed check` tells.
    #[schemars(extend("x-secret" = true), example = &"https://hooks.example.com/lapsed")]
    pub url: Value<String>,
    /// Form of the body: "cloudevents" (CloudEvents 1.0), "slack" (also Mattermost, Rocket.Chat and
    /// Discord with /slack), or "template".
    #[schemars(extend("default" = "cloudevents"), example = &"slack")]
    pub format: Value<Format>,
    /// Key of the signature: any text, or whsec_ and base64. An empty value counts as absent.
    #[schemars(extend("x-secret" = true), example = &"${WEBHOOK_SECRET:-}")]
    pub secret: Value<String>,
    /// Further headers. Their values are never shown.
    #[schemars(extend("x-secret" = true), example = serde_json::json!({ "Authorization": "Bearer ${TOKEN:-}" }))]
    pub headers: Words<String>,
    /// Template of the body for format = "template". It knows id, kind, severity, at, root, rule,
    /// title, text, host and details.
    #[schemars(example = &r#"{"content": {{ title }}}"#)]
    pub template: Value<Code>,
    /// Media type of what the template makes. Of JSON each value is encoded.
    #[schemars(extend("default" = "application/json"), example = &"text/plain")]
    pub content_type: Value<String>,
}

/// Mails by an SMTP server, also written mail = { to = "…", … } in [[notify]]: many notifications
/// in one, as text and as HTML.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Mail {
    /// Addresses of those who get them, one or a list, at most 50. In a string, commas separate
    /// addresses. If it is empty, no mail is sent, which `lapsed check` tells.
    #[schemars(example = &["ops@example.com", "Ann <ann@example.com>"])]
    pub to: Values<String>,
    /// Address of the sender.
    #[schemars(example = &"lapsed@example.com")]
    pub from: Value<String>,
    /// Name or IP address of the SMTP server, with a port if it is not the usual one.
    #[schemars(example = &"mail.example.com:587")]
    pub server: Value<String>,
    /// Encryption: "starttls" (port 587), "tls" from the beginning (port 465), or "none" (port 25).
    /// The certificate must be valid for the name of the server.
    #[schemars(extend("default" = "starttls"), example = &"tls")]
    pub encryption: Value<Encryption>,
    /// User at the server. Default: no authentication. An empty value counts as absent.
    #[schemars(example = &"lapsed")]
    pub user: Value<String>,
    /// Password of the user. It is never shown. It is sent without encryption to this host alone.
    #[schemars(extend("x-secret" = true), example = &"${SMTP_PASSWORD:-}")]
    pub password: Value<String>,
    /// Time for which a notification waits for others that go into the same mail.
    #[schemars(extend("default" = "30s"), example = &"5m")]
    pub gather: Value<Period<0>>,
}

/// Form of the body, as the file names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Format {
    CloudEvents,
    Slack,
    Template,
}

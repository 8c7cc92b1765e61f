//! Receivers of notifications, as the configuration has them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::notification::{Kind, Notification, Severity};
use crate::core::recurrence::Recurrence;
use crate::remote::Url;

/// Text that is shown nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A receiver of notifications.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receiver {
    /// Its name, unique.
    pub name: String,
    /// Kinds that it wants.
    pub kinds: BTreeSet<Kind>,
    /// Names of the roots that it wants to hear of; `None`: all.
    pub roots: Option<BTreeSet<String>>,
    /// Names of the rules that it wants to hear of; `None`: all.
    pub rules: Option<BTreeSet<String>>,
    /// Least severity.
    pub severity: Severity,
    /// Time for which a delivery is tried.
    pub give_up: Duration,
    /// Ways to it.
    pub channels: Vec<Channel>,
    /// Instants of digests, and of what lapses soon; `None`: neither.
    pub times: Option<Recurrence>,
    /// True if it gets digests.
    pub has_digest: bool,
    /// Time ahead of a removal within which it is told; `None`: never.
    pub before: Option<Duration>,
    /// Its heartbeat.
    pub heartbeat: Option<Heartbeat>,
}

/// Requests about runs, and that the daemon lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// Their address: that of a success.
    pub url: Url,
    /// Interval of those that say that the daemon lives; `None`: there are none.
    pub every: Option<Duration>,
}

/// Way to a receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Channel {
    /// A request for each notification.
    Webhook(Webhook),
    /// A mail for many of them.
    Mail(Mail),
}

/// Requests to an HTTP server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Its address.
    pub url: Url,
    /// Form of the body.
    pub format: Format,
    /// Key of the signature, as bytes.
    pub secret: Option<Secret>,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
}

/// Mails, sent by an SMTP server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Addresses of those who get them, at least one.
    pub to: Vec<String>,
    /// Address of the sender.
    pub from: String,
    /// Name or address of the server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Encryption of the connection.
    pub encryption: Encryption,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
    /// Time for which the first notification of a mail waits for others.
    pub gather: Duration,
}

/// Encryption of a connection to an SMTP server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encryption {
    /// TLS from the beginning.
    Tls,
    /// `STARTTLS`, and nothing is sent without.
    StartTls,
    /// None.
    None,
}

/// Form of the body of a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// `CloudEvents` 1.0, structured.
    CloudEvents,
    /// Slack, and what understands its messages.
    Slack,
    /// What a template makes.
    Template {
        /// The template.
        source: String,
        /// Media type of what it makes; of JSON each value is encoded.
        content_type: String,
    },
}

impl Receiver {
    /// Returns true if it wants `notification`. What belongs to no root or rule passes the filter
    /// by that.
    #[must_use]
    pub fn wants(&self, notification: &Notification) -> bool {
        self.kinds.contains(&notification.kind)
            && notification.severity >= self.severity
            && self.has_place(notification.root.as_deref(), notification.rule.as_deref())
    }

    /// Returns true if it wants to hear of this root and this rule.
    #[must_use]
    pub fn has_place(&self, root: Option<&str>, rule: Option<&str>) -> bool {
        let is_wanted = |names: &Option<BTreeSet<String>>, name: Option<&str>| {
            let names = names.as_ref().zip(name);
            names.is_none_or(|(names, name)| names.contains(name))
        };
        is_wanted(&self.roots, root) && is_wanted(&self.rules, rule)
    }
}

impl Channel {
    /// Its word in the registry, in answers and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// Its destination, without secrets.
    #[must_use]
    pub fn destination(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.url.to_string(),
            Self::Mail(mail) => format!("{} by {}", mail.to.join(", "), mail.server),
        }
    }
}

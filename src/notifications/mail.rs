//! Mails: many notifications in one, as text and as HTML.
//!
//! **Invariant:** a password is sent over TLS only, or to this host.
//! **Invariant:** a mail of the same notifications always has the same `Message-ID`.

use std::fmt::Write as _;

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::failure::{ATTEMPT_TIME, Failure};
use super::notification::{Notification, Severity};
use super::settings::{Encryption, Mail};

/// Answers that say something about the account, and nothing about the mail: 530, 534, 535.
const ACCOUNT: [&str; 3] = ["530", "534", "535"];

/// `Auto-Submitted` (RFC 3834): no answer by a machine is wanted.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Checks an address such as `lapsed@example.com` or `Operations <ops@example.com>`.
///
/// # Errors
/// If it is invalid.
pub fn check_mailbox(text: &str) -> Result<(), String> {
    let parsed = text.parse::<Mailbox>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
}

impl Mail {
    /// Sends `notifications` in one mail.
    pub(super) async fn send(
        &self,
        notifications: &[Notification],
        host: &str,
    ) -> Result<(), Failure> {
        let message = self.message(notifications, host).map_err(Failure::Final)?;
        let retry = |why: String| Failure::Retry { why, after: None };
        let transport = self.transport(host).map_err(retry)?;
        let sent = transport.send(message).await;
        sent.map(|_| ()).map_err(|error| {
            let why = format!("{}: {error}", self.server);
            let is_of_account = error
                .status()
                .is_some_and(|code| ACCOUNT.contains(&&*code.to_string()));
            if error.is_permanent() && !is_of_account {
                Failure::Final(why)
            } else {
                retry(why)
            }
        })
    }

    fn transport(&self, host: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let parameters = || {
            let made = TlsParameters::new(self.server.clone());
            made.map_err(|error| format!("TLS: {error}"))
        };
        let tls = match self.encryption {
            Encryption::Tls => Tls::Wrapper(parameters()?),
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)
            .port(self.port)
            .tls(tls)
            .timeout(Some(ATTEMPT_TIME))
            .hello_name(ClientId::Domain(host.to_owned()));
        if let Some((user, password)) = &self.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.0.clone()));
        }
        Ok(builder.build())
    }

    fn message(&self, notifications: &[Notification], host: &str) -> Result<Message, String> {
        let mailbox = |text: &str| -> Result<Mailbox, String> {
            text.parse()
                .map_err(|_| "an address of it is invalid".to_owned())
        };
        let mut builder = Message::builder()
            .from(mailbox(&self.from)?)
            .subject(subject(notifications, host))
            .message_id(Some(message_id(notifications, host)))
            .header(AutoSubmitted);
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        let parts = MultiPart::alternative_plain_html(
            plain(notifications, host),
            html(notifications, host),
        );
        builder.multipart(parts).map_err(|error| error.to_string())
    }
}

/// A text without line ends: none begins a header.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn subject(notifications: &[Notification], host: &str) -> String {
    let worst = notifications.iter().max_by_key(|one| one.severity);
    let title = worst.map_or("", |worst| &*worst.title);
    let title = one_line(title);
    match notifications.len() {
        0 | 1 => format!("[lapsed {host}] {title}"),
        more => format!("[lapsed {host}] {title}, and {} more", more - 1),
    }
}

/// Id of a mail: the ids of its first and last notification, and their number.
fn message_id(notifications: &[Notification], host: &str) -> String {
    let id = |one: Option<&Notification>| one.map_or("", |one| &*one.id).to_owned();
    let (first, last) = (id(notifications.first()), id(notifications.last()));
    format!("<{first}.{}.{last}@{host}>", notifications.len())
}

fn plain(notifications: &[Notification], host: &str) -> String {
    let mut text = String::new();
    for one in notifications {
        let (at, severity) = (one.at.0, one.severity.as_str());
        let _ = writeln!(text, "{at} {severity}: {}", one_line(&one.title));
        for line in one.text.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "-- \nlapsed on {host}; `lapsed status` there tells more."
    );
    text
}

fn html(notifications: &[Notification], host: &str) -> String {
    let mut rows = String::new();
    for one in notifications {
        let colour = match one.severity {
            Severity::Info => "#2563eb",
            Severity::Warning => "#b45309",
            Severity::Error => "#b91c1c",
        };
        let _ = write!(
            rows,
            "<div style=\"border-left:4px solid {colour};padding:4px 12px;margin:0 0 16px\">\
             <div style=\"color:#6b7280;font-size:13px\">{} · {}</div><strong>{}</strong>\
             <div style=\"white-space:pre-wrap\">{}</div></div>",
            one.at.0,
            one.severity.as_str(),
            escaped(&one_line(&one.title)),
            escaped(&one.text),
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><body style=\"font:15px/1.5 sans-serif\">{rows}\
         <p style=\"color:#6b7280;font-size:13px\">lapsed on {}; <code>lapsed status</code> there tells more.</p></body></html>",
        escaped(host)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Timestamp;
    use crate::notifications::{Kind, Secret};
    use crate::types::Moment;

    fn notification(id: &str, severity: Severity, title: &str) -> Notification {
        Notification {
            id: id.to_owned(),
            kind: Kind::Root,
            severity,
            at: Moment(Timestamp::from_unix_ms(0)),
            root: None,
            rule: None,
            title: title.to_owned(),
            text: "<b>&".to_owned(),
            details: serde_json::Value::Null,
        }
    }

    #[test]
    fn many_notifications_are_one_mail_whose_id_is_theirs() {
        let mail = Mail {
            to: vec![
                "ops@example.com".to_owned(),
                "Ann <ann@example.com>".to_owned(),
            ],
            from: "lapsed@example.com".to_owned(),
            server: "mail.example.com".to_owned(),
            port: 465,
            encryption: Encryption::Tls,
            credentials: Some(("me".to_owned(), Secret("classified".to_owned()))),
            gather: std::time::Duration::ZERO,
        };
        let both = [
            notification("event-1", Severity::Error, "lost\r\nBcc: all@example.com"),
            notification("event-2", Severity::Info, "found"),
        ];
        let text = |of: &[Notification]| {
            let message = mail.message(of, "host").unwrap();
            String::from_utf8(message.formatted()).unwrap()
        };
        let made = text(&both);
        assert!(
            made.contains("Subject: [lapsed host] lostBcc: all@example.com, and 1 more\r\n"),
            "{made}"
        );
        assert!(!made.contains("\r\nBcc:"), "{made}");
        assert!(
            made.contains("Message-ID: <event-1.2.event-2@host>\r\n"),
            "{made}"
        );
        assert!(
            made.contains("Auto-Submitted: auto-generated\r\n"),
            "{made}"
        );
        // Long lines are folded.
        let unfolded = made.replace("=\r\n", "");
        assert!(unfolded.contains("&lt;b&gt;&amp;"), "{made}");
        assert_ne!(message_id(&both, "host"), message_id(&both[..1], "host"));
        assert!(!format!("{mail:?}").contains("classified"));
        assert!(check_mailbox("no address").is_err());
    }
}

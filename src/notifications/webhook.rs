//! Requests of webhooks.
//!
//! Ids, timestamps and signatures are those of Standard Webhooks
//! (<https://www.standardwebhooks.com>): `webhook-signature` is `v1,` and the base64 of the
//! HMAC-SHA256 of `ID.TIMESTAMP.BODY`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;
use sha2::Sha256;

use super::failure::Failure;
use super::notification::{Kind, Notification, Severity};
use super::settings::{Format, Secret, Webhook};
use crate::adapter::render_once;
use crate::core::time::Timestamp;
use crate::types::Moment;

/// Prefix of a secret in base64, as Standard Webhooks writes them.
const ENCODED: &str = "whsec_";

/// The notification as templates know it.
#[derive(Serialize)]
struct Context<'n> {
    #[serde(flatten)]
    notification: &'n Notification,
    host: &'n str,
}

impl Secret {
    /// Key of a signature: the bytes after `whsec_` in base64, or those of the text.
    fn key(&self) -> Vec<u8> {
        let encoded = self.0.strip_prefix(ENCODED);
        let decoded = encoded.and_then(|text| STANDARD.decode(text).ok());
        decoded.unwrap_or_else(|| self.0.clone().into_bytes())
    }
}

impl Webhook {
    /// Makes the request for `notification`, without address. `now` is the timestamp of the
    /// signature.
    pub(super) fn request(
        &self,
        notification: &Notification,
        host: &str,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let (content_type, body) = self
            .format
            .render(notification, host)
            .map_err(Failure::Final)?;
        let seconds = now.unix_ms().div_euclid(1000).to_string();
        let mut request = Request::post("/")
            .header(CONTENT_TYPE, content_type)
            .header("webhook-id", &notification.id)
            .header("webhook-timestamp", &seconds);
        if let Some(secret) = &self.secret {
            let signature = signature(&secret.key(), &notification.id, &seconds, &body);
            request = request.header("webhook-signature", signature);
        }
        for (name, Secret(value)) in &self.headers {
            request = request.header(name, value);
        }
        // The error may have the value in it.
        let failed = |_| Failure::Final("a header of it is invalid".to_owned());
        request.body(Full::from(body)).map_err(failed)
    }
}

impl Format {
    /// Tries a template on an invented notification.
    ///
    /// # Errors
    /// If it fails.
    pub fn check(&self) -> Result<(), String> {
        let sample = Notification {
            id: "event-1".to_owned(),
            kind: Kind::Test,
            severity: Severity::Info,
            at: Moment(Timestamp::from_unix_ms(0)),
            root: Some("root".to_owned()),
            rule: Some("rule".to_owned()),
            title: "title".to_owned(),
            text: "text".to_owned(),
            details: serde_json::json!({}),
        };
        self.render(&sample, "host").map(|_| ())
    }

    /// Renders the body, and returns its media type with it.
    ///
    /// # Errors
    /// If a template fails.
    pub(super) fn render(
        &self,
        notification: &Notification,
        host: &str,
    ) -> Result<(&str, String), String> {
        let body = match self {
            Self::CloudEvents => {
                let event = serde_json::json!({
                    "specversion": "1.0",
                    "id": notification.id,
                    "source": format!("lapsed://{host}"),
                    "type": format!("lapsed.{}", notification.kind.as_str()),
                    "time": notification.at,
                    "datacontenttype": "application/json",
                    "data": notification,
                });
                return Ok(("application/cloudevents+json", event.to_string()));
            }
            Self::Slack => {
                let title = format!("*{}* ({host})", escaped(&notification.title));
                let text = [&title, "\n", &escaped(&notification.text)].concat();
                let text = text.trim_end();
                return Ok((
                    "application/json",
                    serde_json::json!({ "text": text }).to_string(),
                ));
            }
            Self::Template {
                source,
                content_type,
            } => {
                let context = Context { notification, host };
                let is_json = content_type.contains("json");
                let made = render_once(source, &context, is_json);
                (
                    content_type.as_str(),
                    made.map_err(|error| format!("the template fails: {error}"))?,
                )
            }
        };
        Ok(body)
    }
}

/// Escapes the three characters that mean something in Slack's messages.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn signature(key: &[u8], id: &str, seconds: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("invariant: a key may have any length");
    for part in [id, ".", seconds, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_614_265_330_999);

    fn notification() -> Notification {
        Notification {
            id: "7".to_owned(),
            kind: Kind::Breaker,
            severity: Severity::Error,
            at: Moment(NOW),
            root: Some("uploads".to_owned()),
            rule: None,
            title: "the breaker tripped for root \"uploads\"".to_owned(),
            text: "<look> & release".to_owned(),
            details: serde_json::json!({ "due": 7 }),
        }
    }

    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        // The example of the specification's libraries.
        let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(
            signature(
                &secret.key(),
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                body
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(Secret("plain".to_owned()).key(), b"plain");
    }

    #[test]
    fn bodies_have_the_forms_that_receivers_know() {
        let made = |format: &Format| {
            let notification = notification();
            let (content_type, body) = format.render(&notification, "host").unwrap();
            (content_type.to_owned(), body)
        };
        let (content_type, body) = made(&Format::CloudEvents);
        assert_eq!(content_type, "application/cloudevents+json");
        let event: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(event["type"], "lapsed.breaker");
        assert_eq!(event["data"]["root"], "uploads");
        assert_eq!(event["data"]["details"]["due"], 7);
        assert_eq!(
            made(&Format::Slack).1,
            r#"{"text":"*the breaker tripped for root \"uploads\"* (host)\n&lt;look&gt; &amp; release"}"#
        );
        let template = |content_type: &str, source: &str| Format::Template {
            source: source.to_owned(),
            content_type: content_type.to_owned(),
        };
        let json = template(
            "application/json",
            r#"{"content": {{ host ~ ": " ~ title }}, "due": {{ details.due }}}"#,
        );
        assert_eq!(
            made(&json).1,
            r#"{"content":"host: the breaker tripped for root \"uploads\"","due":7}"#
        );
        let text = template("text/plain", "{{ severity }}: {{ text }}");
        assert_eq!(made(&text).1, "error: <look> & release");
        let wrong = template("text/plain", "{{ nothing }}");
        assert!(wrong.render(&notification(), "host").is_err());
    }

    #[test]
    fn a_request_has_an_id_a_timestamp_and_no_secret() {
        let webhook = Webhook {
            url: crate::remote::Url::parse("https://example.com/secret-path").unwrap(),
            format: Format::CloudEvents,
            secret: Some(Secret("hidden".to_owned())),
            headers: vec![(
                "Authorization".to_owned(),
                Secret("Bearer hidden".to_owned()),
            )],
        };
        let request = webhook.request(&notification(), "host", NOW).unwrap();
        assert_eq!(request.headers()["webhook-id"], "7");
        assert_eq!(request.headers()["webhook-timestamp"], "1614265330");
        assert_eq!(request.headers()["authorization"], "Bearer hidden");
        let shown = format!("{webhook:?}");
        assert!(
            !shown.contains("hidden") && !shown.contains("secret-path"),
            "{shown}"
        );
    }
}

//! Client for one request: it resolves, connects, sends, and reads the head of the answer.
//!
//! **Invariant:** no redirect is followed, and nothing is sent to an address that is refused,
//! whatever the name of the host leads to.
//! **Invariant:** an error names the host, and neither path nor headers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::fmt::rfc2822;

use super::failure::Failure;
use crate::core::time::Timestamp;
use crate::remote::{Allowed, ConnectError, Stream, Tls, Url, open};

/// The longest `Retry-After` that is obeyed.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

const AGENT: &str = concat!("lapsed/", env!("CARGO_PKG_VERSION"));

/// Sends `request`, whose target and host are those of `url`.
pub(super) async fn send(
    url: &Url,
    tls: &Tls,
    mut request: Request<Full<Bytes>>,
    now: Timestamp,
) -> Result<(), Failure> {
    let retry = |why: String| Failure::Retry { why, after: None };
    *request.uri_mut() = url
        .target()
        .parse()
        .map_err(|_| Failure::Final("the path of its address is invalid".to_owned()))?;
    let host = url.authority().parse();
    let host = host.map_err(|_| Failure::Final("its host is invalid".to_owned()))?;
    request.headers_mut().insert(HOST, host);
    let agent = hyper::header::HeaderValue::from_static(AGENT);
    request.headers_mut().insert(USER_AGENT, agent);
    let stream = open(url, tls, Allowed::NotLinkLocal).await;
    let stream = stream.map_err(|error| match error {
        ConnectError::NoName => Failure::Final(error.to_string()),
        error => retry(error.to_string()),
    })?;
    let answer = exchange(stream, request).await;
    let (status, headers) = answer.map_err(|error| retry(format!("{}: {error}", url.host())))?;
    judge(status, &headers, now)
}

/// The body of the answer is not read: a receiver may send anything.
async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, HeaderMap), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        Ok((answer.status(), answer.headers().clone()))
    };
    tokio::pin!(answer);
    // Dropped with the answer: nothing of a receiver stays behind.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let may_succeed =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    let why = format!("the receiver answered {status}");
    if status.is_client_error() && !may_succeed {
        return Err(Failure::Final(why));
    }
    let why = if status.is_redirection() {
        format!("{why}: redirects are not followed, give the address that it leads to")
    } else {
        why
    };
    let after = headers.get(RETRY_AFTER).and_then(|text| text.to_str().ok());
    let after = after.and_then(|text| retry_after(text, now));
    Err(Failure::Retry { why, after })
}

/// A number of seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let after = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let at = rfc2822::parse(text).ok()?.timestamp().as_millisecond();
        let ms = Timestamp::from_unix_ms(at).ms_since(now);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    };
    Some(after.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_final_or_may_be_tried_again() {
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let judged = |status: u16, after: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, after.parse().unwrap());
            }
            judge(StatusCode::from_u16(status).unwrap(), &headers, now)
        };
        for status in [200, 202, 204] {
            assert!(judged(status, None).is_ok(), "{status}");
        }
        for status in [400, 401, 404, 410, 422] {
            assert!(
                matches!(judged(status, None), Err(Failure::Final(_))),
                "{status}"
            );
        }
        let after = |status, text| match judged(status, text) {
            Err(Failure::Retry { after, .. }) => after,
            other => panic!("{status}: {other:?}"),
        };
        for status in [301, 408, 429, 500, 503] {
            assert_eq!(after(status, None), None);
        }
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(after(429, Some("17")), seconds(17));
        assert_eq!(
            after(503, Some("Tue, 14 Nov 2023 22:13:50 GMT")),
            seconds(30)
        );
        assert_eq!(
            after(503, Some("Mon, 14 Nov 2022 22:13:50 GMT")),
            seconds(0)
        );
        assert_eq!(after(503, Some("99999999")), Some(RETRY_AFTER_MAX));
        assert_eq!(after(503, Some("soon")), None);
    }
}

//! Heartbeats: requests that say that runs begin, succeed and fail, and that the daemon lives.
//!
//! **Invariant:** a heartbeat is of its moment: it is tried a few times at once, and never later.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::failure::{ATTEMPT_TIME, Failure};
use super::http;
use super::settings::Heartbeat;
use crate::clock;
use crate::remote::Tls;

/// Signals that wait for a server that is slow; more are left out, as older ones mean nothing then.
pub(super) const SIGNALS_MAX: usize = 16;

/// Attempts for one signal.
const ATTEMPTS: u32 = 3;

/// Pause between them.
const PAUSE: Duration = Duration::from_secs(5);

/// What a heartbeat says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    /// A run begins.
    Start,
    /// A run succeeded, or the daemon lives.
    Success,
    /// A run had errors, failed, or was interrupted.
    Fail,
}

impl Beat {
    /// What is appended to the path, as healthchecks.io and its kin have it.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Start => "/start",
            Self::Success => "",
            Self::Fail => "/fail",
        }
    }
}

/// Sends what `beats` brings, for as long as the task lives. `error` is that of the last attempt.
pub(super) async fn run(
    name: String,
    heartbeat: Heartbeat,
    tls: Tls,
    mut beats: mpsc::Receiver<Beat>,
    error: Arc<RwLock<Option<String>>>,
) {
    let mut ticks = heartbeat.every.map(|every| {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    loop {
        let tick = async {
            match &mut ticks {
                Some(ticks) => drop(ticks.tick().await),
                None => std::future::pending().await,
            }
        };
        let beat = tokio::select! {
            beat = beats.recv() => match beat {
                Some(beat) => beat,
                None => return,
            },
            () = tick => Beat::Success,
        };
        let sent = send(&heartbeat, &tls, beat).await;
        if let Err(why) = &sent {
            tracing::warn!("no heartbeat for \"{name}\": {why}");
        }
        *error.write() = sent.err();
    }
}

async fn send(heartbeat: &Heartbeat, tls: &Tls, beat: Beat) -> Result<(), String> {
    let url = heartbeat.url.below(beat.suffix());
    let mut failed = String::new();
    for attempt in 1..=ATTEMPTS {
        let request = Request::get("/").body(Full::<Bytes>::default());
        let request = request.map_err(|error| error.to_string())?;
        let sent = http::send(&url, tls, request, clock::now().wall);
        failed = match timeout(ATTEMPT_TIME, sent).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Failure::Final(why))) => return Err(why),
            Ok(Err(Failure::Retry { why, .. })) => why,
            Err(_) => format!("no answer within {} s", ATTEMPT_TIME.as_secs()),
        };
        if attempt < ATTEMPTS {
            sleep(PAUSE).await;
        }
    }
    Err(failed)
}

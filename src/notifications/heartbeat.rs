//! Heartbeats: requests that say that runs begin, succeed and fail, and that the daemon lives.
//!
//! **Invariant:** a heartbeat is of its moment: it is tried a few times at once, and never later.
//! **Invariant:** that the daemon lives is said only after its engine has answered: one that hangs
//! must not look alive.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};
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

/// Asks the engine for a sign of life. One that hangs never answers.
pub type AskEngine = dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// The way to the engine, once there is one.
pub(super) type Engine = watch::Receiver<Option<Arc<AskEngine>>>;

/// Sends what `beats` brings, for as long as the task lives. `error` is that of the last attempt.
pub(super) async fn run(
    name: String,
    heartbeat: Heartbeat,
    tls: Tls,
    (mut beats, mut engine): (mpsc::Receiver<Beat>, Engine),
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
            () = tick => {
                if !lives(&mut engine).await {
                    continue;
                }
                Beat::Success
            }
        };
        let sent = send(&heartbeat, &tls, beat).await;
        if let Err(why) = &sent {
            tracing::warn!("no heartbeat for \"{name}\": {why}");
        }
        *error.write() = sent.err();
    }
}

/// Returns true once the engine has answered, and false if it ends.
async fn lives(engine: &mut Engine) -> bool {
    let ask = match engine.wait_for(Option::is_some).await {
        Ok(known) => known.clone(),
        Err(_) => None,
    };
    match ask {
        Some(ask) => ask().await,
        None => false,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::remote::Url;

    #[tokio::test]
    async fn a_daemon_whose_engine_does_not_answer_has_no_heartbeat() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heartbeat = Heartbeat {
            url: Url::parse(&format!("http://{address}/beat")).unwrap(),
            every: Some(Duration::from_millis(1)),
        };
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let ask: Arc<AskEngine> = Arc::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { number >= 5 })
        });
        let (engine, seen) = watch::channel(None);
        let (_beats, signals) = mpsc::channel(1);
        let error = Arc::default();
        let task = run(
            "x".to_owned(),
            heartbeat,
            Tls::of_host(),
            (signals, seen),
            error,
        );
        let task = tokio::spawn(task);
        engine.send_replace(Some(ask));
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(asked.load(Ordering::SeqCst) > 5);
        let count = stream.read(&mut [0; 1024]).await.unwrap();
        assert!(count > 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        task.abort();
    }
}

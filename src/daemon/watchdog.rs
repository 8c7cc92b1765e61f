//! Pings of the service manager's watchdog (`WatchdogSec=`; see `sd_watchdog_enabled(3)`).
//!
//! **Invariant:** a ping is sent only after the engine has answered. A daemon whose engine hangs
//! must not look alive.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::app::EngineLink;

/// Starts the pings, if the service manager asks for them. They end with the engine.
pub(super) fn start(link: &EngineLink) {
    if let Some(period) = period() {
        tokio::spawn(ping(link.clone(), period));
    }
}

/// Returns the time between two pings, half of the service manager's limit; `None` without one.
fn period() -> Option<Duration> {
    let mut limit_us = 0;
    let is_enabled = sd_notify::watchdog_enabled(false, &mut limit_us);
    let period = Duration::from_micros(limit_us / 2);
    (is_enabled && !period.is_zero()).then_some(period)
}

async fn ping(link: EngineLink, period: Duration) {
    while link.ask(|_, _| ()).await.is_ok() {
        let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
        tokio::time::sleep(period).await;
    }
}

//! Sources that are brought up to date, for somebody who is about to act by what they say.
//!
//! **Invariant:** who waits here waits as a task: what may wait for a disk or a network does so on
//! a thread for that.
//! **Invariant:** it ends, whatever the sources do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::database::has_caught_up;
use super::sources::{Running, Sources};

/// A source is asked again after so long, twice as long the next time: a small table is read within
/// milliseconds.
const WAIT_FIRST: Duration = Duration::from_millis(2);
/// … up to this: each time is a question to its database.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Waits until the engine has been handed all that the databases said when this was called, for
/// `limit` at most. Those that are down are not waited for. One that does not get there is told in
/// the log.
pub(super) async fn freshen(sources: Arc<Sources>, limit: Duration) {
    let all = sources
        .databases()
        .into_iter()
        .map(|(name, one)| async move {
            if timeout(limit, catch_up(one)).await.is_err() {
                tracing::warn!(
                    source = name,
                    "it is still being read: what is known of its jobs decides"
                );
            }
        });
    join_all(all).await;
}

async fn catch_up(one: Arc<Running>) {
    let mut ordered = None;
    let mut wait = WAIT_FIRST;
    loop {
        let asked = Arc::clone(&one);
        let answer = spawn_blocking(move || {
            let has_caught_up = asked
                .database()
                .is_none_or(|database| has_caught_up(database, &mut ordered));
            (has_caught_up, ordered)
        });
        match answer.await {
            Ok((false, since)) => ordered = since,
            Ok((true, _)) => return,
            Err(error) => return tracing::error!("a source could not be asked: {error}"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

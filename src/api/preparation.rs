//! What a removal that is ordered waits for: that what is true at this moment is known.
//!
//! ```text
//! sources up to date → the engine knows whose everything is → a barrier: what had to be looked at for that, and what was just written
//! ```
//!
//! **Invariant:** it ends. What is not known by then is treated as before: what is known decides, each removal looks again, and missing
//! knowledge holds.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::daemon::{Daemon, source_name};
use super::link::{EngineLink, Stopping};
use crate::core::hold::Hold;
use crate::core::report::{CleanReport, SourcePhase};

/// So long the databases of jobs have to say what is new. A table of two hundred thousand rows is read within that, with the rest before
/// it; a person who waits for an answer does not wait much longer.
const SOURCES_MAX: Duration = Duration::from_secs(15);

/// The engine goes through all that a source owns in steps of milliseconds: it is asked as often whether it is through.
const WAIT_FIRST: Duration = Duration::from_millis(2);
/// … or less often, when there is much.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// A source that tells of no changes is not known to be as it was read when anything was written to its database meanwhile, be it what we
/// write there of the jobs that have just gone: then what nobody owns stays, until it is read again. So it is asked for again after these
/// pauses, which our own writing is through within; and no more, since somebody else may write all the time.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

impl Daemon {
    /// Waits until everything that happened before this call is known: in the databases of jobs, and then, for `files_max` at most, in the
    /// roots.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    async fn prepare(&self, files_max: Duration) -> Result<(), Stopping> {
        let link = self.link();
        tokio::select! {
            () = (self.parts.catch_up)(SOURCES_MAX) => {}
            () = link.ended() => return Err(Stopping),
        }
        let files = async {
            place_all(link).await?;
            link.sync().await
        };
        timeout(files_max, files).await.unwrap_or_else(|_| {
            tracing::warn!("the roots are still being read: what is known of them goes");
            Ok(())
        })
    }
}

impl Daemon {
    /// Prepares, has `clean` remove what is due, and does so again while something stays only because its source was being read when it was
    /// looked at. `clean` gives nothing when the rules that it is for are not in force any more.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn clean_prepared<E, F>(
        &self,
        files_max: Duration,
        mut clean: impl FnMut() -> F,
    ) -> Result<Option<CleanReport>, E>
    where
        E: From<Stopping>,
        F: Future<Output = Result<Option<CleanReport>, E>>,
    {
        let mut all: Option<CleanReport> = None;
        for pause in PAUSES {
            sleep(pause).await;
            self.prepare(files_max).await?;
            let Some(mut report) = clean().await? else {
                break;
            };
            let removed = all.take().map(|before| before.removed);
            report.removed.splice(..0, removed.into_iter().flatten());
            let is_through = !self.was_being_read(&report).await?;
            all = Some(report);
            if is_through {
                break;
            }
        }
        Ok(all)
    }

    /// Whether something of `report` is held by a source that can be read.
    async fn was_being_read(&self, report: &CleanReport) -> Result<bool, Stopping> {
        let mut holds = report.held.iter().filter_map(|item| item.hold.as_ref());
        if !holds.any(|hold| matches!(hold, Hold::SourceDown { .. })) {
            return Ok(false);
        }
        let sources = self.link().ask(|engine, now, _| engine.status(now).sources);
        let policy = self.policy();
        let ready = sources.await?.into_iter().filter(|source| {
            let is_read = source.phase == SourcePhase::Ready;
            is_read && source.trip.is_none()
        });
        let ready: BTreeSet<String> = ready
            .map(|source| source_name(&policy, source.source).to_owned())
            .collect();
        let mut holds = report.held.iter().filter_map(|item| item.hold.as_ref());
        Ok(holds
            .any(|hold| matches!(hold, Hold::SourceDown { source, .. } if ready.contains(source))))
    }
}

/// Waits until the engine has taken in what it was handed, and found again whose everything is.
async fn place_all(link: &EngineLink) -> Result<(), Stopping> {
    let mut wait = WAIT_FIRST;
    while link.ask(|engine, _, _| engine.is_passing()).await? {
        sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
    Ok(())
}

//! Preparation of a clean: everything that happened before the order becomes known.
//!
//! ```text
//! sources up to date → what was just written → the engine's own barrier: owners of everything, and
//! what had to be looked at for that
//! ```
//!
//! **Invariant:** it ends. What is not known by then is treated as before: what is known decides,
//! each removal looks again, and missing knowledge holds.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::daemon::{Daemon, source_name};
use super::link::Stopping;
use super::runs::Cancellation;
use crate::core::hold::Hold;
use crate::core::report::{CleanReport, SourcePhase};

/// So long the databases of jobs have to say what is new. A table of two hundred thousand rows is
/// read within that, with the rest before it; a person who waits for an answer does not wait much
/// longer.
const SOURCES_MAX: Duration = Duration::from_secs(15);

/// A source that tells of no changes is not known to be as it was read when anything was written to
/// its database meanwhile, be it what we write there of the jobs that have just gone: then what
/// nobody owns stays, until it is read again. So it is asked for again after these pauses, which
/// our own writing is through within; and no more, since somebody else may write all the time.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

impl Daemon {
    /// Waits until everything that happened before this call is known: in the databases of jobs,
    /// and then, for `files_max` at most, in the roots. Says whether it is.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    async fn prepare(&self, files_max: Duration) -> Result<bool, Stopping> {
        let link = self.link();
        tokio::select! {
            () = (self.parts.catch_up)(SOURCES_MAX) => {}
            () = link.ended() => return Err(Stopping),
        }
        match timeout(files_max, link.sync()).await {
            Ok(through) => through.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Prepares, has `clean` remove what is due, and does so again while something stays only
    /// because its source was being read when it was looked at. `clean` takes the number of items
    /// that were removed before, and gives nothing when the rules that it is for are not in force
    /// any more. Once it is cancelled, what was removed until
    /// then is reported.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn clean_prepared<F>(
        &self,
        files_max: Duration,
        cancellation: Option<&Cancellation>,
        mut clean: impl FnMut(usize) -> F,
    ) -> Result<Option<CleanReport>, Stopping>
    where
        F: Future<Output = Result<Option<CleanReport>, Stopping>>,
    {
        let mut all: Option<CleanReport> = None;
        for pause in PAUSES {
            let preparation = async {
                sleep(pause).await;
                self.prepare(files_max).await
            };
            let is_known = match cancellation {
                None => preparation.await?,
                Some(cancellation) => tokio::select! {
                    is_known = preparation => is_known?,
                    () = cancellation.cancelled() => break,
                },
            };
            let limit = if is_known { files_max } else { Duration::ZERO };
            // A dry run removed nothing: the next one tells all of it.
            let is_real = |before: &&CleanReport| !before.dry_run;
            let removed = all
                .as_ref()
                .filter(is_real)
                .map(|before| before.removed.len());
            let cleaning = clean(removed.unwrap_or(0));
            let Some(mut report) = self.hurried(limit, cleaning).await? else {
                break;
            };
            let before = all.take().filter(|before| is_real(&before));
            let before = before.map(|before| before.removed);
            report.removed.splice(..0, before.into_iter().flatten());
            let is_cancelled = cancellation.is_some_and(Cancellation::is_cancelled);
            let is_through = is_cancelled || !self.was_being_read(&report).await?;
            all = Some(report);
            if is_through {
                break;
            }
        }
        Ok(all)
    }

    /// Waits for `clean`, which waits in the engine until all that it has to know is known: for
    /// `limit` at most.
    async fn hurried<T>(
        &self,
        mut limit: Duration,
        clean: impl Future<Output = Result<T, Stopping>>,
    ) -> Result<T, Stopping> {
        /// The order may have been on its way to the engine when that was hurried.
        const AGAIN: Duration = Duration::from_secs(1);
        let mut clean = pin!(clean);
        loop {
            if let Ok(cleaned) = timeout(limit, &mut clean).await {
                return cleaned;
            }
            if self.link().ask(|engine, _| engine.hurry_orders()).await? {
                tracing::warn!("the roots are still being read: what is known of them decides");
            }
            limit = limit.max(AGAIN);
        }
    }

    /// Returns true if something of `report` is held by a source that can be read.
    ///
    /// # Errors
    /// [`Stopping`] when the engine has ended.
    pub async fn was_being_read(&self, report: &CleanReport) -> Result<bool, Stopping> {
        let mut holds = report.held.iter().filter_map(|item| item.hold.as_ref());
        if !holds.any(|hold| matches!(hold, Hold::SourceDown { .. })) {
            return Ok(false);
        }
        let sources = self.link().ask(|engine, now| engine.status(now).sources);
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

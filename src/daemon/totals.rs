//! The thread that counts the ledger's lines into the registry's totals, and drops segments that
//! need not be kept.
//!
//! **Invariant:** the totals are those of the lines before a place in the ledger that is kept with
//! them: a crash has lines counted later, and none twice.
//! **Invariant:** it sleeps while nothing is appended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::app::runs;
use crate::ledger::{Ledger, Needs};
use crate::reap::Reaper;
use crate::registry::{Registry, RegistryError};

/// From the first line that is not counted to the counting: one write to the registry for
/// everything that goes meanwhile.
const DELAY: Duration = Duration::from_secs(30);

enum Order {
    /// Lines were appended.
    Count,
    Stop,
}

/// The running thread.
pub(super) struct Counter {
    orders: Sender<Order>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Counter {
    pub(super) fn start(
        registry: &Arc<Registry>,
        ledger: &Arc<Ledger>,
        reaper: &Arc<Reaper>,
    ) -> anyhow::Result<Self> {
        let books = Books {
            registry: Arc::clone(registry),
            ledger: Arc::clone(ledger),
            reaper: Arc::clone(reaper),
            last_run: registry.last_run()?,
        };
        let (orders, inbox) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let noted = Arc::new(AtomicBool::new(false));
        let (sender, first) = (orders.clone(), Arc::clone(&noted));
        ledger.on_append(Box::new(move || {
            // One message until it is counted: appending waits for nobody.
            if !first.swap(true, Ordering::SeqCst) {
                let _ = sender.send(Order::Count);
            }
        }));
        let ending = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("totals".to_owned())
            .spawn(move || books.run(&inbox, &noted, &ending))
            .context("cannot start to count what is removed")?;
        Ok(Self {
            orders,
            stopping,
            thread,
        })
    }

    /// Ends the thread. The next start counts what is left.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        // It has ended by itself otherwise.
        let _ = self.orders.send(Order::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the totals ended by a fault of ours");
        }
    }
}

/// Source and destination of the counts.
struct Books {
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    reaper: Arc<Reaper>,
    /// The last run of an earlier process.
    last_run: u64,
}

impl Books {
    fn run(&self, inbox: &Receiver<Order>, noted: &AtomicBool, stopping: &AtomicBool) {
        let stops = || stopping.load(Ordering::SeqCst);
        settle_runs(&self.registry, &self.ledger, self.last_run);
        loop {
            noted.store(false, Ordering::SeqCst);
            count_and_drop(&self.registry, &self.ledger, &self.reaper, stops);
            match inbox.recv() {
                Ok(Order::Count) => {}
                Ok(Order::Stop) | Err(_) => return,
            }
            match inbox.recv_timeout(DELAY) {
                Ok(Order::Count) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Ends the runs up to the number `last`, whose process ended first. What fails is tried again by
/// the next start.
pub(super) fn settle_runs(registry: &Registry, ledger: &Ledger, last: u64) {
    if let Err(error) = runs::settle(registry, ledger, last) {
        tracing::warn!("runs of an earlier process cannot be ended: {error}");
    }
}

/// Counts what was appended since it was counted last, and drops segments of the ledger that need
/// not be kept. What fails is tried again the next time.
pub(super) fn count_and_drop(
    registry: &Registry,
    ledger: &Ledger,
    reaper: &Reaper,
    stops: impl Fn() -> bool,
) {
    match count(registry, ledger, &stops) {
        Ok(()) if stops() => {}
        Ok(()) => drop_surplus(registry, ledger, reaper),
        Err(error) => tracing::error!("what was removed is counted later: {error}"),
    }
}

fn drop_surplus(registry: &Registry, ledger: &Ledger, reaper: &Reaper) {
    let dropped = (|| -> anyhow::Result<()> {
        let surplus = ledger.surplus()?;
        if surplus.is_empty() {
            return Ok(());
        }
        let mut ids = registry.outbox_ids()?;
        ids.extend(reaper.unfinished());
        let counted = registry.counted()?.map(|counted| {
            // What was not told yet is needed, too.
            let told = super::removal_notifications::notified_until(registry);
            told.map_or(counted, |told| counted.min(told))
        });
        Ok(ledger.drop_surplus(&surplus, &Needs { ids, counted })?)
    })();
    if let Err(error) = dropped {
        tracing::warn!("ledger.keep cannot be applied now: {error:#}");
    }
}

/// Counts what was appended to the ledger since it was counted last, a segment at a time.
fn count(
    registry: &Registry,
    ledger: &Ledger,
    stops: impl Fn() -> bool,
) -> Result<(), RegistryError> {
    for stretch in ledger.stretches(registry.counted()?) {
        if stops() {
            break;
        }
        if !stretch.is_empty() {
            registry.add_totals(&stretch.totals(), stretch.end())?;
        }
    }
    Ok(())
}

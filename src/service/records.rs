//! The thread that writes records back to their sources, out of the outbox.
//!
//! **Invariant:** a dry run writes to no source.
//! **Invariant:** it sleeps while nothing waits; what a source does not take is tried again after a time that doubles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::sources::Sources;
use crate::clock;
use crate::core::jobs::SourceId;
use crate::core::report::{Mode, SourceMemory};
use crate::registry::SourceSeen;

/// The first pause after a source has not taken a record, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What the thread is told.
pub(super) enum Order {
    /// The removal under this number is recorded.
    Confirm(u64),
    /// Keep what is known of the source of this name.
    Remember(String, SourceMemory),
    /// Look whether something can be written.
    Wake,
    /// End.
    Stop,
}

/// The running thread.
pub(super) struct Records {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Records {
    /// Starts the thread. In a dry run it keeps what is known of sources, and writes nothing to them.
    pub(super) fn start(sources: Arc<Sources>, mode: Mode) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || run(&sources, mode, &inbox))?;
        Ok(Self { orders, thread })
    }

    pub(super) fn order(&self, order: Order) {
        // It has ended: so does the daemon.
        let _ = self.orders.send(order);
    }

    /// Finishes what is under way, and ends. The outbox keeps the rest.
    pub(super) fn stop(self) {
        self.order(Order::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes records ended by a fault of ours");
        }
    }
}

/// Until when a source is left alone, and for how long it was.
type Pauses = BTreeMap<SourceId, (Duration, Duration)>;

fn run(sources: &Sources, mode: Mode, inbox: &Receiver<Order>) {
    let mut pauses = Pauses::new();
    loop {
        let next = pauses.values().map(|(until, _)| *until).min();
        let order = match next {
            None => inbox.recv().ok(),
            Some(until) => {
                let wait = until.saturating_sub(clock::now().boot);
                match inbox.recv_timeout(wait) {
                    Ok(order) => Some(order),
                    Err(RecvTimeoutError::Timeout) => Some(Order::Wake),
                    Err(RecvTimeoutError::Disconnected) => None,
                }
            }
        };
        let Some(order) = order else { return };
        let mut confirmed = Vec::new();
        let mut ends = false;
        for order in std::iter::once(order).chain(inbox.try_iter()) {
            match order {
                Order::Confirm(id) => confirmed.push(id),
                Order::Remember(name, memory) => remember(sources, &name, memory),
                Order::Wake => {}
                Order::Stop => ends = true,
            }
        }
        confirm(sources, &confirmed);
        // What went just now is written, too: after a single `lapsed clean` nobody else would.
        if ends && confirmed.is_empty() {
            return;
        }
        // The outbox of an earlier run waits for the next one that is no dry run.
        let writable = match mode {
            Mode::Live | Mode::OnRequest => sources.names(),
            Mode::DryRun => Vec::new(),
        };
        for (id, name) in writable {
            let now = clock::now().boot;
            if pauses.get(&id).is_some_and(|(until, _)| *until > now) {
                continue;
            }
            if write_all(sources, id, &name) {
                pauses.remove(&id);
            } else {
                let pause = pauses
                    .get(&id)
                    .map_or(PAUSE_MIN, |(_, pause)| (*pause * 2).min(PAUSE_MAX));
                pauses.insert(id, (clock::now().boot + pause, pause));
            }
        }
        if ends {
            return;
        }
    }
}

fn confirm(sources: &Sources, ids: &[u64]) {
    if ids.is_empty() {
        return;
    }
    if let Err(error) = sources.registry().confirm(ids) {
        // The next start finds them in the ledger.
        tracing::error!("{error}");
    }
}

fn remember(sources: &Sources, name: &str, memory: SourceMemory) {
    let SourceMemory { jobs, trip } = memory;
    let kept = sources
        .registry()
        .set_source_seen(name, &SourceSeen { jobs, trip });
    if let Err(error) = kept {
        tracing::error!("{error}");
    }
}

/// Writes what waits for one source. Whether all of it was taken.
fn write_all(sources: &Sources, id: SourceId, name: &str) -> bool {
    loop {
        let items = match sources.registry().ready(name) {
            Ok(items) => items,
            Err(error) => {
                tracing::error!("{error}");
                return false;
            }
        };
        if items.is_empty() {
            return true;
        }
        for item in items {
            match sources.write(id, &item) {
                Ok(()) => {
                    if let Err(error) = sources.registry().done(item.id) {
                        tracing::error!("{error}");
                        return false;
                    }
                }
                Err(why) => {
                    tracing::warn!(source = name, job = item.job.id, "its record waits: {why}");
                    let noted = sources.registry().failed(item.id, &why, clock::now().wall);
                    if let Err(error) = noted {
                        tracing::error!("{error}");
                    }
                    return false;
                }
            }
        }
    }
}

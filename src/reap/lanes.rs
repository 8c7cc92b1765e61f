//! Lanes: threads and queues by device, so that a file system that hangs stops only what lies on
//! it.
//!
//! **Invariant:** no thread of a lane ever waits for a file system that another lane is for.
//! **Invariant:** work for which there is no lane of its own is carried out by the common lane:
//! late at worst.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;

use super::context::{ClaimBatch, Devices, Lane, Lanes, LanesState, ReaperContext, SlowWork};
use super::judge::BoundedClock;
use super::location::RootLocation;
use super::queue::Queue;
use super::trash::{purge, reading};
use super::{pipeline, recover, sweep};
use crate::clock;
use crate::core::claim::{Reaped, Unit};
use crate::core::facts::RootId;
use crate::core::policy::Policy;
use crate::core::trash::PurgeOrder;

/// Maximum number of lanes. Each has six threads by default, ~100 KB together. Further devices
/// share the common lane.
const LANES_MAX: usize = 32;

/// Maximum number of threads of one kind in a lane: more wait for the file system's journal, and
/// all lanes together stay below a thousand.
const WORKERS_MAX: usize = 8;

/// Maximum number of units that are given to a thread together.
pub(super) const UNITS_MAX: usize = 64;

/// Work of a thread of a lane, until the close.
type Role = fn(&Lane);

/// Options of the reaper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Directory of the intents: on a local disk, for this process alone.
    pub state_dir: PathBuf,
    /// Number of threads for claims of files on each device, of those that move and record units,
    /// and of those that delete what they moved; at most 8 of each.
    pub workers: usize,
    /// Maximum number of units that share one sync of the ledger; never more than a thread takes.
    pub batch_units: usize,
}

impl Options {
    /// The defaults: removals of single files are bound by the journal of the file system, of which
    /// two threads get the most; of units one of two waits for the disk at a time.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            workers: 2,
            batch_units: UNITS_MAX,
        }
    }
}

impl Lanes {
    /// The receiver is hung up when all threads have ended after the close.
    pub(super) fn new(options: &Options) -> (Self, mpsc::Receiver<()>) {
        let (ends, ended) = mpsc::channel();
        let state = Mutex::new(LanesState {
            lanes: BTreeMap::new(),
            threads: Vec::new(),
            ends: Some(ends),
        });
        (
            Self {
                workers: options.workers.clamp(1, WORKERS_MAX),
                batch_units: options.batch_units.clamp(1, UNITS_MAX),
                state,
            },
            ended,
        )
    }

    /// Drops what waits. The threads finish what they are at.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        // From now on the threads have the only senders.
        state.ends = None;
        for lane in std::mem::take(&mut state.lanes).into_values() {
            lane.close();
        }
    }

    /// Waits, after [`Lanes::close`], until the threads have ended.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut self.state.lock().threads);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the reaper has panicked");
            }
        }
    }
}

impl LanesState {
    fn start(&mut self, common: &Arc<ReaperContext>, threads: [usize; 3]) -> io::Result<Arc<Lane>> {
        let lane = Arc::new(Lane {
            common: Arc::clone(common),
            files: Queue::new(),
            large: Queue::new(),
            sweeps: Queue::new(),
        });
        let [files, units, sweeps] = threads;
        let roles: [(&str, usize, Role); 3] = [
            ("reap-files", files, Lane::reap_files),
            ("reap-units", units, Lane::reap_units),
            ("reap-sweep", sweeps, Lane::sweep_all),
        ];
        for (name, count, run) in roles {
            for _ in 0..count {
                let (own, ends) = (Arc::clone(&lane), self.ends.clone());
                let body = move || {
                    let _ends = ends;
                    run(&own);
                };
                let thread = std::thread::Builder::new()
                    .name(name.to_owned())
                    .spawn(body);
                match thread {
                    Ok(thread) => self.threads.push(thread),
                    Err(error) => {
                        lane.close();
                        return Err(error);
                    }
                }
            }
        }
        Ok(lane)
    }

    /// Takes a lane out whose devices are all away, and which has nothing to do.
    fn take_idle(&mut self, present: &Devices) -> Option<Arc<Lane>> {
        let is_idle = |(devices, lane): &(&Devices, &Arc<Lane>)| {
            !devices.is_empty() && devices.is_disjoint(present) && lane.is_idle()
        };
        let devices = self.lanes.iter().find(is_idle)?.0.clone();
        self.lanes.remove(&devices)
    }
}

impl ReaperContext {
    /// Starts the common lane.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start(self: &Arc<Self>) -> io::Result<()> {
        let mut state = self.lanes.state.lock();
        let lane = state.start(self, [1; 3])?;
        state.lanes.insert(Devices::new(), lane);
        Ok(())
    }

    /// Has the quarantine of the root at `place` put in order.
    pub(super) fn recover(self: &Arc<Self>, root: RootId, place: RootLocation) {
        let lane = self.lane(&Devices::from([place.key.dev]));
        if let Some(lane) = lane {
            lane.large.push(SlowWork::Recover { root, place });
        }
    }

    /// Queues an order to delete things of a trash; drops it after the close.
    pub(super) fn purge(self: &Arc<Self>, policy: Arc<Policy>, order: PurgeOrder) {
        let since = BoundedClock(clock::now());
        let device = {
            let places = self.places.lock();
            places.get(&order.root).map(|of| of.place.key.dev)
        };
        let lane = self.lane(&device.into_iter().collect());
        if let Some(lane) = lane {
            lane.large.push(SlowWork::Purge {
                policy,
                order,
                since,
            });
        }
    }

    /// Queues `work` in the lane of its devices; drops it after the close.
    pub(super) fn queue(self: &Arc<Self>, work: ClaimBatch) {
        let devices = {
            let places = self.places.lock();
            let known = work.roots.iter().filter_map(|id| places.get(id));
            known.map(|root| root.place.key.dev).collect()
        };
        let Some(lane) = self.lane(&devices) else {
            return;
        };
        match work.unit {
            Unit::File => lane.files.push(work),
            // The engine gives out one claim for each that is answered, once it has given out all
            // that it may: each would wait for a sync of its own.
            Unit::Dir | Unit::Job => {
                lane.large
                    .push_or_merge(SlowWork::Units(work), |waiting, new| match (waiting, new) {
                        (SlowWork::Units(waiting), SlowWork::Units(new)) => {
                            let rest = waiting.take_in(new, self.lanes.batch_units);
                            rest.map(SlowWork::Units)
                        }
                        (_, new) => Some(new),
                    });
            }
        }
    }

    /// The lane of these devices, which is made where there is none; `None` after the close.
    pub(super) fn lane(self: &Arc<Self>, devices: &Devices) -> Option<Arc<Lane>> {
        if let Some(known) = self.lanes.state.lock().lanes.get(devices) {
            return Some(Arc::clone(known));
        }
        let present = {
            let places = self.places.lock();
            places.values().map(|root| root.place.key.dev).collect()
        };
        let mut state = self.lanes.state.lock();
        state.ends.as_ref()?;
        let is_known = state.lanes.contains_key(devices);
        if !is_known && let Some(idle) = state.take_idle(&present) {
            state.lanes.insert(devices.clone(), idle);
        } else if !is_known && state.lanes.len() < LANES_MAX {
            match state.start(self, [self.lanes.workers; 3]) {
                Ok(lane) => drop(state.lanes.insert(devices.clone(), lane)),
                Err(error) => tracing::warn!(
                    %error,
                    "cannot start threads for another file system: its removals share those of others; raise the limit of threads"
                ),
            }
        }
        let lane = state.lanes.get(devices);
        lane.or_else(|| state.lanes.get(&Devices::new())).cloned()
    }
}

/// The work of a lane's threads.
impl Lane {
    fn answer(&self, reaped: Vec<Reaped>) {
        if !reaped.is_empty() {
            (self.hooks.reaped)(reaped);
        }
    }

    fn reap_files(&self) {
        self.files
            .work_off(|work| self.answer(pipeline::reap(self, work)));
    }

    fn reap_units(&self) {
        self.large.work_off(|work| match work {
            SlowWork::Units(work) => self.answer(pipeline::reap(self, work)),
            SlowWork::Recover { root, place } => recover::recover(self, root, &place),
            SlowWork::Retry { root, place, pause } => recover::retry(self, root, &place, pause),
            SlowWork::ReadTrash { root, place, pause } => reading::read(self, root, &place, pause),
            SlowWork::Purge {
                policy,
                order,
                since,
            } => purge::carry_out(self, &policy, &order, since),
        });
    }

    fn sweep_all(&self) {
        self.sweeps
            .work_off(|work| self.answer(sweep::sweep_all(self, [work])));
    }

    fn close(&self) {
        self.files.close();
        self.large.close();
        self.sweeps.close();
    }

    fn is_idle(&self) -> bool {
        self.files.is_idle() && self.large.is_idle() && self.sweeps.is_idle()
    }
}

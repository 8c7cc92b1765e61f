//! The thread that takes samples for charts, and looks at thresholds of disk use.
//!
//! **Invariant:** without thresholds, while nothing changes, it wakes once a minute, and wakes
//! nobody else.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::app::alerts::{self, Alerts};
use crate::app::{AppError, Daemon, samples};

/// From one sample to the next.
const SAMPLES: Duration = Duration::from_mins(1);

/// From one look at thresholds to the next.
const LOOKS: Duration = Duration::from_secs(5);

/// The running thread.
pub(super) struct Sampling {
    /// Dropped to end it.
    running: Sender<()>,
    thread: JoinHandle<()>,
}

impl Sampling {
    /// Starts beside the current runtime.
    ///
    /// # Errors
    /// If the process can have no more threads.
    pub(super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let (running, ended) = channel();
        let (daemon, runtime) = (Arc::clone(daemon), Handle::current());
        let thread = std::thread::Builder::new()
            .name("samples".to_owned())
            .spawn(move || run(&daemon, &runtime, &ended))?;
        Ok(Self { running, thread })
    }

    /// Ends the thread. It writes what it has.
    pub(super) fn stop(self) {
        drop(self.running);
        if self.thread.join().is_err() {
            tracing::error!("the samples ended by a fault of ours");
        }
    }
}

fn run(daemon: &Arc<Daemon>, runtime: &Handle, ended: &Receiver<()>) {
    let mut known = Alerts::default();
    let mut passed = Duration::ZERO;
    loop {
        // A reload that brings the first thresholds is noticed within a minute.
        let pause = if alerts::are_wanted(daemon) {
            tell(runtime.block_on(known.look(daemon)), "thresholds wait");
            LOOKS
        } else {
            SAMPLES
        };
        if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        passed += pause;
        if passed >= SAMPLES {
            passed = Duration::ZERO;
            let taken = runtime.block_on(samples::take_if_changed(daemon));
            tell(taken, "no sample for charts");
        }
    }
    let saved = runtime.block_on(samples::save_all(daemon));
    tell(saved, "samples for charts are lost");
}

fn tell(done: Result<(), AppError>, what: &str) {
    if let Err(error) = done {
        tracing::warn!("{what}: {error}");
    }
}

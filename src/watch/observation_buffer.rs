//! Collects observations into messages of a bounded size.
//!
//! **Invariant:** observations leave in the order in which they were made, and a barrier's answer
//! leaves after them.

use std::sync::Arc;

use super::options::{Report, Sink};
use crate::core::observed::Observed;

/// A message goes out when it names this many things, so that the engine answers questions in
/// between. A single listing may be longer.
pub(super) const REPORT_NAMES_MAX: usize = 1024;

/// See the module.
pub(super) struct ObservationBuffer {
    sink: Sink,
    waiting: Vec<Observed>,
    names: usize,
}

impl ObservationBuffer {
    /// Sends to `sink`.
    pub(super) fn new(sink: &Sink) -> Self {
        Self {
            sink: Arc::clone(sink),
            waiting: Vec::new(),
            names: 0,
        }
    }

    /// Adds an observation. May wait for the sink.
    pub(super) fn push(&mut self, observed: Observed) {
        let names = match &observed {
            Observed::Listing { files, dirs, .. } => files.len() + dirs.len(),
            Observed::Looks { names, .. } => names.len(),
            Observed::Unreadable { .. }
            | Observed::Gone { .. }
            | Observed::Moved { .. }
            | Observed::RootFound { .. }
            | Observed::RootLost { .. }
            | Observed::RootUnreachable { .. }
            | Observed::Doubted { .. }
            | Observed::Reconciled { .. } => 0,
        };
        if self.names + names + 1 > REPORT_NAMES_MAX {
            self.flush();
        }
        self.names += names + 1;
        self.waiting.push(observed);
    }

    /// Sends what waits. May wait for the sink.
    pub(super) fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.names = 0;
            (self.sink)(Report::Observed(std::mem::take(&mut self.waiting)));
        }
    }

    /// Sends what waits, then says that a barrier is through.
    pub(super) fn synced(&mut self, token: u64) {
        self.flush();
        (self.sink)(Report::Synced(token));
    }
}

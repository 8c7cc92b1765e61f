//! A backend without events, for a single crawl.

use std::num::NonZeroU32;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::backend::{Backend, Marker, More, RawEvent, WatchId};
use super::node_id::NodeId;
use crate::fs::Dir;

/// Watches nothing.
pub(super) struct NullBackend {
    markers: Mutex<Vec<Marker>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl NullBackend {
    /// `wake` is called when there is something to drain.
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            markers: Mutex::default(),
            wake,
        }
    }
}

impl Backend for NullBackend {
    fn name(&self) -> &'static str {
        "none"
    }

    fn watch(&self, _: &Dir, _: NodeId) -> Result<WatchId, Errno> {
        Ok(WatchId(NonZeroU32::MIN))
    }

    fn unwatch(&self, _: WatchId, _: NodeId) {}

    fn drain(&self, each: &mut dyn FnMut(RawEvent<'_>)) -> More {
        let markers = std::mem::take(&mut *self.markers.lock());
        for marker in markers {
            each(RawEvent::Marker(marker));
        }
        More::No
    }

    fn mark(&self, marker: Marker) {
        self.markers.lock().push(marker);
        (self.wake)();
    }

    fn watches(&self) -> u64 {
        0
    }

    fn watches_max(&self) -> Option<u64> {
        None
    }

    fn waiting_bytes(&self) -> u64 {
        0
    }

    fn is_alive(&self) -> bool {
        true
    }

    fn stop(&self) {}
}

//! Capacity: connections at once, shared by all listeners.
//!
//! A connection *waits* until a request has come on it, and between two requests. When all are
//! taken, the one that has waited longest gives way to a new client: a thousand idle connections
//! keep nobody out. Connections with a request in progress never give way.
//!
//! **Invariant:** clients of other hosts never take the connections that are reserved for this one,
//! and never have a connection of this host give way.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::app::access::Origin;

/// Maximum number of connections at once, and those that there are.
#[derive(Clone, Debug)]
pub struct Capacity(Arc<Mutex<Slots>>);

#[derive(Debug)]
struct Slots {
    max: usize,
    /// Maximum number for clients over TCP.
    max_tcp: usize,
    /// Number of the next event, to tell which one was earlier.
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    is_tcp: bool,
    /// Event since which the connection waits for a request; `None`: a request is in progress.
    waits_since: Option<u64>,
    gives_way: Arc<Notify>,
}

impl Capacity {
    /// Room for `max` connections, a quarter of which clients over TCP never get.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Slots {
            max,
            max_tcp: max - max.div_ceil(4),
            next: 0,
            taken: BTreeMap::new(),
        })))
    }

    /// Takes the place of a connection from `origin`; `None`: all are in use.
    pub(super) fn take(&self, origin: &Origin) -> Option<Slot> {
        let is_tcp = match origin {
            Origin::Unix(_) => false,
            Origin::Tcp { .. } => true,
        };
        let mut slots = self.0.lock();
        let tcp = slots.taken.values().filter(|taken| taken.is_tcp).count();
        if slots.taken.len() >= slots.max || (is_tcp && tcp >= slots.max_tcp) {
            slots.evict(is_tcp)?;
        }
        let id = slots.count();
        let gives_way = Arc::new(Notify::new());
        let taken = Taken {
            is_tcp,
            waits_since: Some(id),
            gives_way: Arc::clone(&gives_way),
        };
        slots.taken.insert(id, taken);
        drop(slots);
        Some(Slot {
            id,
            gives_way,
            capacity: self.clone(),
        })
    }
}

impl Slots {
    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Has the connection that has waited longest give way to one of TCP, or of the Unix socket.
    fn evict(&mut self, for_tcp: bool) -> Option<()> {
        let waiting = self
            .taken
            .iter()
            .filter(|(_, taken)| taken.is_tcp || !for_tcp);
        let waiting = waiting.filter_map(|(&id, taken)| {
            // Those of other hosts first.
            Some((!taken.is_tcp, taken.waits_since?, id))
        });
        let (.., id) = waiting.min()?;
        self.taken.remove(&id)?.gives_way.notify_one();
        Some(())
    }
}

/// Place of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    gives_way: Arc<Notify>,
    capacity: Capacity,
}

impl Slot {
    /// Completes when the connection has to give way to another one.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }

    /// Notes that a request is in progress until the answer is dropped.
    pub(super) fn begin_request(&self) -> Busy {
        let mut slots = self.capacity.0.lock();
        if let Some(taken) = slots.taken.get_mut(&self.id) {
            taken.waits_since = None;
        }
        Busy {
            id: self.id,
            capacity: self.capacity.clone(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.capacity.0.lock().taken.remove(&self.id);
    }
}

/// Request in progress.
#[derive(Debug)]
pub(super) struct Busy {
    id: u64,
    capacity: Capacity,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut slots = self.capacity.0.lock();
        let now = slots.count();
        if let Some(taken) = slots.taken.get_mut(&self.id) {
            taken.waits_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use futures_util::FutureExt;

    use super::*;
    use crate::app::access::Peer;

    fn local() -> Origin {
        Origin::Unix(Peer {
            uid: 1,
            gid: 1,
            groups: Vec::new(),
        })
    }

    fn remote() -> Origin {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Origin::Tcp {
            address,
            local: address,
        }
    }

    fn is_evicted(slot: &Slot) -> bool {
        slot.gives_way().now_or_never().is_some()
    }

    #[test]
    fn the_connection_that_waits_longest_gives_way() {
        let capacity = Capacity::new(4);
        let [first, second, third] = [(); 3].map(|()| capacity.take(&remote()).unwrap());
        drop(first.begin_request());
        let _busy = second.begin_request();
        // A fourth of another host has to wait for the reserve in vain.
        let fourth = capacity.take(&remote()).unwrap();
        assert!(is_evicted(&third) && !is_evicted(&first) && !is_evicted(&second));
        let fifth = capacity.take(&remote()).unwrap();
        assert!(is_evicted(&first) && !is_evicted(&second));
        let _requests = (fourth.begin_request(), fifth.begin_request());
        assert!(capacity.take(&remote()).is_none(), "all are busy");
        drop(third);
        assert!(capacity.take(&remote()).is_none(), "a place is freed once");
        let _local = capacity.take(&local()).unwrap();
        assert!(capacity.take(&remote()).is_none());
    }

    #[test]
    fn other_hosts_leave_some_to_this_one_and_disturb_none_of_it() {
        let capacity = Capacity::new(4);
        let locals = [(); 4].map(|()| capacity.take(&local()).unwrap());
        assert!(capacity.take(&remote()).is_none());
        assert!(locals.iter().all(|slot| !is_evicted(slot)));
        drop(locals);
        let remotes = [(); 3].map(|()| capacity.take(&remote()).unwrap());
        let local_one = capacity.take(&local()).unwrap();
        let _local_two = capacity.take(&local()).unwrap();
        assert!(is_evicted(&remotes[0]) && !is_evicted(&local_one));
        let requests = remotes.each_ref().map(Slot::begin_request);
        let _local_three = capacity.take(&local()).unwrap();
        assert!(
            is_evicted(&local_one),
            "one of this host, when all others are busy"
        );
        drop(requests);
    }
}

//! The line of events between a backend's reader and the event loop: bounded by bytes, with markers
//! at their places.
//!
//! Events wait as `inotify(7)` writes them, so that thousands of them are one allocation and their
//! bytes are counted.
//!
//! **Invariant:** what leaves has the order of what came in; past the bound all events leave the
//! line and an overflow stands for them.
//! **Invariant:** a marker is never lost: after an overflow it is reached when the overflow is
//! mended.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::backend::{Marker, More, RawEvent};

/// Events that follow one another are kept together up to this much: about 2,000 of them with their
/// names.
const CHUNK_BYTES: usize = 64 * 1024;

/// One drain hands over about this much, so that looks and barriers have their turn.
const DRAIN_BYTES: usize = 1024 * 1024;

/// See the module.
pub(super) struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    bytes_max: usize,
    losses: u64,
}

/// Item of the line.
#[derive(PartialEq, Eq, Debug)]
enum Item {
    /// One event or more.
    Events(Vec<u8>),
    Marker(Marker),
    Overflow,
}

/// Outcome of an addition: whether the event loop must be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wake {
    /// The line was empty.
    Needed,
    /// It has been, and has not come yet.
    Coming,
}

impl Queue {
    /// An empty line, for `bytes_max` bytes of events at most.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            bytes_max,
            losses: 0,
        }
    }

    /// Adds events.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Wake {
        let wake = self.wake();
        if self.bytes + bytes.len() > self.bytes_max {
            self.overflow();
            return wake;
        }
        self.bytes += bytes.len();
        match self.items.back_mut() {
            Some(Item::Events(last)) if last.len() + bytes.len() <= CHUNK_BYTES => {
                last.extend_from_slice(bytes);
            }
            _ => self.items.push_back(Item::Events(bytes.to_vec())),
        }
        wake
    }

    /// Adds markers.
    pub(super) fn mark(&mut self, markers: impl IntoIterator<Item = Marker>) -> Wake {
        let wake = self.wake();
        self.items.extend(markers.into_iter().map(Item::Marker));
        wake
    }

    /// Drops all events. The markers stay: they are reached when the overflow is mended.
    pub(super) fn overflow(&mut self) -> Wake {
        let wake = self.wake();
        self.items.retain(|item| matches!(item, Item::Marker(_)));
        self.items.push_front(Item::Overflow);
        self.bytes = 0;
        self.losses += 1;
        wake
    }

    /// Takes the next item out.
    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        if let Some(Item::Events(bytes)) = &item {
            self.bytes -= bytes.len();
        }
        item
    }

    /// Bytes of events that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of times that events were lost.
    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    fn wake(&self) -> Wake {
        if self.items.is_empty() {
            Wake::Needed
        } else {
            Wake::Coming
        }
    }
}

/// Hands what waits in `queue` over to `each`, events by way of `decode`. The line is free
/// meanwhile, for its reader.
pub(super) fn drain(
    queue: &Mutex<Queue>,
    decode: impl Fn(&[u8], &mut dyn FnMut(RawEvent<'_>)),
    each: &mut dyn FnMut(RawEvent<'_>),
) -> More {
    let mut drained = 0;
    while drained < DRAIN_BYTES {
        let item = queue.lock().pop();
        match item {
            None => return More::No,
            Some(Item::Events(bytes)) => {
                drained += bytes.len();
                decode(&bytes, each);
            }
            Some(Item::Marker(marker)) => each(RawEvent::Marker(marker)),
            Some(Item::Overflow) => each(RawEvent::Overflow),
        }
    }
    More::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_markers_leave_in_order_and_neighbours_leave_together() {
        let mut queue = Queue::new(100);
        assert_eq!(queue.push(b"one"), Wake::Needed);
        assert_eq!(queue.push(b"two"), Wake::Coming);
        queue.mark([Marker::Drained]);
        queue.push(b"three");
        assert_eq!(queue.bytes(), 11);
        assert_eq!(queue.pop(), Some(Item::Events(b"onetwo".to_vec())));
        assert_eq!(queue.pop(), Some(Item::Marker(Marker::Drained)));
        assert_eq!(queue.bytes(), 5);
        assert_eq!(queue.pop(), Some(Item::Events(b"three".to_vec())));
        assert_eq!((queue.pop(), queue.bytes()), (None, 0));
    }

    #[test]
    fn past_the_bound_one_overflow_stands_for_all_events_and_markers_stay() {
        let mut queue = Queue::new(8);
        queue.push(b"12345");
        queue.mark([Marker::Sync(7)]);
        queue.push(b"6789");
        queue.overflow();
        assert_eq!((queue.bytes(), queue.losses()), (0, 2));
        assert_eq!(queue.pop(), Some(Item::Overflow));
        assert_eq!(queue.pop(), Some(Item::Marker(Marker::Sync(7))));
        assert_eq!(queue.pop(), None);
    }
}

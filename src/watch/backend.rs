//! Interface of a source of file events, so that the event loop works with any of them.
//!
//! **Invariant:** events come in the order in which the things happened; a barrier's marker comes
//! after every event of what happened before it was asked for.
//! **Invariant:** an event is a rumour: it names a place to look at, nothing more. Only both halves
//! of a rename into a quarantine prove that a name is gone.

use std::num::NonZeroU32;

use rustix::io::Errno;

use super::node_id::NodeId;
use crate::fs::Dir;

/// Names a watch to the backend that gave it out. Never given out twice by one backend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchId(pub NonZeroU32);

/// Token of a barrier that is in no hurry: what was left unread after a restart
/// goes on being read at its pace.
pub const LOW_PRIORITY_BARRIER: u64 = 0;

/// Purpose of a barrier's marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marker {
    /// Asked for by a caller, who is answered when all that happened before is reported.
    Sync(u64),
    /// The event loop's own: every event of what happened before it was asked for has been handed
    /// over.
    Drained,
}

/// Change of a name in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Made, written, removed, or its attributes changed.
    Touched,
    /// Renamed away from here; the other half carries the same number.
    MovedFrom(u32),
    /// Renamed to here; the other half carries the same number.
    MovedTo(u32),
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RawEvent<'a> {
    /// Something happened to a name in a directory.
    Name {
        /// The directory.
        dir: NodeId,
        /// The name in it.
        name: &'a [u8],
        /// Its change.
        change: Change,
        /// True if it is (or was) a directory.
        is_dir: bool,
    },
    /// The attributes of a directory changed.
    Itself(NodeId),
    /// The operating system ended a watch: its directory is gone or unmounted.
    Unwatched(NodeId, WatchId),
    /// Something may have happened anywhere, and the backend does not know where.
    Anywhere,
    /// A barrier is reached.
    Marker(Marker),
    /// Events were lost.
    Overflow,
}

/// A source of file events.
pub trait Backend: Send + Sync {
    /// Its name, as the configuration spells it.
    fn name(&self) -> &'static str;

    /// Starts to watch an open directory: from now on its events name `node`. Several nodes may
    /// stand for one directory (the same tree reached through two mounts). Called by several
    /// threads at once.
    ///
    /// # Errors
    /// The operating system's refusal; `ENOSPC` when it allows no more watches.
    fn watch(&self, dir: &Dir, node: NodeId) -> Result<WatchId, Errno>;

    /// Watches for what is renamed into an open directory: such events name [`NodeId::QUARANTINE`].
    /// Returns `None` where the backend cannot, or the operating system refuses.
    fn watch_arrivals(&self, _dir: &Dir) -> Option<WatchId> {
        None
    }

    /// Ends a watch for `node`. Nothing when it has ended already.
    fn unwatch(&self, watch: WatchId, node: NodeId);

    /// Hands over events in order, up to a limit of its own; whether there are more.
    fn drain(&self, each: &mut dyn FnMut(RawEvent<'_>)) -> More;

    /// Asks for a marker in the line of events.
    fn mark(&self, marker: Marker);

    /// Number of directories that are watched.
    fn watches(&self) -> u64;

    /// Number of watches that the operating system allows this user, where it has such a limit.
    fn watches_max(&self) -> Option<u64>;

    /// Bytes of events that wait to be drained.
    fn waiting_bytes(&self) -> u64;

    /// Returns whether it still works: a dead one has reported an overflow.
    fn is_alive(&self) -> bool;

    /// Ends its threads. They may still be ending when this returns.
    fn stop(&self);
}

/// Outcome of a drain: whether events are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum More {
    /// There are more events.
    Yes,
    /// All that there was is handed over.
    No,
}

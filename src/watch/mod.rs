//! Watches the roots: from the operating system's events, and listings where it has none to tell, to observations.
//!
//! ```text
//! backend ─ raw events ─▶ looker ─ names that want a look ─▶ looks ────┐
//!  (own thread)             │ ▲                                      ├─▶ outbox ─▶ sink (the engine)
//!                           ▼ │                                      │
//!                  listings ─▶ crawl (two threads) ─ contents ───────┘
//! ```
//!
//! - `backend`: what a source of events must be able to do; `inotify`, `notify`, `poll`, and `still` for a single crawl. Behind
//!   them: `queue`; `watched`, `alias`, `beacon` and `said` of `notify`.
//! - `looker`: the thread that owns the tree and puts everything in one line. Its parts: `events`, `looks`, `lists`, `passes`
//!   (crawls, reconciliations), `restored` and `contents` (what was saved, and what that leaves unread), `presence` (roots that come and go), `unreachable` (roots that cannot be opened), `unwatched` (directories that no event tells of).
//! - `tree`, `dirty`, `listings`, `moves`, `roots`: what it knows. `epochs`: when a barrier is through.
//! - `surroundings`: the places where the roots lie, and mounts. `crawl`: the pool that lists.
//!
//! **Invariant:** an event is a rumour: only what was seen by a look or a listing is reported.
//! **Invariant:** of one directory, what was seen later is reported later.
//! **Invariant:** nothing polls, but for `poll`. A timer exists only while directories are without a watch, a root is away, or a
//! reconciliation rests.
//! **Invariant:** lost events, from whatever queue, end in a reconciliation, and are doubted until then.

mod alias;
mod backend;
mod beacon;
mod contents;
mod crawl;
mod dirty;
mod epochs;
mod error;
mod events;
mod holders;
mod inbox;
mod inotify;
mod kernel_event;
mod limits;
mod listings;
mod lists;
mod looker;
mod looks;
mod moves;
mod notify;
mod options;
mod outbox;
mod passes;
mod poll;
mod presence;
mod queue;
mod recent_paths;
mod restored;
mod roots;
mod said;
mod stats;
mod still;
mod surroundings;
#[cfg(test)]
mod tests;
mod threads;
mod tree;
mod unreachable;
mod unwatched;
mod watched;
mod watcher;
mod ways;

pub use error::WatchError;
pub use options::{BackendKind, Options, Report, RestoredDir, RestoredRoot, Sink, WatchRoot};
pub use stats::WatchStats;
pub use watcher::{PATIENT, Watcher, crawl_once};

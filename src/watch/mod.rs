#![doc = include_str!("DESIGN.md")]

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

#![doc = include_str!("DESIGN.md")]

mod backend;
mod cookie_files;
mod crawl;
mod deferred_scan;
mod dirty_set;
mod epochs;
mod error;
mod event_loop;
mod events;
mod fd_paths;
mod inbox;
mod inotify;
mod kernel_event;
mod limits;
mod lists;
mod looks;
mod mapped_event;
mod node_set;
mod notify;
mod null_backend;
mod observation_buffer;
mod options;
mod parent_watcher;
mod passes;
mod poll;
mod queue;
mod recent_paths;
mod rename_tracker;
mod restored;
mod root_state;
mod roots;
mod scan_queue;
mod stats;
#[cfg(test)]
mod tests;
mod tree;
mod unreachable;
mod unwatched_dirs;
mod watched;
mod watcher;
mod ways;
mod workers;

pub use error::WatchError;
pub use options::{BackendKind, Options, Report, RestoredDir, RestoredRoot, Sink, WatchRoot};
pub use stats::WatchStats;
pub use watcher::{LOW_PRIORITY_BARRIER, Watcher, crawl_once};

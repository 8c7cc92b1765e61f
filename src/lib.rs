#![doc = include_str!("ARCHITECTURE.md")]

pub mod adapter;
pub mod app;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod daemon;
pub mod fs;
pub mod http;
pub mod ledger;
pub mod notifications;
pub mod reap;
pub mod registry;
pub mod remote;
pub mod sources;
pub mod types;
pub mod watch;

#[cfg(test)]
#[path = "../tests/common"]
mod common {
    pub mod http;
    pub mod immutable;
    pub mod machine;
}

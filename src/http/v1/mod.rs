//! Routes of `/v1`: one file for each resource, which declares them with their limits.

pub(super) mod breaker;
pub(super) mod clean;
pub(super) mod displaced;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod files;
pub(super) mod history;
pub(super) mod jobs;
pub(super) mod limits;
mod lines;
pub(super) mod notify;
pub(super) mod pause;
pub(super) mod pins;
pub(super) mod plan;
pub(super) mod reload;
pub(super) mod runs;
pub(super) mod samples;
pub(super) mod settings;
pub(super) mod shadow;
pub(super) mod space;
pub(super) mod stats;
pub(super) mod status;
pub(super) mod sync;
pub(super) mod tokens;
pub(super) mod trash;
pub(super) mod whoami;

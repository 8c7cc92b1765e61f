//! `[reap]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::value::Count;

/// The reaper, which removes what lapses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Reap {
    // The journal of a file system serializes removals: two threads get the most of most.
    /// Threads that remove files of one file system, and as many for directories and jobs: 1 to 8;
    /// larger values count as 8.
    #[schemars(extend("default" = 2))]
    pub workers: Value<Count<1>>,
}

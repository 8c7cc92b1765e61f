//! `[watch]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::settings::Backend;
use super::super::value::Period;

/// The watcher, which notices changes in the file system.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Watch {
    /// Source of change events: "auto" (the best of this platform: inotify), "inotify", "notify"
    /// (the crate of that name), or "poll" for file systems that raise no events (NFS, CIFS, most
    /// of FUSE). With "poll", all roots are read every reconcile_every, and for each sync; a new
    /// file is noticed, and removed, later by at most that interval.
    #[schemars(extend("default" = "auto"))]
    pub backend: Value<Backend>,
    /// Interval at which directories that cannot be watched are compared with the index; with
    /// "poll" all directories. At least 1s.
    #[schemars(extend("default" = "60s"))]
    pub reconcile_every: Value<Period<1>>,
}

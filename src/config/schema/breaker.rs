//! `[breaker]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::value::{Share, SizeOrNone};

/// The breaker. It holds an unusually large removal until `lapsed breaker release`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Breaker {
    /// Maximum entries of a root that may become due at once after a first start or an edit of a
    /// rule. The breaker trips only above both this number and `share`. Entries that lapse with
    /// jobs count, too. The same limits apply to jobs that a changed fact makes due within an hour,
    /// such as a rewritten row or a new row with an old end.
    #[schemars(extend("default" = 1000))]
    pub entries: Value<u64>,
    /// Maximum share of a root, or of the jobs of a source, that may become due at once. See
    /// `entries`.
    #[schemars(extend("default" = 0.5))]
    pub share: Value<Share>,
    /// Maximum orphans of a root that may be removed within an hour. A table of jobs that lost its
    /// rows makes many orphans.
    #[schemars(extend("default" = 10000))]
    pub orphan_entries: Value<u64>,
    /// Maximum bytes of orphans of a root that may be removed within an hour; "none": unlimited.
    #[schemars(extend("default" = "none"), example = &"100GiB")]
    pub orphan_bytes: Value<SizeOrNone>,
    /// Maximum share of a root that may be removed as orphans within an hour. It applies above
    /// `entries`.
    #[schemars(extend("default" = 0.5))]
    pub orphan_share: Value<Share>,
}

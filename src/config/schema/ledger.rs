//! `[ledger]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::settings::Keep;
use super::super::value::{Count, Period, Size};

/// The ledger, the durable record of all removals. It consists of segments.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Ledger {
    // A smaller segment might hold fewer lines than the removal of one directory writes. A line
    // takes ~300 bytes: 16 MiB hold ~50,000 removals.
    /// Size at which a new segment is begun. At least 64KiB.
    #[schemars(extend("default" = "16MiB"))]
    pub segment_bytes: Value<Size<{ 64 << 10 }>>,
    // A shorter age would create more files than lines.
    /// Age at which a new segment is begun. At least 1m.
    #[schemars(extend("default" = "30d"))]
    pub segment_age: Value<Period<60>>,
    /// Retention of the ledger: an age, a size, or both ("400d", "1GiB", "400d, 1GiB"); "none":
    /// forever. Whole segments are dropped, except the current one and those that unfinished work
    /// needs. Ages count back from the latest removal; sizes end in B.
    #[schemars(extend("default" = "none"), example = &"400d, 1GiB")]
    pub keep: Value<Keep>,
    /// Maximum removals of directories and jobs that share one write to the disk: 1 to 64; larger
    /// values count as 64.
    #[schemars(extend("default" = 64))]
    pub batch_units: Value<Count<1>>,
}

//! `limit` of `[[rule]]` and `[[root]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::value::{Count, FreeInodes, FreeSpace, Period, Size};
use crate::core::policy::{Order, Per};

/// Limits on what a rule takes, also written limit = { max_size = "50GiB", … }; of a rule for
/// several roots, in each of them. What is too much is removed before its time, in order, until the
/// low mark is reached. Files of unfinished jobs, pinned and open files are passed over. Sizes are
/// those of blocks on disk.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Limit {
    /// Most bytes.
    #[schemars(example = &"50GiB")]
    pub max_size: Value<Size<1>>,
    /// Bytes that are left when more than `max_size` was there. Default: `max_size`.
    #[schemars(example = &"45GiB")]
    pub down_to: Value<Size<0>>,
    /// Most files.
    #[schemars(example = 1_000_000)]
    pub max_files: Value<Count<0>>,
    /// Space that the file system is to have free: a size, or a share such as "10%". Needs
    /// `keep_at_least`.
    #[schemars(example = &"10%")]
    pub min_free: Value<FreeSpace>,
    /// Inodes that the file system is to have free: a number, or a share such as "5%". Needs
    /// `keep_at_least`.
    #[schemars(example = &"5%")]
    pub min_free_inodes: Value<FreeInodes>,
    /// Bytes that stay, however full the file system is: others may be filling it.
    #[schemars(example = &"5GiB")]
    pub keep_at_least: Value<Size<0>>,
    /// Order of removal: "oldest" (by the timestamp from which the rule counts) or "largest".
    #[schemars(extend("default" = "oldest"), example = &"largest")]
    pub order: Value<Order>,
    /// Age below which the limit removes nothing, from the timestamp from which the rule counts.
    #[schemars(extend("default" = "0s"), example = &"1h")]
    pub min_age: Value<Period<0>>,
    /// Things that are counted together: "all", or "owner" for a limit on what each owner has, as
    /// the root's `owner` template tells it.
    #[schemars(extend("default" = "all"), example = &"owner")]
    pub per: Value<Per>,
}

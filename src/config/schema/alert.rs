//! `alert` of `[[root]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::value::{FreeSpace, Size};

/// Thresholds that people want to hear of, also written alert = { free_below = "10%", … }:
/// receivers of notifications of the kind "space" are told once when one is crossed, and once when
/// it is over. It is over at a twentieth past the threshold, so that a value that trembles is not
/// told again and again. Nothing is removed for it: that is what `limit` is for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Alert {
    /// Free space of the root's file system below which people are told: a size, or a share such
    /// as "10%".
    #[schemars(example = &"10%")]
    pub free_below: Value<FreeSpace>,
    /// Size of the root, the sum of its files' sizes, above which people are told.
    #[schemars(example = &"50GiB")]
    pub size_above: Value<Size<1>>,
}

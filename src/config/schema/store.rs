//! `[store]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::Value;
use super::super::value::Size;

/// The cache of the index, kept in the state directory so that a restart need not read everything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Store {
    // An empty database takes half of the minimum; a million files take ~50 MB.
    /// Size above which the cache is replaced by a smaller copy, if possible. At least 1MiB.
    #[schemars(extend("default" = "512MiB"))]
    pub size_max: Value<Size<{ 1 << 20 }>>,
}

//! Answer of `GET /v1/limits`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::policy::Order;

/// `GET /v1/limits`: how full each limit is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Limits of rules, then those of roots; of a limit by owner, the hundred fullest.
    pub limits: Vec<LimitLine>,
}

/// A limit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitLine {
    /// The root's name.
    pub root: String,
    /// The rule's name; `null`: it is a limit of the root.
    pub rule: Option<String>,
    /// The owner whose files are counted; `null`: all.
    pub owner: Option<String>,
    /// State.
    pub state: LimitState,
    /// Files that it counts.
    pub files: u64,
    /// Most files.
    pub max_files: Option<u64>,
    /// Bytes that they take on disk.
    pub bytes: u64,
    /// Most bytes.
    pub max_size: Option<u64>,
    /// Bytes that are left after a removal.
    pub down_to: Option<u64>,
    /// Bytes that the file system is to have free, as far as its size is known.
    pub min_free: Option<u64>,
    /// Bytes that it had free when it was asked last.
    pub free: Option<u64>,
    /// Inodes that it is to have free, likewise.
    pub min_free_inodes: Option<u64>,
    /// Inodes that it had free then.
    pub free_inodes: Option<u64>,
    /// Things that were passed over at the last try, by the reason: the code of a hold, `min-age`,
    /// `frees-nothing`, `keep-at-least`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed: BTreeMap<String, u64>,
    /// The code of the hold that keeps the limit from acting.
    pub hold: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Limit that would remove something now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitExcess {
    /// The limit.
    #[serde(flatten)]
    pub limit: LimitLine,
    /// Number of files that it would remove; of 10,000 things at most.
    pub would_remove: u64,
}

/// Place of a thing in the order of a limit that counts it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitPlace {
    /// The limit.
    #[serde(flatten)]
    pub limit: LimitLine,
    /// Order in which it removes.
    pub order: Order,
    /// Number of things that go before it; 10,000: at least so many. `null`: the limit may not
    /// remove it.
    pub ahead: Option<u64>,
    /// Absolute path of the thing right before it.
    pub next_ahead: Option<String>,
    /// Instant from which it is old enough for the limit, if that has not come.
    pub not_before: Option<String>,
}

/// State of a limit.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum LimitState {
    /// Everything is within it.
    Met,
    /// It is exceeded, and things are removed.
    Removing,
    /// It is exceeded, and nothing more may be removed now.
    Unmet,
    /// It is exceeded, or may be, and does not act: see `hold`.
    Held,
}

impl LimitState {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

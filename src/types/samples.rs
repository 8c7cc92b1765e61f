//! Answer of `GET /v1/samples`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Moment, Tally};

/// `GET /v1/samples`: how it was, for charts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Samples {
    /// Time of each sample.
    pub by: SampleStep,
    /// The samples, oldest first, the current one included: a thousand at most, of which each sums
    /// up several if there are more. A time in which nothing changed has none, and neither has one
    /// in which no daemon ran.
    pub samples: Vec<Sample>,
}

/// Time of a sample.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SampleStep {
    /// A minute; kept for the last 10,080 of them, a week.
    #[default]
    Minute,
    /// A day in UTC; kept for the last 366.
    Day,
}

/// State in a minute or on a day.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Start of the minute or the day.
    pub at: Moment,
    /// Removals in that time.
    pub removed: Tally,
    /// Lateness of these removals: of 99 in 100 at most so much, as one of the edges of the
    /// histogram of `/v1/status`; of several samples the largest. `null`: nothing was removed.
    pub late_ms: Option<i64>,
    /// Most things that were due and held at once.
    pub held: u64,
    /// Roots at the end of that time, the first sixteen of the configuration.
    pub roots: Vec<RootSample>,
    /// Limits at the end of that time, the first sixteen that `/v1/limits` tells.
    pub limits: Vec<LimitSample>,
}

/// Size of a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RootSample {
    /// The root's name.
    pub root: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of its file system; `null`: it did not tell.
    pub total_bytes: Option<u64>,
    /// Bytes that are free there for others than root; `null`: it did not tell.
    pub free_bytes: Option<u64>,
}

/// Fullness of a limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitSample {
    /// The root's name.
    pub root: String,
    /// The rule's name; `null`: it is a limit of the root.
    pub rule: Option<String>,
    /// The owner whose files are counted; `null`: all.
    pub owner: Option<String>,
    /// The part of the limit that is used: more than 1 is too much. Of a limit on free space, what
    /// has to be free by what is free.
    pub part: f64,
}

impl SampleStep {
    /// Returns the word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Sample {
    /// Makes it one with `later`, which keeps what has an end.
    pub(crate) fn add(&mut self, later: Self) {
        self.removed.files = self.removed.files.saturating_add(later.removed.files);
        self.removed.bytes = self.removed.bytes.saturating_add(later.removed.bytes);
        self.late_ms = self.late_ms.max(later.late_ms);
        self.held = self.held.max(later.held);
        self.roots = later.roots;
        self.limits = later.limits;
    }
}

//! `GET /v1/plan`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LimitExcess, Tally};

/// `GET /v1/plan`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The instant that this was computed at.
    pub from: String,
    /// Until then.
    pub until: String,
    /// Files that go until then without being asked for, overdue ones included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are due until then, and go later by a schedule, or when somebody asks.
    pub waits: Tally,
    /// By root and rule.
    pub groups: Vec<PlanGroup>,
    /// Limits that make files go now, before their time. These files count above by their own
    /// deadlines.
    #[serde(default)]
    pub limits: Vec<LimitExcess>,
    /// The whole hours from `from` on, one by one and to the minute; what is overdue counts in the
    /// first.
    pub hours: Vec<PlanHour>,
}

/// Files that lapse by one rule in one root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanGroup {
    /// The root's name.
    pub root: String,
    /// The rule's name.
    pub rule: String,
    /// Files that go without being asked for, overdue ones included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that should be gone: held, or about to go.
    pub overdue: Tally,
    /// Files that are due, and go later by the schedule, or when somebody asks.
    pub waits: Tally,
    /// Files that are due until then, and stay because their rule keeps the newest of each group.
    #[serde(default)]
    pub kept: Tally,
    /// The rule's schedule: `manual`, or its instants. `null`: what is due goes at its deadline.
    pub schedule: Option<String>,
    /// The next instant of the schedule.
    pub next: Option<String>,
}

impl PlanGroup {
    /// Returns true if files are removed only on request.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.schedule.is_some() && self.next.is_none()
    }
}

/// Files that lapse within one hour.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanHour {
    /// The hour's begin.
    pub from: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

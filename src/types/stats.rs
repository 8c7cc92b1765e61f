//! Answer of `GET /v1/stats`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::totals::{Sum, TotalKey};

/// `GET /v1/stats`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// By day, where that is asked for, root and rule.
    pub totals: Vec<Total>,
}

/// Removals of a rule in a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Total {
    /// The day in UTC; `null`: all of them.
    pub day: Option<String>,
    /// The root's name; of a job in several roots the first one's.
    pub root: String,
    /// The rule's name.
    pub rule: String,
    /// Files, directories and jobs that went as a whole.
    pub units: i64,
    /// Regular files.
    pub files: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Files that were displaced: they lie in the quarantine.
    pub displaced: i64,
}

impl From<(TotalKey, Sum)> for Total {
    fn from((key, sum): (TotalKey, Sum)) -> Self {
        let Sum {
            units,
            files,
            bytes,
            displaced,
        } = sum;
        Self {
            day: (!key.day.is_empty()).then_some(key.day),
            root: key.root,
            rule: key.rule,
            units,
            files,
            bytes,
            displaced,
        }
    }
}

//! Records of cleaned jobs, to be written back to their source.

use super::error::Fault;
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;

/// A record to write back.
#[derive(Clone, PartialEq, Debug)]
pub struct WriteBack {
    /// The job as it was judged.
    pub job: JobRow,
    /// Action on its record.
    pub action: Record,
    /// Time at which it was cleaned.
    pub now: Timestamp,
    /// Summary of what was removed, for people.
    pub summary: String,
}

/// Outcome of a write-back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    /// It is as ordered, by this order or by an earlier one.
    Done,
    /// There is no such row any more.
    Gone,
    /// The row is not as it was judged, and was not touched.
    Changed {
        /// The difference.
        how: String,
    },
}

/// Reason why a record was not written.
#[derive(Debug)]
pub(super) enum WriteFailure {
    /// The database takes no record now.
    Database(String),
    /// It does not take this one: its row is locked, say.
    Record(String),
    /// A statement fails.
    Statement(String),
}

impl WriteFailure {
    /// A fault of the whole database.
    pub(super) fn of_database(fault: &Fault) -> Self {
        Self::Database(fault.to_string())
    }
}

impl From<Fault> for WriteFailure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Busy | Fault::Stopped | Fault::Away { .. } => Self::Database(fault.to_string()),
            // It stumbles over this row.
            Fault::Query(_) | Fault::Denied { .. } | Fault::Failed { .. } => {
                Self::Record(fault.to_string())
            }
        }
    }
}

/// Returns the value of the parameter `wanted` of a statement of `order`, by the columns of the
/// row; `None`: there is no such parameter.
pub(super) fn parameter<V: Clone>(
    wanted: &str,
    order: &WriteBack,
    now: &str,
    row: &[(String, V)],
    text: impl FnOnce(&str) -> V,
) -> Option<V> {
    let column = match wanted {
        "now" => return Some(text(now)),
        "summary" => return Some(text(&order.summary)),
        // As it stands in the row: a number is compared as a number.
        "job" => "id",
        other => other,
    };
    let found = row
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(column));
    found.map(|(_, value)| value.clone())
}

//! Records of cleaned jobs, to be written back to their source.

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

/// Describes what of a job is not as it was judged.
pub(super) fn difference(judged: &JobRow, now: &JobRow) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let time = |at: Option<Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let status = |job: &JobRow| match &job.unknown_status {
        Some(word) => format!("\"{word}\""),
        None => job.status.to_string(),
    };
    let (was, is) = (&judged.moments, &now.moments);
    let pairs = [
        ("status", status(judged), status(now)),
        ("kind", text(&judged.kind), text(&now.kind)),
        ("created_at", time(was.created_at), time(is.created_at)),
        (
            "completed_at",
            time(was.completed_at),
            time(is.completed_at),
        ),
        (
            "last_activity",
            time(was.last_activity),
            time(is.last_activity),
        ),
        ("expires_at", time(was.expires_at), time(is.expires_at)),
        ("cleaned_at", time(was.cleaned_at), time(is.cleaned_at)),
        ("files", judged.files.join(", "), now.files.join(", ")),
        (
            "unreadable",
            text(&judged.unreadable),
            text(&now.unreadable),
        ),
    ];
    let told: Vec<String> = pairs
        .into_iter()
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| format!("{name}: {was} → {is}"))
        .collect();
    told.join(", ")
}

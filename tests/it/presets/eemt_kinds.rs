//! eemt: jobs of every kind.

use super::database::{HOUR, YEAR, ago};
use super::eemt::{Eemt, WEEK, all_of, local, temp};
use crate::common::sources::uuid;

/// Jobs of every kind, and what is due of them.
pub struct Kinds {
    pub due: Vec<String>,
    pub marked: Vec<String>,
    pub forgotten: Vec<String>,
}

pub fn every_kind(eemt: &Eemt) -> Kinds {
    let old_success = uuid(1);
    let documented = "job-20240113-123456".to_owned();
    let old_failure = uuid(2);
    // In UTC it would be past both retentions, read as UTC; and it is hours short of them.
    let young_success = uuid(3);
    let young_failure = uuid(4);
    let (running, pending, cancelled) = (uuid(5), uuid(6), uuid(7));
    let (endless, endless_failure, strange) = (uuid(8), uuid(9), uuid(10));
    let unreadable = uuid(11);
    eemt.job(&old_success, "completed", Some(ago(WEEK + HOUR)));
    eemt.job(&documented, "completed", Some(ago(YEAR)));
    eemt.job(&old_failure, "failed", Some(ago(13 * HOUR)));
    eemt.job(&young_success, "completed", Some(ago(165 * HOUR)));
    eemt.job(&young_failure, "failed", Some(ago(9 * HOUR)));
    eemt.job(&running, "running", None);
    eemt.job(&pending, "pending", None);
    eemt.job(&cancelled, "cancelled", Some(ago(YEAR)));
    eemt.job(&endless, "completed", None);
    eemt.job(&endless_failure, "failed", None);
    eemt.job(&strange, "archived", Some(ago(YEAR)));
    eemt.job(&unreadable, "completed", None);
    eemt.db.run(&format!(
        "UPDATE jobs SET completed_at = 'last week' WHERE id = '{unreadable}'"
    ));
    // Running again: when it ended before is of no interest.
    eemt.db.run(&format!(
        "UPDATE jobs SET completed_at = '{}' WHERE id = '{running}'",
        local(ago(YEAR))
    ));
    // Nobody's.
    eemt.files(&uuid(99));
    let mut due = Vec::new();
    for id in [&old_success, &documented, &old_failure] {
        due.extend(all_of(id));
    }
    due.extend([&young_success, &young_failure, &cancelled].map(|id| temp(id)));
    Kinds {
        due,
        marked: vec![old_success, documented],
        forgotten: vec![old_failure],
    }
}

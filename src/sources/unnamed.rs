//! Rows without an id that can be used: each is a job without a name.
//!
//! They are reported as one job without a name that never ends. It owns every file that one of the
//! rows names. An id that is there and cannot be read may be the name of any directory, so such a
//! row may own any file; a row whose id is NULL or empty owns nothing by it.
//!
//! **Invariant:** whatever a row without an id may own is held, until the row is gone or has an id.

use std::collections::BTreeSet;

use crate::core::jobs::{JobRow, Status};

/// Rows that are looked into; where there are more, they may own any file. Also limits the one
/// query that no key divides into pages.
pub(super) const ROWS_MAX: usize = 1000;

/// Files that are kept, as many as a job of the API may claim. Where there are more, they may be
/// any.
const FILES_MAX: usize = 10_000;

/// The rows that a reading has found so far.
#[derive(Default)]
pub(super) struct Unnamed {
    rows: usize,
    files: BTreeSet<String>,
    /// Reason why any file may be one of theirs.
    unreadable: Option<String>,
}

impl Unnamed {
    /// Adds a row.
    pub(super) fn add(&mut self, row: JobRow) {
        self.rows += 1;
        if row.has_unread_files {
            self.add_any(row.unreadable.unwrap_or_default());
        }
        if self.rows > ROWS_MAX {
            self.add_any(format!("more than {ROWS_MAX} rows have no id"));
        } else if self.files.len() + row.files.len() > FILES_MAX {
            self.add_any(format!(
                "rows without an id name more than {FILES_MAX} files"
            ));
        } else {
            self.files.extend(row.files);
        }
    }

    /// Notes that rows may own any file, for the first reason that there is.
    pub(super) fn add_any(&mut self, why: String) {
        self.unreadable.get_or_insert(why);
    }

    /// Returns the job that stands for all of these rows; `None`: they own nothing.
    pub(super) fn into_row(self) -> Option<JobRow> {
        if self.files.is_empty() && self.unreadable.is_none() {
            return None;
        }
        Some(JobRow {
            files: self.files.into_iter().collect(),
            has_unread_files: self.unreadable.is_some(),
            unreadable: self.unreadable,
            ..JobRow::new(JobRow::UNNAMED, Status::Running)
        })
    }

    /// Returns the same for rows that have changed since the last reading of everything. Until the
    /// next one there may be others, too.
    pub(super) fn into_changed(mut self) -> Option<JobRow> {
        if self.rows > 0 {
            self.add_any("rows without an id have changed, and are being read".to_owned());
        }
        self.into_row()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(files: impl IntoIterator<Item = String>) -> JobRow {
        JobRow {
            files: files.into_iter().collect(),
            ..JobRow::new(JobRow::UNNAMED, Status::Running)
        }
    }

    #[test]
    fn rows_that_name_nothing_own_nothing() {
        let mut unnamed = Unnamed::default();
        assert_eq!(unnamed.into_row(), None);
        unnamed = Unnamed::default();
        (0..ROWS_MAX).for_each(|_| unnamed.add(row([])));
        assert_eq!(unnamed.into_row(), None);
    }

    #[test]
    fn rows_that_are_not_looked_into_may_own_any_file() {
        let mut unnamed = Unnamed::default();
        (0..=ROWS_MAX).for_each(|_| unnamed.add(row([])));
        assert!(unnamed.into_row().is_some_and(|row| row.has_unread_files));
        let mut unnamed = Unnamed::default();
        unnamed.add(row((0..=FILES_MAX).map(|no| no.to_string())));
        assert!(unnamed.into_row().is_some_and(|row| row.has_unread_files));
    }

    #[test]
    fn one_job_owns_what_all_of_them_name() {
        let mut unnamed = Unnamed::default();
        unnamed.add(row(["b".to_owned(), "a".to_owned()]));
        unnamed.add(row(["a".to_owned()]));
        let one = unnamed.into_row().unwrap();
        assert_eq!(
            (&*one.files, one.has_unread_files),
            (&["a".to_owned(), "b".to_owned()][..], false)
        );
        assert_eq!(one.status, Status::Running);
    }
}

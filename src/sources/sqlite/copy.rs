//! Copies of databases in memory, made in steps.
//!
//! A statement that gives its rows in no order that pages could follow locks writers out for its
//! whole length. Of a copy it may take as long as it likes: the database itself is locked for one
//! step at a time.
//!
//! **Invariant:** a copy has the state of one moment: a commit by another process between two steps
//! has the copying begin again.

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::lock_pace::LockPace;
use super::missing_columns::{self, AddedColumns};
use crate::sources::change_signal::ChangeSignal;
use crate::sources::error::Fault;

/// Largest database that is copied: it is in memory for the time of a reading, and takes seconds.
const COPY_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Commits and locks of writers during the copying, after which it is given up: an application that
/// writes all the time would have it begin again without end.
const INTERRUPTIONS_MAX: u32 = 4;

/// Returns a copy of the database of `connection`; `None`: it is too large, or written too often.
///
/// # Errors
/// When the database fails, or the reading is to end.
pub(super) fn of(
    connection: &Connection,
    added: &AddedColumns,
    pace: &mut LockPace,
    signal: &ChangeSignal,
) -> Result<Option<Connection>, Fault> {
    let figure = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page_size = figure("page_size")?;
    let pages = figure("page_count")?;
    if pages.saturating_mul(page_size) > COPY_BYTES_MAX {
        return Ok(None);
    }
    let mut copy = Connection::open_in_memory()?;
    // A database in memory cannot take over another size of its pages.
    copy.pragma_update(None, "page_size", page_size)?;
    {
        let backup = Backup::new(connection, &mut copy)?;
        let (mut left, mut interruptions) = (i32::MAX, 0);
        loop {
            if signal.is_stopped() {
                return Err(Fault::Stopped);
            }
            pace.rest(signal);
            let size = pace.page();
            pace.begin();
            let step = backup.step(i32::try_from(size).unwrap_or(i32::MAX));
            let remaining = backup.progress().remaining;
            match step? {
                StepResult::Done => {
                    pace.end();
                    break;
                }
                StepResult::More => {
                    pace.end_page(size);
                    interruptions += u32::from(remaining >= left);
                    left = remaining;
                }
                // The next step goes on where this one did not begin.
                _ => {
                    pace.rest_for_writer(signal);
                    interruptions += 1;
                }
            }
            if interruptions > INTERRUPTIONS_MAX {
                return Ok(None);
            }
        }
    }
    missing_columns::shadow_with_views(&copy, added)?;
    Ok(Some(copy))
}

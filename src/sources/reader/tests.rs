//! The course over a driver of no database.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::*;
use crate::core::jobs::{JobRow, Status};
use crate::sources::driver::{PageEnd, Visit};
use crate::sources::lookup::Lookup;
use crate::sources::options::Queries;
use crate::sources::snapshot_diff::ScanStrategy;
use crate::sources::tests::reports::{SOURCE, Shared, tell, view};

/// Driver of a table without rows, but those that are looked for.
#[derive(Default)]
struct Fake {
    /// Ids that are notified, by the times that this is asked.
    notified: VecDeque<&'static [&'static str]>,
    /// Ids that were looked for.
    looked_for: Arc<Mutex<Vec<Vec<String>>>>,
    is_open: bool,
}

impl ReadDriver for Fake {
    fn open(&mut self, _: Duration, _: &mut PendingReads) -> Result<bool, Fault> {
        Ok(!std::mem::replace(&mut self.is_open, true))
    }

    fn close(&mut self, _: bool) {
        self.is_open = false;
    }

    fn detection(&self) -> Option<ChangeDetection> {
        Some(ChangeDetection::Notifications)
    }

    fn poll_interval(&self) -> Duration {
        Duration::MAX
    }

    fn are_events_rumours(&self) -> bool {
        false
    }

    fn has_changed(&mut self) -> Result<bool, Fault> {
        Ok(false)
    }

    fn take_notified(&mut self, owed: &mut PendingReads) {
        for id in self.notified.pop_front().unwrap_or_default() {
            owed.add_id(id);
        }
    }

    fn can_read_changes(&self) -> bool {
        false
    }

    fn are_changes_complete(&self) -> bool {
        false
    }

    fn begin_all(&mut self) -> Result<ScanStrategy, Fault> {
        Ok(ScanStrategy::Paged)
    }

    fn end_all(&mut self) -> Result<bool, Fault> {
        Ok(false)
    }

    fn page(&mut self, _: &mut Visit<'_>) -> Result<PageEnd, Fault> {
        Ok(PageEnd::Last)
    }

    fn pass(&mut self, _: &mut Visit<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn changes(&mut self, _: &mut Visit<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn find_all(&mut self, ids: &[String]) -> Result<Vec<Lookup<JobRow>>, Fault> {
        self.looked_for.lock().push(ids.to_vec());
        let row = |id: &String| Lookup::Found(JobRow::new(id.clone(), Status::Running));
        Ok(ids.iter().map(row).collect())
    }
}

/// A notification that comes while a reading waits for the engine is of an earlier commit: the
/// reading claims to know all that was so when it began.
#[test]
fn a_reading_of_changes_reads_all_that_was_notified_before_it_began() {
    let looked_for = Arc::default();
    let fake = Fake {
        notified: [&[][..], &["a"], &["b"]].into(),
        looked_for: Arc::clone(&looked_for),
        is_open: false,
    };
    let context = SourceContext::new(SOURCE, "eemt", &Queries::default()).unwrap();
    let table = Shared::default();
    let mut reader = Reader::over(
        Arc::new(context),
        "here".to_owned(),
        Box::new(fake),
        view(&table),
        tell(&table),
    );
    reader.turn(WakeReason::Elapsed);
    assert!(reader.is_read && reader.owes.is_empty());
    let read_all = reader.context.stats.lock().read_from;
    reader.rests.changes = Duration::ZERO;
    reader.turn(WakeReason::Raised);
    assert_eq!(*looked_for.lock(), [["a", "b"]]);
    assert!(reader.owes.is_empty() && reader.context.stats.lock().read_from > read_all);
}

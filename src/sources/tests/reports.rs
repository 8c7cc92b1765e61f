//! For tests: a table of jobs that takes in what is told, as the engine does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::common::machine::Deadline;
use crate::core::jobs::{JobChange, JobRow, RowDiff, SourceId, SourceUpdate};
use crate::sources::known_jobs::{ChangeSink, KnownJobs};

/// Limit of a wait on an idle machine: a million rows take so long without optimization.
const LIMIT: Duration = Duration::from_mins(2);

/// Time between two looks at what nobody tells of.
const POLL_EVERY: Duration = Duration::from_millis(2);

/// Time between two looks at whether waiting on is vain.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The source of these tests.
pub(in crate::sources) const SOURCE: SourceId = SourceId(3);

/// A table of jobs as the engine keeps it.
#[derive(Default)]
pub(in crate::sources) struct Table {
    pub(in crate::sources) rows: BTreeMap<String, (u32, JobRow)>,
    free: Vec<u32>,
    pub(in crate::sources) told: Vec<JobChange>,
}

impl Table {
    pub(in crate::sources) fn take_in(&mut self, news: JobChange) {
        match &news {
            JobChange::Rows(rows) => {
                assert!(!rows.is_empty() && rows.len() <= 1000);
                for row in rows {
                    let next = u32::try_from(self.rows.len()).unwrap();
                    let free = &mut self.free;
                    let number = self
                        .rows
                        .get(&row.id)
                        .map_or_else(|| free.pop().unwrap_or(next), |(number, _)| *number);
                    self.rows.insert(row.id.clone(), (number, row.clone()));
                }
            }
            JobChange::Gone(ids) => {
                for id in ids {
                    let (number, _) = self.rows.remove(id).expect("only what is known goes");
                    self.free.push(number);
                }
            }
            JobChange::Loaded { .. } | JobChange::Stale | JobChange::Down { .. } => {}
        }
        self.told.push(news);
    }

    pub(in crate::sources) fn ids(&self) -> Vec<&str> {
        self.rows.keys().map(String::as_str).collect()
    }

    pub(in crate::sources) fn row(&self, id: &str) -> Option<&JobRow> {
        self.rows.get(id).map(|(_, row)| row)
    }

    /// Number of times that everything was reported.
    pub(in crate::sources) fn loads(&self) -> usize {
        let is_load = |news: &&JobChange| matches!(news, JobChange::Loaded { .. });
        self.told.iter().filter(is_load).count()
    }

    /// Reason why it is down, if that was reported last.
    pub(in crate::sources) fn down(&self) -> Option<&str> {
        self.told.iter().rev().find_map(|news| match news {
            JobChange::Down { why } => Some(Some(why.as_str())),
            JobChange::Loaded { .. } => Some(None),
            JobChange::Rows(_) | JobChange::Gone(_) | JobChange::Stale => None,
        })?
    }
}

/// A table that others wait at.
pub(in crate::sources) type Shared = Arc<(Mutex<Table>, Condvar)>;

/// Takes news into `table`.
pub(in crate::sources) fn tell(table: &Shared) -> ChangeSink {
    let table = Arc::clone(table);
    Arc::new(move |news: SourceUpdate| {
        assert_eq!(news.source, SOURCE);
        for news in news.news {
            table.0.lock().take_in(news);
        }
        table.1.notify_all();
    })
}

/// Waits until `holds` of `table`.
#[track_caller]
pub(in crate::sources) fn until(table: &Shared, what: &str, holds: impl Fn(&Table) -> bool) {
    let mut locked = table.0.lock();
    let deadline = Deadline::after(LIMIT);
    while table
        .1
        .wait_while_for(&mut locked, |table| !holds(table), LOOK_EVERY)
        .timed_out()
    {
        assert!(
            !deadline.is_over(),
            "not {what}: {:?}, told {:?}",
            locked.ids(),
            &locked.told[locked.told.len().saturating_sub(5)..]
        );
    }
}

/// Questions to `table`.
pub(in crate::sources) fn view(table: &Shared) -> KnownJobs {
    let [known, unticked, count] = [table, table, table].map(Arc::clone);
    KnownJobs {
        known: Arc::new(move |row| match known.0.lock().rows.get(&row.id) {
            None => RowDiff::New,
            Some((number, old)) if old.decides_as(row) => RowDiff::Same(*number),
            Some((number, _)) => RowDiff::Changed(*number),
        }),
        unticked: Arc::new(move |from, most, is_ticked| {
            let table = unticked.0.lock();
            let mut left: Vec<(u32, String)> = table
                .rows
                .iter()
                .filter(|(_, (number, _))| *number >= from && !is_ticked(*number))
                .map(|(id, (number, _))| (*number, id.clone()))
                .collect();
            left.sort();
            let next = left.get(most).map(|(number, _)| *number);
            left.truncate(most);
            (left.into_iter().map(|(_, id)| id).collect(), next)
        }),
        count: Arc::new(move || count.0.lock().rows.len() as u64),
    }
}

/// Waits until `holds`, which nobody tells of.
#[track_caller]
pub(in crate::sources) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Deadline::after(LIMIT);
    while !holds() {
        assert!(!deadline.is_over(), "not {what}");
        std::thread::park_timeout(POLL_EVERY);
    }
}

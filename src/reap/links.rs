//! Change times of files of which the reaper removed a name.
//!
//! The removal of one name moves the change time of the file, and with it the newest timestamp of
//! its other names. That is no change of theirs: without this memory a file with N names would take
//! N times its time to live.
//!
//! **Invariant:** only a file that is, but for the names that were removed and its change time,
//! exactly what was judged is taken for unchanged. A name that a neighbour adds, or any later
//! change, makes it a changed one.

use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::clock;
use crate::core::facts::{Facts, FileKey};

/// The other names are due together: they are claimed at once, or when the engine has room for more
/// claims.
const REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// Number of files that are remembered, ~120 bytes each. What is forgotten is late by one time to
/// live, never early.
const REMEMBERED_MAX: usize = 8192;

/// Files of which names were removed within the last seconds.
#[derive(Debug, Default)]
pub(super) struct RemovedLinks(Mutex<HashMap<FileKey, Removal>>);

#[derive(Clone, Copy, Debug)]
struct Removal {
    /// The file as it was judged.
    before: Facts,
    /// The file after its name was removed.
    after: Facts,
    /// Instant of the removal, on the boot clock.
    at: Duration,
}

impl RemovedLinks {
    /// Notes the removal of a name of a file that was judged as `before`, and is `after` now.
    /// `removed` names of it were removed since it was judged.
    pub(super) fn note(&self, before: &Facts, after: &Facts, removed: u32) {
        if after.nlink == 0
            || !after.is_same_content(before)
            || before.nlink.checked_sub(removed) != Some(after.nlink)
        {
            return;
        }
        let at = clock::now().boot;
        let mut removals = self.0.lock();
        if removals.len() >= REMEMBERED_MAX {
            removals.retain(|_, one| at.saturating_sub(one.at) < REMEMBERED_FOR);
        }
        if removals.len() < REMEMBERED_MAX {
            let (before, after) = (*before, *after);
            removals.insert(after.key, Removal { before, after, at });
        }
    }

    /// The file that was seen as `facts`, as it was before names of it were removed; `None` when
    /// none was, or it has changed since.
    pub(super) fn before(&self, facts: &Facts) -> Option<Facts> {
        let mut removals = self.0.lock();
        let one = removals.get(&facts.key)?;
        if clock::now().boot.saturating_sub(one.at) >= REMEMBERED_FOR {
            removals.remove(&facts.key);
            return None;
        }
        (one.after == *facts).then_some(Facts {
            ctime: one.before.ctime,
            ..*facts
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::Kind;
    use crate::core::time::FileTime;

    fn facts(nlink: u32, mtime: i64, ctime: i64) -> Facts {
        let time = |secs| FileTime { secs, nanos: 0 };
        Facts {
            kind: Kind::File,
            key: FileKey { dev: 1, ino: 2 },
            nlink,
            size: 3,
            blocks: 8,
            mtime: time(mtime),
            ctime: time(ctime),
            btime: None,
        }
    }

    #[test]
    fn a_file_that_lost_a_name_is_the_one_that_was_judged() {
        let links = RemovedLinks::default();
        let (before, after) = (facts(3, 1, 1), facts(2, 1, 9));
        assert_eq!(links.before(&after), None);
        links.note(&before, &after, 1);
        assert_eq!(links.before(&after), Some(facts(2, 1, 1)));
        // The next one was judged by that, and is removed as well.
        links.note(&facts(2, 1, 1), &facts(1, 1, 10), 1);
        assert_eq!(links.before(&facts(1, 1, 10)), Some(facts(1, 1, 1)));
    }

    #[test]
    fn a_change_by_another_process_counts() {
        for after in [facts(3, 1, 9), facts(2, 8, 9)] {
            let links = RemovedLinks::default();
            links.note(&facts(3, 1, 1), &after, 1);
            assert_eq!(links.before(&after), None, "added or written meanwhile");
        }
        let links = RemovedLinks::default();
        links.note(&facts(3, 1, 1), &facts(2, 1, 9), 1);
        for now in [facts(3, 1, 9), facts(2, 1, 10), facts(2, 9, 9)] {
            assert_eq!(links.before(&now), None, "{now:?}");
        }
    }
}

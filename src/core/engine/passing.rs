//! Finding out whose everything is, after a source was read or other rules are in force: in steps
//! of some milliseconds.
//!
//! **Invariant:** until it is through nothing counts as known: jobs and orders wait for a barrier
//! that begins later.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::source_state::SourceState;
use super::state::Engine;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId};
use crate::core::jobs::SourceId;
use crate::core::time::Now;

/// So many pages are gone through in one step, and so many jobs: some milliseconds.
const PAGES_MAX: usize = 64;
const JOBS_MAX: u32 = 10_000;

/// Pages and jobs that are still to be judged after a source was read.
#[derive(Debug, Default)]
pub(super) struct ReclassifyScan {
    pages: Vec<PageId>,
    jobs: Vec<(SourceId, u32)>,
    ready: BTreeSet<SourceId>,
}

impl Engine {
    /// Goes through all entries that jobs of `source` may own, and through its jobs, in the steps
    /// that follow.
    pub(super) fn reclassify_source(&mut self, source: SourceId) {
        self.renew_arrivals();
        let mut pages = self.index.pages();
        let holds = self.job_holds();
        let index = Arc::clone(&self.index);
        pages.retain(|&page| {
            let dir = index.page(page).and_then(|page| index.dir(page.dir()));
            dir.is_some_and(|dir| holds.governing(dir.root).any(|of| of == source))
        });
        self.passing.pages.extend(pages);
        self.passing.pages.sort_unstable();
        self.passing.pages.dedup();
        self.passing.jobs.retain(|(of, _)| *of != source);
        self.passing.jobs.push((source, 0));
        if self.sources.get(source).is_some_and(SourceState::was_read) {
            self.passing.ready.insert(source);
        }
    }

    /// Returns true if something is still to be gone through, by ticks.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        !self.passing.pages.is_empty() || !self.passing.jobs.is_empty()
    }

    /// Goes on with it for a while.
    pub(super) fn continue_reclassify(&mut self, now: Now) {
        if !self.is_passing() {
            return;
        }
        for _ in 0..PAGES_MAX {
            let Some(page) = self.passing.pages.pop() else {
                break;
            };
            self.note_page_owned(page);
            self.reclassify_page(page, None, now);
        }
        if !self.passing.pages.is_empty() {
            return;
        }
        if let Some((source, from)) = self.passing.jobs.pop() {
            let end = self.jobs.slots(source);
            let until = end.min(from.saturating_add(JOBS_MAX));
            for no in from..until {
                self.arm_job(source, no, now);
            }
            if until < end {
                self.passing.jobs.push((source, until));
            }
        }
        if self.passing.jobs.is_empty() {
            let units: Vec<(RootId, DirId)> = self
                .roots
                .keys()
                .filter(|&&root| self.policy.has_dir_rules(root))
                .filter_map(|&root| Some((root, self.index.dir_id(root, b"")?)))
                .collect();
            for (root, top) in units {
                for (name, dir) in self.index.subdirs(top) {
                    if let Some(known) = self.index.dir(dir) {
                        self.set_unit(root, &name, dir, known.facts.latest(), now);
                    }
                }
            }
            for source in std::mem::take(&mut self.passing.ready) {
                self.source_ready(source, now);
            }
        }
    }

    fn note_page_owned(&mut self, id: PageId) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let Some((root, dir)) = self.index.dir_path(page.dir()) else {
            return;
        };
        for (name, _) in page.entries() {
            self.note_owned(root, page.dir(), dir.join(name).as_bytes(), name);
        }
    }
}

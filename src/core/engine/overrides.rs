//! Breaker of overrides: another time to live, for one clean, is a change of facts.
//!
//! What such a clean makes due that would not be due by itself is counted as after an edit of the
//! rule. Too much of it is held for this clean alone: it stays due for nobody else, so that neither
//! the root nor other cleans have to wait for a person.
//!
//! **Invariant:** a dry run counts as the run after it does.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::candidate::Candidate;
use super::lapse::LapseState;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::jobs::SourceId;
use crate::core::report::{BreakerTrip, CleanRequest, Consent, Counted, Trip};
use crate::core::time::Now;

/// Counts of due things that are not due by themselves.
#[derive(Default)]
struct Counts {
    /// Files by root.
    files: BTreeMap<RootId, u64>,
    /// Jobs by source.
    jobs: BTreeMap<SourceId, u64>,
}

impl Counts {
    fn add(&mut self, found: &Candidate) {
        let Some(job) = &found.job else {
            *self.files.entry(found.root).or_default() += found.files.max(1);
            return;
        };
        *self.jobs.entry(job.key.source).or_default() += 1;
        for (&root, files) in &found.files_in {
            *self.files.entry(root).or_default() += files;
        }
    }
}

impl Engine {
    /// Holds of `found` what only another time to live makes due, where that is too much at once.
    /// Returns the trips.
    pub(super) fn check_overrides(
        &self,
        request: &CleanRequest,
        found: &mut [(LapseState, Candidate)],
        now: Now,
    ) -> Vec<BreakerTrip> {
        if request.retention_ms.is_empty() || request.consent != Consent::None {
            return Vec::new();
        }
        let is_meant = |(state, found): &(LapseState, Candidate)| {
            *state == LapseState::Due && found.lapse.regular > now.wall
        };
        let mut counts = Counts::default();
        for (_, found) in found.iter().filter(|one| is_meant(one)) {
            counts.add(found);
        }
        let trip = |due, of, what| Trip {
            at: now.wall,
            due,
            of,
            what,
        };
        let mut trips = BTreeMap::new();
        let mut sources = BTreeSet::new();
        for (&source, &due) in &counts.jobs {
            let of = self.jobs.count(source);
            if self.breaker.is_exceeded(due, of) {
                sources.insert(source);
                let roots = self
                    .roots
                    .keys()
                    .filter(|root| self.governs(source, **root));
                trips.extend(roots.map(|&root| (root, trip(due, of, Counted::Jobs))));
            }
        }
        let mut roots = BTreeSet::new();
        for (&root, &due) in &counts.files {
            let of = self.index.totals(root).files;
            if self.breaker.is_exceeded(due, of) {
                roots.insert(root);
                trips.insert(root, trip(due, of, Counted::Files));
            }
        }
        let is_held = |found: &Candidate| match &found.job {
            Some(job) => {
                sources.contains(&job.key.source)
                    || found.pieces.iter().any(|piece| roots.contains(&piece.root))
            }
            None => roots.contains(&found.root),
        };
        for one in found.iter_mut().filter(|one| is_meant(one)) {
            if is_held(&one.1) {
                one.0 = LapseState::held(Hold::Breaker, None);
            }
        }
        let trips = trips.into_iter();
        trips
            .map(|(root, trip)| BreakerTrip::Backlog(root, trip))
            .collect()
    }
}

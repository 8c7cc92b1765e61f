//! Limits in a clean, and in a dry run: what they make due besides what is due by its deadline.
//!
//! **Invariant:** a dry run tells exactly what the run after it removes: both ask here.

use super::Engine;
use super::candidate::Candidate;
use super::lapse::LapseState;
use super::limit_check::excess;
use super::limit_order::{Judged, Quest};
use super::limits::SumKey;
use crate::core::hold::Hold;
use crate::core::report::{BreakerTrip, CleanRequest, Consent, Counted, Trip};
use crate::core::time::Now;

impl Engine {
    /// Adds to `found` what limits make due. Returns the trips of breakers that hold it.
    pub(super) fn select_by_limits(
        &self,
        request: &CleanRequest,
        found: &mut Vec<(LapseState, Candidate)>,
        now: Now,
    ) -> Vec<BreakerTrip> {
        // A part of what a limit counts has no order of its own.
        let is_partial = request.jobs.is_some()
            || request.paths.is_some()
            || request.orphans_only
            || !request.retention_ms.is_empty();
        if self.limits.is_empty() || is_partial {
            return Vec::new();
        }
        let mut judged = Judged::default();
        for (state, one) in found.iter() {
            judged.items.insert(one.item.clone());
            if *state == LapseState::Due {
                self.judge(&mut judged, one);
            }
        }
        let mut trips = Vec::new();
        for (no, state) in (0u16..).zip(&self.limits.all) {
            let root = state.scope.root();
            if !request.wants_root(root) || self.hold_of_limit(no).is_some() {
                continue;
            }
            let sums = self.limits.sums.of_limit(no);
            let keys: Vec<SumKey> = sums.map(|(owner, _)| (no, owner.into())).collect();
            let mut taken = Vec::new();
            for key in keys {
                taken.extend(self.taken_in_clean(&key, request, &judged, now));
            }
            let files = taken.iter().map(|one: &Candidate| one.files.max(1)).sum();
            let of = self.index.totals(root).files;
            let is_held = state.is_fresh
                && request.consent == Consent::None
                && self.breaker.is_exceeded(files, of);
            if is_held {
                let trip = Trip {
                    at: now.wall,
                    due: files,
                    of,
                    what: Counted::Files,
                };
                trips.push(BreakerTrip::Backlog(root, trip));
            }
            for one in taken {
                judged.items.insert(one.item.clone());
                let state = if is_held {
                    LapseState::held(Hold::Breaker, None)
                } else {
                    self.judge(&mut judged, &one);
                    LapseState::Due
                };
                found.push((state, one));
            }
        }
        trips
    }

    fn judge(&self, judged: &mut Judged, one: &Candidate) {
        for (key, charge) in self.charges_of(&one.item, &one.pieces) {
            judged.due.entry(key).or_default().push(charge);
        }
    }

    /// Things that one sum gives up in a clean.
    fn taken_in_clean(
        &self,
        key: &SumKey,
        request: &CleanRequest,
        judged: &Judged,
        now: Now,
    ) -> Vec<Candidate> {
        let is_started = self.limits.runs.get(key).is_some_and(|run| run.is_started);
        let fill = self.fill(key);
        let limit = &self.limits.get(key.0).limit;
        let Some((cause, goal)) =
            excess(limit, fill, is_started).or_else(|| self.space_excess(key))
        else {
            return Vec::new();
        };
        let quest = Quest {
            goal,
            key: cause,
            most: usize::MAX,
            request: Some(request),
            judged: Some(judged),
        };
        self.victims(key, quest, now).taken
    }

    /// The age in milliseconds from which the limit of a candidate may remove it.
    pub(super) fn limit_age(&self, found: &Candidate) -> Option<i64> {
        found.limit.map(|of| self.age_of(of.scope))
    }
}

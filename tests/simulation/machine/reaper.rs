//! The reaper, which looks at the truth before it removes anything.

use lapsed::core::claim::{Claim, Outcome, Reaped, Removal, Unit};
use lapsed::core::engine::Input;
use lapsed::core::facts::{Kind, Latest};
use lapsed::core::hold::Hold;
use lapsed::core::jobs::Owner;
use lapsed::core::path::RelPath;
use lapsed::core::policy::{Class, Verdict};
use lapsed::core::time::Timestamp;

use super::Machine;
use crate::rules::ROOT;
use crate::watcher::Rumour;

impl Machine {
    /// The reaper answers some of its claims, in any order.
    pub fn reap_some(&mut self) {
        let mut reaped = Vec::new();
        for _ in 0..self.random.usize(..8).min(self.claims.len()) {
            let claim = self
                .claims
                .swap_remove(self.random.usize(..self.claims.len()));
            self.claimed.remove(&claim.path);
            self.places.remove(&claim.path);
            let outcome = self.reap(&claim);
            reaped.push(Reaped { claim, outcome });
        }
        self.input(Input::Reaped(reaped));
    }

    fn hold(&self, claim: &Claim, inside: &[RelPath]) -> Option<Hold> {
        let is_open = inside.iter().any(|path| self.world.nodes[path].open);
        let mismatch = (!self.has_newer(claim)).then_some(Hold::RecheckMismatch);
        let paused = self.pauses.hold_of_claim(&self.engine.policy(), claim);
        let open = is_open.then_some(Hold::Open { path: None });
        paused.or(mismatch).or(open)
    }

    /// Returns true if the newer ones are there of which the claim's rule keeps the last.
    fn has_newer(&self, claim: &Claim) -> bool {
        let policy = self.engine.policy();
        let Some(keep) = &policy.rule(claim.rule).keep_last else {
            return true;
        };
        let is_newer = |path: &RelPath, key| {
            let class = policy.classify(ROOT, path.as_bytes(), &Owner::Nobody);
            let facts = self.world.facts(path).filter(|facts| facts.key == key);
            class == Class::File(claim.rule)
                && facts
                    .is_some_and(|facts| (facts.mtime.ceil(), path) > (claim.known, &claim.path))
        };
        let newer = claim.newer.iter();
        newer.filter(|one| is_newer(&one.path, one.key)).count() >= keep.count
    }

    /// What the reaper's last look decides: the policy, on the truth.
    pub(super) fn reap(&mut self, claim: &Claim) -> Outcome {
        let Some(facts) = self.world.facts(&claim.path) else {
            return Outcome::Gone;
        };
        let policy = self.engine.policy();
        let now = self.world.now();
        let expected = match claim.unit {
            Unit::Job => unreachable!("no claim of a job here"),
            Unit::File => Kind::File,
            Unit::Dir => Kind::Dir,
        };
        if facts.kind != expected {
            self.changed += 1;
            return Outcome::Changed { facts };
        }
        let inside = self.world.beneath(&claim.path);
        let verdict = match claim.unit {
            Unit::File => policy.file(
                claim.root,
                claim.path.as_bytes(),
                &facts,
                claim.known,
                &Owner::Nobody,
            ),
            Unit::Job => unreachable!("no claim of a job here"),
            Unit::Dir => {
                let latest = inside
                    .iter()
                    .filter_map(|path| self.world.facts(path))
                    .map(|facts| facts.latest())
                    .reduce(Latest::max);
                let latest = latest.unwrap_or(Latest::at(Timestamp::MAX));
                let latest = latest.max(Latest::at(claim.known));
                policy.dir(
                    claim.root,
                    claim.path.as_bytes(),
                    &facts,
                    latest,
                    &Owner::Nobody,
                )
            }
        };
        let deadline = match verdict {
            Verdict::Lapse { at, rule, basis }
                if claim.retention_ms.map_or(at, |ms| basis.plus_ms(ms)) <= now.wall
                    && rule == claim.rule
                    && facts.key == claim.key
                    && basis == claim.known =>
            {
                at
            }
            Verdict::Lapse { .. } | Verdict::Keep | Verdict::Hold { .. } => {
                self.changed += 1;
                return Outcome::Changed { facts };
            }
        };
        if let Some(hold) = self.hold(claim, &inside) {
            self.held += 1;
            return Outcome::Held(hold);
        }
        let (going, staying): (Vec<_>, Vec<_>) = inside.into_iter().partition(|path| {
            claim.unit == Unit::File
                || self.world.nodes[path].kind == Kind::Dir
                || policy.classify(ROOT, path.as_bytes(), &Owner::Nobody) == Class::Dir(claim.rule)
        });
        let partial = !staying.is_empty();
        let going: Vec<RelPath> = going
            .into_iter()
            .filter(|path| !staying.iter().any(|stays| stays.is_within(path)))
            .collect();
        if going.is_empty() {
            self.changed += 1;
            return Outcome::Changed { facts };
        }
        let files = going
            .iter()
            .filter(|path| self.world.nodes[*path].kind == Kind::File)
            .count() as u64;
        for path in &going {
            self.check_not_early(path, claim);
        }
        for path in &going {
            self.world.remove(path);
            self.watcher
                .hear(Rumour::Touched(path.clone()), &mut self.random);
        }
        self.check_not_paused();
        self.removed += files;
        self.limited += if claim.limit.is_some() { files } else { 0 };
        let at = now.wall;
        Outcome::Removed(Removal {
            at,
            deadline,
            files,
            bytes: 0,
            id: self.removed,
            pruned: Vec::new(),
            partial,
            share: None,
            trashed: None,
        })
    }
}

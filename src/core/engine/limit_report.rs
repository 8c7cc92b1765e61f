//! Answers about limits: how full each is, and what it would remove now.

use super::Engine;
use super::limits::SumKey;
use crate::core::facts::BLOCK_BYTES;
use crate::core::policy::Per;
use crate::core::report::{LimitPhase, LimitStatus};

/// Owners that are told of each limit: those that take most.
const OWNERS_MAX: usize = 100;

impl Engine {
    /// Fill of each limit, in the order of [`Policy::each_limit`]; of a limit by owner, the
    /// fullest hundred, by name.
    ///
    /// [`Policy::each_limit`]: crate::core::policy::Policy::each_limit
    #[must_use]
    pub fn limit_status(&self) -> Vec<LimitStatus> {
        let mut all = Vec::new();
        for (no, state) in (0u16..).zip(&self.limits.all) {
            let mut sums: Vec<_> = self
                .limits
                .sums
                .of_limit(no)
                .map(|(owner, slot)| (self.limits.sums.fill(slot), owner))
                .collect();
            if sums.len() > OWNERS_MAX {
                sums.sort_unstable_by_key(|(fill, owner)| {
                    (std::cmp::Reverse((fill.blocks, fill.files)), *owner)
                });
                sums.truncate(OWNERS_MAX);
                sums.sort_unstable_by_key(|(_, owner)| *owner);
            }
            all.extend(sums.into_iter().map(|(fill, owner)| LimitStatus {
                scope: state.scope,
                limit: state.limit.clone(),
                owner: (state.limit.per == Per::Owner).then(|| owner.into()),
                files: fill.files,
                bytes: fill.blocks.saturating_mul(BLOCK_BYTES),
                space: state.space.last(),
                phase: self.limit_phase(&(no, owner.into())),
            }));
        }
        all
    }

    fn limit_phase(&self, key: &SumKey) -> LimitPhase {
        let of = self.limits.get(key.0);
        let run = self.limits.runs.get(key);
        match (&of.hold, run) {
            (Some(hold), Some(_)) => LimitPhase::Held { hold: hold.clone() },
            (_, Some(run)) => run.phase(),
            (_, None) => self.space_phase(key),
        }
    }
}

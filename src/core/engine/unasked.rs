//! Removals that nobody asks for and no deadline orders: those of schedules, and those of the daemon's start.
//!
//! **Invariant:** the breaker minds what goes this way as it minds what goes at its deadline.

use std::sync::Arc;

use super::clean::Done;
use super::state::Engine;
use crate::core::facts::RuleId;
use crate::core::input::Effect;
use crate::core::policy::Policy;
use crate::core::report::{Asker, CleanReport, CleanRequest, Phase, SourcePhase};
use crate::core::time::Now;

impl Engine {
    /// Removes what is due under `rules` of `policy`, since it is time, then tells `done`. When other rules are in force by now, `done`
    /// is dropped.
    pub fn carry_out(
        &mut self,
        policy: &Arc<Policy>,
        rules: Vec<RuleId>,
        done: impl FnOnce(CleanReport) + Send + 'static,
        now: Now,
    ) {
        if Arc::ptr_eq(policy, &self.policy) && !rules.is_empty() {
            self.clean(&due_under(rules), Box::new(done), now);
        }
    }

    /// Removes once what is due under any rule, as soon as all roots that are there, and all sources that can be read, have been
    /// read; then tells `done`. When the rules in force do not want that (any more), `done` is dropped.
    pub fn clean_when_settled(&mut self, done: impl FnOnce(CleanReport) + Send + 'static) {
        let done: Done = Box::new(done);
        self.at_start = Some(done);
    }

    pub(super) fn mind_start(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.at_start.is_none() || !self.is_settled() {
            return;
        }
        if !self.policy.cleans_at_start {
            self.at_start = None;
        } else if self.has_looked(effects)
            && let Some(done) = self.at_start.take()
        {
            self.clean(&due_under(Vec::new()), done, now);
        }
    }

    /// Whether nothing more is to be read.
    fn is_settled(&self) -> bool {
        let are_read = self.roots.values().all(|root| match root.phase {
            Phase::Ready | Phase::Missing { .. } => true,
            Phase::Crawling | Phase::Reconciling { .. } => false,
        });
        let are_asked = self.sources.values().all(|source| match source.phase {
            SourcePhase::Ready | SourcePhase::Down { .. } => true,
            SourcePhase::Loading => false,
        });
        are_read && are_asked && !self.is_passing()
    }
}

/// All that is due under `rules`; under any, when there are none.
fn due_under(rules: Vec<RuleId>) -> CleanRequest {
    CleanRequest {
        dry_run: false,
        roots: Vec::new(),
        rules,
        jobs: Vec::new(),
        orphans_only: false,
        retention_ms: Vec::new(),
        asker: Asker::Schedule,
    }
}

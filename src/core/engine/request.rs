//! Scope of a request for removals.

use crate::core::facts::{RootId, RuleId};
use crate::core::report::CleanRequest;
use crate::core::time::Timestamp;

impl CleanRequest {
    pub(super) fn wants_root(&self, root: RootId) -> bool {
        self.roots.is_empty() || self.roots.contains(&root)
    }

    pub(super) fn wants_job_id(&self, id: &[u8]) -> bool {
        self.jobs.is_empty() || self.jobs.iter().any(|wanted| **wanted == *id)
    }

    pub(super) fn wants_rule(&self, rule: RuleId) -> bool {
        self.rules.is_empty() || self.rules.contains(&rule)
    }

    pub(super) fn retention_of(&self, rule: RuleId) -> Option<i64> {
        self.retention_ms
            .iter()
            .find(|(of, _)| *of == rule)
            .map(|&(_, ms)| ms)
    }

    pub(super) fn deadline(
        &self,
        rule: RuleId,
        basis: Timestamp,
        own: Option<Timestamp>,
    ) -> Timestamp {
        match self.retention_of(rule) {
            Some(ms) => basis.plus_ms(ms),
            None => own.unwrap_or(Timestamp::MAX),
        }
    }
}

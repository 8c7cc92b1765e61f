//! Newer members of the group of a claim, of which the rule keeps the last.
//!
//! **Invariant:** a member is removed only while as many newer ones are found on the disk as its
//! rule keeps. So what others have removed meanwhile makes the next ones the newest.

use super::look::Look;
use crate::core::claim::{Claim, NewerMember, Unit};
use crate::core::facts::Kind;
use crate::core::hold::Hold;
use crate::core::policy::Class;

impl Look<'_> {
    /// Returns the hold of a claim whose rule would not keep enough newer members of its group.
    pub(super) fn kept_last(&self, claim: &Claim) -> Option<Hold> {
        let rule = self.policy.rule(claim.rule);
        // A directory that was emptied by a removal is no member.
        let keep = rule
            .keep_last
            .as_ref()
            .filter(|_| claim.unit == rule.unit)?;
        let newer = claim.newer.iter().filter(|one| self.is_newer(claim, one));
        (newer.count() < keep.count).then_some(Hold::RecheckMismatch)
    }

    /// Returns true if the member is there, under the same rule, and still newer than what `claim`
    /// names.
    fn is_newer(&self, claim: &Claim, member: &NewerMember) -> bool {
        let path = member.path.as_bytes();
        let owner = (self.looks.hooks.owner)(self.policy, claim.root, path);
        // A directory around it may have been moved.
        let rule = match claim.unit {
            Unit::File => match self.policy.classify(claim.root, path, &owner) {
                Class::File(rule) => Some(rule),
                Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => None,
            },
            Unit::Dir | Unit::Job => {
                let rule = self.policy.dir_rule(claim.root, path, &owner);
                rule.map(|(rule, _)| rule)
            }
        };
        let Some((parent, name)) = member.path.split() else {
            return false;
        };
        let Ok(root) = self.root(claim.root) else {
            return false;
        };
        let found = root.dir(&parent).and_then(|dir| dir.look(name));
        let Ok(Some(facts)) = found else {
            return false;
        };
        let since = self.policy.rule(claim.rule).since;
        let is_whole = match claim.unit {
            Unit::File => facts.kind == Kind::File,
            Unit::Dir | Unit::Job => facts.kind == Kind::Dir,
        };
        // Of a tree only the engine knows the latest, of a job its source.
        let is_asked = claim.unit == Unit::File && !since.is_of_job();
        let basis = since.of(&facts, member.known, None);
        let is_younger = !is_asked
            || basis.is_some_and(|basis| (basis, &member.path) > (claim.known, &claim.path));
        rule == Some(claim.rule) && is_whole && facts.key == member.key && is_younger
    }
}

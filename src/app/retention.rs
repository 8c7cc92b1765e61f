//! Other times to live than those of the rules, for one order or question.
//!
//! **Invariant:** an override changes how long a file lives, and nothing else: what a rule keeps
//! for ever stays, and no minimum of a rule is lowered.

use std::collections::BTreeMap;

use crate::app::error::AppError;
use crate::core::facts::RuleId;
use crate::core::policy::{JobFilter, Policy};
use crate::core::span;

/// Name that stands for every rule that is not named, apart from those of orphans.
const EVERY_RULE: &str = "*";

/// Resolves `retention` (rule to duration) under `policy`: rules with milliseconds, in their order.
///
/// # Errors
/// A 400 for a rule or a duration that there is not.
pub fn resolve(
    policy: &Policy,
    retention: &BTreeMap<String, String>,
) -> Result<Vec<(RuleId, i64)>, AppError> {
    let mut found = BTreeMap::new();
    if let Some(ttl) = retention.get(EVERY_RULE) {
        let ms = milliseconds(EVERY_RULE, ttl)?;
        let rules = policy.each_rule();
        let rules = rules.filter(|(_, rule)| rule.jobs != JobFilter::Nobody);
        found.extend(rules.map(|(id, _)| (id, ms)));
    }
    for (name, ttl) in retention.iter().filter(|(name, _)| *name != EVERY_RULE) {
        found.insert(rule_named(policy, name)?, milliseconds(name, ttl)?);
    }
    Ok(found.into_iter().collect())
}

fn milliseconds(name: &str, ttl: &str) -> Result<i64, AppError> {
    let ms = span::parse(ttl)
        .ok()
        .and_then(|ttl| i64::try_from(ttl.as_millis()).ok());
    ms.ok_or_else(|| {
        AppError::invalid(format!("retention of rule \"{name}\" cannot be \"{ttl}\""))
            .hint("give a duration such as 90s, 15m, 12h, 7d or 1h30m")
    })
}

/// The rule that is named `name`; a 400 with the names that there are.
pub(crate) fn rule_named(policy: &Policy, name: &str) -> Result<RuleId, AppError> {
    policy.rule_named(name).ok_or_else(|| {
        if policy.disabled_rules.iter().any(|rule| rule.name == name) {
            return AppError::invalid(format!("rule \"{name}\" is switched off"))
                .hint("set enabled = true in its [[rule]], and reload");
        }
        let names = policy.rules.iter().map(|rule| rule.name.clone());
        AppError::invalid(format!("there is no rule \"{name}\"")).allowed(names)
    })
}

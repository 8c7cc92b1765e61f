//! Likely mistakes: what is sound, and probably not meant.

use crate::app::survey::{Findings, RootFindings, RuleFindings};
use crate::cli::human;
use crate::core::policy::{Policy, Root, Rule};
use crate::core::report::SourcePhase;

/// Warnings about `policy` and the findings.
pub(super) fn of(policy: &Policy, found: Option<&Findings>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (&id, root) in &policy.roots {
        if !policy.rules.iter().any(|rule| rule.applies_to(id)) {
            warnings.push(format!(
                "no rule is for root \"{}\": all of it is kept for ever",
                root.name
            ));
        }
        let of_root = found.and_then(|found| found.roots.get(&id));
        if let (Some(of_root), Some(found)) = (of_root, found) {
            warnings.extend(strangers(policy, root, of_root, found));
        }
    }
    let rules = found.map(|found| policy.rules.iter().zip(&found.rules));
    warnings.extend(rules.into_iter().flatten().filter_map(idle));
    warnings
}

/// That the paths of a root name jobs, and its source knows none of them.
fn strangers(
    policy: &Policy,
    root: &Root,
    of_root: &RootFindings,
    found: &Findings,
) -> Option<String> {
    let (id, owner) = (root.source?, root.owner.as_ref()?);
    let source = policy.sources.get(&id)?;
    let is_ready = found.sources.get(&id)?.phase == SourcePhase::Ready;
    if !is_ready || !of_root.known.is_empty() {
        return None;
    }
    let example = String::from_utf8_lossy(of_root.unknown.first()?);
    let jobs = match of_root.unknown.len() as u64 {
        1 => format!("the only job that the paths name (\"{example}\") is not known"),
        2 => format!("neither of the 2 jobs that the paths name (such as \"{example}\") is known"),
        jobs => format!(
            "none of the {} jobs that the paths name (such as \"{example}\") is known",
            human::count(jobs)
        ),
    };
    Some(format!(
        "root \"{}\": {jobs} to source \"{}\": is it the right one, and owner = \"{owner}\"?",
        root.name, source.name
    ))
}

/// That a rule has no files.
fn idle((rule, found): (&Rule, &RuleFindings)) -> Option<String> {
    (found.matched == 0 && found.is_known)
        .then(|| format!("rule \"{}\" matches no file at present", rule.name))
}

//! Settings that variables switch.

use crate::core::policy::{Rule, Schedule};

use super::*;

#[test]
fn a_rule_that_is_switched_off_is_as_if_it_were_absent() {
    let rule =
        |name: &str, more: &str| format!("[[rule]]\nname = \"{name}\"\nexpire = \"1d\"\n{more}\n");
    let text = format!(
        "[[root]]\npath = \"a\"\n{}{}{}",
        rule("off", "enabled = \"${ARCHIVES:-false}\""),
        rule("named", "schedule = \"${NIGHTLY?:named}\""),
        rule("usual", "schedule = \"\"")
    );
    let names =
        |rules: &[Rule]| -> Vec<String> { rules.iter().map(|rule| rule.name.clone()).collect() };
    let host = Host::with(&text);
    let found = host.good();
    assert_eq!(names(&found.policy.rules), ["named", "usual"]);
    assert_eq!(names(&found.policy.disabled_rules), ["off"]);
    assert_eq!(found.policy.rules[0].schedule, Schedule::Named);
    assert_eq!(found.policy.rules[1].schedule, Schedule::AtDeadline);
    // Not even without automatic removals does a clean of everything take a named rule.
    let found = host.set("LAPSED_AUTOMATIC", "no").good();
    assert_eq!(found.policy.rules[0].schedule, Schedule::Named);
    assert_eq!(found.policy.rules[1].schedule, Schedule::Manual);
    let host = Host::with(&text).set("ARCHIVES", "Yes").set("NIGHTLY", "1");
    let found = host.good();
    assert_eq!(names(&found.policy.rules), ["off", "named", "usual"]);
    assert_eq!(found.policy.rules[1].schedule, Schedule::AtDeadline);
}

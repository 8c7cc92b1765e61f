//! Rules that keep the newest of each group.

use super::*;
use crate::core::policy::{Grouping, KeepLast};

fn keep_last(text: &str) -> Option<KeepLast> {
    let loaded = Host::with_rule(&format!("expire = \"7d\"\n{text}")).good();
    loaded.policy.rules[0].keep_last.clone()
}

#[test]
fn a_rule_keeps_the_newest_of_the_groups_that_it_names() {
    assert_eq!(keep_last(""), None);
    let keep = keep_last("keep_last = 3").unwrap();
    assert_eq!((keep.count, keep.per), (3, Grouping::Rule));
    let keep = keep_last("keep_last = 1000\nper = \"dir\"\nunit = \"dir\"").unwrap();
    assert_eq!((keep.count, keep.per), (1000, Grouping::Dir));
    let keep = keep_last("keep_last = 1\nper = \"{name}-20*.tar.gz\"").unwrap();
    let Grouping::Template(template) = keep.per else {
        panic!("{keep:?}");
    };
    assert_eq!(template.as_str(), "{name}-20*.tar.gz");
}

#[test]
fn what_would_keep_nothing_or_cannot_be_counted_is_refused() {
    for (text, words) in [
        ("keep_last = 0", "keep_last = 0 keeps nothing"),
        ("keep_last = 1001", "is more than 1000"),
        ("keep_last = \"many\"", "keep_last = \"many\""),
        ("per = \"dir\"", "groups nothing without keep_last"),
        ("keep_last = 1\nper = \"*.tar.gz\"", "has no placeholder"),
        ("keep_last = 1\nper = \"{rest}\"", "unknown class {rest}"),
        (
            "keep_last = 1\nunit = \"job\"",
            "cannot be combined with unit = \"job\"",
        ),
        (
            "keep_last = 1\njob = \"none\"",
            "cannot be combined with job = \"none\"",
        ),
    ] {
        let refusal = Host::with_rule(&format!("expire = \"7d\"\n{text}")).refusal();
        assert!(refusal.contains(words), "{text}: {refusal}");
    }
    let refusal = Host::with_rule("keep_last = 3\nexpire = \"never\"").refusal();
    assert!(
        refusal.contains("cannot be combined with expire"),
        "{refusal}"
    );
    let refusal = Host::with_rule("keep_last = 3").refusal();
    assert!(refusal.contains("expire is missing"), "{refusal}");
}

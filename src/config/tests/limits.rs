//! Limits of rules and roots.

use super::*;
use crate::core::policy::{Amount, Limit, Order, Per};

#[test]
fn limits_are_read() {
    let host = Host::with(
        "[[root]]\npath = \"x\"\nowner = \"{job}/**\"\nlimit = { max_files = 5, per = \"owner\" }\n\
         [[rule]]\nexpire = \"never\"\n[rule.limit]\nmax_size = \"50GiB\"\ndown_to = \"45GiB\"\n\
         min_free = \"10%\"\nmin_free_inodes = 1000\nkeep_at_least = \"5GiB\"\norder = \"largest\"\nmin_age = \"1h\"\n",
    );
    let settings = host.load().unwrap();
    let policy = &settings.policy;
    let limits: Vec<&Limit> = policy.each_limit().map(|(_, limit)| limit).collect();
    let expected = [
        Limit {
            max_size: Some(50 << 30),
            down_to: Some(45 << 30),
            min_free: Some(Amount::Share(0.1)),
            min_free_inodes: Some(Amount::Number(1000)),
            keep_at_least: 5 << 30,
            order: Order::Largest,
            min_age_ms: 3_600_000,
            ..Limit::default()
        },
        Limit {
            max_files: Some(5),
            per: Per::Owner,
            ..Limit::default()
        },
    ];
    assert_eq!(limits, [&expected[0], &expected[1]]);
}

#[test]
fn limits_that_could_not_act_as_they_read_are_refused() {
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { order = \"oldest\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: the limit has no bound
      such as max_size = "50GiB", max_files = 1000000, or min_free
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { max_size = \"5GiB\", down_to = \"6GiB\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: down_to = "6GiB" is above max_size, 5368709120 bytes
      the low mark is at most the limit
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { max_files = 7, down_to = \"6GiB\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: down_to = "6GiB" has an effect only with max_size
      add max_size = "…"
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { min_free = \"10%\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: min_free and min_free_inodes need keep_at_least
      such as keep_at_least = "5GiB": else everything would be removed when others fill the file system
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { max_files = 7, keep_at_least = \"1GiB\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: keep_at_least = "1GiB" has an effect only with min_free or min_free_inodes
      for a low mark of max_size: down_to
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { min_free = \"100%\", keep_at_least = 1, order = \"newest\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: min_free = "100%" is an invalid share
      allowed: above 0% and below 100%
    HOST/etc/lapsed.toml:6: [rule.limit]: order = "newest" is an unknown value
      allowed: oldest, largest
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { min_free = \"1GiB\", keep_at_least = 1, per = \"owner\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: per = "owner" cannot be used with min_free: a file system has no owner
      give the rule and its root a limit each
    "#);
    refused!(Host::with_rule("expire = \"7d\"\nlimit = { max_files = 7, per = \"owner\" }"), @r#"
    HOST/etc/lapsed.toml:6: [rule.limit]: per = "owner" needs an owner template, which root "scratch" lacks
      add owner = "{job}/**" to the [[root]]
    "#);
    refused!(Host::with_rule("job = \"none\"\nlimit = { max_files = 7 }"), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": job = "none" can never match: no root has an orphans template
      add orphans = "{uuid}/**" to the [[root]]
    HOST/etc/lapsed.toml:6: [rule.limit]: a rule for orphans cannot have a limit
      their age tells them from files whose job is not known yet; give the root a limit
    "#);
    refused!(Host::with("[[root]]\npath = \"x\"\nlimit = { max_files = 7, per = \"owner\" }"), @r#"
    HOST/etc/lapsed.toml:3: [root.limit]: per = "owner" needs an owner template
      add owner = "{job}/**" to the [[root]]
    "#);
    refused!(Host::with("[[root]]\npath = \"x\"\nlimit = { max_files = 7 }\n[[rule]]\nexpire = \"never\""), @r#"
    HOST/etc/lapsed.toml:3: [root.limit]: the limit could remove nothing
      a limit removes what a rule lets lapse some day: add a [[rule]] with expire = "…"
    "#);
}

#[test]
fn thresholds_of_a_root_are_read() {
    let root = |alert: &str| {
        Host::with(&format!(
            "[[root]]\npath = \"x\"\nalert = {{ {alert} }}\n[[rule]]\nexpire = \"7d\"\n"
        ))
    };
    let settings = root("free_below = \"10%\", size_above = \"50GiB\"")
        .load()
        .unwrap();
    let found = settings.policy.roots.values().next().unwrap().alert;
    assert_eq!(found.free_below, Some(Amount::Share(0.1)));
    assert_eq!(found.size_above, Some(50 << 30));
    refused!(root("free_below = \"110%\", size_above = 0, above = 1"), @r#"
    HOST/etc/lapsed.toml:3: [root.alert]: free_below = "110%" is an invalid share
      allowed: above 0% and below 100%
    HOST/etc/lapsed.toml:3: [root.alert]: size_above = 0 is not within the limits of 1 to 1125899906842624 bytes
    HOST/etc/lapsed.toml:3: [root.alert]: unknown key "above"
      allowed: free_below, size_above
    "#);
}

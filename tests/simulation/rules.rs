//! The rules of the simulation, and the same a second time in plain words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lapsed::core::claim::Unit;
use lapsed::core::facts::RootId;
use lapsed::core::path::RelPath;
use lapsed::core::policy::{
    Globs, Grouping, KeepLast, Policy, Root, Rule, Schedule, Since, SkipOpen,
};

pub const ROOT: RootId = RootId(0);
/// Times to live of the rules, in the order in which they match: `*.tmp` by its newest timestamp, `*.old` by its mtime,
/// top-level directories `unit*` as a whole, everything else but `*.keep`.
pub const TMP_TTL_MS: i64 = 10_000;
pub const OLD_TTL_MS: i64 = 30_000;
pub const UNIT_TTL_MS: i64 = 60_000;
pub const REST_TTL_MS: i64 = 120_000;
/// Number of `*.old` that stay, whatever their age: the newest by their mtime.
pub const OLD_KEPT: usize = 2;
pub fn policy() -> Policy {
    let rule = |name: &str, glob: Option<&str>, since, ttl_ms, unit| Rule {
        name: name.to_owned(),
        roots: None,
        glob: glob.map(|glob| Globs::compile(&[glob]).unwrap()),
        exclude: None,
        keep: Some(Globs::compile(&["**/*.keep"]).unwrap()),
        since,
        expire_ms: Some(ttl_ms),
        keep_last: None,
        unit,
        limit: None,
        skip_open: SkipOpen::Always,
        disposal: lapsed::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: lapsed::core::policy::JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: lapsed::core::policy::Record::Keep,
    };
    let root = Root {
        name: "root".to_owned(),
        path: PathBuf::from("/root"),
        owner: None,
        limit: None,
        prune_empty_dirs: false,
        optional: false,
        source: None,
        orphans: None,
        only: None,
        nested: Vec::new(),
    };
    Policy {
        sources: std::collections::BTreeMap::new(),
        databases: std::collections::BTreeSet::new(),
        roots: BTreeMap::from([(ROOT, root)]),
        rules: vec![
            rule(
                "tmp",
                Some("**/*.tmp"),
                Since::Newest,
                TMP_TTL_MS,
                Unit::File,
            ),
            Rule {
                keep_last: Some(KeepLast {
                    count: OLD_KEPT,
                    per: Grouping::Rule,
                }),
                ..rule(
                    "old",
                    Some("**/*.old"),
                    Since::Mtime,
                    OLD_TTL_MS,
                    Unit::File,
                )
            },
            rule("unit", Some("unit*"), Since::Newest, UNIT_TTL_MS, Unit::Dir),
            rule("rest", None, Since::Newest, REST_TTL_MS, Unit::File),
        ],
        ..Policy::default()
    }
}

/// The time to live of a file by its path alone, written down a second time without globs; `None`: for ever.
pub fn ttl_of(path: &RelPath) -> Option<i64> {
    let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
    let end = text.rsplit('.').next().unwrap_or_default().to_owned();
    match end.as_str() {
        // A directory that is kept is kept with all that it holds.
        _ if text.split('/').any(|name| name.ends_with(".keep")) => None,
        "tmp" => Some(TMP_TTL_MS),
        "old" => Some(OLD_TTL_MS),
        _ if text.starts_with("unit") && text.contains('/') => Some(UNIT_TTL_MS),
        _ => Some(REST_TTL_MS),
    }
}

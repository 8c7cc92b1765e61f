//! The rules of the simulation, and the same a second time in plain words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lapsed::core::claim::Unit;
use lapsed::core::facts::RootId;
use lapsed::core::path::RelPath;
use lapsed::core::policy::{
    Globs, Grouping, KeepLast, Limit, Order, Policy, Root, Rule, Schedule, Since, SkipOpen,
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

/// Number of files that the rule for everything else may have, with limits.
const REST_FILES_MAX: u64 = 8;
/// Bytes that the root may take, and those that are left then.
const ROOT_BYTES: (u64, u64) = (30 * FILE_BYTES, 25 * FILE_BYTES);
/// Bytes that each file takes on the disk.
const FILE_BYTES: u64 = 4096;
/// Age from which a limit may remove something.
pub const MIN_AGE_MS: i64 = 2_000;

/// The rules, with a limit of a rule and one of the root.
pub fn limited() -> Policy {
    let mut policy = policy();
    let rest = policy.rules.last_mut().unwrap();
    rest.limit = Some(Limit {
        max_files: Some(REST_FILES_MAX),
        min_age_ms: MIN_AGE_MS,
        ..Limit::default()
    });
    policy.roots.get_mut(&ROOT).unwrap().limit = Some(Limit {
        max_size: Some(ROOT_BYTES.0),
        down_to: Some(ROOT_BYTES.1),
        min_age_ms: MIN_AGE_MS,
        order: Order::Oldest,
        ..Limit::default()
    });
    policy
}

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
        alert: lapsed::core::policy::Alert::default(),
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

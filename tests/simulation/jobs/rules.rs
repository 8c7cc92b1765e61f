//! The rules of the simulation of jobs, for the engine; `truth` has the same a second time in plain words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lapsed::core::claim::Unit;
use lapsed::core::facts::RootId;
use lapsed::core::jobs::{SourceId, Status};
use lapsed::core::policy::{
    Derived, Globs, JobFilter, Policy, Record, Root, Rule, Schedule, Since, SkipOpen, Source,
};
use lapsed::core::template::Template;

/// `{job}/**`
pub const RESULTS: RootId = RootId(0);
/// `{job}_{name}`, where claims of bare names lead
pub const UPLOADS: RootId = RootId(1);
/// Nobody's: no template, no source.
pub const OTHER: RootId = RootId(2);
pub const ROOTS: [(RootId, &str); 3] =
    [(RESULTS, "results"), (UPLOADS, "uploads"), (OTHER, "other")];
pub const DB: SourceId = SourceId(0);

/// Times to live, in the order in which the rules match: sessions go with their rows after their last activity; directories of
/// `dirs` as a whole; all of a completed or failed `batch`; single files of cancelled jobs; what is nobody's; the other root.
pub const SESSION_MS: i64 = 40_000;
pub const DIRS_MS: i64 = 35_000;
pub const COMPLETED_MS: i64 = 60_000;
pub const FAILED_MS: i64 = 90_000;
pub const CANCELLED_MS: i64 = 30_000;
pub const ORPHAN_FILE_MS: i64 = 50_000;
pub const ORPHAN_DIR_MS: i64 = 70_000;
pub const OTHER_MS: i64 = 20_000;

/// With or without a translation of the paths that containers write.
pub fn policy(is_mapped: bool) -> Policy {
    let both = || Some(vec![RESULTS, UPLOADS]);
    let kind = |kind: &str| Some(vec![kind.to_owned()]);
    let rule = |name: &str, unit, since, expire_ms, jobs| Rule {
        name: name.to_owned(),
        roots: both(),
        glob: None,
        exclude: None,
        keep: None,
        since,
        expire_ms: Some(expire_ms),
        keep_last: None,
        unit,
        limit: None,
        skip_open: SkipOpen::Never,
        disposal: lapsed::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs,
        kinds: None,
        sources: None,
        record: Record::Keep,
    };
    let standing = |all: &[Status]| JobFilter::Standing(all.to_vec());
    let rules = vec![
        Rule {
            roots: None,
            kinds: kind("session"),
            record: Record::Forget,
            ..rule(
                "sessions",
                Unit::Job,
                Since::LastActivity,
                SESSION_MS,
                JobFilter::Anyone,
            )
        },
        Rule {
            roots: Some(vec![RESULTS]),
            kinds: kind("dirs"),
            ..rule(
                "dirs",
                Unit::Dir,
                Since::Newest,
                DIRS_MS,
                standing(&[Status::Completed, Status::Failed]),
            )
        },
        Rule {
            kinds: kind("batch"),
            keep: Some(Globs::compile(&["**/*.log"]).unwrap()),
            record: Record::Mark,
            ..rule(
                "completed",
                Unit::Job,
                Since::CompletedAt,
                COMPLETED_MS,
                standing(&[Status::Completed]),
            )
        },
        Rule {
            kinds: kind("batch"),
            ..rule(
                "failed",
                Unit::Job,
                Since::Newest,
                FAILED_MS,
                standing(&[Status::Failed]),
            )
        },
        rule(
            "cancelled",
            Unit::File,
            Since::CompletedAt,
            CANCELLED_MS,
            standing(&[Status::Cancelled]),
        ),
        Rule {
            roots: Some(vec![UPLOADS]),
            ..rule(
                "orphan files",
                Unit::File,
                // When it is known whose a file is, it has to be looked at again.
                Since::Mtime,
                ORPHAN_FILE_MS,
                JobFilter::Nobody,
            )
        },
        Rule {
            roots: Some(vec![RESULTS]),
            ..rule(
                "orphan dirs",
                Unit::Dir,
                Since::Newest,
                ORPHAN_DIR_MS,
                JobFilter::Nobody,
            )
        },
        Rule {
            roots: Some(vec![OTHER]),
            ..rule(
                "other",
                Unit::File,
                Since::Newest,
                OTHER_MS,
                JobFilter::Anyone,
            )
        },
    ];
    let root = |name: &str, owner: Option<&str>, orphans: Option<&str>| Root {
        name: name.to_owned(),
        path: PathBuf::from(format!("/srv/{name}")),
        owner: owner.map(|text| Template::parse(text).unwrap()),
        limit: None,
        prune_empty_dirs: false,
        alert: lapsed::core::policy::Alert::default(),
        optional: false,
        source: owner.map(|_| DB),
        orphans: orphans.map(|text| Template::parse(text).unwrap()),
        only: None,
        nested: Vec::new(),
    };
    let source = Source {
        name: "db".to_owned(),
        id_pattern: None,
        files_root: Some(PathBuf::from("/srv/uploads")),
        base_dir: PathBuf::from("/srv"),
        path_map: if is_mapped {
            vec![(PathBuf::from("/data"), PathBuf::from("/srv"))]
        } else {
            Vec::new()
        },
        links: Vec::new(),
        derived: vec![Derived {
            pattern: "{stem}_processed.mp3".to_owned(),
        }],
        claims: true,
        required: true,
        is_listed: true,
        same_rows: Vec::new(),
        is_told: false,
    };
    Policy {
        databases: std::collections::BTreeSet::new(),
        roots: BTreeMap::from([
            (
                RESULTS,
                root("results", Some("{job}/**"), Some("{uuid}/**")),
            ),
            (
                UPLOADS,
                root("uploads", Some("{job}_{name}"), Some("{uuid}_{name}")),
            ),
            (OTHER, root("other", None, None)),
        ]),
        rules,
        sources: BTreeMap::from([(DB, source)]),
        ..Policy::default()
    }
}

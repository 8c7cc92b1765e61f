//! The rule of the simulation, its engine, and looks at its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lapsed::core::claim::Unit;
use lapsed::core::clock_guard::ClockGuard;
use lapsed::core::engine::{Engine, Setup};
use lapsed::core::facts::{Facts, FileKey, Kind};
use lapsed::core::jobs::Status;
use lapsed::core::path::RelPath;
use lapsed::core::pins::Pins;
use lapsed::core::policy::{
    Disposal, JobFilter, Policy, Record, Root, Rule, Schedule, Since, SkipOpen, Source,
};
use lapsed::core::report::{Breaker, Mode};
use lapsed::core::template::Template;
use lapsed::core::time::{FileTime, Now, Timestamp};
use lapsed::core::trash::Trash;

use super::{DB, ROOT, TTL_MS, UNDO_MS};

pub fn policy() -> Policy {
    let root = Root {
        name: "root".to_owned(),
        path: PathBuf::from("/root"),
        owner: Some(Template::parse("{job}/**").unwrap()),
        limit: None,
        prune_empty_dirs: false,
        alert: lapsed::core::policy::Alert::default(),
        optional: false,
        source: Some(DB),
        orphans: None,
        only: None,
        nested: Vec::new(),
    };
    let source = Source {
        name: "db".to_owned(),
        id_pattern: None,
        files_root: None,
        base_dir: PathBuf::from("/"),
        path_map: Vec::new(),
        links: Vec::new(),
        derived: Vec::new(),
        claims: false,
        required: true,
        is_listed: true,
        same_rows: Vec::new(),
        is_told: false,
    };
    let rule = Rule {
        name: "done".to_owned(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since: Since::CompletedAt,
        expire_ms: Some(TTL_MS),
        keep_last: None,
        limit: None,
        unit: Unit::Job,
        skip_open: SkipOpen::Always,
        disposal: Disposal::Trash { undo_ms: UNDO_MS },
        schedule: Schedule::AtDeadline,
        jobs: JobFilter::Standing(vec![Status::Completed]),
        kinds: None,
        sources: None,
        record: Record::Forget,
    };
    Policy {
        roots: BTreeMap::from([(ROOT, root)]),
        sources: BTreeMap::from([(DB, source)]),
        rules: vec![rule],
        ..Policy::default()
    }
}

pub fn engine(sim_now: Now, guard: ClockGuard, pins: Arc<Pins>, trash: Arc<Trash>) -> Engine {
    let setup = Setup {
        policy: Arc::new(policy()),
        breaker: Breaker {
            entries: 1_000_000,
            share: 1.0,
            ..Breaker::default()
        },
        mode: Mode::Live,
        guard,
        memory: None,
        jobs: Arc::default(),
        pins,
        pauses: Arc::default(),
        trash,
        sources: BTreeMap::new(),
        recording: BTreeSet::new(),
    };
    Engine::new(setup, sim_now)
}

pub fn now_of(boot: Duration, offset_ms: i64) -> Now {
    let ms = i64::try_from(boot.as_millis()).unwrap();
    Now {
        wall: Timestamp::from_unix_ms(1_700_000_000_000 + ms + offset_ms),
        boot,
    }
}

pub fn facts(kind: Kind, ino: u64, changed: Timestamp) -> Facts {
    let changed = FileTime::from(changed);
    Facts {
        kind,
        key: FileKey { dev: 1, ino },
        nlink: 1,
        size: 1,
        blocks: 1,
        mtime: changed,
        ctime: changed,
        btime: None,
    }
}

pub fn dir_facts(dir: &RelPath) -> Facts {
    let sum = dir
        .as_bytes()
        .iter()
        .fold(7_u64, |sum, &byte| sum * 31 + u64::from(byte));
    let ino = if dir.is_root() {
        1
    } else {
        1_000_000 + sum % 1_000_000
    };
    facts(Kind::Dir, ino, Timestamp::from_unix_ms(1_600_000_000_000))
}

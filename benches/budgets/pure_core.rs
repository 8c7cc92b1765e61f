//! The pure core on its own, in a process of its own: memory of an index, and lookups and events to count instructions of.
//!
//! `LAPSED_BENCH_CORE="limit 1000000"` prints the nanoseconds of CPU in which a limit among so many files decides.
//! `LAPSED_BENCH_CORE="index 1000000"` prints the bytes of resident memory that the index of so many files takes.
//! `"lookup 1000"` and `"event 1000"` load 100,000 files and do that many lookups or events; the difference of two runs,
//! under `valgrind --tool=callgrind` for instance, is what these cost:
//!
//! ```text
//! LAPSED_BENCH_CORE="event 0"    valgrind --tool=callgrind target/release/deps/budgets-… --bench
//! LAPSED_BENCH_CORE="event 1000" valgrind --tool=callgrind target/release/deps/budgets-… --bench
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lapsed::core::claim::Unit;
use lapsed::core::clock_guard::ClockGuard;
use lapsed::core::engine::Input;
use lapsed::core::engine::{Engine, Setup};
use lapsed::core::facts::{Facts, FileKey, Kind, RootId, usual_blocks};
use lapsed::core::index::{Index, Record, Writer};
use lapsed::core::observed::{Coverage, Discovery, Observed, PassCost};
use lapsed::core::path::RelPath;
use lapsed::core::policy::{
    self, Class, JobFilter, Limit, Policy, Root, Rule, Schedule, Since, SkipOpen,
};
use lapsed::core::report::{Breaker, Mode};
use lapsed::core::time::{FileTime, Now, Timestamp};

use super::options::CORE;
use super::process;
use super::tree::PER_DIR;

/// Files that are loaded before lookups and events.
const FILES: u64 = 100_000;
/// Files that a limit has too many: as many as one decision claims.
const LIMIT_EXCESS: u64 = 512;
const ROOT: RootId = RootId(0);
const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 1_700_000_000_000;

/// Does what `wanted` says, as "WHAT COUNT".
pub fn run(wanted: &str) -> anyhow::Result<()> {
    let (what, count) = wanted.split_once(' ').context("it takes WHAT COUNT")?;
    let count: u64 = count.parse()?;
    match what {
        "index" => {
            let own = std::process::id();
            let before = process::resident(own);
            let (index, writer) = Index::new();
            load_index(writer, count);
            println!("{}", process::resident(own).saturating_sub(before));
            ensure!(index.totals(ROOT).files == count, "a file is missing");
        }
        "lookup" => {
            let (index, writer) = Index::new();
            load_index(writer, FILES);
            for number in (0..count).map(|number| number * 7_919 % FILES) {
                let path = format!("{}/{}", dir_of(number), name_of(number));
                let found = black_box(index.find(ROOT, black_box(path.as_bytes())));
                ensure!(found.is_some(), "{path} is missing");
            }
        }
        "event" => {
            let mut engine = load_engine(FILES, None)?;
            for number in (0..count).map(|number| number * 7_919 % FILES) {
                let looks = Observed::Looks {
                    root: ROOT,
                    dir: path(&dir_of(number))?,
                    facts: facts(Kind::Dir, number / PER_DIR, 0),
                    names: vec![(
                        name_of(number).into_bytes().into(),
                        Some(facts(Kind::File, number, DAY_MS)),
                    )],
                };
                black_box(engine.step(now(), Input::Observed(vec![looks])));
            }
        }
        "limit" => {
            let most = count.saturating_sub(LIMIT_EXCESS);
            let engine = load_engine(count, Some(most))?;
            let mut samples = Vec::new();
            for _ in 0..21 {
                let begun = process::own_cpu();
                let excess = black_box(engine.limit_excess(now()));
                samples.push(process::own_cpu().saturating_sub(begun));
                let files = excess.first().map(|(_, files)| *files);
                ensure!(files == Some(LIMIT_EXCESS), "{excess:?}");
            }
            samples.sort_unstable();
            println!("{}", samples[samples.len() / 2].as_nanos());
        }
        _ => bail!("unknown: \"{what}\""),
    }
    Ok(())
}

/// Measures, in another process, the CPU time in which a limit among so many files finds those that
/// go.
pub fn limit_decision(files: u64) -> anyhow::Result<Duration> {
    Ok(Duration::from_nanos(measure(&format!("limit {files}"))?))
}

/// Measures, in another process, the resident memory of an index of so many files, in bytes.
pub fn index_bytes(files: u64) -> anyhow::Result<u64> {
    measure(&format!("index {files}"))
}

fn measure(wanted: &str) -> anyhow::Result<u64> {
    let output = Command::new(std::env::current_exe()?)
        .env(CORE, wanted)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn load_index(mut writer: Writer, files: u64) {
    for first in (0..files).step_by(PER_DIR as usize) {
        let path = RelPath::parse(dir_of(first).as_bytes()).unwrap_or_else(RelPath::root);
        let dir = writer.ensure_dir(ROOT, &path);
        let numbers = first..files.min(first + PER_DIR);
        let entries: Vec<_> = numbers
            .map(|number| (name_of(number), record(number)))
            .collect();
        let entries = entries
            .iter()
            .map(|(name, record)| (name.as_bytes(), *record));
        writer.upsert_many(dir, entries);
    }
    // What changed would be saved by now.
    writer.take_unsaved();
    writer.take_touched();
}

/// An engine that knows so many files, and may have `most` of them.
fn load_engine(files: u64, most: Option<u64>) -> anyhow::Result<Engine> {
    let setup = Setup {
        policy: Arc::new(policy(most)),
        breaker: Breaker::default(),
        mode: Mode::Live,
        guard: ClockGuard::new(now(), None),
        memory: None,
        jobs: Arc::default(),
        pins: Arc::default(),
        pauses: Arc::default(),
        trash: Arc::default(),
        sources: BTreeMap::new(),
        recording: BTreeSet::new(),
    };
    let mut engine = Engine::new(setup, now());
    let mut seen = vec![Observed::RootFound {
        root: ROOT,
        key: FileKey { dev: 1, ino: 2 },
    }];
    for first in (0..files).step_by(PER_DIR as usize) {
        let numbers = first..first + PER_DIR;
        seen.push(Observed::Listing {
            root: ROOT,
            dir: path(&dir_of(first))?,
            facts: facts(Kind::Dir, first / PER_DIR, 0),
            files: numbers
                .map(|number| {
                    (
                        name_of(number).into_bytes().into(),
                        facts(Kind::File, number, 0),
                    )
                })
                .collect(),
            dirs: Vec::new(),
            discovery: Discovery::Crawl,
            coverage: Coverage::Watched,
        });
    }
    seen.push(Observed::Reconciled {
        root: ROOT,
        began: now().boot,
        cost: PassCost::default(),
    });
    engine.step(now(), Input::Observed(seen));
    ensure!(
        engine.index().totals(ROOT).files == files,
        "a file is missing"
    );
    Ok(engine)
}

fn policy(most: Option<u64>) -> Policy {
    let root = Root {
        name: "root".to_owned(),
        path: "/srv/root".into(),
        owner: None,
        source: None,
        orphans: None,
        optional: false,
        limit: None,
        prune_empty_dirs: false,
        alert: lapsed::core::policy::Alert::default(),
        nested: Vec::new(),
        only: None,
    };
    let rule = Rule {
        name: "month".to_owned(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since: Since::Newest,
        expire_ms: Some(30 * DAY_MS),
        keep_last: None,
        unit: Unit::File,
        limit: most.map(|most| Limit {
            max_files: Some(most),
            ..Limit::default()
        }),
        skip_open: SkipOpen::Always,
        disposal: lapsed::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: policy::Record::Keep,
    };
    Policy {
        roots: BTreeMap::from([(ROOT, root)]),
        rules: vec![rule],
        ..Policy::default()
    }
}

fn path(text: &str) -> anyhow::Result<RelPath> {
    RelPath::parse(text.as_bytes()).context("no path")
}

fn dir_of(number: u64) -> String {
    format!("jobs/job-{:016}", number / PER_DIR)
}

fn name_of(number: u64) -> String {
    format!("upload-{number:09}.dat")
}

/// A time within the 29 days before `NOW_MS`.
fn time_of(number: u64) -> Timestamp {
    let age = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (29 * DAY_MS.unsigned_abs());
    Timestamp::from_unix_ms(NOW_MS - age.cast_signed())
}

fn record(number: u64) -> Record {
    Record {
        size: number.wrapping_mul(7_919) % 5_000_000,
        blocks: usual_blocks(number.wrapping_mul(7_919) % 5_000_000),
        nlink: 1,
        ino: 10_000_000 + number * 3,
        mtime: time_of(number),
        basis: time_of(number).plus_ms(4),
        class: Class::File(lapsed::core::facts::RuleId(0)),
        expire_ms: Some(30 * DAY_MS),
    }
}

fn facts(kind: Kind, number: u64, later_ms: i64) -> Facts {
    let at = FileTime::from(time_of(number).plus_ms(later_ms));
    Facts {
        kind,
        key: FileKey {
            dev: 1,
            ino: 10_000_000 + number * 3 + u64::from(kind == Kind::Dir),
        },
        nlink: 1,
        size: number.wrapping_mul(7_919) % 5_000_000,
        blocks: 8,
        mtime: at,
        ctime: at,
        btime: Some(at),
    }
}

fn now() -> Now {
    Now {
        wall: Timestamp::from_unix_ms(NOW_MS),
        boot: std::time::Duration::from_hours(1),
    }
}

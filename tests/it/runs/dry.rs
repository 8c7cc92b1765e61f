//! Dry runs beside the runs that follow them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::run;
use crate::common::evidence::{assert_untouched, snapshot};
use crate::common::trees::write;
use crate::common::{Place, walk};

/// The roots and rules of random trees: single files, whole directories, and all that jobs own.
const RANDOM: &str = r#"
[[root]]
path = "files"
prune_empty_dirs = true
[[root]]
path = "units"
[[root]]
path = "jobs"
owner = "{job}/**"
source = "db"
[[source]]
name = "db"
kind = "sqlite"
path = "jobs.db"
select = "SELECT id, status, completed_at, cleaned_at FROM jobs"
mark = "UPDATE jobs SET cleaned_at = :now WHERE id = :job"
[[rule]]
name = "files"
root = "files"
since = "mtime"
expire = "1d"
keep = ["**/*.keep"]
[[rule]]
name = "units"
root = "units"
unit = "dir"
since = "newest_mtime"
expire = "1d"
keep = ["**/*.keep"]
[[rule]]
name = "jobs"
source = "db"
job = "completed"
since = "completed_at"
expire = "1d"
unit = "job"
record = "mark"
keep = ["**/*.keep"]
"#;

/// A random tree at a path, with what somebody has open in it.
struct Grower {
    random: fastrand::Rng,
    open: Vec<std::fs::File>,
}

impl Grower {
    /// Files, directories, links and queues, most of them old.
    fn grow(&mut self, dir: &Path, depth: u32) {
        std::fs::create_dir_all(dir).unwrap();
        for number in 0..self.random.u32(0..6) {
            let ending = self.random.choice(["tmp", "tmp", "tmp", "keep"]).unwrap();
            let path = dir.join(format!("{number}.{ending}"));
            match self.random.u32(0..12) {
                0 => std::os::unix::fs::symlink("nowhere", &path).unwrap(),
                1 => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::FileType::Fifo,
                    0o600.into(),
                    0,
                )
                .unwrap(),
                2..5 if depth > 0 => self.grow(&path, depth - 1),
                _ => {
                    write(&path, self.random.usize(0..100));
                    if self.random.u32(0..12) == 0 {
                        self.open.push(std::fs::File::open(&path).unwrap());
                    }
                }
            }
            self.age(&path);
        }
        self.age(dir);
    }

    /// Makes most of it two days old, links as well.
    fn age(&mut self, path: &Path) {
        if self.random.u32(0..10) == 0 {
            return;
        }
        let at = SystemTime::now() - Duration::from_hours(48);
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let at = rustix::fs::Timespec {
            tv_sec: at.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let times = rustix::fs::Timestamps {
            last_access: at,
            last_modification: at,
        };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
    }
}

/// Arguments that narrow a run, or give rules another time to live.
fn narrowed(random: &mut fastrand::Rng) -> Vec<String> {
    let mut arguments = Vec::new();
    if random.bool() {
        // With 0 nothing is tried: then only a run finds that it cannot use a quarantine.
        arguments.push(format!("--limit={}", random.u32(1..12)));
    }
    if random.u32(0..3) == 0 {
        let globs = ["**/*.tmp", "0.*", "j*/**", "j[1-3]", "**", "{1,2}.tmp/**"];
        for _ in 0..random.u32(1..3) {
            let glob = random.choice(globs).unwrap();
            arguments.push(format!("--path={glob}"));
        }
    }
    if random.u32(0..3) == 0 {
        let other = ["*=0s", "*=3d", "jobs=30m", "files=0s", "units=9d"];
        let other = random.choice(other).unwrap();
        arguments.push(format!("--retention={other}"));
    }
    if random.u32(0..4) == 0 {
        let rule = random.choice(["files", "units", "jobs"]).unwrap();
        arguments.push(format!("--rule={rule}"));
    }
    arguments
}

/// What a report says of removals, whatever the run is called.
fn told(report: &Value) -> Vec<String> {
    let lists = ["removed", "held", "errors", "jobs", "roots", "rules"].map(|list| {
        let items = report[list].as_array().unwrap().iter();
        items.map(move |item| {
            let mut item = item.clone();
            // The one reason that names an instant.
            item["deadline"] = Value::Null;
            format!("{list}: {item}")
        })
    });
    let mut told: Vec<String> = lists.into_iter().flatten().collect();
    told.sort();
    told
}

/// `LAPSED_RUN_ROUNDS` is how many trees are tried, `LAPSED_RUN_SEED` the seed of the first.
#[test]
fn a_dry_run_lists_exactly_what_the_run_after_it_removes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds: u64 = number("LAPSED_RUN_ROUNDS").unwrap_or(20);
    let first: u64 = number("LAPSED_RUN_SEED").unwrap_or_else(|| fastrand::u64(..));
    let (mut removed, mut kept) = (0, 0);
    for seed in (0..rounds).map(|round| first.wrapping_add(round)) {
        let place = Place::new();
        let config = place.config(RANDOM);
        let arguments = ["--config", config.to_str().unwrap()];
        let mut grower = Grower {
            random: fastrand::Rng::with_seed(seed),
            open: Vec::new(),
        };
        grower.grow(&place.path("files"), 3);
        grower.grow(&place.path("units"), 3);
        place.make_dir("jobs");
        let db = rusqlite::Connection::open(place.path("jobs.db")).unwrap();
        db.execute_batch(
            "CREATE TABLE jobs(id TEXT, status TEXT, completed_at TEXT, cleaned_at TEXT)",
        )
        .unwrap();
        for job in 0..6 {
            if grower.random.u32(0..4) > 0 {
                grower.grow(&place.path(&format!("jobs/j{job}")), 2);
            }
            let status = grower
                .random
                .choice(["completed", "completed", "running"])
                .unwrap();
            let ended = grower
                .random
                .choice(["-2 days", "-2 days", "-1 hours"])
                .unwrap();
            let row = "INSERT INTO jobs VALUES(?1, ?2, datetime('now', ?3), NULL)";
            db.execute(row, [&format!("j{job}"), status, ended])
                .unwrap();
        }
        if grower.random.u32(0..8) == 0 {
            std::fs::write(place.path("units/.lapsed"), b"").unwrap();
        }
        let before = snapshot(place.dir.path());
        let narrowed = narrowed(&mut grower.random);
        let mut arguments = arguments.to_vec();
        arguments.extend(narrowed.iter().map(String::as_str));
        let what = format!("seed {seed} {narrowed:?}");
        let (dry_code, dry) = run(&place, &[&arguments[..], &["--dry-run"]].concat());
        assert_untouched(place.dir.path(), &before, &what);
        let files = |root: &str| walk(&place.path(root)).len();
        let all = || ["files", "units", "jobs"].map(files).iter().sum::<usize>();
        let there = all();
        let (code, real) = run(&place, &arguments);
        assert_eq!(told(&dry), told(&real), "{what}\n{dry:#}\n{real:#}");
        assert_eq!(
            (dry_code, &dry["status"]),
            (code, &real["status"]),
            "{what}"
        );
        assert_eq!(json!(there - all()), dry["files"], "{what}: {dry}");
        removed += there - all();
        kept += all();
    }
    assert!(removed > 0 && kept > 0, "{removed} removed, {kept} kept");
}

//! The daemon is killed at any moment, again and again, and started again on what it left.
//!
//! `LAPSED_CRASH_ROUNDS` is how often (default: 60), `LAPSED_CRASH_SEED` repeats a run. A failure prints its seed.

mod removals;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::common::evidence::{
    Seed, assert_never_early, ledger_by_path, newest_ms, now_ms, quarantine, results, stays,
    wait_until_settled,
};
use crate::common::trees::assert_agrees;
use crate::common::{Backend, Place, wait_or_tell};

const SEED: &str = "LAPSED_CRASH_SEED";

fn rounds() -> usize {
    let given = std::env::var("LAPSED_CRASH_ROUNDS").ok();
    // Most of what a crash leaves has nothing to do with who tells of changes.
    let usual = match crate::common::backend() {
        Backend::Inotify => 60,
        Backend::Notify | Backend::Poll => 12,
    };
    given.map_or(usual, |text| text.parse().unwrap())
}

/// File systems may keep times as coarsely as the timer ticks: 10 ms at most.
const TICK_MS: i64 = 10;

/// After so many rounds everything is let come to rest, and held against what is there.
const ROUNDS_BETWEEN_RESTS: usize = 12;

const CONFIG: &str = r#"
    [breaker]
    entries = 1000000
    [[root]]
    path = "files"
    [[root]]
    path = "units"
    [[rule]]
    root = "files"
    glob = "**/*.kept"
    expire = "1h"
    [[rule]]
    root = "files"
    glob = "**/*.short"
    expire = "200ms"
    [[rule]]
    root = "files"
    glob = "**/*.middle"
    expire = "700ms"
    [[rule]]
    root = "files"
    expire = "2s"
    [[rule]]
    root = "units"
    unit = "dir"
    glob = "large*"
    expire = "400ms"
    [[rule]]
    root = "units"
    unit = "dir"
    expire = "900ms"
    keep = ["**/*.log"]
"#;

/// The time to live of a path, as the configuration has it.
fn ttl_ms(path: &Path) -> i64 {
    let text = path.to_str().unwrap();
    let end = path.extension().map(|end| end.to_str().unwrap());
    match end {
        _ if text.contains("/units/large") => 400,
        _ if text.contains("/units/") => 900,
        Some("kept") => 3_600_000,
        Some("short") => 200,
        Some("middle") => 700,
        Some(_) | None => 2000,
    }
}

/// What the churner knows about one thing that it made.
#[derive(Clone, Debug)]
struct Made {
    /// The newest timestamp that it ever had by the churner's doing.
    newest: i64,
    /// Whether the churner removed it, or is about to.
    withdrawn: bool,
    /// Whether something stays of it when it has lapsed.
    keeps: bool,
    /// Whether it is being made or changed: nothing is known about it now.
    busy: bool,
}

/// Everything that was made, by its unique path: files, and units as a whole.
#[derive(Default)]
struct Book(Mutex<BTreeMap<PathBuf, Made>>);

impl Book {
    fn set(&self, path: &Path, change: impl FnOnce(&mut Made)) {
        let mut book = self.0.lock().unwrap();
        let made = book.entry(path.to_path_buf()).or_insert(Made {
            newest: i64::MAX / 2,
            withdrawn: false,
            keeps: false,
            busy: true,
        });
        change(made);
    }

    fn get(&self, path: &Path) -> Made {
        self.0.lock().unwrap()[path].clone()
    }

    fn copy(&self) -> BTreeMap<PathBuf, Made> {
        self.0.lock().unwrap().clone()
    }
}

/// Makes, changes and removes files and units, each under a name of its own.
struct Churner<'a> {
    files: PathBuf,
    units: PathBuf,
    book: &'a Book,
    names: &'a AtomicU64,
    rng: fastrand::Rng,
}

impl Churner<'_> {
    fn step(&mut self) {
        match self.rng.u32(0..40) {
            0 => self.make_unit("large", 400),
            1..=4 => self.make_unit("unit", 6),
            5..=9 => self.change(),
            10..=11 => self.withdraw(),
            12 => self.make_file("kept"),
            13..=25 => self.make_file("short"),
            26..=34 => self.make_file("middle"),
            35.. => self.make_file("long"),
        }
    }

    fn name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn make_file(&mut self, end: &str) {
        let dir = self.files.join(format!("d{}", self.rng.u32(0..6)));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("{}.{end}", self.name("f")));
        self.book.set(&path, |_| {});
        let options = OpenOptions::new().write(true).create_new(true).clone();
        let mut file = options.open(&path).unwrap();
        file.write_all(b"content").unwrap();
        let newest = newest_ms(&file.metadata().unwrap());
        drop(file);
        self.book.set(&path, |made| {
            made.newest = newest;
            made.busy = false;
        });
    }

    fn make_unit(&mut self, prefix: &str, files: u32) {
        let unit = self.units.join(self.name(prefix));
        let keeps = prefix == "unit" && self.rng.bool();
        // Old files are moved over one another when they are removed.
        let is_old = self.rng.bool();
        self.book.set(&unit, |made| made.keeps = keeps);
        let deep = unit.join("a/b");
        // Its own directory is no older than this, whatever else of it comes to be.
        let mut newest = now_ms() - TICK_MS;
        // A machine that is slow, or so large a unit, may have it due before it is whole: then it
        // goes, as it has to, and what would follow is not there.
        let is_whole = match fs::create_dir_all(&deep) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => panic!("{}: {error}", deep.display()),
        };
        for file in (0..files).take_while(|_| is_whole) {
            let dir = if file % 2 == 0 { &unit } else { &deep };
            let path = dir.join(file.to_string());
            let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => panic!("{}: {error}", path.display()),
            };
            file.write_all(b"x").unwrap();
            if is_old {
                let hour = Duration::from_hours(1);
                file.set_modified(SystemTime::now() - hour).unwrap();
            }
            newest = newest.max(newest_ms(&file.metadata().unwrap()));
        }
        if keeps {
            let _ = fs::write(deep.join("run.log"), "log");
        }
        self.book.set(&unit, |made| {
            made.newest = newest;
            made.busy = false;
        });
    }

    /// Appends to one of the files that may still be there.
    fn change(&mut self) {
        let Some(path) = self.pick() else { return };
        if path.starts_with(&self.units) {
            return;
        }
        let Ok(mut file) = OpenOptions::new().append(true).open(&path) else {
            return;
        };
        self.book.set(&path, |made| made.busy = true);
        file.write_all(b" and more").unwrap();
        let newest = newest_ms(&file.metadata().unwrap());
        self.book.set(&path, |made| {
            made.newest = newest;
            made.busy = false;
        });
    }

    fn withdraw(&mut self) {
        let Some(path) = self.pick() else { return };
        self.book.set(&path, |made| made.withdrawn = true);
        if path.starts_with(&self.units) {
            let _ = fs::remove_dir_all(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }

    fn pick(&mut self) -> Option<PathBuf> {
        let book = self.book.0.lock().unwrap();
        let recent: Vec<_> = book.iter().rev().take(60).collect();
        self.rng.choice(recent).map(|(path, _)| path.clone())
    }
}

/// Holds what is there and what the ledger says against the book.
fn check(place: &Place, book: &Book) {
    // In this order: what the ledger tells was done before it was read, and what is in the book was made before.
    let before = book.copy();
    let by_path = ledger_by_path(place);
    for (path, made) in &before {
        let there = path.symlink_metadata().is_ok();
        let seen = now_ms();
        let results = results(&by_path, path);
        let name = path.display();
        let after = book.get(path);
        let removed = results.iter().filter(|result| *result == "removed").count();
        assert!(
            removed <= 1,
            "{name} was removed more than once: {results:?}"
        );
        if there && removed > 0 && !made.keeps {
            assert_eq!(
                results.last().map(String::as_str),
                Some("put-back"),
                "the ledger tells of a removal, and {name} is there"
            );
        }
        let quiet = !made.busy && !after.busy && after.newest == made.newest;
        if !there && quiet && !after.withdrawn {
            assert!(
                seen >= made.newest + ttl_ms(path),
                "{name} is gone {} ms after its last change; the ledger: {:?}",
                seen - made.newest,
                by_path.get(path)
            );
        }
    }
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_loses_nothing_and_records_everything_once() {
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (files, units) = (place.make_dir("files"), place.make_dir("units"));
    let config = place.config(CONFIG);
    let config = config.to_str().unwrap();
    let (book, names, stop) = (Book::default(), AtomicU64::new(0), AtomicBool::new(false));
    let mut rng = seed.rng(0);
    let mut left_over = 0;
    let (mut done, mut lost) = (0, 0);
    while done < rounds() {
        let until = rounds().min(done + ROUNDS_BETWEEN_RESTS);
        stop.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for thread in 1..=2 {
                let mut churner = Churner {
                    files: files.clone(),
                    units: units.clone(),
                    book: &book,
                    names: &names,
                    rng: seed.rng(thread + 2 * done as u64),
                };
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        churner.step();
                        std::thread::park_timeout(Duration::from_micros(churner.rng.u64(0..4000)));
                    }
                });
            }
            let stopped = StopOnDrop(&stop);
            for _ in done..until {
                let mut daemon = place.serve(&["--config", config]);
                let life = Duration::from_millis(rng.u64(1..900));
                let begun = Instant::now();
                while begun.elapsed() < life {
                    std::thread::park_timeout(life.saturating_sub(begun.elapsed()));
                }
                daemon.kill();
                left_over += quarantine(&files).len() + quarantine(&units).len();
                check(&place, &book);
            }
            drop(stopped);
        });
        done = until;
        lost += usize::from(check_at_rest(&place, config, &book));
    }
    // sled damages its own file in about one of 3,000 kills: that costs a listing of the roots.
    assert!(lost <= 1, "{lost} caches were damaged by a kill");
    println!("{left_over} things lay in a quarantine when the daemon was killed");
}

/// Starts a daemon on what the crashes left, lets everything lapse that has to, and holds ledger,
/// quarantine and index against the book and an independent walk. Returns true if the cache could
/// not be read and was set aside.
fn check_at_rest(place: &Place, config: &str, book: &Book) -> bool {
    let (files, units) = (place.path("files"), place.path("units"));
    let mut daemon = place.serve_ready(&["--config", config]);
    let book = book.copy();
    let lapsing = || book.iter().filter(|(path, _)| ttl_ms(path) < 3_600_000);
    wait_or_tell(
        "everything lapses",
        || {
            let gone = |(path, made): (&PathBuf, &Made)| {
                if made.keeps {
                    return crate::common::walk(path)
                        .keys()
                        .all(|path| path.ends_with("run.log"));
                }
                path.symlink_metadata().is_err()
            };
            lapsing().all(gone).then_some(())
        },
        || stays(&daemon),
    );
    wait_until_settled(&files);
    wait_until_settled(&units);
    let mut left = quarantine(&units);
    left.retain(|name| !name.starts_with("displaced-"));
    assert_eq!((quarantine(&files), left), (vec![], vec![]));
    daemon.sync();
    let by_path = ledger_by_path(place);
    // What was cut off cannot go back where the churner has removed the directories meanwhile: a
    // unit, or a file of one.
    for (path, lines) in &by_path {
        let is_displaced = lines.iter().any(|line| line["result"] == "displaced");
        let made = path.ancestors().find_map(|around| book.get(around));
        let is_withdrawn = made.is_some_and(|made| made.withdrawn);
        assert!(
            !is_displaced || is_withdrawn,
            "{path:?}: {made:?}: {lines:?}"
        );
    }
    for (path, made) in lapsing().filter(|(_, made)| !made.withdrawn) {
        let results = results(&by_path, path);
        assert_eq!(results, ["removed"], "{}: {made:?}", path.display());
    }
    for (path, made) in book.iter().filter(|(path, _)| ttl_ms(path) == 3_600_000) {
        assert_eq!(path.exists(), !made.withdrawn, "{}", path.display());
        assert_eq!(results(&by_path, path), [""; 0], "{}", path.display());
    }
    for path in by_path.keys() {
        assert!(
            path.ancestors().any(|around| book.contains_key(around)),
            "{} was never there",
            path.display()
        );
    }
    assert_never_early(place, ttl_ms);
    // With sizes and times, over the restarts.
    assert_agrees(&daemon, &files, "files after the crashes");
    assert_agrees(&daemon, &units, "units after the crashes");
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["cache"]["state"], "ok", "{}", status["cache"]);
    let set_aside = &status["cache"]["set_aside"];
    daemon.kill();
    *set_aside != Value::Null
}

/// The churners end also when a check fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

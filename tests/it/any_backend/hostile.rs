//! A neighbour that works against us: swaps, links, moves and writes in the very instant in which things lapse.
//!
//! What has to hold whatever it does: nothing outside of a root is touched, nothing goes before its time, and nothing that was
//! written is lost.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::common::evidence::{
    Marks, Seed, assert_never_early, census, contents, explained, holds, ledger, ledger_by_path,
    newest_ms, now_ms, quarantine, results, stays, wait_until_settled,
};
use crate::common::machine::{Deadline, has_other_users};
use crate::common::{Daemon, Place, wait_for, wait_or_tell};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// The variable that repeats a run.
const SEED: &str = "LAPSED_HOSTILE_SEED";

/// Writes a file that nothing lets lapse while a test runs: it was last changed tomorrow.
fn write_guarded(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_hours(24))
        .unwrap();
}

fn exchange(a: &Path, b: &Path) -> rustix::io::Result<()> {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
}

fn rename_if_free(from: &Path, to: &Path) -> rustix::io::Result<()> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// Waits for an instant of the wall clock, to a fraction of a millisecond.
fn wait_until(instant_ms: i64) {
    loop {
        match instant_ms - now_ms() {
            ..=0 => return,
            1..=2 => std::thread::yield_now(),
            left @ 3.. => {
                std::thread::park_timeout(Duration::from_millis(left.cast_unsigned() - 2));
            }
        }
    }
}

/// Spins for about so many microseconds, as a program does between two calls.
fn spin(micros: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

fn newest_of(path: &Path) -> i64 {
    newest_ms(&path.symlink_metadata().unwrap())
}

/// Waits until everything that was due in `root` before this call has been dealt with: a file written now lapses after all that.
fn wait_until_through(daemon: &Daemon, root: &Path) {
    let marker = root.join(format!("marker-{}", now_ms()));
    fs::write(&marker, "marker").unwrap();
    wait_or_tell(
        "the marker lapses",
        || (!marker.exists()).then_some(()),
        || stays(daemon),
    );
    daemon.sync();
    wait_or_tell(
        "nothing is due",
        || {
            let (_, plan) = daemon.get("/v1/plan?within=0s");
            let (_, health) = daemon.get("/v1/health");
            (plan["files"] == 0 && health["status"] == "ready").then_some(())
        },
        || stays(daemon),
    );
    wait_until_settled(root);
}

/// One name, and what comes into its place in the instant in which it lapses.
struct Swap {
    name: PathBuf,
    intruder: PathBuf,
    second: Option<PathBuf>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// `rename` over the name.
    Over,
    /// Both change places; then a second one tries to take the name while the first is out.
    Exchanged,
}

impl Swap {
    fn carry_out(&self) {
        match self.how {
            How::Over => fs::rename(&self.intruder, &self.name).unwrap(),
            How::Exchanged => {
                if exchange(&self.intruder, &self.name).is_err() {
                    rename_if_free(&self.intruder, &self.name).unwrap();
                }
            }
        }
        let begun = Instant::now();
        while let Some(second) = &self.second
            && begun.elapsed() < Duration::from_millis(3)
            && rename_if_free(second, &self.name).is_err()
        {}
    }
}

#[test]
fn what_is_swapped_in_while_its_name_lapses_survives() {
    const TTL_MS: i64 = 300;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, staging) = (place.make_dir("root"), place.make_dir("staging"));
    let outside = place.make_dir("outside");
    for number in 0..8 {
        fs::write(outside.join(number.to_string()), "outside").unwrap();
    }
    let before = census(&outside);
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let (mut guards, mut links) = (Vec::new(), 0);
    for round in 0..14 {
        let dir = root.join(format!("r{round}"));
        fs::create_dir(&dir).unwrap();
        let mut swaps: Vec<Swap> = (0..48)
            .map(|number| {
                let id = format!("{round}-{number}");
                let intruder = staging.join(&id);
                let mut guard = |path: &Path, content: String| {
                    write_guarded(path, &content);
                    guards.push(content);
                };
                let mut second = None;
                match number % 4 {
                    0 => guard(&intruder, format!("guard {id}")),
                    1 => {
                        guard(&intruder, format!("guard {id}"));
                        let path = staging.join(format!("{id}-second"));
                        guard(&path, format!("guard {id} second"));
                        second = Some(path);
                    }
                    2 => {
                        let target = outside.join((number % 8).to_string());
                        symlink(target, &intruder).unwrap();
                        links += 1;
                    }
                    _ => {
                        fs::create_dir(&intruder).unwrap();
                        guard(&intruder.join("inside"), format!("guard {id}"));
                    }
                }
                Swap {
                    name: dir.join(number.to_string()),
                    intruder,
                    second,
                    how: if number % 2 == 0 {
                        How::Over
                    } else {
                        How::Exchanged
                    },
                }
            })
            .collect();
        for swap in &swaps {
            fs::write(&swap.name, "old").unwrap();
        }
        let due = newest_of(&swaps[swaps.len() - 1].name) + TTL_MS;
        let mut rng = seed.rng(round);
        rng.shuffle(&mut swaps);
        std::thread::scope(|scope| {
            for (half, thread) in swaps.chunks(24).zip(0..) {
                let mut rng = seed.rng(1000 + round * 2 + thread);
                scope.spawn(move || {
                    wait_until(due - rng.i64(0..4));
                    for swap in half {
                        spin(rng.u64(0..400));
                        swap.carry_out();
                    }
                });
            }
        });
    }
    wait_until_through(&daemon, &root);

    assert_eq!(census(&outside), before, "something outside was touched");
    let mut found = contents(&root);
    found.extend(contents(&staging));
    found.retain(|content| content.starts_with("guard"));
    found.sort();
    guards.sort();
    assert_eq!(found, guards, "young files are missing, or there twice");
    let is_link = |(_, marks): &(PathBuf, Marks)| marks.link.is_some();
    let left = census(&root).into_iter().filter(is_link).count();
    assert_eq!(left, links, "links are nothing that lapses");
    let displaced = quarantine(&root).len();
    let told = ledger(&place)
        .iter()
        .filter(|line| line["result"] == "displaced")
        .count();
    assert_eq!(told, displaced, "what is displaced is in the ledger");
    assert_eq!(
        daemon.said().matches("displaced: it could not").count(),
        displaced
    );
    assert_never_early(&place, |_| TTL_MS);
}

#[test]
fn a_directory_that_turns_into_a_link_leads_nowhere() {
    const TTL_MS: i64 = 400;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, staging) = (place.make_dir("root"), place.make_dir("staging"));
    let outside = place.make_dir("outside");
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let dirs: Vec<String> = (0..4).map(|number| format!("d{number}/deep")).collect();
    for (dir, number) in dirs.iter().zip(0..) {
        let there = outside.join(dir);
        fs::create_dir_all(&there).unwrap();
        for file in 0..16 {
            fs::write(there.join(format!("f{file}")), "outside").unwrap();
        }
        fs::create_dir_all(root.join(dir)).unwrap();
        // One kind of link replaces the directory itself, the other its parent; absolute and relative ones.
        let (link, target) = match number {
            0 => ("l0", there),
            1 => ("l1", PathBuf::from("../../outside/d1/deep")),
            2 => ("l2", outside.join("d2")),
            _ => ("l3", PathBuf::from("../outside/d3")),
        };
        symlink(target, staging.join(link)).unwrap();
    }
    let before = census(&outside);
    for round in 0..4 {
        for dir in &dirs {
            for file in 0..16 {
                fs::write(root.join(dir).join(format!("f{file}")), "old").unwrap();
            }
        }
        let due = newest_of(&root.join(&dirs[3]).join("f15")) + TTL_MS;
        std::thread::scope(|scope| {
            for number in 0..4 {
                let mut rng = seed.rng(round * 4 + number);
                let link = staging.join(format!("l{number}"));
                let dir = root.join(if number < 2 {
                    format!("d{number}/deep")
                } else {
                    format!("d{number}")
                });
                scope.spawn(move || {
                    wait_until(due - 20);
                    while now_ms() < due + 150 {
                        exchange(&dir, &link).unwrap();
                        spin(rng.u64(0..200));
                        exchange(&dir, &link).unwrap();
                        spin(rng.u64(0..2000));
                    }
                });
            }
        });
        wait_or_tell(
            "what is left lapses when it is quiet",
            || crate::common::walk(&root).is_empty().then_some(()),
            || {
                format!(
                    "{}\nthere: {:#?}",
                    stays(&daemon),
                    crate::common::walk(&root)
                )
            },
        );
    }
    wait_until_through(&daemon, &root);
    assert_eq!(census(&outside), before, "a link was followed");
    assert_eq!(quarantine(&root), [""; 0]);
    assert_never_early(&place, |_| TTL_MS);
}

/// Waits for the round's instant, moves `from` to `to`, and tells what was there then.
fn move_out(from: &Path, to: &Path) -> Option<BTreeMap<PathBuf, Marks>> {
    fs::rename(from, to).ok()?;
    Some(census(to))
}

#[test]
fn what_is_moved_out_of_a_root_is_out_of_reach_at_once() {
    const TTL_MS: i64 = 300;
    const FILES: usize = 40;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, outside) = (place.make_dir("root"), place.make_dir("outside"));
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let mut seen: BTreeMap<PathBuf, Marks> = BTreeMap::new();
    let mut rng = seed.rng(0);
    for round in 0..14 {
        let dirs: Vec<String> = (0..4).map(|number| format!("m{round}-{number}")).collect();
        for dir in &dirs {
            fs::create_dir(root.join(dir)).unwrap();
            for file in 0..FILES {
                fs::write(root.join(dir).join(file.to_string()), "kept").unwrap();
            }
        }
        let last = root.join(&dirs[3]).join((FILES - 1).to_string());
        wait_until(newest_of(&last) + TTL_MS + rng.i64(-3..12));
        for dir in &dirs {
            seen.extend(move_out(&root.join(dir), &outside.join(dir)).unwrap());
            spin(rng.u64(0..2000));
        }
    }
    wait_until_through(&daemon, &root);
    let now = census(&outside);
    for path in seen.keys() {
        assert!(now.contains_key(path), "{} was taken", path.display());
    }
    let by_path = ledger_by_path(&place);
    for round in 0..14 {
        for number in 0..4 {
            for file in 0..FILES {
                let name = format!("m{round}-{number}/{file}");
                let results = results(&by_path, &root.join(&name));
                let is_there = now.contains_key(&outside.join(&name));
                let is_gone = results.last().is_some_and(|result| result == "removed");
                assert!(
                    is_there != is_gone,
                    "{name}: {results:?}, there: {is_there}"
                );
            }
        }
    }
}

#[test]
fn a_root_that_changes_places_with_another_keeps_the_others_things() {
    const TTL_MS: i64 = 400;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, other) = (place.make_dir("root"), place.make_dir("other"));
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "400ms"
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let mut rng = seed.rng(0);
    let mut guards = Vec::new();
    for round in 0..5 {
        for number in 0..12 {
            let unit = format!("u{round}-{number}/deep");
            for top in [&root, &other] {
                fs::create_dir_all(top.join(&unit)).unwrap();
            }
            for file in 0..5 {
                fs::write(root.join(&unit).join(file.to_string()), "old").unwrap();
                let content = format!("guard {unit} {file}");
                write_guarded(&other.join(&unit).join(file.to_string()), &content);
                guards.push(content);
            }
        }
        let last = root.join(format!("u{round}-11/deep/4"));
        wait_until(newest_of(&last) + TTL_MS + rng.i64(-3..25));
        exchange(&root, &other).unwrap();
        // What is out of the root now is out of reach.
        let seen = census(&other);
        spin(rng.u64(0..20_000));
        let now = census(&other);
        for path in seen
            .keys()
            .filter(|path| !path.starts_with(other.join(".lapsed")))
        {
            assert!(now.contains_key(path), "{} was taken", path.display());
        }
        exchange(&root, &other).unwrap();
        wait_for("what is left lapses", || {
            crate::common::walk(&root).is_empty().then_some(())
        });
    }
    wait_until_settled(&root);
    guards.sort();
    assert_eq!(contents(&other), guards);
    wait_for("the root is known again", || {
        (daemon.get("/v1/health").1["status"] == "ready").then_some(())
    });
    assert_never_early(&place, |_| TTL_MS);
}

#[test]
fn a_directory_of_a_unit_that_turns_into_a_link_leads_nowhere() {
    const TTL_MS: i64 = 400;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, staging) = (place.make_dir("root"), place.make_dir("staging"));
    let outside = place.make_dir("outside");
    // With something kept, the directories stay and their content goes piece by piece.
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "400ms"
        keep = ["**/*.log"]
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    for number in 0..8 {
        let there = outside.join(number.to_string());
        fs::create_dir_all(there.join("sub")).unwrap();
        for file in 0..12 {
            fs::write(there.join(file.to_string()), "outside").unwrap();
            fs::write(there.join("sub").join(file.to_string()), "outside").unwrap();
        }
    }
    let before = census(&outside);
    let mut rng = seed.rng(0);
    let mut seen = BTreeMap::new();
    for round in 0..8 {
        let units: Vec<String> = (0..8).map(|number| format!("u{round}-{number}")).collect();
        for (unit, number) in units.iter().zip(0..) {
            let dir = root.join(unit).join("a");
            fs::create_dir_all(dir.join("sub")).unwrap();
            for file in 0..12 {
                fs::write(dir.join(file.to_string()), "old").unwrap();
                fs::write(dir.join("sub").join(file.to_string()), "old").unwrap();
            }
            fs::write(dir.join("run.log"), "log").unwrap();
            let target = outside.join(number.to_string());
            symlink(target, staging.join(unit)).unwrap();
        }
        let last = root.join(&units[7]).join("a/run.log");
        wait_until(newest_of(&last) + TTL_MS + rng.i64(-3..10));
        for unit in &units {
            exchange(&root.join(unit).join("a"), &staging.join(unit)).unwrap();
            seen.extend(census(&staging.join(unit)));
            spin(rng.u64(0..3000));
        }
    }
    let last: Vec<PathBuf> = (0..8)
        .map(|number| root.join(format!("u7-{number}")))
        .collect();
    wait_or_tell(
        "the links lapse with their units",
        || (!last.iter().any(|unit| unit.exists())).then_some(()),
        || format!("{}{:#?}", stays(&daemon), census(&root)),
    );
    wait_until_settled(&root);
    assert_eq!(census(&outside), before, "a link was followed");
    let now = census(&staging);
    for path in seen.keys() {
        assert!(now.contains_key(path), "{} was taken", path.display());
    }
    assert_eq!(quarantine(&root), [""; 0]);
    drop(daemon);
    assert_never_early(&place, |_| TTL_MS);
}

#[test]
fn links_are_removed_at_most_and_never_followed() {
    let place = Place::new();
    let (units, files) = (place.make_dir("units"), place.make_dir("files"));
    let outside = place.make_dir("outside");
    fs::create_dir_all(outside.join("tree/deep")).unwrap();
    for name in ["one", "two", "tree/deep/file"] {
        fs::write(outside.join(name), name).unwrap();
    }
    fs::create_dir_all(units.join("job/sub")).unwrap();
    fs::create_dir(files.join("sub")).unwrap();
    for dir in [
        &units,
        &units.join("job"),
        &units.join("job/sub"),
        &files,
        &files.join("sub"),
    ] {
        for (name, target) in [
            ("up", PathBuf::from("..")),
            ("upper", PathBuf::from("../../..")),
            ("tree", outside.join("tree")),
            ("relative", PathBuf::from("../outside/tree")),
            ("file", outside.join("one")),
            ("root", PathBuf::from("/")),
            ("self", PathBuf::from("self")),
            ("nowhere", PathBuf::from("nowhere")),
        ] {
            symlink(target, dir.join(name)).unwrap();
        }
    }
    // Other names of a file outside: only ours go.
    fs::hard_link(outside.join("one"), files.join("other-name")).unwrap();
    fs::hard_link(outside.join("two"), units.join("job/sub/other-name")).unwrap();
    fs::write(files.join("file-of-its-own"), "old").unwrap();
    fs::write(units.join("job/sub/file-of-its-own"), "old").unwrap();
    let config = place.config(
        r#"
        [[root]]
        path = "units"
        [[root]]
        path = "files"
        [[rule]]
        root = "units"
        unit = "dir"
        expire = "200ms"
        [[rule]]
        root = "files"
        expire = "200ms"
        "#,
    );
    let before = census(&outside);
    let links = |dir: &Path| -> Vec<PathBuf> {
        let all = census(dir).into_iter();
        let links = all
            .filter(|(path, marks)| marks.link.is_some() && !path.starts_with(units.join("job")));
        links.map(|(path, _)| path).collect()
    };
    let links_before = (links(&units), links(&files));
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    wait_for("everything that lapses is gone", || {
        let left = [
            units.join("job"),
            files.join("other-name"),
            files.join("file-of-its-own"),
        ];
        (!left.iter().any(|path| path.symlink_metadata().is_ok())).then_some(())
    });
    wait_until_settled(&units);
    wait_until_settled(&files);
    // The change time of a file tells that one of its names went: nothing else may be different.
    let without_ctime = |census: BTreeMap<PathBuf, Marks>| -> BTreeMap<PathBuf, Marks> {
        let all = census.into_iter();
        all.map(|(path, marks)| {
            let content = marks.content.map(|(bytes, mtime, _)| (bytes, mtime, 0));
            (path, Marks { content, ..marks })
        })
        .collect()
    };
    assert_eq!(without_ctime(census(&outside)), without_ctime(before));
    assert_eq!((links(&units), links(&files)), links_before);
    for name in ["one", "two"] {
        assert_eq!(outside.join(name).metadata().unwrap().nlink(), 1);
    }
    let lines: Vec<(String, u64)> = ledger(&place)
        .iter()
        .map(|line| {
            let path = crate::common::path_of(line);
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, line["files"].as_u64().unwrap())
        })
        .collect();
    assert!(lines.contains(&("job".to_owned(), 2)), "{lines:?}");
}

#[test]
fn a_name_that_is_made_again_at_once_lives_its_whole_time_each_time() {
    const TTL_MS: i64 = 250;
    const GENERATIONS: usize = 16;
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let root = &root;
            scope.spawn(move || {
                let mut births: BTreeMap<PathBuf, Vec<i64>> = (0..4)
                    .map(|number| (root.join(format!("{thread}-{number}")), Vec::new()))
                    .collect();
                let deadline = Deadline::new();
                while births.values().any(|births| births.len() < GENERATIONS) {
                    assert!(!deadline.is_over(), "names do not lapse: {births:?}");
                    for (path, births) in &mut births {
                        if births.len() == GENERATIONS {
                            continue;
                        }
                        let options = OpenOptions::new().write(true).create_new(true).clone();
                        let Ok(mut file) = options.open(path) else {
                            continue;
                        };
                        let gone = now_ms();
                        if let Some(last) = births.last() {
                            assert!(
                                gone >= last + TTL_MS,
                                "{} went {} ms after its last change",
                                path.display(),
                                gone - last
                            );
                        }
                        file.write_all(births.len().to_string().as_bytes()).unwrap();
                        births.push(newest_ms(&file.metadata().unwrap()));
                    }
                    std::thread::yield_now();
                }
            });
        }
    });
    wait_for("the last ones lapse", || {
        crate::common::walk(&root).is_empty().then_some(())
    });
    wait_until_settled(&root);
    daemon.sync();
    for (path, lines) in ledger_by_path(&place) {
        let kept: Vec<_> = lines
            .iter()
            .filter(|line| line["result"] != "removed")
            .collect();
        assert_eq!(lines.len(), GENERATIONS, "{}: {kept:?}", path.display());
    }
    assert_never_early(&place, |_| TTL_MS);
}

/// A file that somebody appends to again and again, around its deadline.
struct Log {
    path: PathBuf,
    written: String,
    newest: i64,
    touch_at: i64,
}

impl Log {
    fn create(path: PathBuf, ttl_ms: i64, rng: &mut fastrand::Rng) -> Self {
        let mut log = Self {
            path,
            written: String::new(),
            newest: 0,
            touch_at: 0,
        };
        let mut file = File::create_new(&log.path).unwrap();
        log.append(&mut file, "created;", ttl_ms, rng);
        log
    }

    fn append(&mut self, file: &mut File, text: &str, ttl_ms: i64, rng: &mut fastrand::Rng) {
        file.write_all(text.as_bytes()).unwrap();
        self.written.push_str(text);
        let meta = file.metadata().unwrap();
        assert_eq!(
            meta.nlink(),
            1,
            "{} went while it was open",
            self.path.display()
        );
        self.newest = newest_ms(&meta);
        self.touch_at = self.newest + ttl_ms + rng.i64(-4..9);
    }
}

#[test]
fn what_is_appended_at_the_deadline_is_never_lost() {
    const TTL_MS: i64 = 200;
    const TOUCHES: usize = 320;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let (mut gone, mut there): (Vec<Log>, Vec<Log>) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|thread| {
                let mut rng = seed.rng(thread);
                let root = &root;
                scope.spawn(move || {
                    let mut gone = Vec::new();
                    let mut made = 0..;
                    let mut fresh = |rng: &mut _| {
                        let name = format!("{thread}-{}", made.next().unwrap());
                        Log::create(root.join(name), TTL_MS, rng)
                    };
                    let mut logs: Vec<Log> = (0..12).map(|_| fresh(&mut rng)).collect();
                    for _ in 0..TOUCHES {
                        logs.sort_by_key(|log| log.touch_at);
                        let log = &mut logs[0];
                        wait_until(log.touch_at);
                        match OpenOptions::new().append(true).open(&log.path) {
                            Ok(mut file) => log.append(&mut file, "again;", TTL_MS, &mut rng),
                            Err(error) => {
                                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
                                let seen = now_ms();
                                assert!(
                                    seen >= log.newest + TTL_MS,
                                    "early: {}",
                                    log.path.display()
                                );
                                gone.push(std::mem::replace(log, fresh(&mut rng)));
                            }
                        }
                    }
                    (gone, logs)
                })
            })
            .collect();
        for writer in writers {
            let (dead, alive) = writer.join().unwrap();
            gone.extend(dead);
            there.extend(alive);
        }
    });
    wait_for("the last ones lapse", || {
        crate::common::walk(&root).is_empty().then_some(())
    });
    wait_until_settled(&root);
    daemon.sync();
    let by_path = ledger_by_path(&place);
    assert_eq!(quarantine(&root), [""; 0], "nobody took a name");
    for log in gone.iter().chain(&there) {
        let lines = &by_path[&log.path];
        let line = &lines[lines.len() - 1];
        assert_eq!(line["result"], "removed", "{lines:?}");
        assert_eq!(
            line["bytes"].as_u64(),
            Some(log.written.len() as u64),
            "what went is not what was written: {line}"
        );
        let at = crate::common::evidence::ms(&line["at"]);
        assert!(at >= log.newest + TTL_MS, "early: {line}");
    }
    assert_never_early(&place, |_| TTL_MS);
}

#[test]
fn what_is_written_deep_in_a_directory_at_its_deadline_is_never_lost() {
    const TTL_MS: i64 = 300;
    const UNITS: usize = 60;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "300ms"
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    // What was written successfully: content, unit, and its newest timestamp then.
    let mut written: Vec<(String, String, i64)> = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|thread| {
                let mut rng = seed.rng(thread);
                let root = &root;
                scope.spawn(move || {
                    let mut written = Vec::new();
                    for number in 0..UNITS / 2 {
                        let unit = format!("u{thread}-{number}");
                        let deep = root.join(&unit).join("a/b");
                        fs::create_dir_all(&deep).unwrap();
                        for file in 0..6 {
                            fs::write(deep.join(format!("old{file}")), "old").unwrap();
                        }
                        let mut newest = newest_of(&deep.join("old5")).max(newest_of(&deep));
                        // A few writes of each kind; each moves the deadline.
                        for write in 0..3 {
                            wait_until(newest + TTL_MS + rng.i64(-3..7));
                            let content = format!("{unit} {write}");
                            let (file, options) = if rng.bool() {
                                let path = deep.join(format!("new{write}"));
                                (
                                    path,
                                    OpenOptions::new().write(true).create_new(true).clone(),
                                )
                            } else {
                                let options = OpenOptions::new().write(true).truncate(true).clone();
                                (deep.join(format!("old{write}")), options)
                            };
                            let Ok(mut file) = options.open(&file) else {
                                break;
                            };
                            file.write_all(content.as_bytes()).unwrap();
                            let meta = file.metadata().unwrap();
                            assert_eq!(meta.nlink(), 1, "{content} went while it was open");
                            newest = newest_ms(&meta);
                            drop(file);
                            written.push((content, unit.clone(), newest));
                        }
                    }
                    written
                })
            })
            .collect();
        for writer in writers {
            written.extend(writer.join().unwrap());
        }
    });
    wait_or_tell(
        "the last ones lapse",
        || (fs::read_dir(&root).unwrap().count() == 1).then_some(()),
        || stays(&daemon),
    );
    wait_until_settled(&root);
    daemon.sync();
    let kept = contents(&root);
    let by_path = ledger_by_path(&place);
    assert!(!written.is_empty());
    for (content, unit, newest) in written {
        let lines = &by_path[&root.join(&unit)];
        let went = lines.iter().any(|line| {
            line["result"] == "removed"
                && crate::common::evidence::ms(&line["at"]) >= newest + TTL_MS
        });
        assert!(
            went || kept.contains(&content),
            "{content:?} is lost; its unit: {lines:?}; kept: {kept:?}"
        );
    }
    for name in quarantine(&root) {
        let told = by_path.values().flatten().any(|line| {
            let unit = crate::common::path_of(line);
            let unit = unit.file_name().unwrap().to_str().unwrap();
            line["result"] == "displaced" && name.ends_with(unit)
        });
        assert!(told, "{name} is displaced, and not in the ledger");
    }
    assert_never_early(&place, |_| TTL_MS);
}

/// A quarantine that was there before us, and is not to be trusted until `mend` has mended it.
fn holds_until_mended(make: impl Fn(&Place, &Path), says: &str, mend: impl Fn(&Path)) {
    let place = Place::new();
    let root = place.make_dir("root");
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/file"), "outside").unwrap();
    let quarantine = root.join(".lapsed");
    make(&place, &quarantine);
    fs::write(root.join("old"), "old").unwrap();
    let marks = |path: &Path| {
        let meta = path.symlink_metadata().unwrap();
        (meta.mode(), meta.uid(), meta.ino())
    };
    let before = (marks(&quarantine), census(&place.path("outside")));
    let daemon = place.serve_ready(&["--watch", &format!("{}=100ms", root.display())]);
    let why = wait_for("it is held", || {
        holds(&daemon).remove("no-quarantine").map(|(_, why)| why)
    });
    assert!(why.contains(says), "{why}");
    let (_, mend_line) = why
        .split_once('\n')
        .expect("a second line says what mends it");
    assert!(!mend_line.is_empty());
    let explained = explained(&place, &root.join("old"));
    assert!(
        explained.contains(says) && explained.contains(mend_line),
        "{explained}"
    );
    daemon.wait_until_said("no-quarantine");
    assert!(root.join("old").exists());
    assert_eq!((marks(&quarantine), census(&place.path("outside"))), before);
    assert_eq!(ledger(&place).len(), 0);

    mend(&quarantine);
    wait_for("it goes on by itself", || {
        (!root.join("old").exists()).then_some(())
    });
    wait_for("the hold is over", || {
        holds(&daemon).is_empty().then_some(())
    });
    assert_eq!(census(&place.path("outside")), before.1);
}

#[test]
fn a_quarantine_that_is_a_link_is_not_used() {
    holds_until_mended(
        |place, path| symlink(place.path("outside"), path).unwrap(),
        "is no directory",
        |path| fs::remove_file(path).unwrap(),
    );
}

#[test]
fn a_quarantine_that_is_a_file_is_not_used() {
    holds_until_mended(
        |_, path| fs::write(path, "mine").unwrap(),
        "is no directory",
        |path| fs::remove_file(path).unwrap(),
    );
}

#[test]
fn a_quarantine_that_others_can_enter_is_not_used() {
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    holds_until_mended(
        |_, path| {
            fs::create_dir(path).unwrap();
            set(path, 0o777);
        },
        "its mode is 0777",
        |path| set(path, 0o700),
    );
}

#[test]
fn a_quarantine_of_another_user_is_not_used() {
    if !has_other_users() {
        return;
    }
    holds_until_mended(
        |_, path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
        },
        "belongs to user id 65534",
        |path| std::os::unix::fs::chown(path, Some(0), Some(0)).unwrap(),
    );
}

#[test]
fn modes_and_owners_are_never_changed() {
    let place = Place::new();
    let root = place.make_dir("root");
    let units = place.make_dir("units");
    let modes = [
        0o000, 0o400, 0o444, 0o600, 0o640, 0o664, 0o777, 0o4755, 0o2755, 0o1644,
    ];
    let is_root = rustix::process::geteuid().is_root();
    for (dir, dir_mode) in [
        ("plain", 0o755),
        ("shut", 0o711),
        ("sticky", 0o1777),
        ("set", 0o2775),
    ] {
        for kept in ["keep", "go"] {
            let dir = root.join(dir).join(kept);
            fs::create_dir_all(&dir).unwrap();
            for mode in modes {
                let path = dir.join(format!("{mode:04o}"));
                let file = OpenOptions::new()
                    .create_new(true)
                    .write(true)
                    .mode(0o600)
                    .open(&path);
                file.unwrap().write_all(b"old").unwrap();
                if is_root && mode % 3 == 0 {
                    std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        fs::set_permissions(root.join(dir), fs::Permissions::from_mode(dir_mode)).unwrap();
        let unit = units.join(dir);
        fs::create_dir_all(unit.join("a")).unwrap();
        for name in ["a/x", "a/x.log", "run.log"] {
            fs::write(unit.join(name), "old").unwrap();
        }
        fs::set_permissions(&unit, fs::Permissions::from_mode(dir_mode)).unwrap();
        fs::set_permissions(unit.join("a"), fs::Permissions::from_mode(dir_mode)).unwrap();
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o1775)).unwrap();
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[root]]
        path = "units"
        [[rule]]
        root = "root"
        exclude = ["*/keep"]
        # As an unprivileged user one cannot know whether a file is open that one cannot read.
        skip_open = "if-known"
        expire = "300ms"
        [[rule]]
        root = "units"
        unit = "dir"
        keep = ["**/*.log"]
        expire = "300ms"
        "#,
    );
    let marks = |top: &Path| -> BTreeMap<PathBuf, Marks> {
        let mut all = census(top);
        all.retain(|path, _| !path.components().any(|part| part.as_os_str() == ".lapsed"));
        all
    };
    let before = (marks(&root), marks(&units), root.metadata().unwrap().mode());
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let goes = |path: &Path, marks: &Marks| {
        marks.content.is_some() && (path.iter().any(|part| part == "go") || path.ends_with("a/x"))
    };
    // By their names: who opens what is about to go makes it stay.
    let going: Vec<PathBuf> = [&before.0, &before.1]
        .into_iter()
        .flatten()
        .filter(|(path, marks)| goes(path, marks))
        .map(|(path, _)| path.clone())
        .collect();
    wait_or_tell(
        "everything that lapses is gone",
        || (!going.iter().any(|path| path.symlink_metadata().is_ok())).then_some(()),
        || stays(&daemon),
    );
    wait_until_settled(&root);
    wait_until_settled(&units);
    daemon.sync();
    let expected = |before: &BTreeMap<PathBuf, Marks>| -> BTreeMap<PathBuf, Marks> {
        let stays = before.iter().filter(|(path, marks)| !goes(path, marks));
        stays
            .map(|(path, marks)| (path.clone(), marks.clone()))
            .collect()
    };
    assert_eq!(marks(&root), expected(&before.0));
    assert_eq!(marks(&units), expected(&before.1));
    assert_eq!(root.metadata().unwrap().mode(), before.2);
}

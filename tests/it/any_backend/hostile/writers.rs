//! Writers at the moment of the deadline.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{SEED, newest_of, wait_until};
use crate::common::evidence::{
    Seed, assert_never_early, contents, ledger_by_path, newest_ms, now_ms, quarantine, stays,
    wait_until_settled,
};
use crate::common::machine::Deadline;
use crate::common::{Place, wait_for, wait_or_tell};

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
    let config = place.config_of_units("300ms", "");
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
        // A unit that was put back has no line: then it is kept.
        let none = Vec::new();
        let lines = by_path.get(&root.join(&unit)).unwrap_or(&none);
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

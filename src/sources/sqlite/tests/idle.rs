//! A source where nothing happens costs nothing.

use std::fs;

use super::harness::{Place, Watched, eventually};

/// Number of times that the thread called `name` of this process was run. Linux keeps 15 bytes of a
/// name.
fn switches(name: &str) -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    for thread in threads.map(|thread| thread.unwrap().path()) {
        let Ok(comm) = fs::read_to_string(thread.join("comm")) else {
            continue;
        };
        if comm.trim_end() == name {
            let stat = fs::read_to_string(thread.join("schedstat")).unwrap();
            return stat.split_whitespace().nth(2).unwrap().parse().unwrap();
        }
    }
    panic!("no thread {name}");
}

#[test]
fn an_idle_source_sleeps() {
    for journal in ["WAL", "DELETE"] {
        let (place, mut writer) = Place::filled(journal);
        let name = format!("jobs-i-{journal}");
        let watched = Watched::start_as(&name["jobs-".len()..], place.options());
        watched.until("loaded", |table| table.loads() > 0);
        writer.run("UPDATE jobs SET kind = 'x'");
        watched.until("read", |table| {
            table.row("a").unwrap().kind.as_deref() == Some("x")
        });
        // Asking reads, and reading must not wake.
        eventually("current", || watched.source.is_current());
        // The looks after an event are over when it has not woken for longer than the longest wait
        // between two of them.
        let mut last = (watched.source.stats().turns, crate::clock::now().boot);
        let quiet = std::time::Duration::from_millis(2500);
        eventually("quiet", || {
            let turns = watched.source.stats().turns;
            if turns != last.0 {
                last = (turns, crate::clock::now().boot);
            }
            crate::clock::now().boot.saturating_sub(last.1) > quiet
        });
        let before = (watched.source.stats().turns, switches(&name));
        for _ in 0..100 {
            assert!(watched.source.is_current());
            let _ = watched.source.fresh("a");
        }
        let until = crate::clock::now().boot + quiet;
        eventually("later", || crate::clock::now().boot > until);
        let after = (watched.source.stats().turns, switches(&name));
        assert_eq!(before, after, "it woke with {journal}");
    }
}

#[test]
fn a_source_that_is_down_is_not_woken_by_its_own_attempts() {
    let (place, _writer) = Place::filled("WAL");
    let mut options = place.options();
    options.queries.select = "SELECT id, status FROM other".to_owned();
    let watched = Watched::start(options);
    watched.until("down", |table| table.down().is_some());
    let began = crate::clock::now().boot;
    let before = watched.source.stats().turns;
    eventually("later", || {
        crate::clock::now().boot.saturating_sub(began).as_millis() > 3500
    });
    // Two retries, the looks after the first event, and what their closing of the log raises.
    let turns = watched.source.stats().turns - before;
    assert!(turns < 40, "it woke {turns} times");
    // Asking wakes it, but makes it try no sooner.
    watched.look(|table| assert_eq!(table.loads(), 0));
}

//! Costs of what is done most, counted exactly: system calls for each removed file, instructions of the pure core for each lookup
//! and each event. A cost that grows by more than a tenth fails.
//!
//! Counts do not depend on the machine's load. They do depend on the compiler: after an update of the toolchain, record the printed
//! figures anew. Needs `strace` and `valgrind`.

mod core;

use std::collections::BTreeMap;
use std::fs::FileTimes;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use self::core::Core;
use crate::common::evidence::wait_until_settled;
use crate::common::strace::{end_traced, traced};
use crate::common::{Daemon, Place, wait_for};

/// The figures on record, of the unoptimized build. That adds one `fcntl` to each `close`.
const SYSTEM_CALLS_PER_SINGLE_FILE: f64 = 11.9;
const SYSTEM_CALLS_PER_FILE_OF_A_UNIT: f64 = 12.9;
/// When its content was written, before it is moved, and in the quarantine: none of the watcher for
/// the move itself.
const LOOKS_PER_SINGLE_FILE: f64 = 3.2;

const INSTRUCTIONS_PER_LOOKUP: f64 = 60_600.0;

/// 113,900 before an event was judged by limits, groups and the trash as well. The compiler makes
/// two hundredths more or less of the same code.
const INSTRUCTIONS_PER_EVENT: f64 = 124_700.0;

/// Times that the engine, and the threads of the watcher, wake for a file that is removed on its
/// own: for its deadline, and for the event of its move into the quarantine. Some of these events
/// are handed on, together.
const WAKES_OF_ENGINE: f64 = 1.5;

const WAKES_OF_WATCHER: f64 = 1.6;

/// Growth that is not noise.
const GROWTH_MAX: f64 = 1.1;

/// Files of a directory.
const PER_DIR: usize = 100;

/// Files of the small and of the large tree: their difference leaves out what a daemon costs by itself.
const FILES: [usize; 2] = [500, 2_500];

/// Rounds of the small and of the large loop.
const ROUNDS: [usize; 2] = [500, 2_500];

/// Tells the loop that is counted what to do, and how often.
const LOOP: &str = "LAPSED_COSTS_LOOP";

/// System calls on files. Others wait, wake and allocate: how often is up to the scheduler.
const ON_FILES: [&str; 16] = [
    "close",
    "fcntl",
    "fdatasync",
    "flock",
    "fstat",
    "fsync",
    "getdents64",
    "newfstatat",
    "openat",
    "openat2",
    "pwrite64",
    "renameat",
    "renameat2",
    "statx",
    "syncfs",
    "unlinkat",
];

#[test]
fn a_single_file_is_removed_with_no_more_system_calls_than_are_on_record() {
    let looks = check_system_calls("", SYSTEM_CALLS_PER_SINGLE_FILE);
    check("looks at a file", looks, LOOKS_PER_SINGLE_FILE);
}

#[test]
fn a_file_of_a_unit_is_removed_with_no_more_system_calls_than_are_on_record() {
    check_system_calls("unit = \"dir\"\n", SYSTEM_CALLS_PER_FILE_OF_A_UNIT);
}

#[test]
fn a_file_that_lapses_on_its_own_wakes_no_more_threads_than_are_on_record() {
    /// Time between two deadlines.
    const GAP_MS: u64 = 25;
    const COUNT: u64 = 100;
    /// The first deadline, from the writing of all files.
    const FIRST_MS: u64 = 3_000;
    let place = Place::new();
    let root = place.make_dir("data");
    let file = |number: u64| root.join(format!("d{number}/f"));
    for number in 0..COUNT {
        crate::common::trees::write(&file(number), 7);
    }
    let daemon = crate::common::trees::configured(
        &place,
        "[breaker]\nentries = 1000000\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"all\"\nsince = \"mtime\"\nexpire = \"1d\"\n",
    );
    let now = std::time::SystemTime::now();
    for number in 0..COUNT {
        let left = Duration::from_millis(FIRST_MS + number * GAP_MS);
        let written = now - Duration::from_hours(24) + left;
        // Of a time that is set alone no event tells.
        let times = FileTimes::new().set_accessed(written).set_modified(written);
        let file = std::fs::File::open(file(number)).unwrap();
        file.set_times(times).unwrap();
    }
    daemon.sync();
    let before = sleeps(&daemon);
    let files = crate::common::walk(&root).len() as f64;
    wait_for("all files are removed", || {
        crate::common::walk(&root).is_empty().then_some(())
    });
    wait_until_settled(&root);
    let after = sleeps(&daemon);
    let wakes = |names: &[&str]| {
        let of =
            |counts: &BTreeMap<String, u64>| names.iter().map(|name| counts[*name]).sum::<u64>();
        (of(&after) - of(&before)) as f64 / files
    };
    check("wakes of the engine", wakes(&["engine"]), WAKES_OF_ENGINE);
    let watcher = wakes(&["lapsed-inotify", "lapsed-looker"]);
    check("wakes of the watcher", watcher, WAKES_OF_WATCHER);
}

/// Times that each thread of a daemon has gone to sleep of its own accord so far, by its name.
fn sleeps(daemon: &Daemon) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let mut sleeps = BTreeMap::new();
    for task in tasks {
        let task = task.unwrap().path();
        // A thread may end between being listed and being read.
        let Ok(status) = std::fs::read_to_string(task.join("status")) else {
            continue;
        };
        let value = |key| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::trim)
        };
        let count: u64 = value("voluntary_ctxt_switches:").unwrap().parse().unwrap();
        *sleeps
            .entry(value("Name:").unwrap().to_owned())
            .or_default() += count;
    }
    sleeps
}

#[test]
fn the_core_looks_up_an_entry_with_no_more_instructions_than_are_on_record() {
    check_instructions("lookup", INSTRUCTIONS_PER_LOOKUP);
}

#[test]
fn the_core_takes_an_event_with_no_more_instructions_than_are_on_record() {
    check_instructions("event", INSTRUCTIONS_PER_EVENT);
}

/// The loop that is counted; by itself it only shows that it does what it is for.
#[test]
fn the_counted_loop_finds_its_entries() {
    let order = std::env::var(LOOP).unwrap_or_default();
    let (name, rounds) = order.split_once(':').unwrap_or(("both", "3"));
    let rounds = rounds.parse().unwrap();
    let mut core = Core::new();
    if name != "event" {
        core.look_up(rounds);
    }
    if name != "lookup" {
        core.change(rounds);
    }
}

#[track_caller]
fn check(what: &str, figure: f64, on_record: f64) {
    println!("{what}: {figure:.2} (on record: {on_record})");
    assert!(
        figure <= on_record * GROWTH_MAX,
        "{what}: {figure:.2}, on record are {on_record}: mend the growth, or record the new figure with its reason"
    );
}

/// Returns how many of them are looks.
fn check_system_calls(rule: &str, on_record: f64) -> f64 {
    let [few, many] = FILES.map(|files| system_calls(rule, files));
    let files = (FILES[1] - FILES[0]) as f64;
    let per_file = |calls: u64, before: u64| (calls as f64 - before as f64) / files;
    let (mut sum, mut looks) = (0.0, 0.0);
    for name in ON_FILES {
        let calls = |of: &BTreeMap<String, u64>| of.get(name).copied().unwrap_or(0);
        let each = per_file(calls(&many), calls(&few));
        println!("{name:>12} {each:6.2}");
        sum += each;
        if name == "statx" {
            looks = each;
        }
    }
    check("system calls a file", sum, on_record);
    looks
}

/// System calls by name of a daemon that removes so many files and ends.
fn system_calls(rule: &str, files: usize) -> BTreeMap<String, u64> {
    let place = Place::new();
    let root = place.make_dir("data");
    for number in 0..files {
        let path = root.join(format!("d{}/f{number}", number / PER_DIR));
        crate::common::trees::write_old(&path, 7);
    }
    let config = place.config(&format!(
        "[breaker]\nentries = 1000000\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"all\"\nexpire = \"0s\"\n{rule}"
    ));
    let counts = place.path("counts");
    let output = counts.to_str().unwrap();
    let mut daemon = traced(&place, &["-c", "-o", output], &config);
    wait_for("all files are removed", || {
        assert!(
            daemon.child.try_wait().unwrap().is_none(),
            "strace ended: {}",
            daemon.said()
        );
        (crate::common::walk(&root).is_empty() && root.join(".lapsed").exists()).then_some(())
    });
    wait_until_settled(&root);
    end_traced(&mut daemon);
    parse_counts(&counts)
}

/// Calls by name, of a table as `strace -c` prints it.
fn parse_counts(path: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let calls = words.get(3)?.parse().ok()?;
        Some(((*words.last()?).to_owned(), calls))
    });
    rows.collect()
}

fn check_instructions(name: &str, on_record: f64) {
    let [few, many] = ROUNDS.map(|rounds| instructions(name, rounds));
    let each = (many - few) as f64 / (ROUNDS[1] - ROUNDS[0]) as f64;
    check(&format!("instructions for one {name}"), each, on_record);
}

/// Instructions of this very program while it runs the loop that is counted.
fn instructions(name: &str, rounds: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "costs::the_counted_loop_finds_its_entries",
            "--test-threads=1",
        ])
        .env(LOOP, format!("{name}:{rounds}"))
        .stdin(Stdio::null())
        .output()
        .expect("valgrind is needed: install the package of this name");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.contains("Collected :"));
    let number = line.and_then(|line| line.rsplit(' ').next());
    number
        .unwrap_or_else(|| panic!("callgrind tells no count: {said}"))
        .parse()
        .unwrap()
}

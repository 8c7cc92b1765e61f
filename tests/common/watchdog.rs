//! Ends a test program that hangs, with the daemons that it started.
//!
//! The test harness has no limit of its own, and what a test does that blocks (a read, the end of a command) has none either.
//! What shows that a test goes on is that it starts, asks, or looks at something.

use std::io::Write;
use std::sync::{Mutex, Once};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::machine::Deadline;

/// Time without a sign of life after which no test goes on, on a machine that does nothing else. Longer than any test
/// lets pass on purpose.
const SILENCE_MAX: Duration = Duration::from_mins(5);

/// Time between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tests that run, and when they have been silent for too long.
struct Watch {
    tests: Vec<String>,
    end: Deadline,
}

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// A test that runs, until it is dropped.
pub struct Running(String);

impl Running {
    pub fn new() -> Self {
        static STARTED: Once = Once::new();
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let mut watch = WATCH.lock().unwrap();
        let mut tests = watch.take().map_or_else(Vec::new, |watch| watch.tests);
        tests.push(test.clone());
        let end = Deadline::after(SILENCE_MAX);
        *watch = Some(Watch { tests, end });
        STARTED.call_once(|| drop(std::thread::spawn(look)));
        Self(test)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut watch = WATCH.lock().unwrap();
        *watch = watch.take().and_then(|mut watch| {
            let at = watch.tests.iter().position(|test| *test == self.0)?;
            watch.tests.swap_remove(at);
            (!watch.tests.is_empty()).then_some(watch)
        });
    }
}

/// Tells that a test goes on.
pub fn sign_of_life() {
    if let Some(watch) = &mut *WATCH.lock().unwrap() {
        watch.end = Deadline::after(SILENCE_MAX);
    }
}

fn look() {
    loop {
        std::thread::park_timeout(LOOK_EVERY);
        if let Some(watch) = &*WATCH.lock().unwrap()
            && watch.end.is_over()
        {
            end(&watch.tests);
        }
    }
}

/// Ends the program and its daemons. One of `tests` hangs.
fn end(tests: &[String]) -> ! {
    // Not a print, which the test harness would keep to itself.
    let _ = writeln!(
        std::io::stderr(),
        "nothing has happened for {SILENCE_MAX:?} or more; ended with all daemons while these ran: {}",
        tests.join(", ")
    );
    for child in children() {
        let _ = kill_process(child, Signal::KILL);
    }
    std::process::exit(1);
}

/// Processes that this one started and that have not ended.
fn children() -> Vec<Pid> {
    let me = rustix::process::getpid().as_raw_nonzero().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| {
            let id: i32 = process.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // Behind the name, which may hold anything: the state, then the parent.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
            (parent == me).then(|| Pid::from_raw(id)).flatten()
        })
        .collect()
}

//! What the kernel says of a process: CPU, memory, wake-ups, writes.

use std::collections::BTreeMap;
use std::time::Duration;

/// Threads of the cache: their wake-ups have a budget of their own.
const STORE_THREADS: &str = "sled";

/// The thread on which the engine runs.
const ENGINE_THREAD: &str = "engine";

/// The threads that answer requests.
const API_THREADS: &str = "api";

/// A process at one instant.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By thread: its name, nanoseconds of CPU, times it went to sleep of its own accord.
    threads: BTreeMap<u32, (String, u64, u64)>,
    /// CPU of all threads, also of those that have ended; in the kernel's ticks.
    total: Duration,
    write_bytes: u64,
    write_calls: u64,
}

/// What a process did between two instants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Did {
    pub cpu: Duration,
    /// Of the engine's thread.
    pub engine_cpu: Duration,
    /// Of the threads that answer requests.
    pub api_cpu: Duration,
    pub wakes: u64,
    pub cache_wakes: u64,
    pub write_bytes: u64,
    pub write_calls: u64,
}

impl Seen {
    pub fn now(pid: u32) -> Self {
        let mut seen = Self {
            total: ticks_of(&format!("/proc/{pid}/stat"), 13),
            write_bytes: value(&format!("/proc/{pid}/io"), "write_bytes:"),
            write_calls: value(&format!("/proc/{pid}/io"), "syscw:"),
            ..Self::default()
        };
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let path = |file: &str| format!("/proc/{pid}/task/{tid}/{file}");
            let name = read(&path("comm")).trim().to_owned();
            let schedstat = read(&path("schedstat"));
            let ns = schedstat
                .split(' ')
                .next()
                .and_then(|ns| ns.parse().ok())
                .unwrap_or(0);
            let sleeps = value(&path("status"), "voluntary_ctxt_switches:");
            seen.threads.insert(tid, (name, ns, sleeps));
        }
        seen
    }

    /// What was done from this to `later`.
    pub fn until(&self, later: &Self) -> Did {
        let mut did = Did {
            write_bytes: later.write_bytes.saturating_sub(self.write_bytes),
            write_calls: later.write_calls.saturating_sub(self.write_calls),
            ..Did::default()
        };
        let mut ns = 0;
        for (tid, (name, ns_later, sleeps_later)) in &later.threads {
            let (ns_before, sleeps_before) = self
                .threads
                .get(tid)
                .map_or((0, 0), |(_, ns, sleeps)| (*ns, *sleeps));
            let ns_done = ns_later.saturating_sub(ns_before);
            ns += ns_done;
            if name == ENGINE_THREAD {
                did.engine_cpu = Duration::from_nanos(ns_done);
            } else if name == API_THREADS {
                did.api_cpu += Duration::from_nanos(ns_done);
            }
            let wakes = sleeps_later.saturating_sub(sleeps_before);
            if name.starts_with(STORE_THREADS) {
                did.cache_wakes += wakes;
            } else {
                did.wakes += wakes;
            }
        }
        let has_lost_one = self
            .threads
            .keys()
            .any(|tid| !later.threads.contains_key(tid));
        let total = later.total.saturating_sub(self.total);
        // What threads used that have ended since is only in the total, which is coarse.
        did.cpu = if has_lost_one {
            total
        } else {
            Duration::from_nanos(ns)
        };
        did
    }

    /// The threads that went to sleep since `earlier`, with how often.
    pub fn woken_since(&self, earlier: &Self) -> String {
        let woken = self.threads.iter().filter_map(|(tid, (name, _, sleeps))| {
            let before = earlier.threads.get(tid).map_or(0, |(.., sleeps)| *sleeps);
            (*sleeps > before).then(|| format!("{name} {}", sleeps - before))
        });
        woken.collect::<Vec<_>>().join(", ")
    }

    /// CPU of the threads that live, by name, most first.
    pub fn cpu_by_thread(&self) -> String {
        let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, ns, _) in self.threads.values() {
            *by_name.entry(name).or_default() += ns;
        }
        let mut by_name: Vec<(&str, u64)> = by_name.into_iter().collect();
        by_name.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
        let shown = by_name.iter().filter(|(_, ns)| *ns > 10_000_000);
        shown
            .map(|(name, ns)| format!("{name} {:.2} s", *ns as f64 / 1e9))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Resident memory, in bytes.
pub fn resident(pid: u32) -> u64 {
    value(&format!("/proc/{pid}/status"), "VmRSS:") * 1024
}

/// The highest that it was, in bytes.
pub fn resident_peak(pid: u32) -> u64 {
    value(&format!("/proc/{pid}/status"), "VmHWM:") * 1024
}

/// CPU time of this thread until now.
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// CPU of all children that have been waited for, in the kernel's ticks.
pub fn of_children() -> Duration {
    ticks_of("/proc/self/stat", 15)
}

/// User and system time at `field` (from 0) of a `stat` file.
fn ticks_of(path: &str, field: usize) -> Duration {
    let text = read(path);
    // The name in brackets may hold spaces.
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = rest
        .split(' ')
        .skip(field - 2)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    // `USER_HZ` is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}

/// The number behind `key` in a file of lines; 0 where there is none.
fn value(path: &str, key: &str) -> u64 {
    let text = read(path);
    let rest = text.lines().find_map(|line| line.strip_prefix(key));
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

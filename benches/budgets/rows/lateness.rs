//! How late files go: by the daemon's own account, and as seen by a neighbour who watches the directory.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::paced;
use crate::bench::Bench;
use crate::daemon::{Place, wait_for};
use crate::report::Row;
use crate::stats::{Samples, ms, show_ms};
use crate::tree;

/// Events that the neighbour's files make.
const EVENTS_PER_S: f64 = 20_000.0;

/// Of one step of the busy writer: a file is closed after a write, and renamed.
const EVENTS_PER_STEP: f64 = 3.0;

/// Files that the busy writer writes to by turns.
const BUSY_FILES: u64 = 2000;

/// A writer that does less than this part of what it should says nothing about the daemon.
const PACE_MIN: f64 = 0.9;

/// A file of this name ends the neighbour.
const END: &str = "end";

/// What the neighbour saw.
struct Seen {
    late: Samples,
    /// The busy writer could not keep its pace.
    is_slow: bool,
}

pub fn idle(bench: &mut Bench) -> anyhow::Result<Row> {
    let (row, seen) = measure(bench, "lateness-idle", "lateness, idle machine", None)?;
    let late = seen.late;
    Ok(row.peer("cron hourly: 30 min (recorded)").budget(
        "p99 ≤ 10 ms, never < 0",
        late.p99() <= 10.0 && late.min() >= 0.0,
    ))
}

pub fn under_load(bench: &mut Bench) -> anyhow::Result<Row> {
    let rate = EVENTS_PER_S / EVENTS_PER_STEP;
    let what = "lateness under 20 k events/s";
    let (row, Seen { late, is_slow }) = measure(bench, "lateness-load", what, Some(rate))?;
    let is_met = late.p99() <= 100.0 && late.min() >= 0.0;
    Ok(row
        .budget("p99 ≤ 100 ms", is_met)
        .not_judged_if(is_slow, "the writer was too slow"))
}

/// Measures with a busy writer of `rate` steps a second; gives what was seen from outside.
fn measure(
    bench: &mut Bench,
    key: &'static str,
    what: &str,
    rate: Option<f64>,
) -> anyhow::Result<(Row, Seen)> {
    let scale = bench.scale();
    let ttl = scale.late_ttl;
    let place = Place::new(
        bench.place(key)?,
        &format!(
            "[[rule]]\nname = \"short\"\nglob = \"short/**\"\nexpire = \"{}ms\"\n[[rule]]\nname = \"long\"\nexpire = \"30d\"\n",
            ttl.as_millis()
        ),
    )?;
    let (short, busy) = (place.root().join("short"), place.root().join("busy"));
    std::fs::create_dir_all(&short)?;
    paced::make_dirs(&busy)?;
    let (daemon, _) = place.start_ready()?;
    let before = daemon.seen();
    let stop = AtomicBool::new(false);
    let (deadlines, gone, done) = std::thread::scope(|scope| {
        let (busy, stop) = (&busy, &stop);
        let writer = rate.map(|rate| scope.spawn(move || write_busily(busy, rate, stop)));
        let watching = watch(&short)?;
        let neighbour = scope.spawn(move || note_the_gone(&watching));
        let deadlines = write_short_lived(&short, scale.late_files, scale.late_gap, ttl)?;
        let all_gone = wait_for("all short-lived files go", || {
            Ok((std::fs::read_dir(&short)?.next().is_none()).then_some(()))
        });
        std::fs::write(short.join(END), b"")?;
        let gone = neighbour
            .join()
            .map_err(|_| anyhow::anyhow!("the neighbour panicked"))??;
        stop.store(true, Ordering::Relaxed);
        let done = writer.map(|writer| {
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("the writer panicked"))
        });
        all_gone?;
        anyhow::Ok((deadlines, gone, done.transpose()?.transpose()?))
    })?;
    let did = daemon.did_since(&before);
    let status = daemon.client()?.get("/v1/status")?;
    let own = |name: &str| status["lateness"][name].as_f64().unwrap_or(f64::NAN);
    let mut seen = Vec::new();
    for (name, deadline_ms) in &deadlines {
        let at = gone
            .get(name)
            .with_context(|| format!("nobody saw {name} go"))?;
        let late = ms(*at) - *deadline_ms as f64;
        if late < 0.0 {
            bench.wrong(format!(
                "{what}: {name} went {late:.3} ms before its deadline"
            ));
        }
        seen.push(late);
    }
    let late = Samples::new(seen);
    let ledger = place.ledger()?;
    if let Some(early) = ledger.early.first() {
        bench.wrong(format!(
            "{what}: {} early by the ledger, such as {early}",
            ledger.early.len()
        ));
    }
    let mut row = Row::new(key, what)
        .ours(format!("p50 {}, p99 {}", show_ms(late.p50()), show_ms(late.p99())))
        .note(format!(
            "{} files with a life of {ttl:?}, seen from outside: min {}, max {}. The daemon's own account: min {} p50 {} p99 {} max {} ms; \
             its CPU {:.2} s",
            late.len(),
            show_ms(late.min()),
            show_ms(late.max()),
            own("min_ms"),
            own("p50_ms"),
            own("p99_ms"),
            own("max_ms"),
            did.cpu.as_secs_f64()
        ))
        .figure("p50_ms", late.p50())
        .figure("p99_ms", late.p99())
        .figure("min_ms", late.min())
        .figure("own_p99_ms", own("p99_ms"))
        .figure("cpu_s", did.cpu.as_secs_f64());
    if let Some(done) = done {
        let events = done.rate() * EVENTS_PER_STEP;
        let overflows = &status["watches"]["overflows"];
        row = row
            .note(format!(
                "{events:.0} events/s for {:.1} s; overflows of the kernel's queue: {overflows}",
                done.wall.as_secs_f64()
            ))
            .figure("events_per_s", events);
        super::agree::check(bench, what, &daemon, &place.root())?;
    }
    daemon.stop()?;
    let is_slow = done.is_some_and(|done| done.rate() * EVENTS_PER_STEP < EVENTS_PER_S * PACE_MIN);
    Ok((row, Seen { late, is_slow }))
}

/// Writes to files and renames them, by turns. None is created or removed: some file systems look for a free inode for ever when
/// many were freed just before (ext4 without a journal), which says nothing about the daemon.
fn write_busily(busy: &Path, rate: f64, stop: &AtomicBool) -> anyhow::Result<paced::Done> {
    paced::run(rate, Duration::from_mins(5), stop, |number| {
        let (turn, file) = (number / BUSY_FILES, number % BUSY_FILES);
        let name = |turn: u64| paced::path(busy, file).with_extension((turn % 2).to_string());
        let path = name(turn);
        let mut file = File::options().write(true).create(turn == 0).open(&path)?;
        file.write_all(b"busy")?;
        drop(file);
        Ok(std::fs::rename(path, name(turn + 1))?)
    })
}

/// Writes files one by one; gives the deadline of each.
fn write_short_lived(
    dir: &Path,
    files: u64,
    gap: Duration,
    ttl: Duration,
) -> anyhow::Result<Vec<(String, i64)>> {
    let mut deadlines = Vec::new();
    for number in 0..files {
        let name = format!("s{number:06}");
        let path = dir.join(&name);
        std::fs::write(&path, b"short")?;
        let meta = path.metadata()?;
        let ceil = |secs: i64, nanos: i64| secs * 1000 + (nanos + 999_999) / 1_000_000;
        let newest =
            ceil(meta.mtime(), meta.mtime_nsec()).max(ceil(meta.ctime(), meta.ctime_nsec()));
        deadlines.push((name, newest + ttl.as_millis() as i64));
        std::thread::sleep(gap);
    }
    Ok(deadlines)
}

fn watch(dir: &Path) -> anyhow::Result<rustix::fd::OwnedFd> {
    let fd = inotify::init(CreateFlags::CLOEXEC)?;
    inotify::add_watch(
        &fd,
        dir,
        WatchFlags::MOVED_FROM | WatchFlags::DELETE | WatchFlags::CREATE,
    )?;
    Ok(fd)
}

/// When each name went, until the file comes that ends it.
fn note_the_gone(fd: &rustix::fd::OwnedFd) -> anyhow::Result<HashMap<String, Duration>> {
    let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
    let mut events = inotify::Reader::new(fd, &mut buffer);
    let mut gone = HashMap::new();
    loop {
        let event = events.next()?;
        let now = tree::now();
        let Some(name) = event.file_name() else {
            continue;
        };
        let name = name.to_string_lossy().into_owned();
        if name == END {
            return Ok(gone);
        }
        if !event.events().contains(inotify::ReadFlags::CREATE) {
            gone.insert(name, now);
        }
    }
}

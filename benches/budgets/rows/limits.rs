//! Limits: how long it takes to decide one, and how close to it a cache is held.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::paced;
use crate::bench::Bench;
use crate::daemon::Place;
use crate::pure_core;
use crate::report::Row;
use crate::stats::show_count;

/// Files among which a limit chooses.
const FILES: u64 = 1_000_000;

/// The same where speed is not judged.
const FEW_FILES: u64 = 20_000;

/// Files that a cache may have.
const MOST: u64 = 5000;

/// Files that are written into it in a second.
const PACE: f64 = 2000.0;

/// A writer that does less than this part of what it should says nothing about the daemon.
const PACE_MIN: f64 = 0.9;

/// Between two looks at how full it is.
const BETWEEN: Duration = Duration::from_millis(20);

pub fn decision(bench: &mut Bench) -> anyhow::Result<Row> {
    let files = if bench.scale().is_judged {
        FILES
    } else {
        FEW_FILES
    };
    let took = pure_core::limit_decision(files)?;
    let ms = took.as_secs_f64() * 1e3;
    Ok(Row::new("limit-decision", format!("deciding a limit among {} files", show_count(files)))
        .ours(format!("{ms:.2} ms"))
        .peer("–")
        .budget("≤ 5 ms", ms <= 5.0)
        .note("CPU of the engine for the 512 oldest files (one decision) among files of any age in 10,000 directories; the median of 21")
        .figure("ms", ms))
}

pub fn held(bench: &mut Bench) -> anyhow::Result<Row> {
    let span = bench.scale().paced;
    let rule =
        format!("[[rule]]\nname = \"cache\"\nexpire = \"30d\"\nlimit = {{ max_files = {MOST} }}\n");
    let place = Place::new(bench.place("limit")?, &rule)?;
    let top = place.root().join("top");
    paced::make_dirs(&top)?;
    for number in 0..MOST {
        std::fs::write(paced::path(&top, number), b"cached")?;
    }
    let (daemon, _) = place.start_ready()?;
    daemon.client()?.sync()?;
    let before = daemon.seen();
    let has_ended = AtomicBool::new(false);
    let (done, most) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| highest(&top, &has_ended));
        let done = paced::run(PACE, span, &AtomicBool::new(false), |number| {
            Ok(std::fs::write(paced::path(&top, MOST + number), b"cached")?)
        });
        has_ended.store(true, Ordering::Relaxed);
        let most = looking.join().expect("invariant: it does not panic");
        (done, most)
    });
    let done = done?;
    let left = crate::daemon::wait_for("the limit is met", || {
        let left = count(&top)?;
        Ok((left <= MOST).then_some(left))
    });
    let cpu = daemon.did_since(&before).cpu;
    let left = left?;
    std::thread::sleep(BETWEEN);
    let exact = count(&top)? == MOST && left == MOST;
    daemon.stop()?;
    let most = most?;
    let over = most.saturating_sub(MOST);
    // What is written within a tenth of a second.
    let is_close = over as f64 <= PACE / 10.0;
    Ok(Row::new("limit-held", "a cache at its limit under 2 k files/s")
        .ours(format!("{over} of {} too many at most", show_count(MOST)))
        .peer("–")
        .budget("≤ 200 too many, none too few", is_close && exact)
        .not_judged_if(done.rate() < PACE * PACE_MIN, "the writer was too slow")
        .note(format!(
            "{:.0} files/s for {:.1} s; at most {most} files, {left} in the end; {:.1} µs of CPU a file that came and a file that went",
            done.rate(),
            done.wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / done.count as f64
        ))
        .figure("over", over as f64)
        .figure("files_per_s", done.rate()))
}

/// The largest number of files that was there until the end.
fn highest(top: &Path, has_ended: &AtomicBool) -> anyhow::Result<u64> {
    let mut most = 0;
    while !has_ended.load(Ordering::Relaxed) {
        most = most.max(count(top)?);
        std::thread::sleep(BETWEEN);
    }
    Ok(most)
}

fn count(top: &Path) -> anyhow::Result<u64> {
    let mut files = 0;
    for number in 0..paced::DIRS {
        files += std::fs::read_dir(top.join(format!("d{number:03}")))?.count() as u64;
    }
    Ok(files)
}

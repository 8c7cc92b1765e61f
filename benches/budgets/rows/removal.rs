//! Many files at their deadline at once, against those who only remove.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::session::{DAY_MS, LIFE_DAYS};
use crate::bench::Bench;
use crate::daemon::{Place, is_settled};
use crate::peers;
use crate::process::Did;
use crate::report::Row;
use crate::stats::{rate, show_count, show_ms, show_rate};
use crate::tree::{Shape, Tree, now_ms};

/// Between two questions whether all is gone.
const BETWEEN: Duration = Duration::from_millis(10);

/// A daemon that is not done by then will not be.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often the deadline may come before the daemon was ready; each time it is given twice as long.
const TRIES: u32 = 4;

/// What the daemon did.
struct Removed {
    /// From the deadline until the last file was off the disk and in the ledger.
    wall: Duration,
    /// From the deadline until the last name was gone from its place.
    gone_ms: i64,
    did: Did,
    threads: String,
    p99_ms: i64,
}

/// Trees that were made alike: one with a daemon's place around it, the others for peers.
struct Made {
    place: Place,
    peers: Vec<PathBuf>,
    tree: Tree,
}

/// All trees are made before anything is removed: some file systems look for a free inode for ever when many were freed just
/// before (ext4 without a journal).
pub fn measure(bench: &mut Bench) {
    const UNIT: &str = "unit = \"dir\"\n";
    let dirs = make(bench, "remove-dirs", UNIT, 2);
    let files = make(bench, "remove-files", "", 3);
    bench.row("remove-dirs", |bench| measure_dirs(bench, &dirs?));
    bench.row("remove-files", |bench| measure_files(bench, &files?));
}

fn measure_files(bench: &mut Bench, made: &Made) -> anyhow::Result<Row> {
    let tree = made.tree;
    let find = |bench: &Bench, peer: usize| {
        settle(bench);
        peers::find(&made.peers[peer], &["-type", "f", "-delete"])
    };
    let first = find(bench, 0)?;
    let ours = ours(bench, "remove-files", made)?;
    let second = find(bench, 1)?;
    settle(bench);
    let bare = peers::unlink_on_two_threads(&made.peers[2], tree)?;
    let best = first.wall.min(second.wall);
    let ratio = best.as_secs_f64() / ours.wall.as_secs_f64();
    let what = format!("removing {} single files", show_count(tree.files));
    Ok(row("remove-files", &what, tree, &ours)
        .peer(format!("find -delete {}", show_rate(tree.files, best)))
        .ratio(ratio)
        .budget("≥ 0.7 × find -delete", ratio >= 0.7)
        .note(format!(
            "find before and after: {} and {}, its CPU {:.2} s; bare unlinkat on two threads {}",
            show_rate(tree.files, first.wall),
            show_rate(tree.files, second.wall),
            second.cpu.as_secs_f64(),
            show_rate(tree.files, bare)
        ))
        .figure("find_per_s", rate(tree.files, best))
        .figure("bare_per_s", rate(tree.files, bare)))
}

fn measure_dirs(bench: &mut Bench, made: &Made) -> anyhow::Result<Row> {
    let tree = made.tree;
    settle(bench);
    let first = peers::rm(&made.peers[0])?;
    let ours = ours(bench, "remove-dirs", made)?;
    settle(bench);
    let second = peers::rm(&made.peers[1])?;
    let best = first.wall.min(second.wall);
    let ratio = best.as_secs_f64() / ours.wall.as_secs_f64();
    let what = format!(
        "removing {} files, whole directories",
        show_count(tree.files)
    );
    Ok(row("remove-dirs", &what, tree, &ours)
        .peer(format!("rm -rf {}", show_rate(tree.files, best)))
        .ratio(ratio)
        .budget("≥ 1.0 × rm -rf", ratio >= 1.0)
        .note(format!(
            "rm before and after: {} and {}, its CPU {:.2} s",
            show_rate(tree.files, first.wall),
            show_rate(tree.files, second.wall),
            second.cpu.as_secs_f64()
        ))
        .figure("rm_per_s", rate(tree.files, best)))
}

/// Makes the trees of the row `key`, when it is wanted.
fn make(bench: &Bench, key: &str, rule: &str, peers: usize) -> anyhow::Result<Made> {
    let tree = Tree {
        files: bench.scale().removed,
        shape: Shape::Flat,
        has_content: true,
    };
    let rule =
        format!("[[rule]]\nname = \"old\"\nsince = \"mtime\"\nexpire = \"{LIFE_DAYS}d\"\n{rule}");
    let dir = bench.place(key)?;
    let place = Place::new(dir.clone(), &rule)?;
    let peers: Vec<PathBuf> = (0..peers)
        .map(|number| dir.join(format!("peer{number}")))
        .collect();
    let now = now_ms();
    if bench.wants(key) {
        for root in peers.iter().chain([&place.root()]) {
            tree.make(root, |_| now)?;
        }
    }
    Ok(Made { place, peers, tree })
}

fn row(key: &'static str, what: &str, tree: Tree, ours: &Removed) -> Row {
    let cpu = ours.did.cpu.as_secs_f64();
    Row::new(key, what)
        .ours(show_rate(tree.files, ours.wall))
        .note(format!(
            "{} directories; from the deadline to the last file {}, the last name gone from its place after {}; lateness p99 {}; \
             CPU {cpu:.2} s, {:.0} µs a file: {}",
            tree.dirs(),
            show_ms(ours.wall.as_secs_f64() * 1000.0),
            show_ms(ours.gone_ms as f64),
            show_ms(ours.p99_ms as f64),
            cpu * 1e6 / tree.files as f64,
            ours.threads
        ))
        .figure("ours_per_s", rate(tree.files, ours.wall))
        .figure("cpu_s", cpu)
        .figure("p99_ms", ours.p99_ms as f64)
}

/// What the making of a tree left to be written is nobody's to pay for later.
fn settle(bench: &Bench) {
    if bench.scale().is_judged {
        rustix::fs::sync();
    }
}

fn ours(bench: &mut Bench, key: &str, made: &Made) -> anyhow::Result<Removed> {
    let Made { place, tree, .. } = made;
    let (root, tree) = (place.root(), *tree);
    let mut margin = bench.scale().margin;
    for _ in 0..TRIES {
        let deadline = now_ms() + margin.as_millis() as i64;
        tree.set_times(&root, deadline - LIFE_DAYS * DAY_MS)?;
        settle(bench);
        let daemon = place.start()?;
        let mut daemon = daemon;
        daemon.wait_until(|status, _| {
            status["roots"][0]["phase"] == "ready" || now_ms() >= deadline
        })?;
        if now_ms() >= deadline {
            daemon.stop()?;
            tree.make(&root, |_| now_ms())?;
            place.forget()?;
            margin *= 2;
            continue;
        }
        let mut client = daemon.client()?;
        let before = daemon.seen();
        let begun = Instant::now();
        let mut gone_ms = 0;
        let status = loop {
            let status = client.get("/v1/status")?;
            if status["entries"] == 0 && gone_ms == 0 {
                gone_ms = now_ms() - deadline;
            }
            if status["removed"]["files"].as_u64() >= Some(tree.files) && is_settled(&root) {
                break status;
            }
            daemon.check_alive()?;
            anyhow::ensure!(
                begun.elapsed() < PATIENCE,
                "{} of {} files went: {}",
                status["removed"],
                tree.files,
                status["holds"]
            );
            std::thread::sleep(BETWEEN);
        };
        let wall = Duration::from_millis((now_ms() - deadline).max(1) as u64);
        let removed = Removed {
            wall,
            gone_ms,
            did: daemon.did_since(&before),
            threads: daemon.seen().cpu_by_thread(),
            p99_ms: status["lateness"]["p99_ms"].as_i64().unwrap_or(0),
        };
        daemon.stop()?;
        check(bench, key, place, tree)?;
        return Ok(removed);
    }
    anyhow::bail!("the daemon was never ready before the deadline")
}

/// Everything that went is recorded, nothing went early.
fn check(bench: &mut Bench, key: &str, place: &Place, tree: Tree) -> anyhow::Result<()> {
    let ledger = place.ledger()?;
    if ledger.files != tree.files {
        bench.wrong(format!(
            "{key}: {} files went, the ledger has {}",
            tree.files, ledger.files
        ));
    }
    if let Some(early) = ledger.early.first() {
        bench.wrong(format!(
            "{key}: {} early, such as {early}",
            ledger.early.len()
        ));
    }
    Ok(())
}

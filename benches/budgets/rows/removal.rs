//! Many files at their deadline at once, against those who only remove.

use std::path::Path;
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

pub fn files(bench: &mut Bench) -> anyhow::Result<Row> {
    let tree = tree(bench);
    let find = peer(bench, tree, |root| {
        Ok(peers::find(root, &["-type", "f", "-delete"])?.wall)
    })?;
    let ours = ours(bench, "remove-files", "", tree)?;
    let bare = peer(bench, tree, |root| peers::unlink_on_two_threads(root, tree))?;
    let find_again = peer(bench, tree, |root| {
        Ok(peers::find(root, &["-type", "f", "-delete"])?.wall)
    })?;
    let find = find.min(find_again);
    let row = row(
        "remove-files",
        &format!("removing {} single files", show_count(tree.files)),
        tree,
        &ours,
    );
    let ratio = find.as_secs_f64() / ours.wall.as_secs_f64();
    Ok(row
        .peer(format!("find -delete {}", show_rate(tree.files, find)))
        .ratio(ratio)
        .budget("≥ 0.7 × find -delete", ratio >= 0.7)
        .note(format!(
            "bare unlinkat on two threads {}",
            show_rate(tree.files, bare)
        ))
        .figure("find_per_s", rate(tree.files, find))
        .figure("bare_per_s", rate(tree.files, bare)))
}

pub fn dirs(bench: &mut Bench) -> anyhow::Result<Row> {
    let tree = tree(bench);
    let rm = peer(bench, tree, |root| Ok(peers::rm(root)?.wall))?;
    let ours = ours(bench, "remove-dirs", "unit = \"dir\"\n", tree)?;
    let rm = rm.min(peer(bench, tree, |root| Ok(peers::rm(root)?.wall))?);
    let what = format!(
        "removing {} files, whole directories",
        show_count(tree.files)
    );
    let ratio = rm.as_secs_f64() / ours.wall.as_secs_f64();
    Ok(row("remove-dirs", &what, tree, &ours)
        .peer(format!("rm -rf {}", show_rate(tree.files, rm)))
        .ratio(ratio)
        .budget("≥ 1.0 × rm -rf", ratio >= 1.0)
        .figure("rm_per_s", rate(tree.files, rm)))
}

fn tree(bench: &Bench) -> Tree {
    Tree {
        files: bench.scale().removed,
        shape: Shape::Flat,
        has_content: true,
    }
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

/// The same tree, made the same way, removed by somebody else.
fn peer(
    bench: &Bench,
    tree: Tree,
    remove: impl FnOnce(&Path) -> anyhow::Result<Duration>,
) -> anyhow::Result<Duration> {
    let dir = bench.place("peer")?;
    let root = dir.join("data");
    let now = now_ms();
    tree.make(&root, |_| now)?;
    tree.set_times(&root, now - DAY_MS)?;
    settle(bench);
    let took = remove(&root)?;
    std::fs::remove_dir_all(dir)?;
    Ok(took)
}

/// What the making of a tree left to be written is nobody's to pay for later.
fn settle(bench: &Bench) {
    if bench.scale().is_judged {
        rustix::fs::sync();
    }
}

fn ours(bench: &mut Bench, key: &str, rule: &str, tree: Tree) -> anyhow::Result<Removed> {
    let rule =
        format!("[[rule]]\nname = \"old\"\nsince = \"mtime\"\nexpire = \"{LIFE_DAYS}d\"\n{rule}");
    let place = Place::new(bench.place(key)?, &rule)?;
    let root = place.root();
    let now = now_ms();
    tree.make(&root, |_| now)?;
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
            tree.make(&root, |_| now)?;
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
        check(bench, key, &place, tree)?;
        std::fs::remove_dir_all(root)?;
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

//! Many files at their deadline at once, beside the programs that only remove; on each file system in turn.
//!
//! **Invariant:** all trees of a file system are made before anything is removed: some file systems look for a free inode for ever
//! when many were freed just before (ext4 without a journal).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::session::{DAY_MS, LIFE_DAYS};
use crate::bench::Bench;
use crate::daemon::{Daemon, Place, is_settled};
use crate::machine;
use crate::options::Scale;
use crate::peers::{self, Took};
use crate::process::Did;
use crate::report::Row;
use crate::stats::{rate, show_count, show_ms, show_rate};
use crate::tree::{ONE, PER_DIR, Shape, Tree, now_ms};

/// Time between two requests for the daemon's status.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A daemon that is not done by then will not be.
const PATIENCE: Duration = Duration::from_mins(10);

/// Number of starts: when the deadline comes before the daemon is ready, it is set anew with twice the margin.
const TRIES: u32 = 4;

/// Rounds of a peer, by turns before and after the daemon; the best counts.
const PEER_ROUNDS: usize = 2;

/// Time between two deadlines of files that are removed each on its own.
const GAP_MS: i64 = 25;

/// One way in which files lapse, and its budgets.
struct Case {
    key: &'static str,
    what: &'static str,
    /// The rule's keys beyond name and age.
    rule: &'static str,
    tree: fn(Scale) -> Tree,
    peer: Peer,
    /// Time between the deadlines of two files, in milliseconds.
    gap_ms: i64,
    /// The things whose cost is counted, each.
    per: Per,
    budget: fn(&Figures) -> Option<(&'static str, bool)>,
}

/// The program that does the same without a promise.
#[derive(Clone, Copy)]
enum Peer {
    /// `find -type f -delete`.
    Find,
    /// `rm -rf`.
    Rm,
}

#[derive(Clone, Copy)]
enum Per {
    File,
    Dir,
}

/// The figures that budgets are about.
struct Figures {
    is_tmpfs: bool,
    /// The daemon's speed by the peer's.
    ratio: f64,
    /// CPU of the daemon for each file or directory, in µs, without that of answers to this benchmark.
    cpu_us: f64,
    /// Of it, the engine's.
    engine_us: f64,
    /// The slowest answer to a request for the status meanwhile, in ms.
    answer_ms: f64,
}

const CASES: [Case; 8] = [
    Case {
        key: "remove-units",
        what: "directory units of one file, together",
        rule: "since = \"mtime\"\nunit = \"dir\"\n",
        tree: |scale| flat(scale.removed / 2, 1),
        peer: Peer::Rm,
        gap_ms: 0,
        per: Per::Dir,
        budget: |of| {
            let is_met = of.engine_us <= 20.0 && of.answer_ms <= 50.0;
            Some(("engine ≤ 20 µs a unit, answers ≤ 50 ms", is_met))
        },
    },
    Case {
        key: "remove-job",
        what: "files of one job",
        rule: "source = \"api\"\njob = \"completed\"\nsince = \"completed_at\"\nunit = \"job\"\n",
        tree: |scale| Tree {
            shape: Shape::UnderOne,
            ..flat(scale.removed, PER_DIR)
        },
        peer: Peer::Rm,
        gap_ms: 0,
        per: Per::File,
        budget: |_| None,
    },
    Case {
        key: "remove-dirs",
        what: "files, whole directories of 100",
        rule: "since = \"mtime\"\nunit = \"dir\"\n",
        tree: |scale| flat(scale.removed, PER_DIR),
        peer: Peer::Rm,
        gap_ms: 0,
        per: Per::File,
        budget: |of| {
            Some(if of.is_tmpfs {
                (
                    "≥ 0.5 × rm -rf, ≤ 24 µs of CPU a file",
                    of.ratio >= 0.5 && of.cpu_us <= 24.0,
                )
            } else {
                ("≥ 1.2 × rm -rf", of.ratio >= 1.2)
            })
        },
    },
    Case {
        key: "remove-files",
        what: "single files, 100 a directory",
        rule: "since = \"mtime\"\n",
        tree: |scale| flat(scale.removed, PER_DIR),
        peer: Peer::Find,
        gap_ms: 0,
        per: Per::File,
        budget: |of| {
            Some(if of.is_tmpfs {
                (
                    "≥ 0.3 × find -delete, ≤ 36 µs of CPU a file",
                    of.ratio >= 0.3 && of.cpu_us <= 36.0,
                )
            } else {
                ("≥ 0.8 × find -delete", of.ratio >= 0.8)
            })
        },
    },
    Case {
        key: "remove-files-unleased",
        what: "single files, skip_open = false",
        rule: "since = \"mtime\"\nskip_open = false\n",
        tree: |scale| flat(scale.removed, PER_DIR),
        peer: Peer::Find,
        gap_ms: 0,
        per: Per::File,
        budget: |of| {
            of.is_tmpfs
                .then_some(("≤ 28 µs of CPU a file", of.cpu_us <= 28.0))
        },
    },
    Case {
        key: "remove-files-1",
        what: "single files, 1 a directory",
        rule: "since = \"mtime\"\n",
        tree: |scale| flat(scale.removed / 5, 1),
        peer: Peer::Find,
        gap_ms: 0,
        per: Per::File,
        budget: |_| None,
    },
    Case {
        key: "remove-files-10k",
        what: "single files, 10,000 a directory",
        rule: "since = \"mtime\"\n",
        tree: |scale| flat(scale.removed, 10_000),
        peer: Peer::Find,
        gap_ms: 0,
        per: Per::File,
        budget: |_| None,
    },
    Case {
        key: "remove-one",
        what: "files, each on its own",
        rule: "since = \"mtime\"\n",
        tree: |scale| flat(scale.alone, 1),
        peer: Peer::Find,
        gap_ms: GAP_MS,
        per: Per::File,
        budget: |of| Some(("≤ 150 µs of CPU each", of.cpu_us <= 150.0)),
    },
];

fn flat(files: u64, per_dir: u64) -> Tree {
    Tree {
        files,
        per_dir,
        shape: Shape::Flat,
        has_content: true,
    }
}

/// Trees that were made alike: one with a daemon's place around it, the others for the peer.
struct Made {
    place: Place,
    peers: Vec<PathBuf>,
    tree: Tree,
}

/// What the daemon did.
struct Removed {
    /// From the last deadline until the last file was off the disk and in the ledger.
    wall: Duration,
    /// From the deadline until the last name was gone from its place.
    gone_ms: i64,
    did: Did,
    threads: String,
    p99_ms: i64,
    answer: Duration,
}

pub fn measure(bench: &mut Bench) {
    for dir in bench.removal_dirs() {
        let wanted: Vec<&Case> = CASES.iter().filter(|case| bench.wants(case.key)).collect();
        let made: Vec<(&Case, anyhow::Result<Made>)> = wanted
            .iter()
            .map(|case| (*case, make(bench, case, &dir)))
            .collect();
        for (case, made) in made {
            bench.row(case.key, |bench| measure_case(bench, case, &made?));
        }
    }
}

fn measure_case(bench: &mut Bench, case: &Case, made: &Made) -> anyhow::Result<Row> {
    let tree = made.tree;
    let mut peer = run_peer(bench, case, &made.peers[0])?;
    let ours = ours(bench, case, made)?;
    for root in &made.peers[1..] {
        let again = run_peer(bench, case, root)?;
        peer.wall = peer.wall.min(again.wall);
        peer.cpu = peer.cpu.min(again.cpu);
    }
    let each = match case.per {
        Per::File => tree.files,
        Per::Dir => tree.dirs(),
    };
    let us_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / each as f64;
    let kind = machine::file_system(&made.place.root());
    let figures = Figures {
        is_tmpfs: kind == "tmpfs",
        ratio: peer.wall.as_secs_f64() / ours.wall.as_secs_f64(),
        cpu_us: us_each(ours.did.cpu.saturating_sub(ours.did.api_cpu)),
        engine_us: us_each(ours.did.engine_cpu),
        answer_ms: ours.answer.as_secs_f64() * 1000.0,
    };
    let name = match case.peer {
        Peer::Find => "find -delete",
        Peer::Rm => "rm -rf",
    };
    let row = Row::new(case.key, format!("{kind}: {} {}", show_count(each), case.what))
        .ours(format!("{:.1} µs CPU each, {}", figures.cpu_us, show_rate(each, ours.wall)))
        .peer(format!("{name} {:.1} µs CPU each, {}", us_each(peer.cpu), show_rate(each, peer.wall)))
        .note(format!(
            "{} files in {} directories; the last file off the disk after {}, the last name gone from its place after {}; lateness p99 {}; \
             slowest status {}; CPU {:.2} s, engine {:.1} µs each; {}",
            tree.files,
            tree.dirs(),
            show_ms(ours.wall.as_secs_f64() * 1000.0),
            show_ms(ours.gone_ms as f64),
            show_ms(ours.p99_ms as f64),
            show_ms(figures.answer_ms),
            ours.did.cpu.as_secs_f64(),
            figures.engine_us,
            ours.threads
        ))
        .figure("ours_per_s", rate(each, ours.wall))
        .figure("peer_per_s", rate(each, peer.wall))
        .figure("cpu_us_each", figures.cpu_us)
        .figure("peer_cpu_us_each", us_each(peer.cpu))
        .figure("engine_us_each", figures.engine_us)
        .figure("slowest_answer_ms", figures.answer_ms)
        .figure("p99_ms", ours.p99_ms as f64);
    // Files that lapse one by one take as long as their deadlines are apart.
    let row = if case.gap_ms == 0 {
        row.ratio(figures.ratio)
    } else {
        row
    };
    Ok(match (case.budget)(&figures) {
        Some((budget, is_met)) => row.budget(budget, is_met),
        None => row,
    })
}

fn run_peer(bench: &Bench, case: &Case, root: &Path) -> anyhow::Result<Took> {
    settle(bench);
    match case.peer {
        Peer::Find => peers::find(root, &["-type", "f", "-delete"]),
        Peer::Rm => peers::rm(root),
    }
}

fn make(bench: &Bench, case: &Case, dir: &Path) -> anyhow::Result<Made> {
    let tree = (case.tree)(bench.scale());
    let rules = format!(
        "owner = \"{{job}}/**\"\nsource = \"api\"\n[[rule]]\nname = \"old\"\nexpire = \"{LIFE_DAYS}d\"\n{}",
        case.rule
    );
    let dir = dir.canonicalize()?.join(case.key);
    let place = Place::new(dir.clone(), &rules)?;
    let peers: Vec<PathBuf> = (0..PEER_ROUNDS)
        .map(|number| dir.join(format!("peer{number}")))
        .collect();
    let now = now_ms();
    for root in peers.iter().chain([&place.root()]) {
        tree.make(root, |_| now)?;
    }
    Ok(Made { place, peers, tree })
}

/// Writes back what the making of a tree left dirty, so that no later measurement pays for it.
fn settle(bench: &Bench) {
    if bench.scale().is_judged {
        rustix::fs::sync();
    }
}

fn ours(bench: &mut Bench, case: &Case, made: &Made) -> anyhow::Result<Removed> {
    let Made { place, tree, .. } = made;
    let (root, tree) = (place.root(), *tree);
    let mut margin = bench.scale().margin;
    for _ in 0..TRIES {
        let first = now_ms() + margin.as_millis() as i64;
        let last = first + case.gap_ms * tree.files.saturating_sub(1) as i64;
        let age = LIFE_DAYS * DAY_MS;
        tree.set_times(&root, |file| first - age + case.gap_ms * file as i64)?;
        settle(bench);
        let mut daemon = place.start()?;
        daemon
            .wait_until(|status, _| status["roots"][0]["phase"] == "ready" || now_ms() >= first)?;
        if case.rule.contains("\"job\"") {
            put_job(place, first - age)?;
        }
        if now_ms() >= first {
            daemon.stop()?;
            tree.make(&root, |_| now_ms())?;
            place.forget()?;
            margin *= 2;
            continue;
        }
        let removed = watch(case, &mut daemon, &root, tree, last)?;
        daemon.stop()?;
        check(bench, case.key, place, tree)?;
        return Ok(removed);
    }
    anyhow::bail!("the daemon was never ready before the deadline")
}

/// Waits until everything is removed.
fn watch(
    case: &Case,
    daemon: &mut Daemon,
    root: &Path,
    tree: Tree,
    deadline: i64,
) -> anyhow::Result<Removed> {
    let mut client = daemon.client()?;
    let before = daemon.seen();
    let begun = Instant::now();
    let (mut gone_ms, mut answer) = (0, Duration::ZERO);
    // While files lapse one by one, requests would cost more than removals.
    let quiet_ms = if case.gap_ms == 0 {
        0
    } else {
        deadline - now_ms()
    };
    std::thread::sleep(Duration::from_millis(quiet_ms.max(0) as u64));
    let status = loop {
        let asked = Instant::now();
        let status = client.get("/v1/status")?;
        answer = answer.max(asked.elapsed());
        if status["entries"] == 0 && gone_ms == 0 {
            gone_ms = now_ms() - deadline;
        }
        if status["removed"]["files"].as_u64() >= Some(tree.files) && is_settled(root) {
            break status;
        }
        daemon.check_alive()?;
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "{} of {} files were removed: {}",
            status["removed"],
            tree.files,
            status["holds"]
        );
        std::thread::sleep(POLL_INTERVAL);
    };
    Ok(Removed {
        wall: Duration::from_millis((now_ms() - deadline).max(1) as u64),
        gone_ms,
        did: daemon.did_since(&before),
        threads: daemon.seen().cpu_by_thread(),
        p99_ms: status["lateness"]["p99_ms"].as_i64().unwrap_or(0),
        answer,
    })
}

/// Tells the daemon of the job that owns the tree, which ended at this time.
fn put_job(place: &Place, ended_ms: i64) -> anyhow::Result<()> {
    let ended = jiff::Timestamp::from_millisecond(ended_ms)?.to_string();
    let done = Command::new(env!("CARGO_BIN_EXE_lapsed"))
        .args([
            "job",
            "put",
            ONE,
            "--source",
            "api",
            "--status",
            "completed",
            "--completed-at",
            &ended,
        ])
        .arg("--socket")
        .arg(place.socket())
        .output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "the job cannot be put: {said}");
    Ok(())
}

/// Fails the run unless every removed file is in the ledger, and none was removed early.
fn check(bench: &mut Bench, key: &str, place: &Place, tree: Tree) -> anyhow::Result<()> {
    let ledger = place.ledger()?;
    if ledger.files != tree.files {
        bench.wrong(format!(
            "{key}: {} files were removed, the ledger has {}",
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

//! All that is measured on one tree of a given size: one daemon's life from its first crawl to its restart.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{HUGE, agree, quiet, sized, visible};
use crate::bench::Bench;
use crate::daemon::{Daemon, Place};
use crate::peers::{self, Took};
use crate::report::Row;
use crate::stats::show_count;
use crate::tree::{PER_DIR, Shape, Tree, now_ms};
use crate::{process, walk};

/// The life of every file in the tree.
pub const LIFE_DAYS: i64 = 30;

pub const HOUR_MS: i64 = 3_600_000;

pub const DAY_MS: i64 = 24 * HOUR_MS;

/// What is measured within a session.
const KEYS: [&str; 10] = [
    "memory", "crawl", "restart", "lookup", "plan", "list", "expire", "visible", "idle", "10M",
];

/// A tree, and the daemon that knows it.
pub struct Session {
    pub place: Place,
    pub tree: Tree,
    pub daemon: Daemon,
    /// The first crawl: the best of several, from the start of the process on.
    pub crawl: Duration,
    pub crawl_cpu: Duration,
    /// The bare walk, and `find` printing everything: the best of several.
    pub bare: Duration,
    pub find: Took,
    /// Resident memory of a daemon with an empty root.
    pub resident_empty: u64,
    /// Resident memory after the load.
    pub resident_loaded: u64,
}

impl Session {
    pub fn root(&self) -> PathBuf {
        self.place.root()
    }

    /// `what` with the size of the tree.
    pub fn title(&self, what: &str) -> String {
        format!("{what} ({} files)", show_count(self.tree.files))
    }

    /// The absolute path of file `number`.
    pub fn path(&self, number: u64) -> String {
        self.root()
            .join(self.tree.file(number))
            .to_string_lossy()
            .into_owned()
    }
}

pub fn measure(bench: &mut Bench, files: u64, is_last: bool) {
    if !KEYS.iter().any(|key| bench.wants(key)) {
        return;
    }
    let mut session = match begin(bench, files) {
        Ok(session) => session,
        Err(error) => return bench.wrong(format!("{} files: {error:#}", show_count(files))),
    };
    bench.row("crawl", |bench| Ok(sized::crawl(bench, &session)));
    bench.row("lookup", |bench| sized::lookup(bench, &session));
    bench.row("plan", |bench| sized::plan(bench, &session));
    bench.row("list", |bench| sized::list(bench, &session));
    bench.row("visible", |bench| visible::measure(bench, &session));
    bench.row("expire", |bench| sized::expire(bench, &session));
    bench.row("memory", |bench| sized::memory(bench, &session));
    if is_last {
        bench.row("idle", |bench| quiet::idle(bench, &session));
    }
    let root = session.root();
    if let Err(error) = agree::check(bench, &session.title("all"), &session.daemon, &root) {
        bench.wrong(format!("{error:#}"));
    }
    let mut ready = None;
    if bench.wants("restart") || bench.wants("10M") {
        match sized::restart(bench, session) {
            Ok((again, row, took)) => {
                bench.row("restart", |_| Ok(row));
                ready = Some(took);
                session = again;
            }
            Err(error) => return bench.wrong(format!("restart: {error:#}")),
        }
    }
    if files == HUGE {
        bench.row("10M", |_| {
            Ok(huge(&session, ready.unwrap_or(Duration::MAX)))
        });
    }
    if let Err(error) = session.daemon.stop() {
        bench.wrong(format!("{} files: {error:#}", show_count(files)));
    }
}

/// Makes the tree, and starts the daemon on it, by turns with its peers.
fn begin(bench: &Bench, files: u64) -> anyhow::Result<Session> {
    let rule = format!("[[rule]]\nname = \"old\"\nsince = \"mtime\"\nexpire = \"{LIFE_DAYS}d\"\n");
    let place = Place::new(bench.place(&format!("tree-{files}"))?, &rule)?;
    let tree = Tree {
        files,
        per_dir: PER_DIR,
        shape: Shape::Nested,
        has_content: false,
    };
    let oldest = now_ms() - LIFE_DAYS * DAY_MS + 2 * HOUR_MS;
    tree.make(&place.root(), |number| {
        oldest + scattered(number) % ((LIFE_DAYS - 2) * DAY_MS)
    })?;
    let resident_empty = {
        let empty = place.beside("empty")?;
        let (daemon, _) = empty.start_ready()?;
        let resident = process::resident(daemon.pid());
        daemon.stop()?;
        resident
    };
    let (mut bare, mut crawl, mut find, mut running) =
        (Duration::MAX, Duration::MAX, None::<Took>, None);
    let mut crawl_cpu = Duration::ZERO;
    for _ in 0..bench.scale().rounds {
        let begun = Instant::now();
        let count = walk::count(&place.root())?;
        anyhow::ensure!(count == files, "the tree has {count} files");
        bare = bare.min(begun.elapsed());
        let took = peers::find(&place.root(), &["-type", "f", "-printf", "%p %s %T@\n"])?;
        anyhow::ensure!(took.lines == files, "find prints {} lines", took.lines);
        find = Some(find.filter(|best| best.wall <= took.wall).unwrap_or(took));
        if let Some(daemon) = running.take() {
            Daemon::stop(daemon)?;
            place.forget()?;
        }
        let (daemon, took) = place.start_ready()?;
        if took < crawl {
            crawl = took;
            crawl_cpu = process::Seen::default().until(&daemon.seen()).cpu;
        }
        running = Some(daemon);
    }
    let daemon = running.context("no round")?;
    let session = Session {
        place,
        tree,
        crawl,
        crawl_cpu,
        bare,
        find: find.context("no round")?,
        resident_empty,
        resident_loaded: process::resident(daemon.pid()),
        daemon,
    };
    Ok(session)
}

/// A number that looks like chance and is the same in each run.
fn scattered(number: u64) -> i64 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as i64
}

fn huge(session: &Session, ready: Duration) -> Row {
    let resident = session.resident_loaded as f64 / 1e9;
    Row::new("10M", "10 M files")
        .ours(format!(
            "{resident:.2} GB, ready {:.2} s",
            ready.as_secs_f64()
        ))
        .budget(
            "≤ 0.9 GB, ready ≤ 5 s",
            resident <= 0.9 && ready <= Duration::from_secs(5),
        )
        .figure("resident_bytes", session.resident_loaded as f64)
        .figure("ready_s", ready.as_secs_f64())
}

//! What is asked for on the command line, and how large everything is then.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

/// The variable that makes this binary a bare reader of the directory that it names.
pub const READER: &str = "LAPSED_BENCH_READER";

/// A file system in memory, on every Linux: what a disk costs does not hide what we cost there.
const MEMORY: &str = "/dev/shm";

/// The variable that makes this binary the pure core alone: what it does, and how often.
pub const CORE: &str = "LAPSED_BENCH_CORE";

const HELP: &str = "\
cargo bench -- [--files 10k,200k,1M,10M] [--only ROW,…] [--dir DIR]… [--json FILE]

  --files SIZES  trees of so many files (default: 10k,200k); LAPSED_BENCH_FILES
  --only ROWS    only rows whose key contains one of these words; LAPSED_BENCH_ONLY
  --dir DIR      where trees and state are made; given again, removals are measured there, too (default: the temporary
                 directory, and /dev/shm); LAPSED_BENCH_DIR, separated by colons
  --json FILE    all figures as JSON, too; LAPSED_BENCH_JSON
  --smoke        tiny counts, nothing judged: what `cargo test` runs

Keys: lateness-idle, lateness-load, visible, memory, crawl, restart, lookup, plan, list, expire, remove-units, remove-job, remove-dirs,
remove-files, remove-files-unleased, remove-files-1, remove-files-10k, remove-one, idle, flat-out, paced, 10M.";

/// What the command line wants.
pub enum Wanted {
    /// This text.
    Help(&'static str),
    /// A filter of `cargo test` that names another test, or a list.
    Nothing,
    /// To be the peer that only counts events in a directory.
    Reader(PathBuf),
    /// To do something with the pure core alone.
    Core(String),
    /// A run.
    Run(Box<Options>),
}

/// A run.
#[derive(Debug)]
pub struct Options {
    /// Sizes of trees.
    pub files: Vec<u64>,
    /// Parts of keys; empty: all rows.
    pub only: Vec<String>,
    /// Where to make things: the first for all rows, the others for removals. Never empty.
    pub dirs: Vec<PathBuf>,
    /// Where to write figures.
    pub json: Option<PathBuf>,
    /// How much of everything.
    pub scale: Scale,
}

impl Options {
    pub fn from_command_line() -> anyhow::Result<Wanted> {
        if let Some(dir) = std::env::var_os(READER) {
            return Ok(Wanted::Reader(dir.into()));
        }
        if let Ok(what) = std::env::var(CORE) {
            return Ok(Wanted::Core(what));
        }
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|argument| argument == "--help") {
            return Ok(Wanted::Help(HELP));
        }
        if !arguments.iter().any(|argument| argument == "--bench") {
            return Ok(as_a_test(&arguments));
        }
        let mut options = Self::from_environment()?;
        let mut dirs = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .with_context(|| format!("{argument} needs a value\n{HELP}"))
            };
            match argument.as_str() {
                "--bench" => {}
                "--smoke" => options.make_small(),
                "--files" => options.files = sizes(value()?)?,
                "--only" => options.only = words(value()?),
                "--dir" => dirs.push(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                unknown => bail!("unknown argument \"{unknown}\"\n{HELP}"),
            }
        }
        if !dirs.is_empty() {
            options.dirs = dirs;
        }
        Ok(Wanted::Run(Box::new(options)))
    }

    fn from_environment() -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            files: sizes(&variable("LAPSED_BENCH_FILES").unwrap_or_else(|| "10k,200k".to_owned()))?,
            only: words(&variable("LAPSED_BENCH_ONLY").unwrap_or_default()),
            dirs: variable("LAPSED_BENCH_DIR").map_or_else(
                || vec![std::env::temp_dir(), MEMORY.into()],
                |dirs| std::env::split_paths(&dirs).collect(),
            ),
            json: variable("LAPSED_BENCH_JSON").map(PathBuf::from),
            scale: Scale::FULL,
        })
    }

    fn make_small(&mut self) {
        self.files = vec![1000];
        self.scale = Scale::SMOKE;
    }
}

/// `cargo test` runs this binary with the arguments of libtest: a filter, and flags of no meaning here.
fn as_a_test(arguments: &[String]) -> Wanted {
    if arguments.iter().any(|argument| argument == "--list") {
        return Wanted::Help("budgets: test");
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !"budgets".contains(filter.as_str())) {
        return Wanted::Nothing;
    }
    let mut options = Options {
        files: Vec::new(),
        only: Vec::new(),
        dirs: vec![std::env::temp_dir()],
        json: None,
        scale: Scale::SMOKE,
    };
    options.make_small();
    Wanted::Run(Box::new(options))
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `10k,1M` as numbers, ascending.
fn sizes(text: &str) -> anyhow::Result<Vec<u64>> {
    let size = |word: &String| -> anyhow::Result<u64> {
        let (digits, unit) = match word.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1000),
            None => word
                .strip_suffix('M')
                .map_or((word.as_str(), 1), |digits| (digits, 1_000_000)),
        };
        let number: u64 = digits
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .with_context(|| format!("\"{word}\" is no size: give 10k, 200k, 1M"))?;
        Ok(number * unit)
    };
    let mut sizes: Vec<u64> = words(text)
        .iter()
        .map(size)
        .collect::<anyhow::Result<_>>()?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Whether speed is judged.
    pub is_judged: bool,
    /// Rounds of what is measured several times.
    pub rounds: usize,
    /// Files with spread deadlines, and the time between two of them.
    pub late_files: u64,
    /// Time between two of them.
    pub late_gap: Duration,
    /// Their time to live.
    pub late_ttl: Duration,
    /// Files written to see when they are visible, and questions asked for a median.
    pub samples: usize,
    /// How long a paced writer writes.
    pub paced: Duration,
    /// How long an idle daemon is watched.
    pub idle: Duration,
    /// Files created flat out in a round.
    pub flat_out: u64,
    /// Files removed at once.
    pub removed: u64,
    /// Files removed each on its own.
    pub alone: u64,
    /// Before files that lapse at once do so: as long as it takes to start a daemon on them.
    pub margin: Duration,
    /// A tree with fewer files than this says more of a process' start than of anything else.
    pub judged_files_min: u64,
}

impl Scale {
    const FULL: Self = Self {
        is_judged: true,
        rounds: 3,
        late_files: 400,
        late_gap: Duration::from_millis(20),
        late_ttl: Duration::from_secs(2),
        samples: 500,
        paced: Duration::from_secs(10),
        idle: Duration::from_secs(20),
        flat_out: 100_000,
        removed: 100_000,
        alone: 200,
        margin: Duration::from_secs(5),
        judged_files_min: 100_000,
    };

    const SMOKE: Self = Self {
        is_judged: false,
        rounds: 1,
        late_files: 20,
        late_gap: Duration::from_millis(5),
        late_ttl: Duration::from_millis(300),
        samples: 20,
        paced: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        flat_out: 500,
        removed: 300,
        alone: 10,
        margin: Duration::from_millis(700),
        judged_files_min: u64::MAX,
    };
}

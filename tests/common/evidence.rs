//! What a run leaves behind, read without the daemon's help: ledger, quarantine, contents, modes and owners.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Daemon, Place, wait_for};

/// The wall clock, in milliseconds.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// The newest of a thing's own timestamps in milliseconds, rounded up as deadlines are.
pub fn newest_ms(meta: &std::fs::Metadata) -> i64 {
    let ceil = |secs: i64, nanos: i64| secs * 1000 + (nanos + 999_999) / 1_000_000;
    let born = meta.created().ok().map_or(0, |born| {
        let born = born.duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(born.as_nanos().div_ceil(1_000_000)).unwrap()
    });
    ceil(meta.mtime(), meta.mtime_nsec())
        .max(ceil(meta.ctime(), meta.ctime_nsec()))
        .max(born)
}

/// An instant of the ledger or of an answer, in milliseconds.
pub fn ms(instant: &Value) -> i64 {
    let text = instant.as_str().unwrap();
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Every line of the ledger, oldest segment first. What is not whole at the end is being written, or was torn
/// by a crash: the next start cuts it off.
pub fn ledger(place: &Place) -> Vec<Value> {
    let mut segments: Vec<PathBuf> = std::fs::read_dir(place.path("state/ledger"))
        .map(|dir| dir.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    segments.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    segments.sort();
    let mut lines = Vec::new();
    for segment in segments {
        let mut text = std::fs::read_to_string(&segment).unwrap();
        // A line may be half written just now.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        lines.extend(text.lines().map(|line| {
            serde_json::from_str::<Value>(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", segment.display()))
        }));
    }
    lines
}

/// The ledger's lines by path.
pub fn ledger_by_path(place: &Place) -> BTreeMap<PathBuf, Vec<Value>> {
    let mut by_path: BTreeMap<PathBuf, Vec<Value>> = BTreeMap::new();
    for line in ledger(place) {
        by_path.entry(super::path_of(&line)).or_default().push(line);
    }
    by_path
}

/// What the ledger says about `path`: the results, oldest first.
pub fn results(by_path: &BTreeMap<PathBuf, Vec<Value>>, path: &Path) -> Vec<String> {
    let lines = by_path.get(path).map_or(&[][..], Vec::as_slice);
    lines
        .iter()
        .map(|line| line["result"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the ledger has a line about each of `paths`: names go first, and are recorded then.
#[track_caller]
pub fn wait_until_recorded(place: &Place, paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<Value>> {
    wait_for("the ledger tells", || {
        let by_path = ledger_by_path(place);
        paths
            .iter()
            .all(|path| by_path.contains_key(path))
            .then_some(by_path)
    })
}

/// Every line was about something whose time had passed.
#[track_caller]
pub fn assert_never_early(place: &Place, ttl_ms: impl Fn(&Path) -> i64) {
    for line in ledger(place) {
        let (at, basis, deadline) = (ms(&line["at"]), ms(&line["basis"]), ms(&line["deadline"]));
        let path = super::path_of(&line);
        assert_eq!(deadline, basis + ttl_ms(&path), "{line}");
        assert!(at >= deadline, "early: {line}");
        assert!(line["late_ms"].as_i64().unwrap() >= 0, "early: {line}");
    }
}

/// The names in the quarantine of `root`.
pub fn quarantine(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root.join(".lapsed"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        // Notes on displaced things.
        .filter(|name| !name.ends_with(".origin") && !name.ends_with(".origin.new"))
        .collect();
    names.sort();
    names
}

/// Waits until nothing lies in the quarantine of `root` but what is displaced.
#[track_caller]
pub fn wait_until_settled(root: &Path) {
    wait_for("the quarantine is empty", || {
        quarantine(root)
            .iter()
            .all(|name| name.starts_with("displaced-"))
            .then_some(())
    });
}

/// What a person set on a thing, and what it is: nothing of that is ours to change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marks {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub link: Option<PathBuf>,
    /// The content of a regular file, and when it and the inode were last changed.
    pub content: Option<(Vec<u8>, i64, i64)>,
}

/// Everything below `top`, the quarantine's content as well, with modes, owners and contents.
pub fn census(top: &Path) -> BTreeMap<PathBuf, Marks> {
    let mut found = BTreeMap::new();
    let mut open = vec![top.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(meta) = path.symlink_metadata() else {
                continue;
            };
            if meta.is_dir() {
                open.push(path.clone());
            }
            let nanos = |secs: i64, nanos: i64| secs * 1_000_000_000 + nanos;
            let marks = Marks {
                mode: meta.mode(),
                uid: meta.uid(),
                gid: meta.gid(),
                link: meta
                    .is_symlink()
                    .then(|| std::fs::read_link(&path).ok())
                    .flatten(),
                content: meta.is_file().then(|| {
                    (
                        std::fs::read(&path).unwrap_or_default(),
                        nanos(meta.mtime(), meta.mtime_nsec()),
                        nanos(meta.ctime(), meta.ctime_nsec()),
                    )
                }),
            };
            found.insert(path, marks);
        }
    }
    found
}

/// The contents of all regular files below `top`, sorted.
pub fn contents(top: &Path) -> Vec<String> {
    let mut contents: Vec<String> = census(top)
        .into_values()
        .filter_map(|marks| marks.content)
        .map(|(bytes, ..)| String::from_utf8(bytes).unwrap())
        .collect();
    contents.sort();
    contents
}

/// What `GET /v1/status` says of holds: code to count and reason.
pub fn holds(daemon: &Daemon) -> BTreeMap<String, (u64, String)> {
    let (_, status) = daemon.get("/v1/status");
    status["holds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hold| {
            (
                hold["code"].as_str().unwrap().to_owned(),
                (
                    hold["count"].as_u64().unwrap(),
                    hold["why"].as_str().unwrap().to_owned(),
                ),
            )
        })
        .collect()
}

/// `lapsed explain PATH`, as a person reads it.
pub fn explained(place: &Place, path: &Path) -> String {
    let output = place.run(&["explain", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", super::errors(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A seed from the environment, or a new one; told when the test fails.
pub struct Seed(pub u64);

impl Seed {
    pub fn from_env(variable: &str) -> Self {
        let given = std::env::var(variable).ok();
        Self(given.map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap()))
    }

    pub fn rng(&self, salt: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.0 ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the seed was {}", self.0);
        }
    }
}

/// What a daemon knows about what is due and stays, for the message of a failed test.
pub fn stays(daemon: &Daemon) -> String {
    let (_, status) = daemon.get("/v1/status");
    let (_, plan) = daemon.get("/v1/plan?within=0s");
    let overdue = |(path, entry): (PathBuf, Value)| {
        let due = entry["deadline"].as_str().is_some() && ms(&entry["deadline"]) <= now_ms();
        due.then(|| format!("{}: {}", path.display(), entry["hold"]))
    };
    let files: Vec<String> = daemon.files("").into_iter().filter_map(overdue).collect();
    format!(
        "holds: {:#}\nroots: {:#}\nplan: {}\noverdue: {files:#?}",
        status["holds"], status["roots"], plan["groups"]
    )
}

/// Everything at and below `path`, with what tells that it was written: kind, inode, times, content. Access times are left out,
/// and so is what any reader does to the log of an SQLite database: it takes part in its shared memory, and root gives both files
/// to the database's owner.
pub fn snapshot(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with("-shm") {
            continue;
        }
        let meta = path.symlink_metadata().unwrap();
        let mut content = Vec::new();
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            content = std::fs::read(&path).unwrap();
        }
        let changed = (!name.ends_with("-wal")).then(|| (meta.ctime(), meta.ctime_nsec()));
        let times = (meta.mtime(), meta.mtime_nsec(), changed);
        let what = format!("{:o} {} {times:?} {content:?}", meta.mode(), meta.ino());
        found.insert(path, what);
    }
    found
}

/// Nothing at or below `path` is other than it was when `before` was taken.
#[track_caller]
pub fn assert_untouched(path: &Path, before: &BTreeMap<PathBuf, String>, what: &str) {
    let after = snapshot(path);
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = paths
        .iter()
        .filter(|path| before.get(**path) != after.get(**path));
    let tell = |of: &BTreeMap<PathBuf, String>, path: &Path| {
        let found = of.get(path).map_or("nothing", |text| text);
        found.chars().take(200).collect::<String>()
    };
    let changed: Vec<_> = changed
        .map(|path| {
            format!(
                "{path:?}:\n  {}\n  {}",
                tell(before, path),
                tell(&after, path)
            )
        })
        .collect();
    assert!(
        changed.is_empty(),
        "{what} has changed {}",
        changed.join("\n")
    );
}

//! Trees for tests: independent walks, timestamps, and namespaces in which a test may mount and limit what it likes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use serde_json::Value;

use super::machine::{has_namespaces, this_test};
use super::{Daemon, Place, path_of, wait_for};

/// What index and walk have to agree on about a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    pub size: u64,
    /// Rounded up: a deadline must not come early by the rounding.
    pub mtime_ms: i64,
}

/// How many differences a failure shows.
const SHOWN_MAX: usize = 12;

/// Regular files below `root` by an independent walk. What is ours (`.lapsed` at the top) and what is in `hidden` is left out.
pub fn known_by_walk(root: &Path, hidden: &[PathBuf]) -> BTreeMap<PathBuf, Known> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
        for entry in entries {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if hidden.contains(&path) || path == root.join(".lapsed") {
                continue;
            }
            if meta.is_dir() {
                open.push(path);
            } else if meta.is_file() {
                let size = meta.len();
                let mtime_ms = ceil_ms(meta.mtime(), meta.mtime_nsec());
                files.insert(path, Known { size, mtime_ms });
            }
        }
    }
    files
}

/// Regular files below `root` as the daemon knows them.
pub fn known_by_index(daemon: &Daemon, root: &Path) -> BTreeMap<PathBuf, Known> {
    let mut files = BTreeMap::new();
    for (path, entry) in daemon.files("") {
        if path.starts_with(root) {
            let size = entry["size"].as_u64().unwrap();
            let mtime_ms = instant_ms(&entry["mtime"]);
            files.insert(path, Known { size, mtime_ms });
        }
    }
    files
}

/// After a sync the index knows exactly what a walk finds, with sizes and times. Nobody must be changing `root` meanwhile.
#[track_caller]
pub fn assert_agrees(daemon: &Daemon, root: &Path, what: &str) -> BTreeMap<PathBuf, Known> {
    assert_agrees_but(daemon, root, &[], what)
}

/// As [`assert_agrees`], where `hidden` is not for the index to see.
#[track_caller]
pub fn assert_agrees_but(
    daemon: &Daemon,
    root: &Path,
    hidden: &[PathBuf],
    what: &str,
) -> BTreeMap<PathBuf, Known> {
    daemon.sync();
    let (index, walk) = (known_by_index(daemon, root), known_by_walk(root, hidden));
    if index == walk {
        return walk;
    }
    let mut text = format!(
        "{what}: the index has {} files, the walk {}\n",
        index.len(),
        walk.len()
    );
    let paths: std::collections::BTreeSet<_> = index.keys().chain(walk.keys()).collect();
    let differ = paths
        .into_iter()
        .filter(|path| index.get(*path) != walk.get(*path));
    for path in differ.take(SHOWN_MAX) {
        let (index, walk) = (index.get(path), walk.get(path));
        let _ = writeln!(text, "  {path:?}: index {index:?}, walk {walk:?}");
    }
    panic!("{text}");
}

/// A daemon with the configuration `text`.
pub fn configured(place: &Place, text: &str) -> Daemon {
    let config = place.config(text);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    daemon.sync();
    daemon
}

/// As [`write`], changed an hour ago: the content of such a file is on the disk.
pub fn write_old(path: &Path, bytes: usize) {
    write(path, bytes);
    let file = std::fs::File::options().append(true).open(path).unwrap();
    let hour = Duration::from_hours(1);
    file.set_modified(SystemTime::now() - hour).unwrap();
}

/// Writes `bytes` bytes to the file at `path`, in directories that are made when they are not there.
pub fn write(path: &Path, bytes: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![b'x'; bytes]).unwrap();
}

/// Everything below `dir`, whatever it is, so that two of these differ when anything was touched.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u64, u32, u64, i64, i64, i64)> {
    let mut all = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let (ctime, mtime) = (
            meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
            meta.mtime(),
        );
        let seen = (
            meta.ino(),
            meta.mode(),
            meta.nlink(),
            ctime,
            mtime,
            meta.mtime_nsec(),
        );
        all.insert(path, seen);
    }
    all
}

/// An instant of an answer, in milliseconds since 1970.
#[track_caller]
pub fn instant_ms(value: &Value) -> i64 {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("no instant: {value}"));
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// The wall clock, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// The newest of a file's own timestamps, in milliseconds, rounded up.
pub fn newest_ms(meta: &Metadata) -> i64 {
    let born = meta.created().map_or(0, |born| {
        let since = born.duration_since(UNIX_EPOCH).unwrap();
        ceil_ms(
            i64::try_from(since.as_secs()).unwrap(),
            i64::from(since.subsec_nanos()),
        )
    });
    ceil_ms(meta.mtime(), meta.mtime_nsec())
        .max(ceil_ms(meta.ctime(), meta.ctime_nsec()))
        .max(born)
}

fn ceil_ms(secs: i64, nanos: i64) -> i64 {
    secs * 1000 + (nanos + 999_999) / 1_000_000
}

/// `touch -d`: sets the times of what stands at `path` without opening it.
pub fn set_age(path: &Path, age: Duration) -> std::io::Result<()> {
    let secs = now_ms() / 1000 - i64::try_from(age.as_secs()).unwrap();
    let time = Timespec {
        tv_sec: secs,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// Every removal that the ledger tells of, oldest first, with the path as it really is.
pub fn removals(daemon: &Daemon) -> Vec<(PathBuf, Value)> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = daemon.get(&format!("/v1/history?limit=10000{cursor}"));
        assert_eq!(status, 200, "{page}");
        all.extend(page["removals"].as_array().unwrap().iter().cloned());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    all.into_iter().map(|line| (path_of(&line), line)).collect()
}

/// What `status` says about the root named `name`.
pub fn root_status(daemon: &Daemon, name: &str) -> Value {
    let (_, status) = daemon.get("/v1/status");
    let roots = status["roots"].as_array().unwrap();
    let root = roots.iter().find(|root| root["name"] == name);
    root.unwrap_or_else(|| panic!("no root {name}: {status}"))
        .clone()
}

/// The watches in `status`.
pub fn watches(daemon: &Daemon) -> Value {
    daemon.get("/v1/status").1["watches"].clone()
}

/// Returns true when the calling test, `test`, is in namespaces of its own. Else it runs it there.
#[track_caller]
pub fn alone(namespaces: &[&str], test: &str) -> bool {
    assert!(this_test().ends_with(test));
    has_namespaces(namespaces)
}

/// A mount; unmounted when it is dropped.
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    pub fn tmpfs(at: &Path) -> Self {
        Self::mount(&["-t", "tmpfs", "none"].map(OsStr::new), at)
    }

    /// A new ext4 of `size` (as of `truncate`) in the file `image`.
    pub fn ext4(image: &Path, size: &str, at: &Path) -> Self {
        for (program, arguments) in [
            ("truncate", &["-s", size][..]),
            ("mkfs.ext4", &["-q", "-m", "0"][..]),
        ] {
            let mut command = Command::new(program);
            let status = command.args(arguments).arg(image).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "{program} (packages coreutils, e2fsprogs)"
            );
        }
        assert!(
            super::machine::is_root(),
            "this test mounts a file system by a loop device: run it as root"
        );
        Self::mount(&["-o".as_ref(), "loop".as_ref(), image.as_os_str()], at)
    }

    pub fn bind(from: &Path, at: &Path) -> Self {
        Self::mount(&["--bind".as_ref(), from.as_os_str()], at)
    }

    /// Unmounts, as soon as nobody has anything open in it: nobody may keep it busy for long.
    #[track_caller]
    pub fn unmount(self) {
        wait_for(&format!("{} is not busy", self.at.display()), || {
            let output = Command::new("umount").arg(&self.at).output().unwrap();
            output.status.success().then_some(())
        });
        std::mem::forget(self);
    }

    fn mount(arguments: &[&OsStr], at: &Path) -> Self {
        let mut command = Command::new("mount");
        let status = command.args(arguments).arg(at).status().unwrap();
        assert!(status.success(), "mount {arguments:?} {at:?}");
        Self {
            at: at.to_path_buf(),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let lazily = Command::new("umount").arg("--lazy").arg(&self.at).status();
        drop(lazily);
    }
}

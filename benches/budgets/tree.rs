//! Trees of files: made fast, and the same each time.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

/// Files of a directory, where a row does not say otherwise.
pub const PER_DIR: u64 = 100;

/// Bytes of a file: something that the file system has to free.
const CONTENT: [u8; 64] = [b'x'; 64];

/// How directories lie in a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A hundred directories in each directory of the top level.
    Nested,
    /// All at the top level.
    Flat,
    /// All in one directory of the top level.
    UnderOne,
}

/// The directory of [`Shape::UnderOne`].
pub const ONE: &str = "one";

/// A tree.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    pub files: u64,
    pub per_dir: u64,
    pub shape: Shape,
    pub has_content: bool,
}

impl Tree {
    pub fn dirs(self) -> u64 {
        self.files.div_ceil(self.per_dir)
    }

    /// The path of directory `number` below the root.
    pub fn dir(self, number: u64) -> PathBuf {
        match self.shape {
            Shape::Nested => format!("p{:04}/d{number:06}", number / 100).into(),
            Shape::Flat => format!("d{number:06}").into(),
            Shape::UnderOne => format!("{ONE}/d{number:06}").into(),
        }
    }

    /// Makes it below `root`; `mtime_ms` gives each file's time by its number, and directories get the time of their last.
    pub fn make(self, root: &Path, mtime_ms: impl Fn(u64) -> i64 + Sync) -> anyhow::Result<()> {
        let half = self.dirs().div_ceil(2);
        let make = |from: u64, to: u64| -> anyhow::Result<()> {
            (from..to).try_for_each(|number| self.make_dir(root, number, &mtime_ms))
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| make(0, half));
            make(half, self.dirs())?;
            first
                .join()
                .map_err(|_| anyhow::anyhow!("a maker of trees panicked"))?
        })
    }

    fn make_dir(
        self,
        root: &Path,
        number: u64,
        mtime_ms: &impl Fn(u64) -> i64,
    ) -> anyhow::Result<()> {
        let path = root.join(self.dir(number));
        std::fs::create_dir_all(&path)?;
        let dir = open_dir(&path)?;
        let first = number * self.per_dir;
        let mut last_ms = 0;
        for file in first..(first + self.per_dir).min(self.files) {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&dir, name(file), flags, Mode::from_raw_mode(0o644))?;
            if self.has_content {
                rustix::io::write(&fd, &CONTENT)?;
            } else {
                // A size without blocks.
                rustix::fs::ftruncate(&fd, file % 10_000)?;
            }
            last_ms = mtime_ms(file);
            rustix::fs::futimens(&fd, &times(last_ms))?;
        }
        rustix::fs::futimens(&dir, &times(last_ms))?;
        Ok(())
    }

    /// Gives each file the time `mtime_ms` of its number, and each directory the time of its last file.
    pub fn set_times(self, root: &Path, mtime_ms: impl Fn(u64) -> i64) -> anyhow::Result<()> {
        for number in 0..self.dirs() {
            let dir = open_dir(&root.join(self.dir(number)))?;
            let first = number * self.per_dir;
            let mut last_ms = 0;
            for file in first..(first + self.per_dir).min(self.files) {
                last_ms = mtime_ms(file);
                set_time(&dir, name(file), last_ms)?;
            }
            rustix::fs::futimens(&dir, &times(last_ms))?;
        }
        Ok(())
    }

    /// The path of file `number` below the root.
    pub fn file(self, number: u64) -> PathBuf {
        self.dir(number / self.per_dir).join(name(number))
    }
}

/// Twenty characters.
pub fn name(file: u64) -> String {
    format!("{file:011}-file.dat")
}

pub fn set_time(
    dir: impl rustix::fd::AsFd,
    name: impl rustix::path::Arg,
    mtime_ms: i64,
) -> anyhow::Result<()> {
    Ok(rustix::fs::utimensat(
        dir,
        name,
        &times(mtime_ms),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn open_dir(path: &Path) -> anyhow::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn times(ms: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: ms.div_euclid(1000),
        tv_nsec: ms.rem_euclid(1000) * 1_000_000,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// The wall clock, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    now().as_millis() as i64
}

/// The wall clock since 1970.
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

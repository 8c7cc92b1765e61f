//! Names of the cache in the state directory.
//!
//! | name | contents |
//! | --- | --- |
//! | `store` | the database |
//! | `store.new`, `store.old` | a smaller copy before the swap, and what it replaces |
//! | `store.damaged-…` | a database that was set aside, with the time in milliseconds |
//! | `store.roots`, `store.roots.new` | list of known roots (`known`), and the next one |
//! | `store.opening` | weight of the consecutive starts that ended while the database was opened |
//!
//! **Invariant:** this module never removes a file that it has not created.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;

/// Number of damaged databases that are kept for analysis.
const ASIDE_MAX: usize = 2;

/// Weight of consecutive starts that ended while the database was opened, from which it counts as
/// damaged. A start weighs 1: it may have been killed by a supervisor, or with the machine. So many
/// of them are needed to set aside a sound database.
const SUSPECT_WEIGHT: u32 = 20;

/// Time after which a start weighs more: a sound database is open within seconds.
const LONG: Duration = Duration::from_secs(10);
const LONG_WEIGHT: u32 = 4;

const DAMAGED: &str = "store.damaged-";

/// Paths of the cache.
#[derive(Clone, Debug)]
pub(super) struct CacheFiles {
    state_dir: PathBuf,
}

impl CacheFiles {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_path_buf(),
        }
    }

    /// Returns the path of the database.
    pub(super) fn cache(&self) -> PathBuf {
        self.state_dir.join("store")
    }

    /// Copies the database into a private temporary directory, which is removed on drop.
    pub(super) fn copy(&self) -> io::Result<tempfile::TempDir> {
        let copy = tempfile::Builder::new().prefix("lapsed-").tempdir()?;
        copy_files(&self.cache(), copy.path())?;
        Ok(copy)
    }

    /// Returns the path of the list of known roots.
    pub(super) fn known(&self) -> PathBuf {
        self.state_dir.join("store.roots")
    }

    /// Returns true if anything is at the path of the database, even a dangling link.
    pub(super) fn is_taken(&self) -> bool {
        self.cache().symlink_metadata().is_ok()
    }

    /// Returns the path of a copy that will replace it.
    pub(super) fn new_copy(&self) -> PathBuf {
        self.state_dir.join("store.new")
    }

    fn old_copy(&self) -> PathBuf {
        self.state_dir.join("store.old")
    }

    fn opening(&self) -> PathBuf {
        self.state_dir.join("store.opening")
    }

    /// Completes a swap that a crash has cut off: the database that was in place last is the cache.
    pub(super) fn tidy(&self) -> io::Result<()> {
        if !self.is_taken() && self.old_copy().is_dir() {
            rename(&self.old_copy(), &self.cache())?;
        }
        for left_over in [self.new_copy(), self.old_copy()] {
            match left_over.symlink_metadata() {
                Ok(meta) if meta.is_dir() => remove_dir(&left_over)?,
                // This module has not created it.
                Ok(_) => drop(self.move_aside(&left_over)?),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Replaces the database by the copy. Both must be closed.
    pub(super) fn swap(&self) -> io::Result<()> {
        rename(&self.cache(), &self.old_copy())?;
        rename(&self.new_copy(), &self.cache())?;
        remove_dir(&self.old_copy())
    }

    /// Removes an unfinished copy.
    pub(super) fn drop_new(&self) -> io::Result<()> {
        remove_dir(&self.new_copy())
    }

    /// Sets the database aside, and returns its new path.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        self.move_aside(&self.cache())
    }

    fn move_aside(&self, from: &Path) -> io::Result<PathBuf> {
        let mut ms = clock::now().wall.unix_ms();
        let mut to = self.aside(ms);
        while to.symlink_metadata().is_ok() {
            ms += 1;
            to = self.aside(ms);
        }
        rename(from, &to)?;
        let mut aside: Vec<PathBuf> = fs::read_dir(&self.state_dir)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let is_ours = entry.file_name().to_str()?.starts_with(DAMAGED);
                is_ours.then(|| entry.path())
            })
            .collect();
        aside.sort();
        while aside.len() > ASIDE_MAX {
            let oldest = aside.remove(0);
            let _ = remove_dir(&oldest).or_else(|_| remove_file(&oldest));
        }
        Ok(to)
    }

    fn aside(&self, ms: i64) -> PathBuf {
        self.state_dir.join(format!("{DAMAGED}{ms:015}"))
    }

    /// Records that the database is being opened, until the returned value is dropped.
    pub(super) fn begin_opening(&self) -> Opening {
        self.begin_opening_that_is_long_after(LONG)
    }

    fn begin_opening_that_is_long_after(&self, long: Duration) -> Opening {
        let file = self.opening();
        let before = fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
            .unwrap_or(0);
        note_weight(&file, before.saturating_add(1));
        let (end, ended) = channel();
        let weighed = file.clone();
        // Without a thread the start weighs as much as one that was killed at once.
        let watch = std::thread::Builder::new()
            .name("cache-opening".to_owned())
            .spawn(move || {
                if ended.recv_timeout(long) == Err(RecvTimeoutError::Timeout) {
                    note_weight(&weighed, before.saturating_add(LONG_WEIGHT));
                }
            })
            .ok();
        Opening {
            file,
            before,
            end,
            watch,
        }
    }
}

/// Record that the database is being opened. A process that dies meanwhile leaves its weight in the
/// file.
pub(super) struct Opening {
    file: PathBuf,
    /// Weight of the starts before.
    before: u32,
    end: Sender<()>,
    watch: Option<JoinHandle<()>>,
}

impl Opening {
    /// Returns true if so many consecutive starts ended there that the database must be the cause:
    /// for example, a damaged length exhausts the memory.
    pub(super) fn is_suspect(&self) -> bool {
        self.before >= SUSPECT_WEIGHT
    }

    /// Called when the database is open, or known to be damaged.
    pub(super) fn end(self) {
        drop(self.end);
        if let Some(watch) = self.watch {
            let _ = watch.join();
        }
        let _ = remove_file(&self.file);
    }
}

fn note_weight(file: &Path, weight: u32) {
    // What follows reports a full disk.
    let _ = fs::write(file, format!("{weight}\n"));
}

/// Copies the files of the directory `from`, recursively, into the directory `to`.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            copy_files(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "these are the cache's own files, in the state directory"
)]
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

#[expect(
    clippy::disallowed_methods,
    reason = "these are the cache's own files, in the state directory"
)]
fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Removes a directory that may be missing.
#[expect(
    clippy::disallowed_methods,
    reason = "these are the cache's own files, in the state directory"
)]
fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins to open, for a short or long time, and is killed.
    fn begin(files: &CacheFiles, is_long: bool) -> bool {
        let long = if is_long {
            Duration::ZERO
        } else {
            Duration::MAX
        };
        let mut opening = files.begin_opening_that_is_long_after(long);
        let is_suspect = opening.is_suspect();
        if let Some(watch) = opening.watch.take_if(|_| is_long) {
            watch.join().unwrap();
        }
        is_suspect
    }

    #[test]
    fn a_few_starts_that_were_killed_at_once_are_no_proof_and_five_long_ones_are() {
        for (is_long, starts) in [(false, SUSPECT_WEIGHT), (true, 5)] {
            let dir = tempfile::tempdir().unwrap();
            let files = CacheFiles::new(dir.path());
            for start in 0..starts {
                assert!(!begin(&files, is_long), "start {start}, long: {is_long}");
            }
            assert!(begin(&files, is_long));
            files.begin_opening().end();
            assert!(!begin(&files, is_long), "it was opened meanwhile");
        }
    }
}

//! The store's directory in the state directory, and what stands beside it.
//!
//! | name | what |
//! | --- | --- |
//! | `store` | the database |
//! | `store.new`, `store.old` | a smaller copy on its way into its place, and what it replaces |
//! | `store.damaged-…` | what was set aside, with the time in milliseconds |
//! | `store.roots` | which roots were known (`known`) |
//! | `store.opening` | how many starts in a row did not come to the end of opening it |
//!
//! **Invariant:** nothing is removed here but what this module made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock;

/// So many damaged stores are kept, for whoever wants to know what happened.
const ASIDE_MAX: usize = 2;

/// After so many starts in a row that ended while it was opened, it is the store's fault.
const OPENINGS_MAX: u32 = 5;

const DAMAGED: &str = "store.damaged-";

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Places {
    state_dir: PathBuf,
}

impl Places {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_path_buf(),
        }
    }

    /// The database.
    pub(super) fn store(&self) -> PathBuf {
        self.state_dir.join("store")
    }

    /// Copies the database into a private temporary directory, which is removed when it is dropped.
    pub(super) fn copy(&self) -> io::Result<tempfile::TempDir> {
        let copy = tempfile::Builder::new().prefix("lapsed-").tempdir()?;
        copy_files(&self.store(), copy.path())?;
        Ok(copy)
    }

    /// Which roots were known.
    pub(super) fn known(&self) -> PathBuf {
        self.state_dir.join("store.roots")
    }

    /// Whether anything is in its place, if only a link to nothing.
    pub(super) fn is_taken(&self) -> bool {
        self.store().symlink_metadata().is_ok()
    }

    /// A copy that is to replace it.
    pub(super) fn new_store(&self) -> PathBuf {
        self.state_dir.join("store.new")
    }

    fn old_store(&self) -> PathBuf {
        self.state_dir.join("store.old")
    }

    fn opening(&self) -> PathBuf {
        self.state_dir.join("store.opening")
    }

    /// Ends what a crash left of a swap: whichever of the two was in its place last is the store.
    pub(super) fn tidy(&self) -> io::Result<()> {
        if !self.is_taken() && self.old_store().is_dir() {
            rename(&self.old_store(), &self.store())?;
        }
        for left_over in [self.new_store(), self.old_store()] {
            match left_over.symlink_metadata() {
                Ok(meta) if meta.is_dir() => remove_dir(&left_over)?,
                // Not of our making.
                Ok(_) => drop(self.move_aside(&left_over)?),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Puts the copy in the store's place. Both are closed.
    pub(super) fn swap(&self) -> io::Result<()> {
        rename(&self.store(), &self.old_store())?;
        rename(&self.new_store(), &self.store())?;
        remove_dir(&self.old_store())
    }

    /// Gives a copy up.
    pub(super) fn drop_new(&self) -> io::Result<()> {
        remove_dir(&self.new_store())
    }

    /// Moves the store out of the way. Where it went.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        self.move_aside(&self.store())
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

    /// Notes that the store is being opened. Whether so many starts in a row have ended there that it must be its fault: killed
    /// for the memory that a damaged length asked for, say.
    pub(super) fn begin_opening(&self) -> bool {
        let before = fs::read_to_string(self.opening())
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
            .unwrap_or(0);
        // A full disk is told by what follows.
        let _ = fs::write(self.opening(), format!("{}\n", before.saturating_add(1)));
        before >= OPENINGS_MAX
    }

    /// The store is open.
    pub(super) fn end_opening(&self) {
        let _ = remove_file(&self.opening());
    }
}

/// Copies the files in the directory `from`, and those of its directories, into the directory `to`.
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
    reason = "these are the store's own files, in the state directory"
)]
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

#[expect(
    clippy::disallowed_methods,
    reason = "these are the store's own files, in the state directory"
)]
fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Removes a directory that may be missing.
#[expect(
    clippy::disallowed_methods,
    reason = "these are the store's own files, in the state directory"
)]
fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

//! Counter of numbers that are never given twice, not even after a crash.
//!
//! **Invariant:** a number is always below a ceiling that is on the disk, and the next start begins
//! at the ceiling.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// Numbers that one synchronous write reserves: few enough for a small gap after a crash, enough
/// for the write to be negligible beside the ledger's own.
const BLOCK: u64 = 4096;

/// Name of the counter's file in the ledger's directory.
const FILE: &str = "next-id";

/// Counter.
#[derive(Debug)]
pub(super) struct Ids {
    dir: PathBuf,
    at: Mutex<Range>,
}

#[derive(Debug)]
struct Range {
    next: u64,
    ceiling: u64,
}

impl Ids {
    /// Continues at the number in the counter's file, or at `floor` if the file is missing or
    /// behind.
    pub(super) fn open(dir: &Path, floor: u64) -> Self {
        let saved = std::fs::read_to_string(dir.join(FILE))
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
            .unwrap_or_default();
        let next = saved.max(floor).max(1);
        Self {
            dir: dir.to_path_buf(),
            at: Mutex::new(Range {
                next,
                ceiling: next,
            }),
        }
    }

    /// Returns the next number, also if the ceiling cannot be saved: the numbers of recorded lines
    /// raise the floor of the next start.
    pub(super) fn take(&self) -> u64 {
        let mut at = self.at.lock();
        if at.next >= at.ceiling {
            let ceiling = at.next + BLOCK;
            match save(&self.dir, ceiling) {
                Ok(()) => at.ceiling = ceiling,
                Err(error) => {
                    tracing::warn!(dir = %self.dir.display(), %error, "cannot save the ledger's counter");
                }
            }
        }
        at.next += 1;
        at.next - 1
    }

    /// Returns the number that the next call of `take` returns.
    pub(super) fn peek(&self) -> u64 {
        self.at.lock().next
    }

    /// Copies the counter's file, if there is one, into the directory `to`.
    pub(super) fn copy_to(&self, to: &Path) -> io::Result<()> {
        match std::fs::read_to_string(self.dir.join(FILE)) {
            Ok(text) => save(to, text.trim().parse().unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Raises the next number to `floor` at least.
    pub(super) fn raise(&self, floor: u64) {
        let mut at = self.at.lock();
        at.next = at.next.max(floor);
    }
}

impl Drop for Ids {
    /// Saves the next number, so that an orderly end leaves no gap.
    fn drop(&mut self) {
        let at = self.at.get_mut();
        if at.ceiling > at.next {
            // On failure the higher ceiling stays: that is a gap, never a number given twice.
            let _ = save(&self.dir, at.next);
        }
    }
}

fn save(dir: &Path, ceiling: u64) -> io::Result<()> {
    let fresh = dir.join("next-id.new");
    let mut file = File::create(&fresh)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{ceiling}")?;
    file.sync_all()?;
    rustix::fs::rename(&fresh, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

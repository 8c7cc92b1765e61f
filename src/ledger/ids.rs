//! Numbers that are never given twice, not even after a crash.
//!
//! **Invariant:** a number is given only below a ceiling that is on the disk; the next start begins at the ceiling.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// So many numbers are reserved by one synchronous write: few enough that a crash makes no ugly gap, enough that the write
/// does not count beside the ledger's own.
const BLOCK: u64 = 4096;

/// The counter's file in the ledger's directory.
const FILE: &str = "next-id";

/// The counter.
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
    /// Continues where the counter's file or, when that is missing or behind, `floor` says.
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

    /// The next number. When the ceiling cannot be saved it is given nevertheless: then nothing can be recorded either, and
    /// nothing is removed under it.
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

    /// The number that the next call would give.
    pub(super) fn peek(&self) -> u64 {
        self.at.lock().next
    }

    /// Gives nothing below `floor` any more.
    pub(super) fn raise(&self, floor: u64) {
        let mut at = self.at.lock();
        at.next = at.next.max(floor);
    }
}

impl Drop for Ids {
    /// An orderly end leaves no gap.
    fn drop(&mut self) {
        let at = self.at.get_mut();
        if at.ceiling > at.next {
            // A failure leaves the higher ceiling: a gap, never a number given twice.
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

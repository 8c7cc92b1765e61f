//! Segments: the files of the ledger.
//!
//! **Invariant:** the name of a segment is always the smallest number that had not been given when
//! it was begun. So a number at or above it is in no older segment.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::backwards::{Backwards, LINE_BYTES_MAX};
use super::error::LedgerError;
use super::line::Line;
use crate::core::time::Timestamp;

/// Suffix of a segment's name.
pub(super) const SUFFIX: &str = ".jsonl";

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The number that is its name: see the invariant of the module.
    pub(super) floor: u64,
    /// Length of its valid part, in bytes.
    pub(super) len: u64,
    /// Smallest and largest number in it; known once it is closed and was read as a whole.
    pub(super) span: Mutex<Option<(u64, u64)>>,
}

impl Segment {
    /// Returns true if any of `ids` can be in it. Exact for a closed segment that was read.
    pub(super) fn may_hold(&self, ids: &BTreeSet<u64>, closed: bool) -> bool {
        match *self.span.lock() {
            Some((least, most)) if closed => ids.range(least..=most).next().is_some(),
            _ => true,
        }
    }

    /// Copies its valid part into the directory `to`. Copies nothing if the file is gone: it was
    /// dropped.
    pub(super) fn copy_to(&self, to: &Path) -> Result<(), LedgerError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(LedgerError::io("open", &self.path)(error)),
        };
        let path = to.join(format!("{:020}{SUFFIX}", self.floor));
        let mut copy = open_for_writing(&path, true)?;
        io::copy(&mut file.take(self.len), &mut copy)
            .and_then(|_| copy.sync_all())
            .map_err(LedgerError::io("copy to", &path))
    }

    /// Calls `each` with every number in it, newest first. Unreadable lines have none.
    pub(super) fn scan(&self, closed: bool, mut each: impl FnMut(u64)) -> Result<(), LedgerError> {
        let Some(mut reader) = Backwards::open(&self.path, self.len)? else {
            return Ok(());
        };
        let mut span: Option<(u64, u64)> = None;
        while let Some(line) = reader.next_line()? {
            if let Some(id) = line.id() {
                span = Some(span.map_or((id, id), |(a, b)| (a.min(id), b.max(id))));
                each(id);
            }
        }
        if closed {
            // A span that matches nothing.
            *self.span.lock() = Some(span.unwrap_or((u64::MAX, u64::MAX)));
        }
        Ok(())
    }
}

/// Lists the segments in `dir`, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<Segment>, LedgerError> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(LedgerError::io("read", dir))? {
        let entry = entry.map_err(LedgerError::io("read", dir))?;
        let name = entry.file_name();
        let floor = name
            .to_str()
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|floor| floor.parse::<u64>().ok());
        if let Some(floor) = floor {
            let path = entry.path();
            let len = entry
                .metadata()
                .map_err(LedgerError::io("look at", &path))?
                .len();
            segments.push(Segment {
                path,
                floor,
                len,
                span: Mutex::new(None),
            });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.floor);
    Ok(segments)
}

/// Returns the length of the segment at `path` without a torn end, and the number of its last
/// line. A crash can leave a torn line, blocks of zeros, or further lines of a removal without the
/// one that decides.
pub(super) fn whole_lines(path: &Path, len: u64) -> Result<(u64, Option<u64>), LedgerError> {
    let file = File::open(path).map_err(LedgerError::io("open", path))?;
    let mut last = [0];
    if len > 0 {
        file.read_exact_at(&mut last, len - 1)
            .map_err(LedgerError::io("read", path))?;
    }
    let (mut start, mut is_ended) = (len, last == *b"\n");
    let Some(mut reader) = Backwards::open(path, len)? else {
        return Ok((len, None));
    };
    while let Some(line) = reader.next_line()? {
        // A line ends where the one that was returned before it begins; the last one must end
        // with a newline.
        let after = std::mem::replace(&mut start, line.offset);
        if let (true, Some(id)) = (is_ended, line.id()) {
            return Ok((after, Some(id)));
        }
        is_ended = true;
    }
    Ok((0, None))
}

/// Cuts off the torn end of the segment at `path`. Returns as [`whole_lines`].
pub(super) fn cut_torn(path: &Path, len: u64) -> Result<(u64, Option<u64>), LedgerError> {
    let (end, newest) = whole_lines(path, len)?;
    if end < len {
        tracing::warn!(
            segment = %path.display(),
            bytes = len - end,
            "the ledger ended with a torn line: cut off"
        );
        cut(path, end).map_err(LedgerError::io("cut", path))?;
    }
    Ok((end, newest))
}

pub(super) fn cut(path: &Path, len: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

pub(super) fn largest_id(segments: &[Segment]) -> Result<Option<u64>, LedgerError> {
    let mut largest = None;
    if let Some(last) = segments.last() {
        last.scan(false, |id| largest = largest.max(Some(id)))?;
    }
    Ok(largest)
}

pub(super) fn open_for_writing(path: &Path, create: bool) -> Result<File, LedgerError> {
    OpenOptions::new()
        .write(true)
        .create_new(create)
        .mode(0o600)
        .open(path)
        .map_err(LedgerError::io("open", path))
}

/// Returns the instant of the first line of a segment; `None` if it has no readable line.
pub(super) fn first_at(path: &Path) -> Option<Timestamp> {
    use std::io::{BufRead, BufReader, Read};
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?.take(LINE_BYTES_MAX as u64))
        .read_until(b'\n', &mut line)
        .ok()?;
    serde_json::from_slice::<Line>(&line)
        .ok()
        .map(|line| line.at)
}

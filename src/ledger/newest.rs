//! The ledger's lines, newest first, over all segments.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::backwards::{Backwards, LINE_BYTES_MAX, RawLine};
use super::error::LedgerError;
use super::line::Line;
use super::segment::{Segment, list};
use crate::core::time::Timestamp;

/// What is read and what is still to be read.
pub(super) struct NewestFirst {
    /// What is still to be read; the last one first.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Whether the last one of them is appended to no more.
    pub(super) closed: bool,
    pub(super) reader: Option<Backwards>,
    /// The line after which the answer begins, until it was found.
    pub(super) before: Option<u64>,
}

/// Returns when the last removal in the ledger at `dir` happened; `None`: it has none. Writes nothing.
///
/// # Errors
/// When the directory cannot be read.
pub fn last_removal(dir: &Path) -> Result<Option<Timestamp>, LedgerError> {
    let segments = match list(dir) {
        Ok(segments) => segments,
        Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut lines = NewestFirst {
        segments: segments.into_iter().map(Arc::new).collect(),
        closed: false,
        reader: None,
        before: None,
    };
    // As `Ledger::open`: pins are set whatever the clock says, and a torn line at the end is none.
    let last = lines.find(|line| line.as_ref().is_ok_and(|line| line.pin.is_none()));
    Ok(last.and_then(Result::ok).map(|line| line.at))
}

impl Iterator for NewestFirst {
    type Item = Result<Line, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.reader.is_none() {
                match self.open_next()? {
                    Ok(reader) => self.reader = reader,
                    Err(error) => return Some(Err(error)),
                }
            }
            let Some(reader) = &mut self.reader else {
                continue;
            };
            match reader.next_line() {
                Ok(None) => self.reader = None,
                Ok(Some(line)) => match self.before {
                    None => return Some(decode(&line, reader.path())),
                    Some(before) => {
                        if line.id() == Some(before) {
                            self.before = None;
                        }
                    }
                },
                Err(error) => {
                    // This segment cannot be read any further; the older ones perhaps can.
                    self.reader = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A line, or why it cannot be read: the lines before it can.
fn decode(line: &RawLine, path: &Path) -> Result<Line, LedgerError> {
    if line.is_too_long {
        return Err(LedgerError::LongLine {
            path: path.to_path_buf(),
            offset: line.offset,
            limit: LINE_BYTES_MAX,
        });
    }
    serde_json::from_slice(&line.bytes).map_err(|error| LedgerError::BadLine {
        path: path.to_path_buf(),
        offset: line.offset,
        reason: error.to_string(),
    })
}

impl NewestFirst {
    /// Opens the next older segment that matters.
    fn open_next(&mut self) -> Option<Result<Option<Backwards>, LedgerError>> {
        let segment = self.segments.pop()?;
        let closed = std::mem::replace(&mut self.closed, true);
        if let Some(before) = self.before {
            let ids = BTreeSet::from([before]);
            let mut found = false;
            let scanned = segment
                .may_hold(&ids, closed)
                .then(|| segment.scan(closed, |id| found |= id == before));
            if let Some(Err(error)) = scanned {
                return Some(Err(error));
            }
            if !found {
                if segment.floor <= before {
                    self.segments.clear();
                }
                return Some(Ok(None));
            }
        }
        Some(Backwards::open(&segment.path, segment.len))
    }
}

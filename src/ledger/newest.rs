//! The ledger's lines, newest first, over all segments.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::backwards::{Backwards, Head};
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
                Ok(Some((offset, line))) => match self.before {
                    None => {
                        let bad = |error: serde_json::Error| LedgerError::BadLine {
                            path: reader.path().to_path_buf(),
                            offset,
                            reason: error.to_string(),
                        };
                        return Some(serde_json::from_slice(&line).map_err(bad));
                    }
                    Some(before) => {
                        if serde_json::from_slice::<Head>(&line).is_ok_and(|head| head.id == before)
                        {
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

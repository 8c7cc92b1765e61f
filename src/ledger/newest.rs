//! The ledger's lines, newest first, over all segments.
//!
//! **Invariant:** what one reader has read up to a [`Cursor`] is not read again by the next one.

use std::cmp::Ordering;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::backwards::{Backwards, LINE_BYTES_MAX, RawLine};
use super::error::LedgerError;
use super::line::Line;
use super::segment::{Segment, list};
use crate::core::time::Timestamp;
use crate::core::totals::{Cursor, Totals};

/// What is read and what is still to be read.
#[derive(Debug)]
pub struct NewestFirst {
    /// What is still to be read; the last one first.
    segments: Vec<Arc<Segment>>,
    /// The segment that is read, and its number.
    reader: Option<(u64, Backwards)>,
    /// Where the first segment's part that is wanted ends, when that is not its end.
    before: Option<Cursor>,
    /// Where the part of the oldest segment begins that is wanted.
    from: u64,
    /// Before the line that was given last, and how long that is.
    last: Option<(Cursor, u64)>,
    bytes_read: u64,
}

/// The lines of one segment from a place on.
#[derive(Debug)]
pub struct Stretch {
    segment: Arc<Segment>,
    from: u64,
}

impl Stretch {
    /// What of `segments`, oldest first, comes after the place `from`.
    pub(super) fn all_after(segments: Vec<Arc<Segment>>, from: Option<Cursor>) -> Vec<Self> {
        let number = |segment: &Segment| from.map(|from| from.segment.cmp(&segment.floor));
        let stretches = segments.into_iter().filter_map(|segment| {
            let begin = match number(&segment) {
                None | Some(Ordering::Less) => 0,
                Some(Ordering::Equal) => from.map_or(0, |from| from.offset),
                Some(Ordering::Greater) => return None,
            };
            Some(Self {
                from: begin.min(segment.len),
                segment,
            })
        });
        stretches.collect()
    }

    /// Whether there are no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from >= self.segment.len
    }

    /// The place behind the last line.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor {
            segment: self.segment.floor,
            offset: self.segment.len,
        }
    }

    /// The sums of its lines. What cannot be read counts as nothing: the history tells of it.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let lines = NewestFirst {
            from: self.from,
            ..NewestFirst::new(vec![Arc::clone(&self.segment)], None)
        };
        let mut totals = Totals::default();
        for line in lines.filter_map(Result::ok) {
            totals.add_line(&line);
        }
        totals
    }
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
    let mut lines = NewestFirst::new(segments.into_iter().map(Arc::new).collect(), None);
    // As `Ledger::open`: pins are set whatever the clock says, and a torn line at the end is none.
    let last = lines.find(|line| line.as_ref().is_ok_and(|line| line.pin.is_none()));
    Ok(last.and_then(Result::ok).map(|line| line.at))
}

impl Iterator for NewestFirst {
    type Item = Result<Line, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.next_raw()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let path = self.reader.as_ref().map(|(_, reader)| reader.path());
        Some(decode(&line, path.unwrap_or(Path::new(""))))
    }
}

impl NewestFirst {
    /// Reads `segments`, oldest first, from their end or from `before`.
    pub(super) fn new(mut segments: Vec<Arc<Segment>>, before: Option<Cursor>) -> Self {
        if let Some(cursor) = before {
            segments.retain(|segment| segment.floor <= cursor.segment);
        }
        Self {
            segments,
            reader: None,
            before,
            from: 0,
            last: None,
            bytes_read: 0,
        }
    }

    /// The place before the line that was given last: where another reader goes on.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.last.map(|(cursor, _)| cursor)
    }

    /// How many bytes the line has that was given last.
    #[must_use]
    pub fn last_bytes(&self) -> u64 {
        self.last.map_or(0, |(_, bytes)| bytes)
    }

    /// How many bytes were read from disk.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let reading = self.reader.as_ref();
        self.bytes_read + reading.map_or(0, |(_, reader)| reader.bytes_read())
    }

    /// The next line as it stands in its segment.
    pub(super) fn next_raw(&mut self) -> Option<Result<RawLine, LedgerError>> {
        loop {
            let Some((number, reader)) = &mut self.reader else {
                match self.open_next()? {
                    Ok(reader) => self.reader = reader,
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            let ended = match reader.next_line() {
                // Before this place is another reader's part, or what somebody made of the segment since.
                Ok(Some(line)) if self.segments.is_empty() && line.offset < self.from => None,
                Ok(Some(line)) => {
                    let cursor = Cursor {
                        segment: *number,
                        offset: line.offset,
                    };
                    self.last = Some((cursor, line.bytes.len() as u64));
                    return Some(Ok(line));
                }
                Ok(None) => None,
                // This segment cannot be read any further; the older ones perhaps can.
                Err(error) => Some(Err(error)),
            };
            self.bytes_read += reader.bytes_read();
            self.reader = None;
            if ended.is_some() {
                return ended;
            }
        }
    }

    /// Opens the next older segment.
    fn open_next(&mut self) -> Option<Result<Option<(u64, Backwards)>, LedgerError>> {
        let segment = self.segments.pop()?;
        let cursor = self.before.take().filter(|at| at.segment == segment.floor);
        let len = cursor.map_or(segment.len, |cursor| cursor.offset);
        let opened =
            Backwards::open(&segment.path, len).and_then(|reader| match (reader, cursor) {
                (Some(reader), Some(cursor)) if !reader.begins_after_a_line(cursor.offset)? => {
                    Err(LedgerError::NoSuchCursor { cursor })
                }
                (reader, _) => Ok(reader),
            });
        Some(opened.map(|reader| reader.map(|reader| (segment.floor, reader))))
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

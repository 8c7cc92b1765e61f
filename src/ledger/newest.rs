//! Reading of the ledger's lines, newest first, over all segments.
//!
//! **Invariant:** a reader that starts at a [`Cursor`] never reads what the reader before it
//! returned.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::backwards::{Backwards, LINE_BYTES_MAX, RawLine};
use super::error::LedgerError;
use super::journal::Ledger;
use super::line::{Line, LineFields};
use super::segment::Segment;
use crate::core::totals::{Cursor, Totals};

/// Iterator over lines, newest first. An unreadable line is an error, and the lines before it
/// follow.
#[derive(Debug)]
pub struct NewestFirst {
    /// Segments to read, oldest first: the next one is the last.
    segments: Vec<Arc<Segment>>,
    /// Reader of the current segment, and that segment's number.
    reader: Option<(u64, Backwards)>,
    /// End of the part to read, if it is not the end of the last segment.
    before: Option<Cursor>,
    /// Offset in the oldest segment before which nothing is read.
    from: u64,
    /// Position before the line that was returned last, and that line's length.
    last: Option<(Cursor, u64)>,
    bytes_read: u64,
}

/// Lines of one segment from an offset on.
#[derive(Debug)]
pub struct Stretch {
    segment: Arc<Segment>,
    from: u64,
}

impl Ledger {
    /// Returns the lines, newest first: all of them, or those before the position `before`. Lines
    /// that are appended after this call are not returned.
    #[must_use]
    pub fn newest_first(&self, before: Option<Cursor>) -> NewestFirst {
        NewestFirst::new(self.segments(), before)
    }

    /// Returns the lines from the position `from` on, newest first, up to the position `before`.
    #[must_use]
    pub fn newest_between(&self, from: Cursor, before: Option<Cursor>) -> NewestFirst {
        NewestFirst::between(self.segments(), from, before)
    }

    /// Returns the position behind the last line.
    #[must_use]
    pub fn end(&self) -> Cursor {
        let segments = self.segments();
        segments.last().map_or_else(Cursor::default, |last| Cursor {
            segment: last.floor,
            offset: last.len,
        })
    }

    /// Returns the lines after the position `from`, a segment at a time, oldest first.
    #[must_use]
    pub fn stretches(&self, from: Option<Cursor>) -> Vec<Stretch> {
        Stretch::all_after(self.segments(), from)
    }
}

impl Stretch {
    /// Returns the parts of `segments`, oldest first, that come after `from`.
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

    /// Returns true if there are no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from >= self.segment.len
    }

    /// Returns the position behind the last line.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor {
            segment: self.segment.floor,
            offset: self.segment.len,
        }
    }

    /// Path of the segment.
    pub(super) fn path(&self) -> &Path {
        &self.segment.path
    }

    /// Offset of the first line.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// Adds up its lines. An unreadable line counts as nothing: the history reports it.
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

impl Iterator for NewestFirst {
    type Item = Result<Line, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.next_raw()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        Some(self.decode(&line))
    }
}

impl NewestFirst {
    /// Creates a reader of `segments`, oldest first, that starts at their end or at `before`.
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

    /// Creates a reader of the lines from the position `from` on.
    pub(super) fn between(
        mut segments: Vec<Arc<Segment>>,
        from: Cursor,
        before: Option<Cursor>,
    ) -> Self {
        segments.retain(|segment| segment.floor >= from.segment);
        let oldest = segments.first().map(|oldest| oldest.floor);
        Self {
            from: oldest
                .filter(|&oldest| oldest == from.segment)
                .map_or(0, |_| from.offset),
            ..Self::new(segments, before)
        }
    }

    /// Returns the position before the line that was returned last: a later reader continues there.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.last.map(|(cursor, _)| cursor)
    }

    /// Returns the length in bytes of the line that was returned last.
    #[must_use]
    pub fn last_bytes(&self) -> u64 {
        self.last.map_or(0, |(_, bytes)| bytes)
    }

    /// Returns the number of bytes that were read from disk.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let reading = self.reader.as_ref();
        self.bytes_read + reading.map_or(0, |(_, reader)| reader.bytes_read())
    }

    /// Decodes `line`, which this reader returned last, as all of a [`Line`] or as a part of it.
    ///
    /// # Errors
    /// When the line is too long or is no line of the ledger. The lines before it can be read.
    pub fn decode<'l, T: Deserialize<'l>>(&self, line: &'l RawLine) -> Result<T, LedgerError> {
        if line.is_too_long {
            return Err(LedgerError::LongLine {
                path: self.path(),
                offset: line.offset,
                limit: LINE_BYTES_MAX,
            });
        }
        serde_json::from_slice(&line.bytes).map_err(|error| LedgerError::BadLine {
            path: self.path(),
            offset: line.offset,
            reason: error.to_string(),
        })
    }

    /// Decodes the fields of `line`, which this reader returned last, and returns them with its
    /// text.
    ///
    /// # Errors
    /// As [`NewestFirst::decode`].
    pub fn decode_fields<'l>(
        &self,
        line: &'l RawLine,
    ) -> Result<(&'l str, LineFields<'l>), LedgerError> {
        let fields = self.decode(line)?;
        // Text that is skipped was not checked.
        let text = std::str::from_utf8(&line.bytes).map_err(|error| LedgerError::BadLine {
            path: self.path(),
            offset: line.offset,
            reason: error.to_string(),
        })?;
        Ok((text, fields))
    }

    /// Returns the next line without decoding it.
    ///
    /// # Errors
    /// When a segment cannot be read any further. The older ones follow.
    pub fn next_raw(&mut self) -> Option<Result<RawLine, LedgerError>> {
        loop {
            let Some((number, reader)) = &mut self.reader else {
                match self.open_next()? {
                    Ok(reader) => self.reader = reader,
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            let ended = match reader.next_line() {
                // Before this offset begins another reader's part, or a line that changed since.
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

    /// Returns the path of the segment that is read.
    fn path(&self) -> PathBuf {
        let reader = self.reader.as_ref();
        reader.map_or_else(PathBuf::new, |(_, reader)| reader.path().to_path_buf())
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

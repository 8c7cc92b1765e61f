//! Reading of a segment from its end to its beginning, line by line.
//!
//! **Invariant:** the reader never reads beyond the length that it was given, so it never returns a
//! line that is being appended, or one that could not be cut off.
//! **Invariant:** a line of any length must cost bounded memory, and must not hide the lines before
//! it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::LedgerError;

/// Bytes of the first read, ~50 lines: a short page must not cost much more than what it returns.
const FIRST_BLOCK_BYTES: usize = 16 * 1024;

/// Bytes of a later read: a few hundred lines.
const BLOCK_BYTES: usize = 64 * 1024;

/// Longest line that is read whole. Lines that are written are shorter; early builds of version 0.1
/// wrote one line for a job of any size, and most of these can still be read.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// Bytes that are kept of the beginning of a longer line: they contain its number.
const HEAD_BYTES: usize = 4096;

/// Line as its segment holds it, without its newline, not decoded.
#[derive(Debug)]
pub struct RawLine {
    /// Offset of its first byte in the segment.
    pub(super) offset: u64,
    /// Its bytes; only those at its beginning when it is too long.
    pub(super) bytes: Vec<u8>,
    pub(super) is_too_long: bool,
}

/// Fields that identify a line.
#[derive(Deserialize)]
struct Head {
    id: u64,
    #[serde(default)]
    part: u32,
}

impl RawLine {
    /// Returns the number of the removal that the line decides about; `None` when the line cannot
    /// be read, or holds only further paths of a removal.
    pub(super) fn id(&self) -> Option<u64> {
        if !self.is_too_long {
            let head = serde_json::from_slice::<Head>(&self.bytes).ok()?;
            return (head.part == 0).then_some(head.id);
        }
        // Lines of such a length come from a version that did not split them.
        let rest = self.bytes.strip_prefix(b"{\"id\":")?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
    }
}

/// Reader of the lines of one segment, newest first.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    path: PathBuf,
    /// End of the part to read.
    end: u64,
    /// Beginning of the part that was read.
    offset: u64,
    /// Bytes from `offset` on that were read, and not returned yet.
    tail: Vec<u8>,
    /// True if the line at the end of `tail` is too long, and its end was dropped.
    is_dropping: bool,
}

impl Backwards {
    /// Opens the first `len` bytes at `path`, or fewer if the file is shorter. Returns `None` if
    /// the file does not exist: it was archived.
    pub(super) fn open(path: &Path, len: u64) -> Result<Option<Self>, LedgerError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::io("open", path)(error)),
        };
        let there = file.metadata().map_err(LedgerError::io("look at", path))?;
        let end = len.min(there.len());
        Ok(Some(Self {
            file,
            path: path.to_path_buf(),
            end,
            offset: end,
            tail: Vec::new(),
            is_dropping: false,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of bytes that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.end - self.offset
    }

    /// Returns true if a line, or the file, may begin at `offset`.
    pub(super) fn begins_after_a_line(&self, offset: u64) -> Result<bool, LedgerError> {
        if offset == 0 {
            return Ok(true);
        }
        let mut before = [0];
        match self.file.read_exact_at(&mut before, offset - 1) {
            Ok(()) => Ok(before == *b"\n"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(LedgerError::io("read", &self.path)(error)),
        }
    }

    /// Returns the line before the one that was returned last.
    pub(super) fn next_line(&mut self) -> Result<Option<RawLine>, LedgerError> {
        // Bytes from this index on have no newline: they were searched before.
        let mut searched = self.tail.len();
        if self.tail.last() == Some(&b'\n') {
            self.tail.pop();
            searched = self.tail.len();
        }
        loop {
            if let Some(at) = self.tail[..searched].iter().rposition(|&b| b == b'\n') {
                let bytes = self.tail.split_off(at + 1);
                return Ok(Some(self.line(self.offset + at as u64 + 1, bytes)));
            }
            if self.offset == 0 {
                let bytes = std::mem::take(&mut self.tail);
                return Ok((!bytes.is_empty()).then(|| self.line(0, bytes)));
            }
            let fresh = self.tail.is_empty();
            searched = self.read_block()?;
            if fresh && self.tail.last() == Some(&b'\n') {
                self.tail.pop();
                searched -= 1;
            }
        }
    }

    fn line(&mut self, offset: u64, mut bytes: Vec<u8>) -> RawLine {
        let is_too_long = std::mem::take(&mut self.is_dropping) || bytes.len() > LINE_BYTES_MAX;
        if is_too_long {
            bytes.truncate(HEAD_BYTES);
        }
        RawLine {
            offset,
            bytes,
            is_too_long,
        }
    }

    /// Reads the block before `tail`, prepends it, and returns its length.
    fn read_block(&mut self) -> Result<usize, LedgerError> {
        if self.tail.len() > LINE_BYTES_MAX {
            self.is_dropping = true;
        }
        if self.is_dropping {
            self.tail.truncate(HEAD_BYTES);
        }
        let read = usize::try_from(self.bytes_read()).unwrap_or(usize::MAX);
        let block = read.clamp(FIRST_BLOCK_BYTES, BLOCK_BYTES);
        // A block as long as the line that is read keeps the copying of long lines linear.
        let wanted = block.max(self.tail.len());
        let size = usize::try_from(self.offset).map_or(wanted, |left| left.min(wanted));
        let start = self.offset - size as u64;
        let mut block = vec![0; size];
        self.file
            .read_exact_at(&mut block, start)
            .map_err(LedgerError::io("read", &self.path))?;
        block.append(&mut self.tail);
        self.tail = block;
        self.offset = start;
        Ok(size)
    }
}

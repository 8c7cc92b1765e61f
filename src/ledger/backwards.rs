//! Reads a segment from its end to its beginning, line by line.
//!
//! **Invariant:** nothing beyond the length that was given is read: what is being appended, or could not be cut off, does
//! not show.
//! **Invariant:** a line of any length costs bounded memory, and does not hide the lines before it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::LedgerError;

/// One read: a few hundred lines.
const BLOCK_BYTES: usize = 64 * 1024;

/// The longest line that is read whole. Those that are written are shorter; version 0.1 wrote one line for a job of any size, and
/// most of these can still be read.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// So much of the beginning of a longer line is read: its number is there.
const HEAD_BYTES: usize = 4096;

/// A line as it stands in the segment, without its newline.
#[derive(Debug)]
pub(super) struct RawLine {
    /// Where it begins.
    pub(super) offset: u64,
    /// Its bytes, or when it is too long those at its beginning.
    pub(super) bytes: Vec<u8>,
    pub(super) is_too_long: bool,
}

/// The part of a line that is enough to find it.
#[derive(Deserialize)]
struct Head {
    id: u64,
    #[serde(default)]
    part: u32,
}

impl RawLine {
    /// The number of the removal that the line decides about; `None`: it cannot be read, or has only further paths of one.
    pub(super) fn id(&self) -> Option<u64> {
        if !self.is_too_long {
            let head = serde_json::from_slice::<Head>(&self.bytes).ok()?;
            return (head.part == 0).then_some(head.id);
        }
        // Lines of such a length are of a version that did not split them.
        let rest = self.bytes.strip_prefix(b"{\"id\":")?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
    }
}

/// The lines of one segment, newest first.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    path: PathBuf,
    /// Where the part ends that is wanted.
    end: u64,
    /// Where the part that was read begins.
    offset: u64,
    /// What was read and not given out: the bytes from `offset`.
    tail: Vec<u8>,
    /// Whether the line that `tail` is the beginning of is too long, and its end was dropped.
    is_dropping: bool,
}

impl Backwards {
    /// Reads the first `len` bytes at `path`, from their end; as many as there are, when somebody has cut the file. `None` when
    /// the file is gone: somebody archived it.
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

    /// How many bytes were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.end - self.offset
    }

    /// Whether a line, or the file, may begin at `offset`.
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

    /// The line before the last one that was given.
    pub(super) fn next_line(&mut self) -> Result<Option<RawLine>, LedgerError> {
        // Everything behind this place was searched for a newline before.
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

    /// Puts the block before what is there in front of it; returns its length.
    fn read_block(&mut self) -> Result<usize, LedgerError> {
        if self.tail.len() > LINE_BYTES_MAX {
            self.is_dropping = true;
        }
        if self.is_dropping {
            self.tail.truncate(HEAD_BYTES);
        }
        // Blocks that grow with a line keep the copying of what was read of it linear.
        let wanted = BLOCK_BYTES.max(self.tail.len());
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

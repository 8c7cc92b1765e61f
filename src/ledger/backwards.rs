//! Reads a segment from its end to its beginning, line by line.
//!
//! **Invariant:** nothing beyond the length that was given is read: what is being appended, or could not be cut off, does
//! not show.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::LedgerError;

/// One read: a few hundred lines.
const BLOCK_BYTES: usize = 64 * 1024;

/// The longest line that is read. A path has at most a few times `PATH_MAX` bytes, escaped six-fold; a file with longer
/// lines was not written by us and shall not fill the memory.
pub(super) const LINE_BYTES_MAX: usize = 4 << 20;

/// The part of a line that is enough to find it.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) id: u64,
}

/// The lines of one segment, newest first, as bytes without the newline.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    path: PathBuf,
    /// Where the part that was read begins.
    offset: u64,
    /// What was read and not given out: the bytes from `offset`.
    tail: Vec<u8>,
}

impl Backwards {
    /// Reads the first `len` bytes at `path`, from their end. `None` when the file is gone: somebody archived it.
    pub(super) fn open(path: &Path, len: u64) -> Result<Option<Self>, LedgerError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LedgerError::io("open", path)(error)),
        };
        Ok(Some(Self {
            file,
            path: path.to_path_buf(),
            offset: len,
            tail: Vec::new(),
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The line before the last one that was given, and where it begins.
    pub(super) fn next_line(&mut self) -> Result<Option<(u64, Vec<u8>)>, LedgerError> {
        // Everything behind this place was searched for a newline before.
        let mut searched = self.tail.len();
        if self.tail.last() == Some(&b'\n') {
            self.tail.pop();
            searched = self.tail.len();
        }
        loop {
            if let Some(at) = self.tail[..searched].iter().rposition(|&b| b == b'\n') {
                let line = self.tail.split_off(at + 1);
                return Ok(Some((self.offset + at as u64 + 1, line)));
            }
            if self.offset == 0 {
                let line = std::mem::take(&mut self.tail);
                return Ok((!line.is_empty()).then_some((0, line)));
            }
            let fresh = self.tail.is_empty();
            searched = self.read_block()?;
            if fresh && self.tail.last() == Some(&b'\n') {
                self.tail.pop();
                searched -= 1;
            }
        }
    }

    /// Puts the block before what is there in front of it; returns its length.
    fn read_block(&mut self) -> Result<usize, LedgerError> {
        if self.tail.len() > LINE_BYTES_MAX {
            return Err(LedgerError::LongLine {
                path: self.path.clone(),
                offset: self.offset,
                limit: LINE_BYTES_MAX,
            });
        }
        let size = usize::try_from(self.offset).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
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

//! Errors of the ledger's files.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::totals::Cursor;

/// The ledger cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// An operation on a file or on the directory failed.
    #[error("cannot {action} \"{}\": {}", path.display(), words(source))]
    Io {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A line cannot be decoded.
    #[error("\"{}\" has a line at byte {offset} that cannot be read: {reason}", path.display())]
    BadLine {
        /// The segment.
        path: PathBuf,
        /// Offset of the line in the segment.
        offset: u64,
        /// The parser's message.
        reason: String,
    },
    /// A line is longer than a reader allows: only early builds wrote such lines.
    #[error("\"{}\" has a line at byte {offset} that is longer than {limit} bytes", path.display())]
    LongLine {
        /// The segment.
        path: PathBuf,
        /// Offset of the line in the segment.
        offset: u64,
        /// Longest line that is read, in bytes.
        limit: usize,
    },
    /// No line begins at the cursor: the segment was changed, or the cursor is not one of the
    /// ledger.
    #[error("the ledger has no line before {cursor}")]
    NoSuchCursor {
        /// The cursor.
        cursor: Cursor,
    },
    /// A removal cannot be recorded in lines of bounded length.
    #[error("the line of removal {id} has {length} bytes, and at most {limit} are written")]
    TooLong {
        /// The removal's number.
        id: u64,
        /// Length that its line would have, in bytes.
        length: usize,
        /// Longest line that is written, in bytes.
        limit: usize,
    },
}

impl LedgerError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Returns the operating system's text for `error`, in lower case and without the number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

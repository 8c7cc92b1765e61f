//! What went wrong with the ledger's files, and where.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::totals::Cursor;

/// The ledger cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file or the directory refuses.
    #[error("cannot {action} \"{}\": {}", path.display(), words(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A line that is no ledger line of this version.
    #[error("\"{}\" has a line at byte {offset} that cannot be read: {reason}", path.display())]
    BadLine {
        /// In which segment.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// What the parser says.
        reason: String,
    },
    /// A line is longer than those that are read: no version writes such lines any more.
    #[error("\"{}\" has a line at byte {offset} that is longer than {limit} bytes", path.display())]
    LongLine {
        /// In which segment.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// The longest line that is read.
        limit: usize,
    },
    /// Nothing begins where a reader wants to go on: somebody changed the segment, or made the cursor up.
    #[error("the ledger has no line before {cursor}")]
    NoSuchCursor {
        /// Where it wants to go on.
        cursor: Cursor,
    },
    /// A removal cannot be recorded in lines of bounded length.
    #[error("the line of removal {id} has {length} bytes, and at most {limit} are written")]
    TooLong {
        /// The removal's number.
        id: u64,
        /// How long its line would be.
        length: usize,
        /// The longest line that is written.
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

/// The operating system's words, without the number, in lower case.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

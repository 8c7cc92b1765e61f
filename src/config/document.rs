//! The file as a tree with line numbers.
//!
//! **Invariant:** the line of every key and value can always be determined.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, Problem};

/// Longest file, in bytes. 16 MiB hold the most rules and roots allowed, and bound the reading of a
/// device or log named by mistake.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
    /// Offset of the start of each line, in bytes.
    lines: Vec<usize>,
}

/// Reason why a file was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The operating system refused.
    Io(std::io::Error),
    /// The content is too long, or not UTF-8.
    Refused(ConfigError),
}

impl Source {
    /// Reads the file at `path`, which is absolute.
    pub fn read(path: &Path) -> Result<Self, Unread> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(Unread::Io)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let message = format!(
                "{}: the file is longer than the limit of {FILE_BYTES_MAX} bytes",
                path.display()
            );
            return Err(Unread::Refused(Problem::of_process(message).into()));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path.to_path_buf(), text)),
            Err(error) => {
                let sound = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..sound]).into_owned();
                let problem = Problem {
                    line: Some(Self::new(path.to_path_buf(), text).line(sound)),
                    message: "the file is not UTF-8".into(),
                    hint: None,
                };
                Err(Unread::Refused(ConfigError::new(Some(path), vec![problem])))
            }
        }
    }

    /// Source at `path` with this `text`.
    pub fn new(path: PathBuf, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, b)| b == b'\n');
        let lines = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        Self { path, text, lines }
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Parses the file into a tree, or returns every mistake of syntax.
    pub fn parse(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        let (tree, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(tree);
        }
        let problem = |error: &toml::de::Error| Problem {
            line: Some(self.line(error.span().map_or(0, |span| span.start))),
            message: error.message().trim().replace('\n', ", "),
            hint: None,
        };
        let problems = errors.iter().map(problem).collect();
        Err(ConfigError::new(Some(&self.path), problems))
    }

    /// Parses what is valid of the file, and ignores mistakes of syntax.
    pub fn parse_what_is_sound(&self) -> Spanned<DeTable<'_>> {
        DeTable::parse_recoverable(&self.text).0
    }

    /// Line of the byte at `offset`, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset)
    }
}

//! The file as a tree with line numbers.
//!
//! **Invariant:** the line of every key and value can always be determined.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place, Problem};

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
                Err(Unread::Refused(
                    Problem {
                        place: Self::new(path.to_path_buf(), text).place(sound),
                        message: "the file is not UTF-8".into(),
                        hint: None,
                    }
                    .into(),
                ))
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
            place: self.place(error.span().map_or(0, |span| span.start)),
            message: error.message().trim().replace('\n', ", "),
            hint: None,
        };
        Err(ConfigError::new(errors.iter().map(problem).collect()))
    }

    /// Parses what is valid of the file, and ignores mistakes of syntax.
    pub fn parse_what_is_sound(&self) -> Spanned<DeTable<'_>> {
        DeTable::parse_recoverable(&self.text).0
    }

    fn place(&self, offset: usize) -> Place {
        Place::File {
            path: self.path.clone(),
            line: self.lines.partition_point(|&start| start <= offset),
        }
    }
}

/// A table of the file, or the lack of one.
#[derive(Clone, Debug)]
pub(super) struct Section<'d> {
    /// Heading in messages: `[watch]`, `[[rule]] "old results"`; empty for the top level.
    pub heading: String,
    /// Name of the table in the schema; empty for the top level.
    pub name: &'static str,
    body: Option<Body<'d>>,
}

#[derive(Clone, Copy, Debug)]
struct Body<'d> {
    source: &'d Source,
    table: &'d DeTable<'d>,
    offset: usize,
}

impl<'d> Section<'d> {
    /// Section of a table that the file does not have.
    pub fn absent(name: &'static str) -> Self {
        Self {
            heading: String::new(),
            name,
            body: None,
        }
    }

    /// The top level of `source`.
    pub fn top(source: &'d Source, tree: &'d Spanned<DeTable<'d>>) -> Self {
        Self {
            heading: String::new(),
            name: "",
            body: Some(Body {
                source,
                table: tree.get_ref(),
                offset: 0,
            }),
        }
    }

    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.body.and_then(|body| body.table.get(key))
    }

    /// Returns true if `key` is present, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Keys, each with its place.
    pub fn keys(&self) -> impl Iterator<Item = (&'d str, Place)> {
        self.body.into_iter().flat_map(|body| {
            body.table
                .keys()
                .map(move |key| (&**key.get_ref(), body.source.place(key.span().start)))
        })
    }

    /// Returns `value` (of this table) as a table; `None` if it is not one.
    pub fn table(
        &self,
        value: &'d Spanned<DeValue<'d>>,
        name: &'static str,
        heading: String,
    ) -> Option<Self> {
        let table = value.get_ref().as_table()?;
        Some(Self {
            heading,
            name,
            body: self.body.map(|body| Body {
                table,
                offset: value.span().start,
                ..body
            }),
        })
    }

    /// Table `name` of the top level.
    pub fn subsection(&self, name: &'static str) -> Option<Self> {
        self.table(self.value(name)?, name, format!("[{name}]"))
    }

    /// Place of the start of the table.
    pub fn place(&self) -> Place {
        self.body
            .map_or(Place::Process, |body| body.source.place(body.offset))
    }

    /// Place of `value` (of this table).
    pub fn place_of(&self, value: &Spanned<DeValue<'_>>) -> Place {
        self.body
            .map_or(Place::Process, |body| body.source.place(value.span().start))
    }

    /// Location of the table, for messages about something else.
    pub fn whereabouts(&self) -> String {
        self.place()
            .whereabouts()
            .unwrap_or_else(|| self.heading.clone())
    }

    /// Prefixes `text` with the heading, for messages.
    pub fn entitle(&self, text: &str) -> String {
        if self.heading.is_empty() {
            text.to_owned()
        } else {
            format!("{}: {text}", self.heading)
        }
    }
}

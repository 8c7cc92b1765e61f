//! Standard output: for a terminal, or for a program.
//!
//! **Invariant:** a reader that has gone away (`lapsed ls | head`) ends the command silently.

use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use super::human;

/// Whoever read our output has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct ReaderGone;

/// Properties of the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Its columns; `None`: it is no terminal, and nothing is shortened.
    pub width: Option<usize>,
    /// True if colors are wanted.
    pub color: bool,
}

/// Format of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// People.
    Text,
    /// Programs: one JSON object; lists are one object per line.
    Json,
}

/// Standard output.
#[derive(Debug)]
pub struct Output {
    to: BufWriter<Stdout>,
    /// Properties of the terminal.
    pub screen: Screen,
    /// Format.
    pub format: Format,
}

impl Output {
    /// Standard output, printing as `format` says.
    #[must_use]
    pub fn stdout(format: Format) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let width = is_terminal
            .then(|| comfy_table::Table::new().width().map(usize::from))
            .flatten();
        let screen = Screen {
            width,
            color: wants_color(is_terminal),
        };
        Self {
            to: BufWriter::with_capacity(1 << 16, stdout),
            screen,
            format,
        }
    }

    /// Returns true if a person reads it on a terminal.
    #[must_use]
    pub fn is_for_terminal(&self) -> bool {
        self.format == Format::Text && self.screen.width.is_some()
    }

    /// Prints `text` and ends the line.
    ///
    /// # Errors
    /// [`ReaderGone`], or the operating system's refusal.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints `text` for people: on a terminal broken into lines that fit, elsewhere as one line.
    /// `first` stands before the first line, `rest` before the others.
    ///
    /// # Errors
    /// [`ReaderGone`], or the operating system's refusal.
    pub fn paragraph(&mut self, text: &str, first: &str, rest: &str) -> anyhow::Result<()> {
        for line in human::wrap(&human::safe(text), self.screen.width, first, rest) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints `text` as it is.
    ///
    /// # Errors
    /// [`ReaderGone`], or the operating system's refusal.
    pub fn bytes(&mut self, text: &[u8]) -> anyhow::Result<()> {
        check_written(self.to.write_all(text))
    }

    /// Prints `value` as one line of JSON.
    ///
    /// # Errors
    /// [`ReaderGone`], or the operating system's refusal.
    pub fn json<T: Serialize>(&mut self, value: &T) -> anyhow::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// Hands over what is buffered: for those who watch.
    ///
    /// # Errors
    /// [`ReaderGone`], or the operating system's refusal.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        check_written(self.to.flush())
    }
}

/// Returns true if output is to be colored. In this order: not if `NO_COLOR` is set and not empty
/// (no-color.org); always if `CLICOLOR_FORCE` is set and not 0 (bixense.com/clicolors); else on a
/// terminal that is not dumb.
pub(super) fn wants_color(is_terminal: bool) -> bool {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
    let [no_color, force, term] = ["NO_COLOR", "CLICOLOR_FORCE", "TERM"].map(variable);
    is_colorful(&no_color, &force, is_terminal && term != "dumb")
}

fn is_colorful(no_color: &OsStr, force: &OsStr, is_able: bool) -> bool {
    let is_forced = !force.is_empty() && force != "0";
    no_color.is_empty() && (is_forced || is_able)
}

fn check_written(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_counts_before_clicolor_force_and_that_before_the_terminal() {
        let wants = |no_color: &str, force: &str, is_able| {
            is_colorful(no_color.as_ref(), force.as_ref(), is_able)
        };
        assert!(wants("", "", true) && wants("", "0", true) && wants("", "1", false));
        assert!(!wants("", "", false) && !wants("", "0", false));
        assert!(!wants("1", "1", true) && !wants("1", "", true));
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let error = check_written(Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert!(error.is::<ReaderGone>());
        let error = check_written(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert!(!error.is::<ReaderGone>());
    }
}

//! Lines in parts, each with a tone.

use unicode_width::UnicodeWidthStr;

use crate::cli::human;

/// Tone of a part of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    Dim,
    Bold,
    Good,
    Warn,
    Bad,
}

/// A line in parts. Control characters are spelled out where it is drawn.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Line(pub(super) Vec<(String, Tone)>);

impl Line {
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        Self(vec![(text.to_owned(), tone)])
    }

    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }

    pub(super) fn good(text: &str) -> Self {
        Self::new(text, Tone::Good)
    }

    pub(super) fn warn(text: &str) -> Self {
        Self::new(text, Tone::Warn)
    }

    /// The line with one more part.
    #[must_use]
    pub(super) fn and(mut self, text: &str, tone: Tone) -> Self {
        self.0.push((text.to_owned(), tone));
        self
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// Columns that `line` takes.
pub(super) fn width(line: &Line) -> usize {
    line.0
        .iter()
        .map(|(text, _)| human::safe(text).width())
        .sum()
}

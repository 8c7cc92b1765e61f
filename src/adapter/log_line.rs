//! Declared lines of a command's log.

use super::templates::Template;

/// Moment of a run that a line tells of.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum LogMoment {
    /// The run begins.
    Start,
    /// A source was read.
    Query,
    /// A thing was examined.
    Examined,
    /// A job was judged.
    Verdict,
    /// It is known what goes.
    Planned,
    /// A job is next.
    Job,
    /// A thing was removed, or would be.
    Item,
    /// A failure.
    Problem,
    /// Something worth a note.
    Warning,
    /// The run has ended.
    End,
}

/// Level of a line, least first.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum LogLevel {
    /// For who looks for a mistake.
    Debug,
    /// As usual.
    Info,
    /// Worth a note.
    Warning,
    /// A failure.
    Error,
}

/// A declared line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Moment.
    pub on: LogMoment,
    /// Level.
    pub level: LogLevel,
    /// Text; there is no line where it is empty.
    pub text: Template,
}

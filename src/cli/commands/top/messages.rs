//! Events, requests and answers: the traffic of the model.

use std::time::Duration;

use crate::types::{Explanation, Files, FilesQuery, JsonPath, Pin, Problem, Run, Status};

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Escape,
    Backspace,
    Tab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Something that happened.
pub(super) enum Event {
    /// A key was pressed.
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// A second has passed.
    Tick,
    /// The daemon answered, or cannot.
    Answer(Answer),
}

/// Question or order to the daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Request {
    Status,
    Runs,
    Files { number: u64, query: Box<FilesQuery> },
    Explain(JsonPath),
    Pin { path: JsonPath, lasting: String },
    Unpin(u64),
}

/// Kind of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Status,
    Runs,
    Files,
    Explain,
    Order,
}

impl Request {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Status => Kind::Status,
            Self::Runs => Kind::Runs,
            Self::Files { .. } => Kind::Files,
            Self::Explain(_) => Kind::Explain,
            Self::Pin { .. } | Self::Unpin(_) => Kind::Order,
        }
    }
}

/// Answer to a [`Request`].
pub(super) enum Answer {
    Status(Box<Status>),
    Runs(Vec<Run>),
    Files {
        number: u64,
        files: Files,
        took: Duration,
    },
    Explained(Box<Explanation>),
    Pinned(Box<Pin>),
    Unpinned(u64),
    /// The daemon refuses.
    Refused(Kind, Problem),
    /// The daemon cannot be asked; requests that were under way are lost.
    Lost(String),
}

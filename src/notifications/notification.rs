//! Notification: what is told to a receiver.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::report::Counted;
use crate::core::run::RunStatus;
use crate::core::size;
use crate::types::{Event, EventLine, Moment, NotifyKind, NotifySeverity};

pub use crate::types::NotifyKind as Kind;
pub use crate::types::NotifySeverity as Severity;

/// Advice for a breaker that tripped.
const LOOK: &str = "Look at it with `lapsed plan`, then `lapsed breaker release`.";

/// A notification. The outbox has it as JSON; templates know its fields by their names.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// Id, unique in this state directory; it never changes, however often it is delivered.
    pub id: String,
    /// Kind.
    pub kind: NotifyKind,
    /// Severity.
    pub severity: NotifySeverity,
    /// Instant.
    pub at: Moment,
    /// Name of the root that it is about.
    pub root: Option<String>,
    /// Name of the rule that it is about.
    pub rule: Option<String>,
    /// One line for people.
    pub title: String,
    /// Further lines for people.
    pub text: String,
    /// What it is made from: an event of `/v1/events`, or sums.
    pub details: Value,
}

impl Notification {
    /// Makes a notification of `line`; `None`: of such events nobody is told.
    #[must_use]
    pub fn of_event(line: &EventLine) -> Option<Self> {
        let (kind, severity, title, text) = words(line)?;
        Some(Self {
            id: format!("event-{}", line.id?),
            kind,
            severity,
            at: line.at?,
            root: line.root.clone(),
            rule: None,
            title,
            text,
            details: serde_json::to_value(line).unwrap_or_default(),
        })
    }
}

fn words(line: &EventLine) -> Option<(Kind, Severity, String, String)> {
    let root = line.root.as_deref().unwrap_or("?");
    let severity_of = |is_available: bool| {
        if is_available {
            Severity::Info
        } else {
            Severity::Error
        }
    };
    let paused = || match &line.root {
        Some(root) => format!("root \"{root}\""),
        None => "all roots".to_owned(),
    };
    let none = String::new;
    Some(match &line.event {
        Event::Root { is_available, what } => {
            let title = format!("root \"{root}\": {what}");
            (Kind::Root, severity_of(*is_available), title, none())
        }
        Event::Source {
            source,
            is_available,
            what,
        } => {
            let title = format!("source \"{source}\": {what}");
            let text = if *is_available {
                none()
            } else {
                "What depends on its jobs is held until it can be read.".to_owned()
            };
            (Kind::Source, severity_of(*is_available), title, text)
        }
        Event::Tripped { due, of, what, .. } => {
            let noun = match what {
                Counted::Files => "files",
                Counted::Jobs => "jobs",
            };
            let title = format!("the breaker tripped for root \"{root}\"");
            let text = format!("{due} of {of} {noun} became due at once. {LOOK}");
            (Kind::Breaker, Severity::Error, title, text)
        }
        Event::OrphansTripped { source, why } => {
            let title = match source {
                Some(source) => format!("the breaker tripped for orphans of source \"{source}\""),
                None => format!("the breaker tripped for orphans of root \"{root}\""),
            };
            let text = format!("{why}. {LOOK}");
            (Kind::Breaker, Severity::Error, title, text)
        }
        Event::Released { by } => {
            let title = format!("the breaker of root \"{root}\" was released by {by}");
            (Kind::Breaker, Severity::Info, title, none())
        }
        Event::Paused { who, why, until } => {
            let until = until.0;
            let title = format!("removals of {} are paused until {until}", paused());
            let text = format!("By {who}: {why}");
            (Kind::Pause, Severity::Info, title, text)
        }
        Event::Resumed { why, by } => {
            let by = by.as_ref().map(ToString::to_string);
            let by = by.as_deref().unwrap_or("its end");
            let title = format!("removals of {} go on", paused());
            let text = format!("The pause was ended by {by}. Its reason was: {why}");
            (Kind::Pause, Severity::Info, title, text)
        }
        Event::Space {
            is_crossed,
            measure,
        } => {
            let what = measure.describe(*is_crossed);
            let severity = if *is_crossed {
                Severity::Warning
            } else {
                Severity::Info
            };
            (
                Kind::Space,
                severity,
                format!("root \"{root}\": {what}"),
                none(),
            )
        }
        Event::Run { .. } => return of_run(&line.event),
        Event::Clock { by_ms } => {
            let title = format!("the wall clock was set by {by_ms} ms");
            (Kind::Error, Severity::Warning, title, none())
        }
        Event::Lapsed { .. }
        | Event::Held { .. }
        | Event::Observed { .. }
        | Event::ClaimRefused { .. }
        | Event::Saving {}
        | Event::Missing(_)
        | Event::Dropped(_) => return None,
    })
}

/// Words about the end of a run.
fn of_run(event: &Event) -> Option<(Kind, Severity, String, String)> {
    let Event::Run {
        run,
        status,
        by,
        files,
        bytes,
        ..
    } = event
    else {
        return None;
    };
    let (severity, ended) = match status {
        RunStatus::Running => return None,
        RunStatus::Done => (Severity::Info, "is done"),
        RunStatus::Errors => (Severity::Warning, "ended with errors"),
        RunStatus::Interrupted => (Severity::Warning, "was interrupted"),
        RunStatus::Failed => (Severity::Error, "failed"),
    };
    let removed = size::removed(*files, *bytes);
    let title = format!("run {run} {ended}: {removed}");
    let text = format!("Ordered by {by}. `lapsed history --run {run}` lists what it removed.");
    Some((Kind::Run, severity, title, text))
}

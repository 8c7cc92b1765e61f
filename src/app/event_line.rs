//! Events as clients and receivers of notifications see them.

use super::daemon::{json_path, root_name, rule_name, source_name};
use super::events::NumberedEvent;
use crate::core::effect::Event as Input;
use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::types::{Event, EventLine, Moment};

/// Returns the root and the path that an event is about.
fn place_of(event: &Input) -> (Option<RootId>, Option<&RelPath>) {
    match event {
        Input::Lapsed { root, path, .. }
        | Input::Held { root, path, .. }
        | Input::Observed { root, path, .. } => (Some(*root), Some(path)),
        Input::Root { root, .. }
        | Input::Tripped { root, .. }
        | Input::Released { root, .. }
        | Input::Space { root, .. } => (Some(*root), None),
        Input::OrphansTripped { root, .. } => (*root, None),
        Input::Paused(_)
        | Input::Resumed { .. }
        | Input::Source { .. }
        | Input::ClaimRefused { .. }
        | Input::Run { .. }
        | Input::Saving
        | Input::ClockJumped { .. } => (None, None),
    }
}

/// Describes an event with the names that were in force.
#[must_use]
pub fn event_line(told: &NumberedEvent) -> EventLine {
    let policy = &told.policy;
    let (root, path) = place_of(&told.event);
    let event = event_of(&told.event, policy);
    let top = RelPath::root();
    let path = root.map(|root| json_path(policy, root, path.unwrap_or(&top)));
    let line = EventLine {
        id: Some(told.id),
        at: Some(Moment(told.at)),
        root: None,
        path: None,
        path_b64: None,
        event,
    };
    let name = match (&told.event, root) {
        // A reload may have taken the root away.
        (Input::Paused(pause) | Input::Resumed { pause, .. }, _) => pause.root_name(),
        (_, root) => root.map(|root| root_name(policy, root)),
    };
    line.at_path(name.map(str::to_owned), path)
}

fn event_of(event: &Input, policy: &Policy) -> Event {
    let source_name = |source: &SourceId| source_name(policy, *source).to_owned();
    match event {
        Input::Lapsed {
            unit,
            rule,
            deadline,
            at,
            late_ms,
            files,
            bytes,
            id,
            job,
            ..
        } => Event::Lapsed {
            unit: *unit,
            rule: rule_name(policy, *rule).to_owned(),
            deadline: Moment(*deadline),
            removed_at: Moment(*at),
            late_ms: *late_ms,
            files: *files,
            bytes: *bytes,
            ledger_id: *id,
            job: job.as_ref().map(|job| job.id.clone()),
            source: job.as_ref().map(|job| source_name(&job.source)),
        },
        Input::Held { hold, .. } => Event::Held {
            hold: hold.code().to_owned(),
            why: hold.to_string(),
        },
        Input::Observed { size, .. } => Event::Observed { size: *size },
        Input::Root {
            is_available, what, ..
        } => Event::Root {
            is_available: *is_available,
            what: what.clone(),
        },
        Input::Tripped { trip, .. } => Event::Tripped {
            tripped_at: Moment(trip.at),
            due: trip.due,
            of: trip.of,
            what: trip.what,
        },
        Input::Released { by, .. } => Event::Released { by: by.clone() },
        Input::Paused(pause) => Event::of_pause(pause),
        Input::Resumed { pause, by } => Event::of_end(pause, by.clone()),
        Input::Source {
            source,
            is_available,
            what,
        } => Event::Source {
            source: source_name(source),
            is_available: *is_available,
            what: what.clone(),
        },
        Input::OrphansTripped { source, why, .. } => Event::OrphansTripped {
            source: source.as_ref().map(source_name),
            why: why.clone(),
        },
        Input::ClaimRefused {
            source,
            job,
            file,
            why,
        } => Event::ClaimRefused {
            source: source_name(source),
            job: job.clone(),
            file: file.clone(),
            why: why.clone(),
        },
        Input::Run {
            id,
            status,
            cause,
            by,
            files,
            bytes,
        } => Event::Run {
            run: *id,
            status: *status,
            cause: *cause,
            by: by.clone(),
            files: *files,
            bytes: *bytes,
        },
        Input::Saving => Event::Saving {},
        Input::Space {
            is_crossed,
            measure,
            ..
        } => Event::Space {
            is_crossed: *is_crossed,
            measure: *measure,
        },
        Input::ClockJumped { by_ms } => Event::Clock { by_ms: *by_ms },
    }
}

//! Server-sent events.
//!
//! **Invariant:** a client that reads too slowly is told what is missing and disconnected; no other
//! client notices.
//! **Invariant:** a timer runs only while a client is connected.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::access::Viewer;
use crate::app::daemon::{Daemon, json_path, root_name, rule_name, source_name};
use crate::app::events::{Delivery, Follower, NumberedEvent};
use crate::app::link::EngineLink;
use crate::core::effect::Event as Input;
use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::http::server::Stopping;
use crate::types::{Event, EventLine, EventsQuery, Gap, Moment};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(events)))
}

/// Time without an event after which a comment is sent, so that both ends notice when the other is
/// gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Follow events, as server-sent events.
///
/// The data of each event is an [`EventLine`]. A client that returns sends `last-event-id`.
#[utoipa::path(get, path = "/v1/events", operation_id = "events", tag = "history", params(EventsQuery),
    responses((status = 200, body = EventLine, content_type = "text/event-stream"), QuestionErrors))]
async fn events(
    State(daemon): State<Arc<Daemon>>,
    viewer: Viewer,
    Query(query): Query<EventsQuery>,
    Extension(stopping): Extension<Stopping>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match query.after {
        Some(after) => Some(after),
        None => last_event_id(&headers)?,
    };
    let follower = daemon.parts.events.follow(after, query.observed)?;
    let observing = query.observed.then(|| Observing::start(&daemon));
    let state = Stream {
        follower,
        stopping,
        resumes: after.is_some(),
        ended: Box::pin(viewer.ended()),
        _observing: observing,
    };
    // Tells at once that every event from now on arrives.
    let first = stream::iter([Ok(SseEvent::default().comment("following"))]);
    let events = stream::unfold(Some(state), |state| async move { state?.next().await });
    let events = first.chain(events.flat_map(stream::iter));
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    let sse = Sse::new(events).keep_alive(keep_alive);
    Ok(([(header::CACHE_CONTROL, "no-store")], sse).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let number = id.to_str().ok().and_then(|id| id.trim().parse().ok());
    let refused = || Problem::bad_request("header \"Last-Event-ID\" is not the number of an event");
    number.map(Some).ok_or_else(refused)
}

/// One client.
struct Stream {
    follower: Follower,
    stopping: Stopping,
    resumes: bool,
    /// End of the client's credentials.
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    _observing: Option<Observing>,
}

type Frames = Vec<Result<SseEvent, axum::Error>>;

impl Stream {
    /// Returns the next events and the rest of the stream; `None` when the daemon stops, or the
    /// client may not follow any more.
    async fn next(mut self) -> Option<(Frames, Option<Self>)> {
        let delivery = tokio::select! {
            delivery = self.follower.next() => delivery,
            () = self.stopping.wait() => return None,
            () = &mut self.ended => return None,
        };
        let is_past = std::mem::replace(&mut self.resumes, false);
        match delivery {
            Delivery::Events(events) => {
                let frames = events.iter().map(|event| frame(&line(event)));
                Some((frames.collect(), Some(self)))
            }
            Delivery::Missing { after, until } => {
                let gap = |why: &str| Gap {
                    after,
                    until,
                    why: why.to_owned(),
                };
                // Of the past, a gap is told and the stream goes on; a client that is too slow now
                // comes back by itself.
                let event = if is_past {
                    Event::Missing(gap("these events are gone: see the history"))
                } else {
                    Event::Dropped(gap(
                        "this client reads too slowly: reconnect with the last id, and see the history for what is gone",
                    ))
                };
                let line = EventLine {
                    id: None,
                    at: None,
                    root: None,
                    path: None,
                    path_b64: None,
                    event,
                };
                Some((vec![frame(&line)], is_past.then_some(self)))
            }
        }
    }
}

/// Renders an event. A gap has no number: a client that returns begins after the last event it has.
fn frame(line: &EventLine) -> Result<SseEvent, axum::Error> {
    let event = SseEvent::default().event(line.event.name());
    let event = match line.id {
        Some(id) => event.id(id.to_string()),
        None => event,
    };
    event.json_data(line)
}

/// Returns the root and the path that an event is about.
fn place_of(event: &Input) -> (Option<RootId>, Option<&RelPath>) {
    match event {
        Input::Lapsed { root, path, .. }
        | Input::Held { root, path, .. }
        | Input::Observed { root, path, .. } => (Some(*root), Some(path)),
        Input::Root { root, .. } | Input::Tripped { root, .. } | Input::Released { root, .. } => {
            (Some(*root), None)
        }
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
fn line(told: &NumberedEvent) -> EventLine {
    let policy = &told.policy;
    let source_name = |source: &SourceId| source_name(policy, *source).to_owned();
    let (root, path) = place_of(&told.event);
    let event = match &told.event {
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
        Input::Root { what, .. } => Event::Root { what: what.clone() },
        Input::Tripped { trip, .. } => Event::Tripped {
            tripped_at: Moment(trip.at),
            due: trip.due,
            of: trip.of,
            what: trip.what,
        },
        Input::Released { by, .. } => Event::Released { by: by.clone() },
        Input::Paused(pause) => Event::of_pause(pause),
        Input::Resumed { pause, by } => Event::of_end(pause, by.clone()),
        Input::Source { source, what } => Event::Source {
            source: source_name(source),
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
        Input::ClockJumped { by_ms } => Event::Clock { by_ms: *by_ms },
    };
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

/// Has the engine publish single observations while it exists.
struct Observing {
    link: EngineLink,
    daemon: Arc<Daemon>,
}

impl Observing {
    fn start(daemon: &Arc<Daemon>) -> Self {
        let this = Self {
            link: daemon.link().clone(),
            daemon: Arc::clone(daemon),
        };
        this.update();
        this
    }

    /// Has the engine do what the followers of that moment want: orders may pass one another, their
    /// last one is right.
    fn update(&self) {
        let (link, daemon) = (self.link.clone(), Arc::clone(&self.daemon));
        tokio::spawn(async move {
            // An engine that ends has nothing to tell any more.
            let _ = link
                .ask(move |engine, _| engine.tell_observed(daemon.parts.events.wants_observed()))
                .await;
        });
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        self.update();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::Policy;
    use crate::core::time::Timestamp;

    #[tokio::test]
    async fn a_frame_has_number_name_and_one_line_of_data() {
        let told = NumberedEvent {
            id: 7,
            at: Timestamp::from_unix_ms(0),
            event: Input::ClockJumped { by_ms: -5 },
            policy: Arc::new(Policy::default()),
        };
        let sse = Sse::new(stream::iter([frame(&line(&told))])).into_response();
        let body = axum::body::to_bytes(sse.into_body(), 1000).await.unwrap();
        insta::assert_snapshot!(String::from_utf8_lossy(&body), @r#"
        event: clock
        id: 7
        data: {"id":7,"at":"1970-01-01T00:00:00.000Z","root":null,"path":null,"event":"clock","by_ms":-5}
        "#);
    }
}

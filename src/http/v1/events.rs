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
use crate::app::daemon::Daemon;
use crate::app::event_line;
use crate::app::events::{Delivery, Followed, Follower};
use crate::app::link::EngineLink;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::http::server::Stopping;
use crate::types::{Event, EventLine, EventsQuery, Gap};

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
    let kinds = if query.observed {
        Followed::WithObserved
    } else {
        Followed::Told
    };
    let follower = daemon.parts.events.follow(after, kinds)?;
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
                let frames = events.iter().map(|event| frame(&event_line(event)));
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
    use crate::app::events::NumberedEvent;
    use crate::core::effect::Event as Input;
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
        let sse = Sse::new(stream::iter([frame(&event_line(&told))])).into_response();
        let body = axum::body::to_bytes(sse.into_body(), 1000).await.unwrap();
        insta::assert_snapshot!(String::from_utf8_lossy(&body), @r#"
        event: clock
        id: 7
        data: {"id":7,"at":"1970-01-01T00:00:00.000Z","root":null,"path":null,"event":"clock","by_ms":-5}
        "#);
    }
}

//! `GET /v1/events`: server-sent events.
//!
//! **Invariant:** whoever reads too slowly is told what is missing and disconnected; nobody else notices.
//! **Invariant:** a timer runs only while somebody is connected.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::daemon::{Daemon, json_path, root_name, rule_name};
use super::events::{Follower, Heard, Told};
use super::json_path::JsonPath;
use super::link::EngineLink;
use super::problem::Problem;
use super::query::Query;
use super::server::Stopping;
use crate::core::facts::RootId;
use crate::core::input::Event;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::policy::Policy;

/// A comment is sent after so long without an event, so that both ends notice when the other one has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) async fn events(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["after", "observed"])?;
    let after = match query.number("after")? {
        Some(after) => Some(after),
        None => last_event_id(&request)?,
    };
    let observed = query.flag("observed")?;
    let stopping = request.extensions().get::<Stopping>().cloned();
    let stopping = stopping.ok_or_else(|| Problem::internal("the connection has no end"))?;
    let follower = daemon.parts.events.follow(after, observed)?;
    let engine = observed.then(|| TellObserved::start(&daemon));
    let follows = Follows {
        follower,
        stopping,
        has_begun: false,
        resumes: after.is_some(),
        _engine: engine,
    };
    let body = stream::unfold(Some(follows), |follows| async move {
        let (frame, follows) = follows?.frame().await?;
        Some((Ok::<_, Infallible>(frame), follows))
    });
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((head, Body::from_stream(body)).into_response())
}

/// What a client that comes back says it has.
fn last_event_id(request: &Request) -> Result<Option<u64>, Problem> {
    let Some(id) = request.headers().get("last-event-id") else {
        return Ok(None);
    };
    let number = id.to_str().ok().and_then(|id| id.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| Problem::bad_request("header \"Last-Event-ID\" is no number of an event"))
}

/// One client.
struct Follows {
    follower: Follower,
    stopping: Stopping,
    has_begun: bool,
    resumes: bool,
    _engine: Option<TellObserved>,
}

impl Follows {
    /// The next bytes, and what follows them; `None`: the daemon ends.
    async fn frame(mut self) -> Option<(Bytes, Option<Self>)> {
        if !self.has_begun {
            // Says at once that everything from now on will be heard.
            self.has_begun = true;
            return Some((Bytes::from_static(b": following\n\n"), Some(self)));
        }
        let heard = tokio::select! {
            heard = timeout(HEARTBEAT, self.follower.next()) => heard,
            () = self.stopping.wait() => return None,
        };
        let was_told_the_past = !std::mem::replace(&mut self.resumes, false);
        match heard {
            Err(_) => Some((Bytes::from_static(b": still here\n\n"), Some(self))),
            Ok(Heard::Events(events)) => {
                let mut frame = Vec::with_capacity(events.len() * 256);
                for told in events {
                    push_frame(&mut frame, &told);
                }
                Some((frame.into(), Some(self)))
            }
            Ok(Heard::Missing { after, until }) if was_told_the_past => {
                Some((missing("dropped", after, until), None))
            }
            Ok(Heard::Missing { after, until }) => {
                Some((missing("missing", after, until), Some(self)))
            }
        }
    }
}

/// Tells of a gap. It has no number of its own: who comes back begins after the last event that it has.
fn missing(event: &str, after: u64, until: u64) -> Bytes {
    let why = match event {
        "dropped" => {
            "this client reads too slowly: come back with the last id, and look into the history for what is gone"
        }
        _ => "what happened in between is gone: look into the history",
    };
    let data = json!({"event": event, "after": after, "until": until, "why": why});
    format!("event: {event}\ndata: {data}\n\n").into()
}

fn push_frame(frame: &mut Vec<u8>, told: &Told) {
    let data = line(told);
    let event = data["event"].as_str().unwrap_or_default();
    frame
        .extend_from_slice(format!("id: {}\nevent: {event}\ndata: {data}\n\n", told.id).as_bytes());
}

/// An event as JSON.
fn line(told: &Told) -> Value {
    let policy = &told.policy;
    let (event, root, path, more) = match &told.event {
        Event::Lapsed {
            root,
            path,
            unit,
            rule,
            deadline,
            at,
            late_ms,
            files,
            bytes,
            id,
            job,
        } => {
            let more = json!({
                "unit": unit.as_str(), "rule": rule_name(policy, *rule), "deadline": deadline.to_string(),
                "removed_at": at.to_string(), "late_ms": late_ms, "files": files, "bytes": bytes, "ledger_id": id,
                "job": job.as_ref().map(|job| &job.id),
                "source": job.as_ref().map(|job| source_name(policy, job.source)),
            });
            ("lapsed", Some(root), Some(path), more)
        }
        Event::Held { root, path, hold } => {
            let more = json!({"hold": hold.code(), "why": hold.to_string()});
            ("held", Some(root), Some(path), more)
        }
        Event::Observed { root, path, size } => {
            ("observed", Some(root), Some(path), json!({"size": size}))
        }
        Event::Root { root, what } => ("root", Some(root), None, json!({"what": what})),
        Event::Tripped { root, trip } => {
            let more = json!({"tripped_at": trip.at.to_string(), "due": trip.due, "of": trip.of, "what": trip.what.as_str()});
            ("tripped", Some(root), None, more)
        }
        Event::Released { root, uid } => ("released", Some(root), None, json!({"uid": uid})),
        Event::Source { source, what } => {
            let more = json!({"source": source_name(policy, *source), "what": what});
            ("source", None, None, more)
        }
        Event::OrphansTripped { source, root, why } => {
            let source = source.map(|source| source_name(policy, source));
            let more = json!({"source": source, "why": why});
            ("orphans-tripped", root.as_ref(), None, more)
        }
        Event::ClaimRefused {
            source,
            job,
            file,
            why,
        } => {
            let more = json!({
                "source": source_name(policy, *source), "job": job, "file": file, "why": why,
            });
            ("claim-refused", None, None, more)
        }
        Event::Saving => ("saving", None, None, json!({})),
        Event::ClockJumped { by_ms } => ("clock", None, None, json!({"by_ms": by_ms})),
    };
    let mut line = Map::new();
    line.insert("id".into(), told.id.into());
    line.insert("at".into(), told.at.to_string().into());
    line.insert("event".into(), event.into());
    let place = root.map(|&root| place(told, root, path.unwrap_or(&RelPath::root())));
    let (path, path_b64) = place.map_or((None, None), |path| (Some(path.path), path.path_b64));
    line.insert("path".into(), path.into());
    if let Some(bytes) = path_b64 {
        line.insert("path_b64".into(), bytes.into());
    }
    let root = root.map(|&root| root_name(policy, root));
    line.insert("root".into(), root.into());
    if let Value::Object(more) = more {
        line.extend(more);
    }
    Value::Object(line)
}

fn source_name(policy: &Policy, source: SourceId) -> String {
    let known = policy.sources.get(&source);
    known.map_or_else(|| "?".to_owned(), |source| source.name.clone())
}

fn place(told: &Told, root: RootId, path: &RelPath) -> JsonPath {
    json_path(&told.policy, root, path)
}

/// While this lives the engine tells single observations.
struct TellObserved {
    link: EngineLink,
    daemon: Arc<Daemon>,
}

impl TellObserved {
    fn start(daemon: &Arc<Daemon>) -> Self {
        let this = Self {
            link: daemon.link().clone(),
            daemon: Arc::clone(daemon),
        };
        this.tell();
        this
    }

    /// Has the engine do what the followers of that moment want: orders may pass one another, their last one is right.
    fn tell(&self) {
        let (link, daemon) = (self.link.clone(), Arc::clone(&self.daemon));
        tokio::spawn(async move {
            // An engine that ends has nothing to tell any more.
            let _ = link
                .ask(move |engine, _| engine.tell_observed(daemon.parts.events.wants_observed()))
                .await;
        });
    }
}

impl Drop for TellObserved {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::Policy;
    use crate::core::time::Timestamp;

    #[test]
    fn a_frame_has_number_name_and_one_line_of_data() {
        let told = Told {
            id: 7,
            at: Timestamp::from_unix_ms(0),
            event: Event::ClockJumped { by_ms: -5 },
            policy: Arc::new(Policy::default()),
        };
        let mut frame = Vec::new();
        push_frame(&mut frame, &told);
        insta::assert_snapshot!(String::from_utf8(frame).unwrap(), @r#"
        id: 7
        event: clock
        data: {"at":"1970-01-01T00:00:00.000Z","by_ms":-5,"event":"clock","id":7,"path":null,"root":null}
        "#);
    }
}

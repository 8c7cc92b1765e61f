//! `GET /v1/jobs`: the jobs of all sources, as one JSON object or line by line.
//!
//! **Invariant:** a list of any length takes a bounded amount of memory, and gives way to others after every few thousand jobs.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;

use super::source_named;
use crate::api::daemon::Daemon;
use crate::api::files::{LINES, wants_lines};
use crate::api::problem::Problem;
use crate::api::query::{Query, refuse};
use crate::api::router::json;
use crate::api::wire;
use crate::core::jobs::{Job, Jobs, SourceId, Status};
use crate::core::policy::Policy;

/// Jobs in an answer when nobody says.
const LIMIT: u64 = 1000;

/// Jobs in one JSON object at most: some 3 MB. Who wants more takes lines, or follows the cursor.
const LIMIT_MAX: u64 = 10_000;

/// Jobs that are looked at at once; then others come to their turn.
const AT_ONCE: usize = 2000;

pub(in crate::api) async fn list(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let names = ["source", "status", "kind", "limit", "cursor"];
    let query = Query::parse(request.uri(), &names)?;
    let wants_lines = wants_lines(request.headers());
    let limit = query.number("limit")?;
    if limit == Some(0) || (!wants_lines && limit.is_some_and(|limit| limit > LIMIT_MAX)) {
        let problem = refuse("limit", &limit.unwrap_or_default().to_string());
        return Err(problem.hint(format!(
            "give a number from 1 to {LIMIT_MAX}, or accept {LINES} for a list of any length"
        )));
    }
    let walk = Walk::read(&query, Arc::clone(&daemon.parts.jobs), &daemon.policy())?;
    if wants_lines {
        let body = lines(walk, limit.unwrap_or(u64::MAX));
        return Ok(([(header::CONTENT_TYPE, LINES)], body).into_response());
    }
    Ok(json(&one_object(walk, limit.unwrap_or(LIMIT)).await))
}

/// A way through the jobs of all sources, by the sources' names and the jobs' ids.
struct Walk {
    jobs: Arc<Jobs>,
    /// What is still to be gone through; the next one is the last.
    sources: Vec<(SourceId, String)>,
    after: Option<String>,
    status: Option<Status>,
    kind: Option<String>,
}

impl Walk {
    fn read(query: &Query, jobs: Arc<Jobs>, policy: &Policy) -> Result<Self, Problem> {
        let only = query.text("source")?;
        let only = only.map(|name| source_named(policy, name)).transpose()?;
        let mut sources: Vec<(SourceId, String)> = policy
            .sources
            .iter()
            .filter(|(id, source)| only.map_or(source.is_listed, |only| **id == only))
            .map(|(&id, source)| (id, source.name.clone()))
            .collect();
        sources.sort_by(|(_, one), (_, other)| other.cmp(one));
        let mut after = None;
        if let Some(cursor) = query.text("cursor")? {
            let (name, id) = place(cursor)?;
            sources.retain(|(_, source)| *source >= name);
            let goes_on = sources.last().is_some_and(|(_, source)| *source == name);
            after = goes_on.then_some(id);
        }
        Ok(Self {
            jobs,
            sources,
            after,
            status: query.choice(
                "status",
                &Status::ALL.map(|status| (status.as_str(), status)),
            )?,
            kind: query.text("kind")?.map(str::to_owned),
        })
    }

    /// Some more jobs, those that are not wanted left out; `None`: there are no more.
    fn step(&mut self) -> Option<Vec<wire::JobLine>> {
        let (source, name) = self.sources.last()?;
        let some = self.jobs.list(*source, self.after.as_deref(), AT_ONCE);
        let wanted = some.iter().filter(|job| self.takes(job));
        let wanted = wanted.map(|job| wire::JobLine::known(job, name)).collect();
        if some.len() < AT_ONCE {
            self.sources.pop();
            self.after = None;
        } else {
            self.after = some.into_iter().next_back().map(|job| job.key.id);
        }
        Some(wanted)
    }

    fn takes(&self, job: &Job) -> bool {
        self.status.is_none_or(|status| job.status == status)
            && self
                .kind
                .as_deref()
                .is_none_or(|kind| job.kind.as_deref() == Some(kind))
    }
}

async fn one_object(mut walk: Walk, limit: u64) -> wire::Jobs {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut jobs = Vec::new();
    while jobs.len() <= limit
        && let Some(more) = walk.step()
    {
        jobs.extend(more);
        tokio::task::yield_now().await;
    }
    let has_more = jobs.len() > limit;
    jobs.truncate(limit);
    let cursor = jobs.last().filter(|_| has_more).map(cursor);
    wire::Jobs { jobs, cursor }
}

fn lines(walk: Walk, limit: u64) -> Body {
    let chunks = stream::unfold((walk, limit), |(mut walk, mut left)| async move {
        let mut chunk = Vec::new();
        while chunk.is_empty() && left > 0 {
            tokio::task::yield_now().await;
            for job in walk.step()? {
                if left == 0 {
                    break;
                }
                left -= 1;
                serde_json::to_writer(&mut chunk, &job).expect("invariant: a job has only text");
                chunk.push(b'\n');
            }
        }
        (left > 0 || !chunk.is_empty())
            .then(|| (Ok::<_, Infallible>(Bytes::from(chunk)), (walk, left)))
    });
    Body::from_stream(chunks)
}

/// A cursor that stands behind `job`.
fn cursor(job: &wire::JobLine) -> String {
    let place = [job.source.as_deref().unwrap_or_default(), &job.id].join("\0");
    URL_SAFE_NO_PAD.encode(place)
}

/// The source's name and the job's id that a cursor stands behind.
fn place(cursor: &str) -> Result<(String, String), Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let place = text.as_deref().and_then(|text| text.split_once('\0'));
    place
        .map(|(source, id)| (source.to_owned(), id.to_owned()))
        .ok_or_else(|| refuse("cursor", cursor).hint("give a cursor of an earlier answer as it is"))
}

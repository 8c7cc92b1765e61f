//! Lists of jobs of all sources, as one JSON object or line by line.
//!
//! **Invariant:** a list of any length takes a bounded amount of memory, and gives way to others
//! after every few thousand jobs.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, stream};

use super::source_named;
use crate::app::daemon::Daemon;
use crate::app::error::AppError;
use crate::app::files::{Lines, check_limit};
use crate::core::jobs::{Job, Jobs, SourceId, Status};
use crate::core::policy::Policy;

use crate::types::{self, JobsQuery};

/// Jobs in an answer when nobody says.
const LIMIT: u64 = 1000;

/// Jobs that are looked at at once; then others come to their turn.
const AT_ONCE: usize = 2000;

/// Form of a list.
pub enum Listing {
    /// One JSON object.
    Object(types::Jobs),
    /// Lines of JSON, in pieces.
    Lines(Lines),
}

/// Lists the jobs that `query` asks for.
///
/// # Errors
/// If the source is unknown.
pub async fn list(
    daemon: &Daemon,
    query: JobsQuery,
    wants_lines: bool,
) -> Result<Listing, AppError> {
    let limit = query.limit;
    check_limit(limit, wants_lines)?;
    let walk = Walk::new(query, Arc::clone(&daemon.parts.jobs), &daemon.policy())?;
    if wants_lines {
        return Ok(Listing::Lines(lines(walk, limit.unwrap_or(u64::MAX))));
    }
    let object = one_object(walk, limit.unwrap_or(LIMIT)).await;
    Ok(Listing::Object(object))
}

/// A way through the jobs of all sources, by the sources' names and the jobs' ids.
struct Walk {
    jobs: Arc<Jobs>,
    /// Sources still to visit; the next one is the last.
    sources: Vec<(SourceId, String)>,
    after: Option<String>,
    status: Option<Status>,
    kind: Option<String>,
}

impl Walk {
    fn new(query: JobsQuery, jobs: Arc<Jobs>, policy: &Policy) -> Result<Self, AppError> {
        let only = query.source.map(|name| source_named(policy, &name));
        let only = only.transpose()?;
        let mut sources: Vec<(SourceId, String)> = policy
            .sources
            .iter()
            .filter(|(id, source)| only.map_or(source.is_listed, |only| **id == only))
            .map(|(&id, source)| (id, source.name.clone()))
            .collect();
        sources.sort_by(|(_, one), (_, other)| other.cmp(one));
        let mut after = None;
        if let Some(cursor) = query.cursor {
            let (name, id) = place(&cursor)?;
            sources.retain(|(_, source)| *source >= name);
            let goes_on = sources.last().is_some_and(|(_, source)| *source == name);
            after = goes_on.then_some(id);
        }
        Ok(Self {
            jobs,
            sources,
            after,
            status: query.status,
            kind: query.kind,
        })
    }

    /// Some more jobs, those that are not wanted left out; `None`: there are no more.
    fn step(&mut self) -> Option<Vec<types::JobLine>> {
        let (source, name) = self.sources.last()?;
        let some = self.jobs.list(*source, self.after.as_deref(), AT_ONCE);
        let wanted = some.iter().filter(|job| self.takes(job));
        let wanted = wanted.map(|job| types::JobLine::known(job, name)).collect();
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

async fn one_object(mut walk: Walk, limit: u64) -> types::Jobs {
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
    types::Jobs { jobs, cursor }
}

fn lines(walk: Walk, limit: u64) -> Lines {
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
        (left > 0 || !chunk.is_empty()).then_some((chunk, (walk, left)))
    });
    chunks.boxed()
}

/// A cursor that stands behind `job`.
fn cursor(job: &types::JobLine) -> String {
    let place = [job.source.as_deref().unwrap_or_default(), &job.id].join("\0");
    URL_SAFE_NO_PAD.encode(place)
}

/// The source's name and the job's id that a cursor stands behind.
fn place(cursor: &str) -> Result<(String, String), AppError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let place = text.as_deref().and_then(|text| text.split_once('\0'));
    place
        .map(|(source, id)| (source.to_owned(), id.to_owned()))
        .ok_or_else(|| {
            AppError::invalid_parameter("cursor", cursor)
                .hint("give a cursor of an earlier answer as it is")
        })
}

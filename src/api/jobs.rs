//! `GET`, `PUT`, `DELETE /v1/jobs/{id}`: one job, as its source tells of it; those of API sources are told here.
//!
//! **Invariant:** a job that was acknowledged is on disk, and the engine knows it.
//! **Invariant:** a job's id is a key: it is compared, and leads nowhere.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::daemon::{Daemon, source_name};
use super::json_path::JsonPath;
use super::order::{through, wait};
use super::problem::Problem;
use super::query::Query;
use super::router::{body as body_of, json, json_with, peer};
use super::wire;
use crate::clock;
use crate::core::jobs::{Fresh, JobKey, JobRow, News, SourceId, SourceNews};
use crate::core::policy::Policy;

mod body;
pub(super) mod list;

/// The longest id, in bytes.
const ID_MAX: usize = 512;

/// A path's segment, percent-decoded.
pub(super) type Segment = Result<Path<String>, PathRejection>;

pub(super) async fn show(
    State(daemon): State<Arc<Daemon>>,
    id: Segment,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["source"])?;
    let id = read_id(id)?;
    let policy = daemon.policy();
    let source = query.text("source")?;
    let found = match find(&daemon, &policy, &id, source).await {
        Ok((_, Fresh::Gone)) => Err(unknown(&policy, &id, source)),
        found => found,
    };
    let (key, fresh) = match found {
        Err(problem) if [400, 404].contains(&problem.status) => {
            // Its source may be out of the configuration, too.
            return match forgotten(&daemon, id, source).await? {
                Some(job) => Ok(json(&job)),
                None => Err(problem),
            };
        }
        found => found?,
    };
    match fresh {
        Fresh::Row(row) => {
            let name = source_name(&policy, key.source).to_owned();
            let registry = Arc::clone(&daemon.parts.registry);
            let record = wait(move || registry.waiting(&name, &id)).await??;
            Ok(json(&wire::Job {
                record: record.map(wire::PendingRecord::from),
                ..told(&daemon, &policy, key.source, *row)
            }))
        }
        Fresh::Gone => Err(unknown(&policy, &id, source)),
        Fresh::Unknown(why) => Err(Problem::busy(format!(
            "source \"{}\" cannot tell of job \"{id}\" now: {why}",
            source_name(&policy, key.source)
        ))),
    }
}

pub(super) async fn put(
    State(daemon): State<Arc<Daemon>>,
    id: Segment,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["source"])?;
    let id = read_id(id)?;
    daemon.parts.actors.admit(&peer(&request)?).await?;
    let policy = daemon.policy();
    let source = writable(&daemon, &policy, query.text("source")?)?;
    check_id(&policy, source, &id)?;
    let order: wire::JobOrder = body_of(request, r#"{"status": "completed"}"#).await?;
    let draft = body::read(id, order)?;
    let name = source_name(&policy, source).to_owned();
    let (teller, now) = (Arc::clone(&daemon), clock::now().wall);
    let (row, is_new) = through(async move {
        let _turn = teller.turn().await;
        let registry = Arc::clone(&teller.parts.registry);
        let (row, is_new) = wait(move || {
            let id = draft.id.clone();
            let change = registry.change_job(&name, &id, |before| {
                Some(body::complete(draft, before.as_ref(), now))
            })?;
            Ok::<_, Problem>((change.after, change.before.is_none()))
        })
        .await??;
        let row = row.ok_or_else(|| Problem::internal("the job was not kept"))?;
        tell(&teller, source, News::Rows(vec![row.clone()])).await?;
        Ok((row, is_new))
    })
    .await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json_with(status, &told(&daemon, &policy, source, row)))
}

pub(super) async fn remove(
    State(daemon): State<Arc<Daemon>>,
    id: Segment,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::parse(request.uri(), &["source"])?;
    let id = read_id(id)?;
    daemon.parts.actors.admit(&peer(&request)?).await?;
    let policy = daemon.policy();
    let wanted = query.text("source")?;
    let source = writable(&daemon, &policy, wanted)?;
    let name = source_name(&policy, source).to_owned();
    let missing = unknown(&policy, &id, Some(&name));
    let teller = Arc::clone(&daemon);
    let row = through(async move {
        let _turn = teller.turn().await;
        let registry = Arc::clone(&teller.parts.registry);
        let gone = id.clone();
        let change = wait(move || registry.change_job(&name, &gone, |_| None)).await??;
        let row = change.before.ok_or(missing)?;
        tell(&teller, source, News::Gone(vec![id])).await?;
        Ok(row)
    })
    .await?;
    Ok(json(&told(&daemon, &policy, source, row)))
}

/// Has the engine hear news of `source`.
async fn tell(daemon: &Daemon, source: SourceId, news: News) -> Result<(), Problem> {
    let news = SourceNews {
        source,
        news: vec![news],
        more: false,
    };
    let heard = daemon
        .link()
        .ask(move |engine, now| engine.on_source_update(news, now));
    Ok(heard.await?)
}

/// Which job `id` is, and what its source says of it now.
///
/// # Errors
/// 400 for a source that there is not; 409 when several sources know the id and none is named; 404 when no source does.
pub(super) async fn find(
    daemon: &Arc<Daemon>,
    policy: &Arc<Policy>,
    id: &str,
    source: Option<&str>,
) -> Result<(JobKey, Fresh), Problem> {
    let key = |source: SourceId| JobKey {
        source,
        id: id.to_owned(),
    };
    let known: Vec<SourceId> = match source {
        Some(name) => vec![source_named(policy, name)?],
        None => listed(policy)
            .filter(|&source| daemon.parts.jobs.job(&key(source)).is_some())
            .collect(),
    };
    // What nobody has told of yet may be at its source by now.
    let asked = if known.is_empty() {
        listed(policy).collect()
    } else {
        known
    };
    let ask = Arc::clone(&daemon.parts.ask_source);
    let keys: Vec<JobKey> = asked.into_iter().map(key).collect();
    let is_one = keys.len() == 1;
    let answers = wait(move || -> Vec<(JobKey, Fresh)> {
        keys.into_iter()
            .map(|key| {
                let fresh = ask(&key);
                (key, fresh)
            })
            .filter(|(_, fresh)| is_one || *fresh != Fresh::Gone)
            .collect()
    })
    .await?;
    let mut rows = answers
        .iter()
        .filter(|(_, fresh)| matches!(fresh, Fresh::Row(_)));
    match (rows.next(), rows.next()) {
        (Some(_), Some(_)) => {
            let rows = answers
                .iter()
                .filter(|(_, fresh)| matches!(fresh, Fresh::Row(_)));
            let names = rows.map(|(key, _)| source_name(policy, key.source));
            Err(Problem::new(
                StatusCode::CONFLICT,
                format!("several sources have a job \"{id}\""),
            )
            .allowed(names)
            .hint("name one of them: --source NAME, or ?source=NAME"))
        }
        (Some(found), None) => Ok(found.clone()),
        (None, _) => answers
            .into_iter()
            .next()
            .ok_or_else(|| unknown(policy, id, source)),
    }
}

/// The sources whose jobs are meant where none is named.
fn listed(policy: &Policy) -> impl Iterator<Item = SourceId> {
    let sources = policy.sources.iter();
    sources.filter(|(_, of)| of.is_listed).map(|(&id, _)| id)
}

/// The facts that were kept of a job whose row was deleted at its source.
async fn forgotten(
    daemon: &Daemon,
    id: String,
    source: Option<&str>,
) -> Result<Option<wire::Job>, Problem> {
    let registry = Arc::clone(&daemon.parts.registry);
    let source = source.map(str::to_owned);
    let kept = wait(move || registry.forgotten(source.as_deref(), &id)).await??;
    Ok(kept.into_iter().next().map(wire::Job::from))
}

/// A 404 for a job.
pub(super) fn unknown(policy: &Policy, id: &str, source: Option<&str>) -> Problem {
    if let Some(source) = source {
        return Problem::not_found(format!("source \"{source}\" has no job \"{id}\""));
    }
    let names = policy.sources.values().map(|source| source.name.as_str());
    let names: Vec<&str> = names.collect();
    Problem::not_found(format!("no source has a job \"{id}\""))
        .hint(format!("the sources are: {}", names.join(", ")))
}

/// The source that is named `name`; a 400 with the names that there are.
pub(super) fn source_named(policy: &Policy, name: &str) -> Result<SourceId, Problem> {
    let found = policy
        .sources
        .iter()
        .find(|(_, source)| source.name == name);
    found.map(|(&id, _)| id).ok_or_else(|| {
        let names = policy.sources.values().map(|source| source.name.clone());
        Problem::bad_request(format!("there is no source \"{name}\"")).allowed(names)
    })
}

/// The API source that is named, or the only one.
fn writable(daemon: &Daemon, policy: &Policy, name: Option<&str>) -> Result<SourceId, Problem> {
    let ids = policy.sources.keys().copied();
    let own: Vec<SourceId> = ids.filter(|&id| (daemon.parts.is_api)(id)).collect();
    let names = || own.iter().map(|&id| source_name(policy, id));
    if let Some(name) = name {
        let id = source_named(policy, name)?;
        if own.contains(&id) {
            return Ok(id);
        }
        return Err(Problem::new(
            StatusCode::CONFLICT,
            format!("source \"{name}\" is not told of here: its jobs are read from where they are"),
        )
        .allowed(names())
        .hint("change the job at its source; here only jobs of the sources of kind api are told"));
    }
    match own[..] {
        [id] => Ok(id),
        [] => Err(Problem::new(
            StatusCode::CONFLICT,
            "there is no source of kind api",
        )),
        [..] => Err(Problem::bad_request("query parameter \"source\" is missing").allowed(names())),
    }
}

/// A job's id, from its segment of the path.
fn read_id(segment: Segment) -> Result<String, Problem> {
    let Path(id) = segment
        .map_err(|error| Problem::bad_request(format!("the job's id cannot be read: {error}")))?;
    if id.len() > ID_MAX {
        return Err(Problem::bad_request(format!(
            "a job's id is at most {ID_MAX} bytes long, this one is {}",
            id.len()
        )));
    }
    if id.is_empty() || id.contains('\0') {
        return Err(Problem::bad_request(
            "a job's id is not empty, and has no NUL in it",
        ));
    }
    Ok(id)
}

fn check_id(policy: &Policy, source: SourceId, id: &str) -> Result<(), Problem> {
    let Some(source) = policy
        .sources
        .get(&source)
        .filter(|source| !source.is_id(id))
    else {
        return Ok(());
    };
    let problem = Problem::bad_request(format!(
        "\"{id}\" is no id of a job of source \"{}\"",
        source.name
    ));
    Err(match &source.id_pattern {
        Some(pattern) => problem.hint(format!("ids match {pattern}, as a whole")),
        None => problem,
    })
}

/// A job for JSON, with where the files lie that it claims.
fn told(daemon: &Daemon, policy: &Policy, source: SourceId, row: JobRow) -> wire::Job {
    let claims = daemon
        .parts
        .jobs
        .resolve_claims(policy, source, &row.files)
        .into_iter()
        .map(|(file, claimed)| match claimed {
            Err(why) => wire::Claim {
                file,
                path: None,
                state: "refused".to_owned(),
                why: Some(why),
            },
            Ok(path) => {
                let is_ours = policy.locate(&path).is_some();
                wire::Claim {
                    file,
                    path: Some(JsonPath::new(&path)),
                    state: if is_ours { "ok" } else { "elsewhere" }.to_owned(),
                    why: (!is_ours).then(|| "it lies beneath no root".to_owned()),
                }
            }
        });
    let claims = claims.collect();
    wire::Job::told(row, source_name(policy, source), claims)
}

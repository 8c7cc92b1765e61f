//! One job, as its source tells it; those of API sources are written here.
//!
//! **Invariant:** a job that was acknowledged is on disk, and the engine knows it.
//! **Invariant:** a job's id is a key: it is compared, and leads nowhere.

use std::sync::Arc;

use super::daemon::{Daemon, source_name};
use super::order::{through, wait};
use crate::app::access::Operator;
use crate::app::error::{AppError, ErrorKind};
use crate::clock;
use crate::core::jobs::{JobChange, JobKey, JobLookup, JobRow, SourceId, SourceUpdate};
use crate::core::policy::Policy;
use crate::types::{self, ClaimState, JsonPath};

mod body;
pub mod list;
mod registered;

/// The longest id, in bytes.
const ID_MAX: usize = 512;

/// Shows the job `id`.
///
/// # Errors
/// If no source, or more than one, has it.
pub async fn show(
    daemon: Arc<Daemon>,
    id: String,
    source: Option<&str>,
) -> Result<types::Job, AppError> {
    check_length(&id)?;
    let policy = daemon.policy();
    let found = match find(&daemon, &policy, &id, source).await {
        Ok((_, JobLookup::Gone)) => Err(unknown(&policy, &id, source)),
        found => found,
    };
    let (key, fresh) = match found {
        Err(error) if matches!(error.kind, ErrorKind::Invalid | ErrorKind::NotFound) => {
            // Its source may be out of the configuration, too.
            return match forgotten(&daemon, id, source).await? {
                Some(job) => Ok(job),
                None => Err(error),
            };
        }
        found => found?,
    };
    match fresh {
        JobLookup::Row(row) => {
            let name = source_name(&policy, key.source).to_owned();
            let registry = Arc::clone(&daemon.parts.registry);
            let record = wait(move || registry.waiting(&name, &id)).await??;
            Ok(types::Job {
                record: record.map(types::PendingRecord::from),
                ..described(&daemon, &policy, key.source, *row)
            })
        }
        JobLookup::Gone => Err(unknown(&policy, &id, source)),
        JobLookup::Unknown(why) => Err(AppError::unavailable(format!(
            "source \"{}\" cannot tell of job \"{id}\" now: {why}",
            source_name(&policy, key.source)
        ))),
    }
}

/// Creates or replaces the job `id` of an API source. Returns true if it is new.
///
/// # Errors
/// If the job is invalid, or the source is not an API source.
pub async fn put(
    daemon: Arc<Daemon>,
    _: &Operator,
    id: String,
    source: Option<&str>,
    order: types::JobOrder,
) -> Result<(types::Job, bool), AppError> {
    check_length(&id)?;
    let policy = daemon.policy();
    let source = writable(&daemon, &policy, source)?;
    check_id(&policy, source, &id)?;
    let draft = body::read(id, order)?;
    let name = source_name(&policy, source).to_owned();
    let (keeper, now) = (Arc::clone(&daemon), clock::now().wall);
    let (row, is_new) = through(async move {
        let _turn = keeper.turn().await;
        let registry = Arc::clone(&keeper.parts.registry);
        let (row, is_new) = wait(move || {
            let id = draft.id.clone();
            let change = registry.change_job(&name, &id, |before| {
                Some(body::complete(draft, before.as_ref(), now))
            })?;
            Ok::<_, AppError>((change.after, change.before.is_none()))
        })
        .await??;
        let row = row.ok_or_else(|| AppError::internal("the job was not kept"))?;
        publish(&keeper, source, JobChange::Rows(vec![row.clone()])).await?;
        Ok((row, is_new))
    })
    .await?;
    Ok((described(&daemon, &policy, source, row), is_new))
}

/// Deletes the job `id` of an API source.
///
/// # Errors
/// If the source does not have it.
pub async fn remove(
    daemon: Arc<Daemon>,
    _: &Operator,
    id: String,
    source: Option<&str>,
) -> Result<types::Job, AppError> {
    check_length(&id)?;
    let policy = daemon.policy();
    let source = writable(&daemon, &policy, source)?;
    let name = source_name(&policy, source).to_owned();
    let missing = unknown(&policy, &id, Some(&name));
    let keeper = Arc::clone(&daemon);
    let row = through(async move {
        let _turn = keeper.turn().await;
        let registry = Arc::clone(&keeper.parts.registry);
        let gone = id.clone();
        let change = wait(move || registry.change_job(&name, &gone, |_| None)).await??;
        let row = change.before.ok_or(missing)?;
        publish(&keeper, source, JobChange::Gone(vec![id])).await?;
        Ok(row)
    })
    .await?;
    Ok(described(&daemon, &policy, source, row))
}

/// Hands news of `source` to the engine.
async fn publish(daemon: &Daemon, source: SourceId, news: JobChange) -> Result<(), AppError> {
    let news = SourceUpdate {
        source,
        news: vec![news],
        more: false,
    };
    let heard = daemon
        .link()
        .ask(move |engine, now| engine.on_source_update(news, now));
    Ok(heard.await?)
}

/// Finds the job `id`, and its row at its source now.
///
/// # Errors
/// 400 for a source that there is not; 409 when several sources know the id and none is named; 404
/// when no source does.
pub(crate) async fn find(
    daemon: &Arc<Daemon>,
    policy: &Arc<Policy>,
    id: &str,
    source: Option<&str>,
) -> Result<(JobKey, JobLookup), AppError> {
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
    let answers = wait(move || -> Vec<(JobKey, JobLookup)> {
        keys.into_iter()
            .map(|key| {
                let fresh = ask(&key);
                (key, fresh)
            })
            .filter(|(_, fresh)| is_one || *fresh != JobLookup::Gone)
            .collect()
    })
    .await?;
    let mut rows = answers
        .iter()
        .filter(|(_, fresh)| matches!(fresh, JobLookup::Row(_)));
    match (rows.next(), rows.next()) {
        (Some(_), Some(_)) => {
            let rows = answers
                .iter()
                .filter(|(_, fresh)| matches!(fresh, JobLookup::Row(_)));
            let names = rows.map(|(key, _)| source_name(policy, key.source));
            Err(
                AppError::conflict(format!("several sources have a job \"{id}\""))
                    .allowed(names)
                    .hint("name one of them: --source NAME, or ?source=NAME"),
            )
        }
        (Some(found), None) => Ok(found.clone()),
        (None, _) => answers
            .into_iter()
            .next()
            .ok_or_else(|| unknown(policy, id, source)),
    }
}

/// The sources whose jobs are meant where none is named.
pub(super) fn listed(policy: &Policy) -> impl Iterator<Item = SourceId> {
    let sources = policy.sources.iter();
    sources.filter(|(_, of)| of.is_listed).map(|(&id, _)| id)
}

/// The facts that were kept of a job whose row was deleted at its source.
async fn forgotten(
    daemon: &Daemon,
    id: String,
    source: Option<&str>,
) -> Result<Option<types::Job>, AppError> {
    let registry = Arc::clone(&daemon.parts.registry);
    let source = source.map(str::to_owned);
    let kept = wait(move || registry.forgotten(source.as_deref(), &id)).await??;
    Ok(kept.into_iter().next().map(types::Job::from))
}

/// A 404 for a job.
pub(crate) fn unknown(policy: &Policy, id: &str, source: Option<&str>) -> AppError {
    if let Some(source) = source {
        return AppError::not_found(format!("source \"{source}\" has no job \"{id}\""));
    }
    let names = policy.sources.values().map(|source| source.name.as_str());
    let names: Vec<&str> = names.collect();
    AppError::not_found(format!("no source has a job \"{id}\""))
        .hint(format!("the sources are: {}", names.join(", ")))
}

/// The source that is named `name`; a 400 with the names that there are.
pub(crate) fn source_named(policy: &Policy, name: &str) -> Result<SourceId, AppError> {
    let found = policy
        .sources
        .iter()
        .find(|(_, source)| source.name == name);
    found.map(|(&id, _)| id).ok_or_else(|| {
        let names = policy.sources.values().map(|source| source.name.clone());
        AppError::invalid(format!("there is no source \"{name}\"")).allowed(names)
    })
}

/// The API source that is named, or the only one.
fn writable(daemon: &Daemon, policy: &Policy, name: Option<&str>) -> Result<SourceId, AppError> {
    let ids = policy.sources.keys().copied();
    let own: Vec<SourceId> = ids.filter(|&id| (daemon.parts.is_api)(id)).collect();
    let names = || own.iter().map(|&id| source_name(policy, id));
    if let Some(name) = name {
        let id = source_named(policy, name)?;
        if own.contains(&id) {
            return Ok(id);
        }
        return Err(AppError::conflict(format!(
            "source \"{name}\" is not told of here: its jobs are read from where they are"
        ))
        .allowed(names())
        .hint("change the job at its source; here only jobs of the sources of kind api are told"));
    }
    match own[..] {
        [id] => Ok(id),
        [] => Err(AppError::conflict("there is no source of kind api")),
        [..] => Err(AppError::invalid("query parameter \"source\" is missing").allowed(names())),
    }
}

fn check_length(id: &str) -> Result<(), AppError> {
    if id.len() > ID_MAX {
        return Err(AppError::invalid(format!(
            "a job's id is at most {ID_MAX} bytes long, this one is {}",
            id.len()
        )));
    }
    if id.is_empty() || id.contains('\0') {
        return Err(AppError::invalid(
            "a job's id is not empty, and has no NUL in it",
        ));
    }
    Ok(())
}

fn check_id(policy: &Policy, source: SourceId, id: &str) -> Result<(), AppError> {
    let Some(source) = policy
        .sources
        .get(&source)
        .filter(|source| !source.is_id(id))
    else {
        return Ok(());
    };
    let error = AppError::invalid(format!(
        "\"{id}\" is no id of a job of source \"{}\"",
        source.name
    ));
    Err(match &source.id_pattern {
        Some(pattern) => error.hint(format!("ids match {pattern}, as a whole")),
        None => error,
    })
}

/// A job for JSON, with the places of the files that it claims.
fn described(daemon: &Daemon, policy: &Policy, source: SourceId, row: JobRow) -> types::Job {
    let claims = daemon
        .parts
        .jobs
        .resolve_claims(policy, source, &row.files)
        .into_iter()
        .map(|(file, claimed)| match claimed {
            Err(why) => types::Claim {
                file,
                path: None,
                state: ClaimState::Refused,
                why: Some(why),
            },
            Ok(path) => {
                let is_ours = policy.locate(&path).is_some();
                types::Claim {
                    file,
                    path: Some(JsonPath::new(&path)),
                    state: if is_ours {
                        ClaimState::Ok
                    } else {
                        ClaimState::Elsewhere
                    },
                    why: (!is_ours).then(|| "it lies beneath no root".to_owned()),
                }
            }
        });
    let claims = claims.collect();
    types::Job::from_row(row, source_name(policy, source), claims)
}

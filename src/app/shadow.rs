//! Comparison of what this daemon would remove with what others remove.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use super::daemon::Daemon;
use super::order::wait;
use crate::app::error::AppError;
use crate::clock;
use crate::core::jobs::JobKey;
use crate::core::shadow::{ShadowKind, ShadowList};
use crate::core::time::Timestamp;
use crate::registry::{ShadowFilter, ShadowRow};
use crate::types::{self, JsonPath, Shadow, ShadowQuery, ShadowState};

/// Things in an answer by default.
const LIMIT: u64 = 100;

/// Maximum number of things in an answer: ~5 MB of JSON.
const LIMIT_MAX: u64 = 10_000;

/// Returns the part of the comparison that `query` asks for.
///
/// # Errors
/// If the query makes no sense, there is no record, or it cannot be read.
pub async fn shadow(daemon: Arc<Daemon>, query: ShadowQuery) -> Result<Shadow, AppError> {
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let error = AppError::invalid_parameter("limit", &limit.to_string());
        return Err(error.hint(format!("give a number from 1 to {LIMIT_MAX}")));
    }
    let cursor = query.cursor.as_ref().map(|cursor| {
        let error = AppError::invalid_parameter("cursor", cursor);
        let error = error.hint("give the cursor of an earlier answer");
        cursor.parse::<i64>().map_err(|_| error)
    });
    let now = clock::now().wall;
    let filter = ShadowFilter {
        list: query.list,
        since: query.since.map(|since| since.instant(now)),
        before: cursor.transpose()?,
        // One more tells whether there is more.
        limit: limit + 1,
        now,
    };
    wait(move || find(&daemon, filter, limit)).await?
}

fn find(daemon: &Daemon, filter: ShadowFilter, limit: u64) -> Result<Shadow, AppError> {
    let Some(record) = &daemon.parts.shadow else {
        let error = AppError::not_found("nothing was recorded in shadow mode");
        return Err(error.hint("run `lapsed serve --shadow` beside the older script for some days"));
    };
    let extent = record.extent()?;
    let mut rows = record.rows(&filter)?;
    let has_more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = rows.last().filter(|_| has_more);
    let totals = record.sums(filter.since, filter.now)?.into_iter();
    let totals = totals.map(|sum| types::ShadowTotal {
        list: sum.list,
        kind: sum.kind,
        rule: Some(sum.rule).filter(|rule| !rule.is_empty()),
        things: sum.things,
        bytes: sum.bytes,
    });
    Ok(Shadow {
        active: daemon.parts.is_shadow,
        since: extent.since.to_string(),
        dropped: extent.dropped,
        lost: extent.lost,
        totals: totals.collect(),
        cursor: last.map(|row| row.id.to_string()),
        things: rows
            .into_iter()
            .map(|row| thing(daemon, row, filter.now))
            .collect(),
    })
}

fn thing(daemon: &Daemon, row: ShadowRow, now: Timestamp) -> types::ShadowThing {
    let would = row.due_at.or(row.foretold.filter(|&at| at <= now));
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    types::ShadowThing {
        state: state(daemon, &row),
        list: row.list,
        kind: row.kind,
        root: row.root,
        path: JsonPath::new(Path::new(OsStr::from_bytes(&row.path))),
        bytes: row.bytes,
        job: row.job,
        rule: row.rule,
        record: row.record,
        deadline: text(row.deadline),
        would: text(would),
        removed: text(row.gone_at),
        later_ms: would
            .zip(row.gone_at)
            .map(|(would, gone)| gone.ms_since(would)),
        why: row.why,
    }
}

/// State of what only this daemon would have removed, as the index has it.
fn state(daemon: &Daemon, row: &ShadowRow) -> Option<ShadowState> {
    if row.list != ShadowList::OnlyLapsed {
        return None;
    }
    if row.rewritten {
        return Some(ShadowState::WrittenAgain);
    }
    let policy = daemon.policy();
    if row.kind == ShadowKind::Record {
        let mut sources = policy.sources.iter();
        let (&source, _) = sources.find(|(_, source)| source.name == row.root)?;
        let id = String::from_utf8_lossy(&row.path).into_owned();
        let job = daemon.parts.jobs.job(&JobKey { source, id })?;
        return job
            .moments
            .cleaned_at
            .is_none()
            .then_some(ShadowState::There);
    }
    let path = Path::new(OsStr::from_bytes(&row.path));
    let (root, path) = policy.locate(path)?;
    let index = &daemon.parts.index;
    if row.kind == ShadowKind::Directory {
        let found = index.dir_id(root, path.as_bytes());
        return found.map(|_| ShadowState::There);
    }
    let (_, record) = index.find(root, path.as_bytes())?;
    Some(if record.basis == row.basis {
        ShadowState::There
    } else {
        ShadowState::WrittenAgain
    })
}

//! The ledger, newest first.
//!
//! **Invariant:** each line is answered with byte by byte as the ledger holds it. It is parsed
//! once, and never formatted again.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::breaker::root_named;
use super::daemon::Daemon;
use super::retention::rule_named;
use super::runs;
use super::stats::up_to_now;
use crate::app::error::AppError;
use crate::clock;
use crate::core::time::Timestamp;
use crate::core::totals::Cursor;

use crate::ledger::{Ledger, LedgerError, Line, LineFields, Mark};
use crate::registry::RunRow;
use crate::types::{Bytes, HistoryQuery};

/// Lines in an answer by default.
pub(super) const LIMIT: u64 = 100;

/// Maximum number of lines in an answer: ~5 MB of JSON.
const LIMIT_MAX: u64 = 10_000;

/// Bytes of lines in an answer: a unit of many paths has long ones.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Bytes of the ledger that are read for one answer: ~200,000 lines, ~0.3 s. A search for something
/// rare continues with a cursor.
const SCAN_BYTES_MAX: u64 = 64 << 20;

/// Unreadable lines that an answer lists singly: a segment may have any number.
const UNREADABLE_MAX: usize = 100;

/// Lines are only nearly in order of time, because batches are written as they finish. No two lines
/// are out of order by more than this.
const DISORDER_MS: i64 = 3_600_000;

/// Filters of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    limit: usize,
    /// Position behind which everything is read.
    from: Cursor,
    before: Option<Cursor>,
    run: Option<u64>,
    root: Option<String>,
    rule: Option<String>,
    job: Option<String>,
    since: Option<Timestamp>,
    path: Option<Vec<u8>>,
}

/// Part of the ledger that matches a [`Filter`].
#[derive(Default)]
pub(super) struct Answer {
    /// Matching lines, separated by commas.
    removals: Vec<u8>,
    cursor: Option<Cursor>,
    /// Descriptions of the lines that cannot be read.
    unreadable: Vec<String>,
    /// True if no line that was read is of the job that the filter names.
    is_without_job: bool,
}

/// Returns the lines that `query` asks for, as JSON.
///
/// # Errors
/// If a name is unknown, or the ledger cannot be read.
pub async fn history(daemon: Arc<Daemon>, query: HistoryQuery) -> Result<Vec<u8>, AppError> {
    let run = query.run;
    let mut filter = Filter::new(query, clock::now().wall)?;
    let job = filter.job.clone();
    let is_unknown = job.as_ref().is_some_and(|id| !daemon.has_job(id));
    let is_first = filter.before.is_none();
    let reader = Arc::clone(&daemon);
    // Reads files.
    let answer = tokio::task::spawn_blocking(move || {
        if is_first {
            filter.check_names(&reader)?;
        }
        if let Some(id) = run {
            filter.narrow_to(&runs::row(&reader, id)?);
        }
        filter.find(&reader.parts.ledger, is_unknown)
    });
    let answer = answer.await;
    let answer = answer.map_err(|_| AppError::internal("the ledger could not be read"))??;
    let is_whole = is_first && answer.cursor.is_none();
    match job {
        Some(job) if is_unknown && is_whole && answer.is_without_job => {
            let detail = format!("no source has a job \"{job}\", and nothing of one was removed");
            Err(AppError::not_found(detail).hint("`lapsed job ls` lists the jobs that are known"))
        }
        Some(_) | None => Ok(answer.into_json()),
    }
}

impl Filter {
    fn new(query: HistoryQuery, now: Timestamp) -> Result<Self, AppError> {
        let (limit, before) = page(query.limit.unwrap_or(LIMIT), query.cursor)?;
        let path = query.path.map(|Bytes(path)| absolute(&path));
        Ok(Self {
            limit,
            from: Cursor::default(),
            before,
            run: None,
            root: query.root,
            rule: query.rule,
            job: query.job,
            since: query.since.map(|since| since.instant(now)),
            path: path.transpose()?,
        })
    }

    /// Filter of a page of what the run of `row` removed.
    pub(super) fn of_run(
        row: &RunRow,
        limit: u64,
        cursor: Option<String>,
    ) -> Result<Self, AppError> {
        let (limit, before) = page(limit, cursor)?;
        let mut filter = Self {
            limit,
            before,
            ..Self::default()
        };
        filter.narrow_to(row);
        Ok(filter)
    }

    /// Leaves only what the run of `row` removed.
    fn narrow_to(&mut self, row: &RunRow) {
        self.from = row.from;
        self.before = self.before.or(row.to);
        self.run = Some(row.id);
    }

    /// Refuses a root or rule that is neither configured nor in the totals of what was removed:
    /// most likely its name is misspelled.
    fn check_names(&self, daemon: &Daemon) -> Result<(), AppError> {
        let policy = daemon.policy();
        let root = self.root.as_ref();
        let root = root.filter(|name| policy.root_named(name).is_none());
        let rule = self.rule.as_ref();
        let rule = rule.filter(|name| policy.rule_named(name).is_none());
        if root.is_none() && rule.is_none() {
            return Ok(());
        }
        let totals = up_to_now(&daemon.parts.registry, &daemon.parts.ledger)?.sums;
        let mut keys = totals.keys();
        if let Some(root) = root.filter(|name| keys.clone().all(|key| key.root != **name)) {
            root_named(&policy, root)?;
        }
        if let Some(rule) = rule.filter(|name| keys.all(|key| key.rule != **name)) {
            rule_named(&policy, rule)?;
        }
        Ok(())
    }

    /// Reads the ledger until the answer is full. With `seeks_job` it goes on beyond `since`, to
    /// find out if the ledger has the job at all.
    pub(super) fn find(&self, ledger: &Ledger, seeks_job: bool) -> Result<Answer, AppError> {
        let mut answer = Answer {
            is_without_job: true,
            ..Answer::default()
        };
        let mut lines = ledger.newest_between(self.from, self.before);
        let (mut count, mut unreadable, mut is_past) = (0, 0usize, false);
        loop {
            let before = lines.cursor();
            let Some(line) = lines.next_raw() else { break };
            let is_full = count == self.limit || answer.removals.len() > ANSWER_BYTES_MAX;
            if is_full || lines.bytes_read() > SCAN_BYTES_MAX {
                answer.cursor = before.filter(|_| !is_past);
                break;
            }
            let raw = match line {
                Ok(raw) => raw,
                Err(error @ LedgerError::NoSuchCursor { .. }) => {
                    return Err(
                        AppError::invalid(error.to_string()).hint("begin again without a cursor")
                    );
                }
                Err(error) => {
                    answer.add_unreadable(&error, &mut unreadable);
                    continue;
                }
            };
            let (text, line) = match lines.decode_fields(&raw) {
                Ok(decoded) => decoded,
                Err(error) => {
                    answer.add_unreadable(&error, &mut unreadable);
                    continue;
                }
            };
            let is_past_since = |since: Timestamp| since.ms_since(line.at) > DISORDER_MS;
            is_past |= self.since.is_some_and(is_past_since);
            if is_past && !(seeks_job && answer.is_without_job) {
                break;
            }
            let is_of_job = is_named(self.job.as_ref(), line.owner.as_deref());
            answer.is_without_job &= !is_of_job;
            if is_of_job && self.matches(&line) {
                answer.add(text);
                count += 1;
            }
        }
        if let Some(more @ 1..) = unreadable.checked_sub(UNREADABLE_MAX) {
            let more = format!("{more} more lines of the ledger cannot be read");
            answer.unreadable.push(more);
        }
        Ok(answer)
    }

    /// Returns true if `line` matches all but the job.
    fn matches(&self, line: &LineFields<'_>) -> bool {
        let is_below = |wanted: &Vec<u8>| {
            let is_below = |path: &[u8]| {
                let rest = path.strip_prefix(&wanted[..]);
                rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            is_below(&line.path_bytes()) || line.paths.iter().any(|path| is_below(path.as_bytes()))
        };
        self.run.is_none_or(|run| line.run == Some(run))
            && is_named(self.root.as_ref(), Some(&line.root))
            && is_named(self.rule.as_ref(), Some(&line.rule))
            && self.since.is_none_or(|since| line.at >= since)
            && self.path.as_ref().is_none_or(is_below)
    }
}

/// Returns the newest line that says that `path` itself was removed, as far as one answer reads.
pub(crate) fn last_removal(ledger: &Ledger, path: &Path) -> Option<Line> {
    let path = path.as_os_str().as_bytes();
    let filter = Filter {
        limit: 1,
        path: Some(path.to_vec()),
        ..Filter::default()
    };
    let answer = filter.find(ledger, false).ok()?;
    let line: Line = serde_json::from_slice(&answer.removals).ok()?;
    let is_gone = match line.result {
        Mark::Removed | Mark::Trashed | Mark::Purged => true,
        Mark::Displaced
        | Mark::PutBack
        | Mark::Pinned
        | Mark::Extended
        | Mark::Unpinned
        | Mark::Paused
        | Mark::Resumed
        | Mark::Restored => false,
    };
    (is_gone && line.path_bytes() == path).then_some(line)
}

impl Answer {
    fn add(&mut self, line: &str) {
        if !self.removals.is_empty() {
            self.removals.push(b',');
        }
        self.removals.extend_from_slice(line.as_bytes());
    }

    fn add_unreadable(&mut self, error: &LedgerError, count: &mut usize) {
        *count += 1;
        if *count <= UNREADABLE_MAX {
            self.unreadable.push(error.to_string());
        }
    }

    /// Renders the answer. The lines are JSON already, and must not be parsed and formatted again.
    fn into_json(self) -> Vec<u8> {
        self.into_json_with("removals", &serde_json::json!({}))
    }

    /// Renders the answer with the lines under `name`, behind the members of `head`.
    pub(super) fn into_json_with(self, name: &str, head: &serde_json::Value) -> Vec<u8> {
        let mut body = head.to_string().into_bytes();
        body.pop();
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend(format!("\"{name}\":[").bytes());
        body.extend(self.removals);
        let cursor = self.cursor.map(|cursor| cursor.to_string());
        body.extend(format!("],\"cursor\":{}", serde_json::json!(cursor)).bytes());
        if !self.unreadable.is_empty() {
            let unreadable = serde_json::json!(self.unreadable);
            body.extend(format!(",\"unreadable\":{unreadable}").bytes());
        }
        body.push(b'}');
        body
    }
}

/// Returns the number of lines of a page, and the position that it begins at.
fn page(limit: u64, cursor: Option<String>) -> Result<(usize, Option<Cursor>), AppError> {
    if !(1..=LIMIT_MAX).contains(&limit) {
        let error = AppError::invalid_parameter("limit", &limit.to_string());
        return Err(error.hint(format!("give a number from 1 to {LIMIT_MAX}")));
    }
    let cursor = cursor.map(|cursor| {
        let error = AppError::invalid_parameter("cursor", &cursor);
        let error = error.hint("give the cursor of an earlier answer");
        cursor.parse().map_err(|_| error)
    });
    Ok((
        usize::try_from(limit).unwrap_or(usize::MAX),
        cursor.transpose()?,
    ))
}

/// Returns true if no name is wanted, or `found` is the one.
fn is_named(wanted: Option<&String>, found: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| Some(wanted.as_str()) == found)
}

/// Returns `path` without the slashes at its end, if it is absolute.
fn absolute(path: &[u8]) -> Result<Vec<u8>, AppError> {
    if path.first() != Some(&b'/') {
        let error = AppError::invalid_parameter("path", &String::from_utf8_lossy(path));
        return Err(error.hint("give an absolute path, as the ledger has them"));
    }
    let end = path.iter().rposition(|&byte| byte != b'/');
    Ok(path[..end.map_or(0, |end| end + 1)].to_vec())
}

#[cfg(test)]
mod tests;

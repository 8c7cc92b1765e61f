//! The ledger, newest first.
//!
//! **Invariant:** each line is answered with byte by byte as the ledger holds it. It is parsed
//! once, and never formatted again.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::breaker::root_named;
use super::clean::rule_named;
use super::daemon::Daemon;
use super::stats::up_to_now;
use crate::app::error::AppError;
use crate::clock;
use crate::core::time::Timestamp;
use crate::core::totals::Cursor;

use crate::ledger::{Ledger, LedgerError, Line, LineFields, Mark};
use crate::types::{Bytes, HistoryQuery};

/// Lines in an answer by default.
const LIMIT: u64 = 100;

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
struct Filter {
    limit: usize,
    before: Option<Cursor>,
    root: Option<String>,
    rule: Option<String>,
    job: Option<String>,
    since: Option<Timestamp>,
    path: Option<Vec<u8>>,
}

/// Part of the ledger that matches a [`Filter`].
#[derive(Default)]
struct Answer {
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
    let filter = Filter::new(query, clock::now().wall)?;
    let job = filter.job.clone();
    let is_unknown = job.as_ref().is_some_and(|id| !daemon.has_job(id));
    let is_first = filter.before.is_none();
    let reader = Arc::clone(&daemon);
    // Reads files.
    let answer = tokio::task::spawn_blocking(move || {
        if is_first {
            filter.check_names(&reader)?;
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
        let limit = query.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let error = AppError::invalid_parameter("limit", &limit.to_string());
            return Err(error.hint(format!("give a number from 1 to {LIMIT_MAX}")));
        }
        let cursor = query.cursor.map(|cursor| {
            let error = AppError::invalid_parameter("cursor", &cursor);
            let error = error.hint("give the cursor of an earlier answer");
            cursor.parse().map_err(|_| error)
        });
        let path = query.path.map(|Bytes(path)| absolute(&path));
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            before: cursor.transpose()?,
            root: query.root,
            rule: query.rule,
            job: query.job,
            since: query.since.map(|since| since.instant(now)),
            path: path.transpose()?,
        })
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
        let totals = up_to_now(&daemon.parts.registry, &daemon.parts.ledger)?.0;
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
    fn find(&self, ledger: &Ledger, seeks_job: bool) -> Result<Answer, AppError> {
        let mut answer = Answer {
            is_without_job: true,
            ..Answer::default()
        };
        let mut lines = ledger.newest_first(self.before);
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
        is_named(self.root.as_ref(), Some(&line.root))
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
    (line.result == Mark::Removed && line.path_bytes() == path).then_some(line)
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
        let mut body = b"{\"removals\":[".to_vec();
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
mod tests {
    use super::*;
    use crate::ledger::{LineUnit, Options};
    use crate::types::{History, RemovalResult, RemovalUnit};

    fn line(id: u64, path: &str, rule: &str) -> Line {
        let at = Timestamp::from_unix_ms(i64::try_from(id).unwrap() * 10_000_000);
        Line {
            id,
            at,
            root: "srv".into(),
            path: path.into(),
            rule: rule.into(),
            since: "newest".into(),
            basis: at,
            deadline: at,
            files: 1,
            bytes: 1,
            ..Line::default()
        }
    }

    fn filter(query: &str, now: Timestamp) -> Result<Filter, AppError> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let query = crate::types::from_query(pairs.collect());
        Filter::new(query.map_err(|error| AppError::invalid(error.detail))?, now)
    }

    fn ask(ledger: &Ledger, query: &str) -> (Vec<u64>, Option<String>) {
        let now = Timestamp::from_unix_ms(100_000_000);
        let filter = filter(query, now).unwrap();
        let answer = filter.find(ledger, false).unwrap().into_json();
        let answer: History<Line> = serde_json::from_slice(&answer).unwrap();
        let ids = answer.removals.iter().map(|line| line.id).collect();
        (ids, answer.cursor)
    }

    #[test]
    fn the_newest_come_first_and_a_cursor_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger"), Options::default()).unwrap();
        assert_eq!(ask(&ledger, ""), (vec![], None));
        let lines = [
            line(1, "/srv/a", "old"),
            line(2, "/srv/a/x", "old"),
            line(3, "/srv/ab", "new"),
            line(4, "/srv/a/y", "new"),
        ];
        ledger.append(&lines).unwrap();
        assert_eq!(ask(&ledger, ""), (vec![4, 3, 2, 1], None));
        let (ids, cursor) = ask(&ledger, "limit=3");
        assert_eq!(ids, [4, 3, 2]);
        let on = format!("limit=3&cursor={}", cursor.unwrap());
        assert_eq!(ask(&ledger, &on), (vec![1], None));
        assert_eq!(ask(&ledger, "path=/srv/a/"), (vec![4, 2, 1], None));
        assert_eq!(ask(&ledger, "rule=new&root=srv"), (vec![4, 3], None));
        assert_eq!(ask(&ledger, "root=other"), (vec![], None));
        assert_eq!(
            ask(&ledger, "since=1970-01-01T08:20:00Z"),
            (vec![4, 3], None)
        );
        assert_eq!(ask(&ledger, "since=75000s"), (vec![4, 3], None));
    }

    #[test]
    fn lines_are_answered_with_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("ledger");
        let ledger = Ledger::open(&dir, Options::default()).unwrap();
        ledger.append(&[line(1, "/srv/a", "old")]).unwrap();
        let segment = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap();
        let path = segment.path();
        let text = std::fs::read_to_string(&path).unwrap();
        drop(ledger);
        // A later version may write more, and people may write differently.
        let odd = text
            .trim()
            .replacen("{\"id\":1,", "{ \"id\": 2, \"more\": [1.50],", 1);
        let broken = odd.replace("1.50", "1.5.0");
        std::fs::write(&path, format!("{text}{broken}\n{odd}\n")).unwrap();
        let ledger = Ledger::open(&dir, Options::default()).unwrap();
        let answer = Filter {
            limit: 10,
            ..Filter::default()
        };
        let answer = answer.find(&ledger, false).unwrap().into_json();
        let answer: History<&serde_json::value::RawValue> =
            serde_json::from_slice(&answer).unwrap();
        let lines: Vec<&str> = answer.removals.iter().map(|line| line.get()).collect();
        assert_eq!(lines, [odd.as_str(), text.trim()]);
        assert_eq!(answer.unreadable.len(), 1, "{:?}", answer.unreadable);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in [
            "limit=0",
            "limit=10001",
            "cursor=x",
            "cursor=7",
            "since=soon",
            "path=srv/a",
            "path=",
            "x=1",
        ] {
            let error = filter(query, Timestamp::MAX).unwrap_err();
            assert_eq!(error.kind, crate::app::ErrorKind::Invalid, "{query}");
        }
    }

    #[test]
    fn clients_read_every_word_of_the_ledger() {
        let result = |mark| match mark {
            Mark::Removed => RemovalResult::Removed,
            Mark::Displaced => RemovalResult::Displaced,
            Mark::PutBack => RemovalResult::PutBack,
            Mark::Pinned => RemovalResult::Pinned,
            Mark::Extended => RemovalResult::Extended,
            Mark::Unpinned => RemovalResult::Unpinned,
        };
        for mark in [
            Mark::Removed,
            Mark::Displaced,
            Mark::PutBack,
            Mark::Pinned,
            Mark::Extended,
            Mark::Unpinned,
        ] {
            let word = serde_json::to_value(mark).unwrap();
            assert_eq!(word, result(mark).as_str());
        }
        let unit = |unit| match unit {
            LineUnit::File => RemovalUnit::File,
            LineUnit::Dir => RemovalUnit::Dir,
            LineUnit::Job => RemovalUnit::Job,
            LineUnit::EmptyDir => RemovalUnit::EmptyDir,
        };
        for line in [
            LineUnit::File,
            LineUnit::Dir,
            LineUnit::Job,
            LineUnit::EmptyDir,
        ] {
            let word = serde_json::to_value(line).unwrap();
            assert_eq!(word, unit(line).as_str());
        }
    }
}

//! `GET /v1/history`: the ledger, newest first.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use super::breaker::root_named;
use super::clean::rule_named;
use super::daemon::Daemon;
use super::problem::Problem;
use super::query::{Query, refuse};
use super::router::json;
use crate::clock;
use crate::core::jobs::{JobKey, SourceId};
use crate::core::time::Timestamp;
use crate::core::totals::Cursor;
use crate::ledger::{Ledger, LedgerError, Line};

/// Lines in an answer when nobody says.
const LIMIT: u64 = 100;

/// Lines in an answer at most: some 5 MB of JSON.
const LIMIT_MAX: u64 = 10_000;

/// Bytes of lines in an answer: a unit of many paths has long ones.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Bytes of the ledger that are read for one answer: some 200,000 lines, about half a second. Who looks for something rare gets a
/// cursor to go on with.
const SCAN_BYTES_MAX: u64 = 64 << 20;

/// Lines that cannot be read of which an answer tells singly: a segment may have any number.
const UNREADABLE_MAX: usize = 100;

/// Lines are only nearly in order of time: batches are written as they are done. No two are this far apart.
const DISORDER_MS: i64 = 3_600_000;

/// What is asked for.
#[derive(Clone, Debug, Default)]
struct Wanted {
    limit: usize,
    before: Option<Cursor>,
    root: Option<String>,
    rule: Option<String>,
    job: Option<String>,
    since: Option<Timestamp>,
    path: Option<Vec<u8>>,
}

/// Which of the names that are asked for the ledger has.
#[derive(Clone, Copy, Debug, Default)]
struct Names {
    root: bool,
    rule: bool,
    job: bool,
}

#[derive(Default, Serialize)]
struct Answer {
    removals: Vec<Line>,
    cursor: Option<String>,
    /// What of the ledger cannot be read, and where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
    /// Set when the whole ledger was read, and nothing in it matches.
    #[serde(skip)]
    names: Option<Names>,
}

pub(super) async fn history(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(request.uri(), clock::now().wall)?;
    let ledger = Arc::clone(&daemon.parts.ledger);
    let asked = wanted.clone();
    // Reads files.
    let answer = tokio::task::spawn_blocking(move || asked.find(&ledger)).await;
    let answer = answer.map_err(|_| Problem::internal("the ledger could not be read"))??;
    if let Some(names) = answer.names {
        wanted.check_names(&daemon, names)?;
    }
    Ok(json(&answer))
}

impl Wanted {
    fn read(uri: &axum::http::Uri, now: Timestamp) -> Result<Self, Problem> {
        let allowed = ["limit", "cursor", "root", "rule", "job", "since", "path"];
        let query = Query::parse(uri, &allowed)?;
        let text = |name| Ok::<_, Problem>(query.text(name)?.map(str::to_owned));
        let limit = query.number("limit")?.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let problem = refuse("limit", &limit.to_string());
            return Err(problem.hint(format!("give a number from 1 to {LIMIT_MAX}")));
        }
        let since = query.text("since")?.map(|since| instant(since, now));
        let cursor = query.text("cursor")?.map(|cursor| {
            let problem = || refuse("cursor", cursor).hint("give the cursor of an earlier answer");
            cursor.parse().map_err(|_| problem())
        });
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            before: cursor.transpose()?,
            root: text("root")?,
            rule: text("rule")?,
            job: text("job")?,
            since: since.transpose()?,
            path: query.bytes("path").map(absolute).transpose()?,
        })
    }

    fn find(&self, ledger: &Ledger) -> Result<Answer, Problem> {
        let mut answer = Answer::default();
        let mut lines = ledger.newest_first(self.before);
        let (mut bytes, mut unreadable, mut names) = (0, 0usize, Some(Names::default()));
        loop {
            let before = lines.cursor();
            let Some(line) = lines.next() else { break };
            let is_full = answer.removals.len() == self.limit || bytes > ANSWER_BYTES_MAX;
            if is_full || lines.bytes_read() > SCAN_BYTES_MAX {
                answer.cursor = before.map(|cursor| cursor.to_string());
                break;
            }
            let line = match line {
                Ok(line) => line,
                Err(error @ LedgerError::NoSuchCursor { .. }) => {
                    return Err(Problem::bad_request(error.to_string())
                        .hint("begin again without a cursor"));
                }
                Err(error) => {
                    unreadable += 1;
                    if unreadable <= UNREADABLE_MAX {
                        answer.unreadable.push(error.to_string());
                    }
                    continue;
                }
            };
            let is_past = |since: Timestamp| since.ms_since(line.at) > DISORDER_MS;
            if self.since.is_some_and(is_past) {
                names = None;
                break;
            }
            if self.takes(&line, names.as_mut()) {
                bytes += lines.last_bytes();
                answer.removals.push(line);
            }
        }
        if let Some(more @ 1..) = unreadable.checked_sub(UNREADABLE_MAX) {
            let more = format!("{more} more lines of the ledger cannot be read");
            answer.unreadable.push(more);
        }
        let is_whole = self.before.is_none() && answer.cursor.is_none();
        answer.names = names.filter(|_| is_whole && answer.removals.is_empty());
        Ok(answer)
    }

    fn takes(&self, line: &Line, names: Option<&mut Names>) -> bool {
        let is_below = |wanted: &Vec<u8>| {
            let is_below = |path: &[u8]| {
                let rest = path.strip_prefix(&wanted[..]);
                rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            is_below(&line.path_bytes()) || line.paths.iter().any(|path| is_below(path.as_bytes()))
        };
        let is = |wanted: &Option<String>, found: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted) == found)
        };
        let found = Names {
            root: is(&self.root, Some(&line.root)),
            rule: is(&self.rule, Some(&line.rule)),
            job: is(&self.job, line.owner.as_ref()),
        };
        if let Some(names) = names {
            names.root |= found.root;
            names.rule |= found.rule;
            names.job |= found.job;
        }
        found.root
            && found.rule
            && found.job
            && self.since.is_none_or(|since| line.at >= since)
            && self.path.as_ref().is_none_or(is_below)
    }

    /// Refuses a name that neither the configuration nor the ledger has: most likely it is misspelled.
    fn check_names(&self, daemon: &Daemon, names: Names) -> Result<(), Problem> {
        let policy = daemon.policy();
        if let Some(root) = self.root.as_ref().filter(|_| !names.root) {
            root_named(&policy, root)?;
        }
        if let Some(rule) = self.rule.as_ref().filter(|_| !names.rule) {
            rule_named(&policy, rule)?;
        }
        let Some(job) = self.job.as_ref().filter(|_| !names.job) else {
            return Ok(());
        };
        let is_known = |&source: &SourceId| {
            let id = job.clone();
            daemon.parts.jobs.job(&JobKey { source, id }).is_some()
        };
        if policy.sources.keys().any(is_known) {
            return Ok(());
        }
        let detail = format!("no source has a job \"{job}\", and nothing of one was removed");
        Err(Problem::not_found(detail).hint("`lapsed job ls` lists the jobs that are known"))
    }
}

/// The path that is asked for, without slashes at its end.
fn absolute(path: &[u8]) -> Result<Vec<u8>, Problem> {
    if path.first() != Some(&b'/') {
        let problem = refuse("path", &String::from_utf8_lossy(path));
        return Err(problem.hint("give an absolute path, as the ledger has them"));
    }
    let end = path.iter().rposition(|&byte| byte != b'/');
    Ok(path[..end.map_or(0, |end| end + 1)].to_vec())
}

/// An instant (RFC 3339), or a duration before `now`.
pub(super) fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_unix_ms(at.as_millisecond()));
    }
    let ago = crate::core::span::parse(text).map_err(|_| {
        refuse("since", text)
            .hint("give an instant such as 2024-05-06T07:08:09Z, or a duration such as 7d")
    })?;
    Ok(now.before(ago))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{By, LineUnit, Mark, Options};

    fn line(id: u64, path: &str, rule: &str) -> Line {
        let at = Timestamp::from_unix_ms(i64::try_from(id).unwrap() * 10_000_000);
        Line {
            id,
            at,
            root: "srv".into(),
            path: path.into(),
            path_b64: None,
            unit: LineUnit::File,
            owner: None,
            rule: rule.into(),
            since: "newest".into(),
            basis: at,
            deadline: at,
            late_ms: 0,
            files: 1,
            bytes: 1,
            result: Mark::Removed,
            by: By::Rule,
            job: None,
            paths: Vec::new(),
            further_lines: 0,
            part: 0,
            pin: None,
        }
    }

    fn ask(ledger: &Ledger, query: &str) -> (Vec<u64>, Option<String>) {
        let uri = format!("/v1/history?{query}").parse().unwrap();
        let now = Timestamp::from_unix_ms(100_000_000);
        let answer = Wanted::read(&uri, now).unwrap().find(ledger).unwrap();
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
            let uri = format!("/v1/history?{query}").parse().unwrap();
            let problem = Wanted::read(&uri, Timestamp::MAX).unwrap_err();
            assert_eq!(problem.status, 400, "{query}");
        }
    }
}

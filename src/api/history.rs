//! `GET /v1/history`: the ledger, newest first.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use super::daemon::Daemon;
use super::problem::Problem;
use super::query::{Query, refuse};
use super::router::json;
use crate::clock;
use crate::core::time::Timestamp;
use crate::ledger::{Ledger, Line};

/// Lines in an answer when nobody says.
const LIMIT: u64 = 100;

/// Lines in an answer at most: some 5 MB of JSON.
const LIMIT_MAX: u64 = 10_000;

/// Lines looked at for one answer: about half a second. Who looks for something rare gets a cursor to go on with.
const SCAN_MAX: usize = 200_000;

/// Lines that cannot be read of which an answer tells singly: a segment may have any number.
const UNREADABLE_MAX: usize = 100;

/// Lines are only nearly in order of time: batches are written as they are done. No two are this far apart.
const DISORDER_MS: i64 = 3_600_000;

/// What is asked for.
#[derive(Clone, Debug, Default)]
struct Wanted {
    limit: usize,
    before: Option<u64>,
    root: Option<String>,
    rule: Option<String>,
    since: Option<Timestamp>,
    path: Option<Vec<u8>>,
}

#[derive(Default, Serialize)]
struct Answer {
    removals: Vec<Line>,
    cursor: Option<String>,
    /// What of the ledger cannot be read, and where it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
}

pub(super) async fn history(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(request.uri(), clock::now().wall)?;
    let ledger = Arc::clone(&daemon.parts.ledger);
    // Reads files.
    let answer = tokio::task::spawn_blocking(move || wanted.find(&ledger)).await;
    let answer = answer.map_err(|_| Problem::internal("the ledger could not be read"))?;
    Ok(json(&answer))
}

impl Wanted {
    fn read(uri: &axum::http::Uri, now: Timestamp) -> Result<Self, Problem> {
        let allowed = ["limit", "cursor", "root", "rule", "since", "path"];
        let query = Query::parse(uri, &allowed)?;
        let text = |name| Ok::<_, Problem>(query.text(name)?.map(str::to_owned));
        let limit = query.number("limit")?.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let problem = refuse("limit", &limit.to_string());
            return Err(problem.hint(format!("give a number from 1 to {LIMIT_MAX}")));
        }
        let since = query.text("since")?.map(|since| instant(since, now));
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            before: query.number("cursor")?,
            root: text("root")?,
            rule: text("rule")?,
            since: since.transpose()?,
            path: query.bytes("path").map(|path| {
                let end = path.iter().rposition(|&byte| byte != b'/');
                path[..end.map_or(0, |end| end + 1)].to_vec()
            }),
        })
    }

    fn find(&self, ledger: &Ledger) -> Answer {
        let mut answer = Answer::default();
        let (mut last, mut unreadable) = (None, 0usize);
        for (seen, line) in ledger.newest_first(self.before).enumerate() {
            if answer.removals.len() == self.limit || seen == SCAN_MAX {
                answer.cursor = last.map(|id: u64| id.to_string());
                break;
            }
            let line = match line {
                Ok(line) => line,
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
                break;
            }
            last = Some(line.id);
            if self.takes(&line) {
                answer.removals.push(line);
            }
        }
        if let Some(more @ 1..) = unreadable.checked_sub(UNREADABLE_MAX) {
            let more = format!("{more} more lines of the ledger cannot be read");
            answer.unreadable.push(more);
        }
        answer
    }

    fn takes(&self, line: &Line) -> bool {
        let is_below = |wanted: &Vec<u8>| {
            let is_below = |path: &[u8]| {
                let rest = path.strip_prefix(&wanted[..]);
                rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            is_below(&line.path_bytes()) || line.paths.iter().any(|path| is_below(path.as_bytes()))
        };
        self.root.as_ref().is_none_or(|root| *root == line.root)
            && self.rule.as_ref().is_none_or(|rule| *rule == line.rule)
            && self.since.is_none_or(|since| line.at >= since)
            && self.path.as_ref().is_none_or(is_below)
    }
}

/// An instant (RFC 3339), or a duration before `now`.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
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
        let answer = Wanted::read(&uri, now).unwrap().find(ledger);
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
        assert_eq!(ask(&ledger, "limit=3"), (vec![4, 3, 2], Some("2".into())));
        assert_eq!(ask(&ledger, "limit=3&cursor=2"), (vec![1], None));
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
        for query in ["limit=0", "limit=10001", "cursor=x", "since=soon", "x=1"] {
            let uri = format!("/v1/history?{query}").parse().unwrap();
            let problem = Wanted::read(&uri, Timestamp::MAX).unwrap_err();
            assert_eq!(problem.status, 400, "{query}");
        }
    }
}

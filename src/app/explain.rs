//! Explanations: why something lapses when it does, or does not.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::belonging::Belonging;
use super::calendar::{Calendar, Departures};
use super::daemon::{Daemon, json_path, root_name, rule_name};
use super::history::last_removal;
use super::limits;
use super::order::wait;
use crate::app::error::AppError;
use crate::clock;
use crate::core::facts::{RootId, RuleId};
use crate::core::index::Record;
use crate::core::path::RelPath;
use crate::core::policy::{Class, Policy, Schedule, Since};
use crate::core::report::Explanation;
use crate::core::span;
use crate::core::time::Timestamp;
use crate::types::{self, Bytes, ExplainQuery, FoundKind, Trigger};

/// Explains the path that `query` names.
///
/// # Errors
/// If it is in no root.
pub async fn explain(
    daemon: Arc<Daemon>,
    query: ExplainQuery,
) -> Result<types::Explanation, AppError> {
    let path = path_of(&query)?;
    let policy = daemon.policy();
    let (root, path) = policy
        .locate(&path)
        .ok_or_else(|| outside(&policy, &path))?;
    let asked = path.clone();
    let explained = daemon.link().ask(move |engine, now| {
        let places = engine.limit_places(root, &asked, now);
        (engine.explain(root, &asked, now), places)
    });
    let (why, places) = explained.await?;
    let now = clock::now().wall;
    let about = About::look(&daemon, &policy, (root, &path), &why, now);
    let mut explanation = about.to_json(now);
    for place in &places {
        let place = limits::place(place, &policy);
        explanation.text.push(limits::place_sentence(&place));
        explanation.limits.push(place);
    }
    if explanation.found.is_none() {
        let path = path.below(&policy.roots[&root].path);
        let ledger = Arc::clone(&daemon.parts.ledger);
        if let Some(line) = wait(move || last_removal(&ledger, &path)).await? {
            let ago = span::relative(line.at.ms_since(now));
            let sentence = format!("it was removed {ago}, by rule \"{}\".", line.rule);
            explanation.text.push(sentence);
            explanation.removed = Some(types::PastRemoval {
                at: line.at.to_string(),
                rule: line.rule,
            });
        }
    }
    Ok(explanation)
}

/// Refusal of a path that is in no root.
pub(crate) fn outside(policy: &Policy, path: &Path) -> AppError {
    let roots = policy
        .roots
        .values()
        .map(|root| root.path.display().to_string());
    AppError::not_found(format!("\"{}\" lies in no root", path.display())).allowed(roots)
}

/// The absolute path that is asked for, without superfluous slashes.
fn path_of(query: &ExplainQuery) -> Result<PathBuf, AppError> {
    let path = query.path.as_ref().map(|Bytes(path)| &path[..]);
    plain_path(path, query.path_b64.as_deref(), "query parameter")
}

/// The absolute path that is given by its bytes or in base64, without superfluous slashes; `whose`
/// value it is, for messages.
pub(crate) fn plain_path(
    path: Option<&[u8]>,
    coded: Option<&str>,
    whose: &str,
) -> Result<PathBuf, AppError> {
    let bytes = match (path, coded) {
        (Some(path), None) => path.to_vec(),
        (None, Some(coded)) => STANDARD
            .decode(coded)
            .or_else(|_| URL_SAFE.decode(coded))
            .map_err(|_| {
                AppError::invalid(format!("{whose} \"path_b64\" cannot be \"{coded}\""))
                    .hint("give the path's bytes in base64")
            })?,
        (None, None) => {
            return Err(AppError::invalid(format!("{whose} \"path\" is missing")));
        }
        (Some(_), Some(_)) => {
            return Err(AppError::invalid("give either \"path\" or \"path_b64\""));
        }
    };
    let given = Path::new(OsStr::from_bytes(&bytes));
    let is_plain = |part: Component| matches!(part, Component::RootDir | Component::Normal(_));
    if !given.is_absolute() || !given.components().all(is_plain) || bytes.contains(&0) {
        let found = String::from_utf8_lossy(&bytes);
        return Err(
            AppError::invalid(format!("{whose} \"path\" cannot be \"{found}\""))
                .hint("give an absolute path without \"..\""),
        );
    }
    Ok(given.components().collect())
}

/// All that there is to say about a path.
struct About<'a> {
    policy: &'a Policy,
    root: RootId,
    path: &'a RelPath,
    found: Found,
    why: &'a Explanation,
    belonging: Belonging<'a>,
    calendar: Calendar,
}

enum Found {
    File(Record),
    Dir,
    Nothing,
}

impl<'a> About<'a> {
    fn look(
        daemon: &Daemon,
        policy: &'a Policy,
        (root, path): (RootId, &'a RelPath),
        why: &'a Explanation,
        now: Timestamp,
    ) -> Self {
        let index = &daemon.parts.index;
        let found = match index.find(root, path.as_bytes()) {
            Some((_, record)) => Found::File(record),
            None if index.dir_id(root, path.as_bytes()).is_some() => Found::Dir,
            None => Found::Nothing,
        };
        Self {
            policy,
            root,
            path,
            found,
            why,
            calendar: Calendar::new(daemon.parts.started),
            belonging: Belonging::look(daemon, policy, (root, path), why.class, now),
        }
    }

    fn rule(&self) -> Option<RuleId> {
        match self.why.class {
            Class::Unruled => None,
            Class::Kept(rule) | Class::File(rule) | Class::Dir(rule) | Class::Job(rule) => {
                Some(rule)
            }
        }
    }

    /// Instant and trigger of the removal.
    fn departure(&self, now: Timestamp) -> Option<(Option<Timestamp>, Trigger)> {
        let mut departures = Departures::new(&self.calendar, self.policy, now);
        Some(departures.of(self.rule()?, self.why.deadline?))
    }

    fn expire_ms(&self) -> Option<i64> {
        let rule = self.policy.rules.get(usize::from(self.rule()?.0))?;
        rule.expire_ms
    }

    fn to_json(&self, now: Timestamp) -> types::Explanation {
        let (found, record) = match &self.found {
            Found::File(record) => (Some(FoundKind::File), Some(record)),
            Found::Dir => (Some(FoundKind::Dir), None),
            Found::Nothing => (None, None),
        };
        let why = self.why;
        let is_due = why.deadline.is_some_and(|deadline| deadline <= now);
        let hold = why.holds.first().filter(|_| is_due);
        let departure = self.departure(now);
        types::Explanation {
            path: json_path(self.policy, self.root, self.path),
            root: root_name(self.policy, self.root).to_owned(),
            size: record.map(|record| record.size),
            mtime: record.map(|record| record.mtime.to_string()),
            job: self.belonging.job(),
            owners: self.belonging.owners(),
            orphan: self.belonging.is_orphan,
            rule: self
                .rule()
                .map(|rule| rule_name(self.policy, rule).to_owned()),
            deadline: why.deadline.map(|deadline| deadline.to_string()),
            lapses_at: departure.and_then(|(at, _)| at).map(|at| at.to_string()),
            reason: departure.map(|(_, reason)| reason),
            hold: hold.map(|hold| hold.code().to_owned()),
            pin: self.belonging.pin.as_ref().map(types::Pin::from),
            found,
            removed: None,
            unit: why.unit,
            unit_path: why
                .unit_path
                .as_ref()
                .map(|unit| json_path(self.policy, self.root, unit).path),
            since: why.since,
            basis: why.basis.map(|basis| basis.to_string()),
            expire_ms: self.expire_ms(),
            holds: why
                .holds
                .iter()
                .map(|hold| types::HoldLine {
                    code: hold.code().to_owned(),
                    why: hold.to_string(),
                })
                .collect(),
            limits: Vec::new(),
            text: self.sentences(now),
        }
    }

    /// The same for people.
    fn sentences(&self, now: Timestamp) -> Vec<String> {
        let path = json_path(self.policy, self.root, self.path).path;
        let root = root_name(self.policy, self.root);
        let mut text = vec![match &self.found {
            Found::File(record) => format!(
                "\"{path}\" is a file of {} {} in root \"{root}\".",
                record.size,
                if record.size == 1 { "byte" } else { "bytes" }
            ),
            Found::Dir => format!("\"{path}\" is a directory in root \"{root}\"."),
            Found::Nothing => {
                format!("nothing is there at \"{path}\" in root \"{root}\", as far as is known.")
            }
        }];
        text.extend(self.belonging.sentences(now));
        let rule = self.rule_sentence();
        text.push(match &self.found {
            Found::Nothing => format!("for a file there: {rule}"),
            Found::File(_) | Found::Dir => rule,
        });
        if let Some(unit) = &self.why.unit_path {
            let unit = json_path(self.policy, self.root, unit).path;
            text.push(format!("it lapses together with \"{unit}\", as a whole."));
        }
        if let (Some(since), Some(basis)) = (self.why.since, self.why.basis) {
            text.push(format!(
                "what counts is {}: {basis} ({}).",
                describe(since),
                span::relative(basis.ms_since(now))
            ));
            text.extend(self.older_content(since, basis, now));
        }
        if let Some(deadline) = self.why.deadline {
            let verb = if deadline <= now {
                "it was due at"
            } else {
                "it lapses at"
            };
            text.push(format!(
                "{verb} {deadline} ({}).",
                span::relative(deadline.ms_since(now))
            ));
        }
        text.extend(self.schedule_sentence(now));
        let is_due = self.why.deadline.is_some_and(|deadline| deadline <= now);
        for hold in &self.why.holds {
            let verb = if is_due {
                "it stays"
            } else {
                "it would stay if it were due now"
            };
            let hold = hold.to_string().replace('\n', "; ");
            text.push(format!("{verb}: {hold}."));
        }
        text
    }

    /// Tells of a file that its content is older than what counts.
    fn older_content(&self, since: Since, basis: Timestamp, now: Timestamp) -> Option<String> {
        const APART_MS: i64 = 1000;
        let Found::File(Record { mtime, .. }) = &self.found else {
            return None;
        };
        let is_older = since == Since::Newest && basis.ms_since(*mtime) >= APART_MS;
        is_older.then(|| {
            format!(
                "its content last changed at {mtime} ({}); a later change of its name or attributes \
                 counts as well, unless the rule says since = \"mtime\".",
                span::relative(mtime.ms_since(now))
            )
        })
    }

    fn rule_sentence(&self) -> String {
        match self.why.class {
            Class::Unruled => match self.found {
                Found::File(_) | Found::Nothing => "no rule matches it: it is kept for ever.".to_owned(),
                Found::Dir => "no rule lets it lapse as a whole; its files lapse by themselves, if any rule says so.".to_owned(),
            },
            Class::Kept(rule) => format!(
                "rule \"{}\" keeps it for ever (keep).",
                rule_name(self.policy, rule)
            ),
            Class::File(rule) | Class::Dir(rule) | Class::Job(rule) => {
                let name = rule_name(self.policy, rule);
                match self.expire_ms() {
                    None => format!("rule \"{name}\" decides: it is kept for ever."),
                    Some(ms) => {
                        let ttl = span::long(ms.max(0).unsigned_abs());
                        format!("rule \"{name}\" lets it lapse after {ttl}.")
                    }
                }
            }
        }
    }

    fn schedule_sentence(&self, now: Timestamp) -> Option<String> {
        let id = self.rule()?;
        let rule = self.policy.rules.get(usize::from(id.0))?;
        let schedules: Vec<_> = self
            .policy
            .schedules_of(id)
            .filter(|schedule| schedule.times.is_some())
            .map(|schedule| format!("\"{}\"", schedule.name))
            .collect();
        match &rule.schedule {
            Schedule::AtDeadline => None,
            Schedule::Manual | Schedule::Named if !schedules.is_empty() => {
                let next = self.departure(now).and_then(|(at, _)| at);
                let next = next.map_or_else(String::new, |at| format!(", next at {at}"));
                let schedules = schedules.join(" and ");
                Some(format!(
                    "scheduled: it goes only by schedule {schedules}{next}, or when somebody asks."
                ))
            }
            Schedule::Manual => {
                Some("it goes only when somebody asks for it, with `lapsed clean`.".to_owned())
            }
            Schedule::Named => Some(format!(
                "it goes only when a clean names its rule: `lapsed clean --rule {:?}`.",
                rule.name
            )),
            Schedule::At(times) => {
                let next = self.departure(now).and_then(|(at, _)| at);
                Some(match next {
                    Some(at) => format!(
                        "scheduled: it goes only at \"{times}\", next at {at} ({}), or when somebody asks.",
                        span::relative(at.ms_since(now))
                    ),
                    None => {
                        format!("scheduled: it goes only at \"{times}\", or when somebody asks.")
                    }
                })
            }
        }
    }
}

fn describe(since: Since) -> &'static str {
    match since {
        Since::Newest => "the newest of all its timestamps",
        Since::Mtime => "the last change of its content (mtime)",
        Since::NewestMtime => {
            "the latest change of the contents of all that it holds (newest_mtime)"
        }
        Since::Ctime => "the last change of content, name or attributes (ctime)",
        Since::Btime => "its birth (btime)",
        Since::CreatedAt => "when its job was made (created_at)",
        Since::CompletedAt => "when its job ended (completed_at)",
        Since::LastActivity => "the last activity of its job (last_activity)",
        Since::ExpiresAt => "when its job says it is over (expires_at)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(query: &str) -> Result<PathBuf, AppError> {
        let bytes = |name| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name));
            value.map(|value| value.replace("%00", "\0"))
        };
        path_of(&ExplainQuery {
            path: bytes("path=").map(|path| Bytes(path.into_bytes())),
            path_b64: bytes("path_b64="),
        })
    }

    #[test]
    fn paths_are_absolute_and_plain() {
        assert_eq!(path("path=/srv//a/").unwrap(), Path::new("/srv/a"));
        let bytes = STANDARD.encode(b"/srv/\xff");
        let odd = path(&format!("path_b64={bytes}")).unwrap();
        assert_eq!(odd.as_os_str().as_bytes(), b"/srv/\xff");
        for bad in [
            "",
            "path=a",
            "path=/a/../b",
            "path=/a%00",
            "path_b64=%",
            "path_b64=*",
            "path=/a&path_b64=x",
        ] {
            assert_eq!(
                path(bad).unwrap_err().kind,
                crate::app::ErrorKind::Invalid,
                "{bad}"
            );
        }
    }
}

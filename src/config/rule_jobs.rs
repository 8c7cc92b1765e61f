//! Keys of a rule that concern jobs: status, kind and source of the jobs, and the fate of their
//! records.
//!
//! **Invariant:** a filter that can never match, or whose truth can never be known, is refused: the
//! files that it should remove would be kept forever, or fall under a later rule.
//! **Invariant:** a rule never removes files of a job that has not ended.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::claim::Unit;
use crate::core::jobs::Status;
use crate::core::policy::{JobFilter, Record, Since};

use super::error::{Refusal, allowed};
use super::reader::Reader;
use super::roots;
use super::schema::{Rule, TOP};
use super::setting::{Setting, Text};
use super::sources::Sources;

/// Value of `job` for files that belong to no job.
const NO_JOB: &str = "none";
/// Statuses of jobs whose files may be removed: those that have ended. The other value of `job` is
/// [`NO_JOB`].
const OVER: [Status; 3] = [Status::Completed, Status::Failed, Status::Cancelled];
/// Time to live of orphans if the rule gives none. The row of a file that was just uploaded may not
/// be written yet, and users who lost a table have a day to notice.
pub(super) const ORPHANS_EXPIRE: Duration = Duration::from_hours(24);

/// Part of a rule that concerns jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    /// Filter by status.
    pub filter: JobFilter,
    /// Kinds of the jobs; `None`: any.
    pub kinds: Option<Vec<String>>,
    /// Indices of their sources; `None`: any.
    pub sources: Option<Vec<usize>>,
    /// Fate of their records.
    pub record: Record,
}

/// Context of the rule; all of it is valid.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// Roots that the rule names, else all.
    pub roots: Vec<&'a roots::Draft<'a>>,
    /// True if the rule names its roots.
    pub are_named: bool,
    /// All sources.
    pub sources: &'a Sources,
    /// Unit that lapses as a whole.
    pub unit: Unit,
    /// Timestamp that decides.
    pub since: Since,
}

/// Reads the keys of `rule` that concern jobs, each on its own.
pub(super) fn read(reader: &mut Reader, rule: &Rule, sources: &Sources) -> Jobs {
    let sorted = |set: BTreeSet<_>| set.into_iter().collect();
    let chosen = rule.source.all().map(|names| {
        let places = names.into_iter();
        let places = places.filter_map(|(text, _)| sources.named(reader, text));
        places.collect::<BTreeSet<_>>().into_iter().collect()
    });
    Jobs {
        filter: filter(reader, rule).unwrap_or(JobFilter::Anyone),
        kinds: rule.kind.all().map(|kinds| {
            let kinds = kinds.into_iter().map(|(_, kind)| kind.0.clone());
            sorted(kinds.collect())
        }),
        sources: chosen,
        record: rule.record.get().copied().unwrap_or(Record::Keep),
    }
}

fn filter(reader: &mut Reader, rule: &Rule) -> Option<JobFilter> {
    let words = rule.job.all()?;
    let no_job = words.iter().find(|(_, word)| **word == JobWord::NoJob);
    match no_job {
        Some(_) if words.len() == 1 => Some(JobFilter::Nobody),
        Some((text, _)) => {
            let reason = "cannot be combined with a status: an orphan has no job";
            let hint = "write two rules, one with job = \"none\"";
            reader.note(text.refuse(Refusal::new(reason).hint(hint)));
            None
        }
        None => {
            let statuses: BTreeSet<Status> = words
                .iter()
                .filter_map(|(_, word)| match word {
                    JobWord::NoJob => None,
                    JobWord::Standing(status) => Some(*status),
                })
                .collect();
            Some(JobFilter::Standing(statuses.into_iter().collect()))
        }
    }
}

/// One word of `job`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum JobWord {
    NoJob,
    Standing(Status),
}

impl Setting for JobWord {
    fn words() -> Vec<&'static str> {
        OVER.map(Status::as_str)
            .into_iter()
            .chain([NO_JOB])
            .collect()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        match Status::of_word(text) {
            _ if text == NO_JOB => Ok(Self::NoJob),
            Some(status) if status.is_over() => Ok(Self::Standing(status)),
            Some(_) => Err(Refusal::new(
                "can never match: files of unfinished jobs are never removed",
            )
            .hint(format!("allowed: {}", Self::words().join(", ")))),
            None => Err(Refusal::new("is an unknown value").hint(allowed(Self::words(), text))),
        }
    }
}

/// Refuses impossible combinations of keys, each of which is valid on its own.
pub(super) fn check(reader: &mut Reader, rule: &Rule, jobs: &Jobs, scope: &Scope) {
    let wrong = match jobs.filter {
        JobFilter::Nobody => check_orphans(rule, jobs, scope),
        JobFilter::Anyone | JobFilter::Standing(_) => {
            let wrong = [
                check_since(rule, scope),
                check_unit(rule, jobs, scope),
                check_record(rule, jobs, scope),
            ];
            wrong.into_iter().flatten().collect()
        }
    };
    for (text, refusal) in wrong {
        if let Some(text) = text {
            reader.note(text.refuse(refusal));
        }
    }
}

/// First text of the key at which a problem is reported, and the reason why it is refused.
type Wrong<'a> = (Option<&'a Text>, Refusal);

fn check_orphans<'a>(rule: &'a Rule, jobs: &Jobs, scope: &Scope) -> Vec<Wrong<'a>> {
    let mut wrong = Vec::new();
    let beside = "cannot be combined with job = \"none\"";
    match scope.unit {
        Unit::File | Unit::Dir => {}
        Unit::Job => wrong.push((
            rule.unit.text(),
            Refusal::new(format!("{beside}: an orphan has no job")).hint("allowed: file, dir"),
        )),
    }
    if jobs.kinds.is_some() {
        let reason = format!("{beside}: an orphan has no kind");
        wrong.push((rule.kind.text(), Refusal::new(reason).hint("leave it out")));
    }
    if jobs.sources.is_some() {
        let reason = format!("{beside}: the root determines which files may be orphans");
        let hint = "leave it out, or name the roots of that source: root = …";
        wrong.push((rule.source.text(), Refusal::new(reason).hint(hint)));
    }
    if scope.since.is_of_job() {
        let reason = format!("{beside}: it is a timestamp of a job");
        let hint = "allowed: newest, mtime, newest_mtime, ctime, btime";
        wrong.push((rule.since.text(), Refusal::new(reason).hint(hint)));
    }
    match jobs.record {
        Record::Keep => {}
        Record::Mark | Record::Forget => {
            let reason = format!("{beside}: an orphan has no record");
            wrong.push((
                rule.record.text(),
                Refusal::new(reason).hint("leave it out"),
            ));
        }
    }
    let lacks = |root: &&&roots::Draft| !root.has_orphans();
    let hint = "add orphans = \"{uuid}/**\" to the [[root]]";
    if scope.are_named {
        for root in scope.roots.iter().filter(lacks) {
            let reason = format!(
                "can never match in root {:?}, which has no orphans template",
                root.name
            );
            wrong.push((rule.job.text(), Refusal::new(reason).hint(hint)));
        }
    } else if scope.roots.iter().all(|root| lacks(&root)) {
        let reason = "can never match: no root has an orphans template";
        wrong.push((rule.job.text(), Refusal::new(reason).hint(hint)));
    }
    wrong
}

fn check_since<'a>(rule: &'a Rule, scope: &Scope) -> Option<Wrong<'a>> {
    match (scope.unit, scope.since) {
        (Unit::Job, Since::Mtime | Since::Ctime | Since::Btime) => {
            let reason = "is a timestamp of one file, and a job may own many";
            let hint = "allowed with unit = \"job\": newest, newest_mtime, created_at, completed_at, last_activity, expires_at";
            Some((rule.since.text(), Refusal::new(reason).hint(hint)))
        }
        (Unit::File | Unit::Dir, since) if since.is_of_job() && !has_source(scope) => {
            let which = if scope.are_named {
                "none of the rule's roots"
            } else {
                "no root"
            };
            let reason = format!("is a timestamp of a job, and {which} has a source");
            let hint = "add owner = \"{job}/**\" or source = \"…\" to the [[root]], or write unit = \"job\"";
            Some((rule.since.text(), Refusal::new(reason).hint(hint)))
        }
        (Unit::File | Unit::Dir | Unit::Job, _) => None,
    }
}

/// Refuses a rule for whole jobs if it names no source and jobs own none of the roots that it
/// names.
fn check_unit<'a>(rule: &'a Rule, jobs: &Jobs, scope: &Scope) -> Option<Wrong<'a>> {
    let is_job = match scope.unit {
        Unit::File | Unit::Dir => false,
        Unit::Job => true,
    };
    let asks = jobs.sources.is_some() || !scope.are_named || has_source(scope);
    if !is_job || asks {
        return None;
    }
    let reason = "can never match: none of the rule's roots has a source";
    let hint =
        "add owner = \"{job}/**\" or source = \"…\" to the [[root]], or source = \"…\" to the rule";
    Some((rule.unit.text(), Refusal::new(reason).hint(hint)))
}

fn check_record<'a>(rule: &'a Rule, jobs: &Jobs, scope: &Scope) -> Option<Wrong<'a>> {
    let statements = match jobs.record {
        Record::Keep => return None,
        Record::Mark | Record::Forget => jobs.record.as_str(),
    };
    match scope.unit {
        Unit::Job => {}
        Unit::File | Unit::Dir => {
            let reason =
                "needs unit = \"job\": a record changes when all files of its job are gone";
            let hint = "write unit = \"job\", or leave record out";
            return Some((rule.record.text(), Refusal::new(reason).hint(hint)));
        }
    }
    let cannot = concerned(jobs, scope)
        .into_iter()
        .filter(|&place| !scope.sources.can(place, jobs.record));
    let names: Vec<String> = cannot
        .map(|place| format!("{:?}", scope.sources.name(place)))
        .collect();
    if names.is_empty() {
        return None;
    }
    let reason = format!(
        "needs {statements} statements, which {} {} not have",
        match names.len() {
            1 => format!("source {}", names[0]),
            _ => format!("sources {}", names.join(", ")),
        },
        if names.len() == 1 { "does" } else { "do" },
    );
    let hint = format!(
        "write such as {statements} = {} in the [[source]], or name other sources in the rule: source = \"…\"",
        TOP.nested("source").key(statements).example
    );
    Some((rule.record.text(), Refusal::new(reason).hint(hint)))
}

/// Indices of the sources that the rule can concern: those that it names, else those of the roots
/// that it names, else all.
fn concerned(jobs: &Jobs, scope: &Scope) -> BTreeSet<usize> {
    if let Some(places) = &jobs.sources {
        return places.iter().copied().collect();
    }
    if scope.are_named {
        let of_roots = scope.roots.iter().filter_map(|root| root.source.ok()?);
        return of_roots.collect();
    }
    scope.sources.places().collect()
}

/// Returns true if jobs own any of the roots, as far as is known.
fn has_source(scope: &Scope) -> bool {
    scope.roots.iter().any(|root| root.source != Ok(None))
}

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

use super::document::Section;
use super::error::{Refusal, allowed};
use super::reader::{Reader, Text};
use super::roots;
use super::schema::{FORGET, JOB, Key, MARK, RECORD, RULE_KIND, RULE_SOURCE, SINCE, UNIT};
use super::sources::Sources;
use super::value;

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
    pub roots: Vec<&'a roots::Draft>,
    /// True if the rule names its roots.
    pub are_named: bool,
    /// All sources.
    pub sources: &'a Sources,
    /// Unit that lapses as a whole.
    pub unit: Unit,
    /// Timestamp that decides.
    pub since: Since,
}

/// Reads the keys of `section` that concern jobs, each on its own.
pub(super) fn read(reader: &mut Reader, section: &Section, sources: &Sources) -> Jobs {
    let filter = filter(reader, section).unwrap_or(JobFilter::Anyone);
    let kinds = reader.texts(section, &RULE_KIND).map(|texts| {
        let kinds = texts.iter();
        let kinds = kinds.filter_map(|text| reader.parse(text, value::name));
        kinds.collect::<BTreeSet<_>>().into_iter().collect()
    });
    let chosen = reader.texts(section, &RULE_SOURCE).map(|texts| {
        let places = texts.iter();
        let places = places.filter_map(|text| sources.named(reader, text));
        places.collect::<BTreeSet<_>>().into_iter().collect()
    });
    let records = value::choice(&[
        ("keep", Record::Keep),
        ("mark", Record::Mark),
        ("forget", Record::Forget),
    ]);
    Jobs {
        filter,
        kinds,
        sources: chosen,
        record: reader
            .value(section, &RECORD, records)
            .unwrap_or(Record::Keep),
    }
}

fn filter(reader: &mut Reader, section: &Section) -> Option<JobFilter> {
    let texts = reader.texts(section, &JOB)?;
    let words: Vec<_> = texts
        .iter()
        .map(|text| Some((text, reader.parse(text, word)?)))
        .collect();
    let words: Vec<(&Text, Word)> = words.into_iter().collect::<Option<_>>()?;
    let no_job = words.iter().find(|(_, word)| *word == Word::NoJob);
    match no_job {
        Some(_) if words.len() == 1 => Some(JobFilter::Nobody),
        Some((text, _)) => {
            let reason = "stands beside others: what belongs to nobody belongs to no job";
            let hint = "write two rules, one with job = \"none\"";
            reader.note(text.refuse(Refusal::new(reason).hint(hint)));
            None
        }
        None => {
            let statuses: BTreeSet<Status> = words
                .iter()
                .filter_map(|(_, word)| match word {
                    Word::NoJob => None,
                    Word::Standing(status) => Some(*status),
                })
                .collect();
            Some(JobFilter::Standing(statuses.into_iter().collect()))
        }
    }
}

/// One word of `job`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    NoJob,
    Standing(Status),
}

fn word(text: &str) -> Result<Word, Refusal> {
    let text = text.trim();
    let words = OVER.map(Status::as_str).into_iter().chain([NO_JOB]);
    match Status::of_word(text) {
        _ if text == NO_JOB => Ok(Word::NoJob),
        Some(status) if status.is_over() => Ok(Word::Standing(status)),
        Some(_) => Err(Refusal::new(
            "would never let anything go: jobs that have not ended lose nothing",
        )
        .hint(format!("allowed: {}", words.collect::<Vec<_>>().join(", ")))),
        None => Err(Refusal::new("is unknown").hint(allowed(words, text))),
    }
}

/// Refuses impossible combinations of keys, each of which is valid on its own.
pub(super) fn check(reader: &mut Reader, section: &Section, jobs: &Jobs, scope: &Scope) {
    let wrong = match jobs.filter {
        JobFilter::Nobody => check_orphans(jobs, scope),
        JobFilter::Anyone | JobFilter::Standing(_) => {
            let wrong = [
                check_since(scope),
                check_unit(jobs, scope),
                check_record(jobs, scope),
            ];
            wrong.into_iter().flatten().collect()
        }
    };
    for (key, refusal) in wrong {
        // The problem is reported at the first text of the key.
        let texts = reader.texts(section, &key);
        if let Some(text) = texts.iter().flatten().next() {
            reader.note(text.refuse(refusal));
        }
    }
}

/// Key of the rule, and the reason why it is refused.
type Wrong = (Key, Refusal);

fn check_orphans(jobs: &Jobs, scope: &Scope) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let beside = "does not go with job = \"none\"";
    match scope.unit {
        Unit::File | Unit::Dir => {}
        Unit::Job => wrong.push((
            UNIT,
            Refusal::new(format!(
                "{beside}: what belongs to nobody is no part of a job"
            ))
            .hint("allowed: file, dir"),
        )),
    }
    if jobs.kinds.is_some() {
        let reason = format!("{beside}: what belongs to nobody is of no kind");
        wrong.push((RULE_KIND, Refusal::new(reason).hint("leave it out")));
    }
    if jobs.sources.is_some() {
        let reason = format!("{beside}: whether files may be nobody's is said by their root");
        let hint = "leave it out, or name the roots of that source: root = …";
        wrong.push((RULE_SOURCE, Refusal::new(reason).hint(hint)));
    }
    if scope.since.is_of_job() {
        let reason = format!("{beside}: it is a timestamp of jobs, and there is none");
        let hint = "allowed: newest, mtime, newest_mtime, ctime, btime";
        wrong.push((SINCE, Refusal::new(reason).hint(hint)));
    }
    match jobs.record {
        Record::Keep => {}
        Record::Mark | Record::Forget => {
            let reason = format!("{beside}: what belongs to nobody has no record");
            wrong.push((RECORD, Refusal::new(reason).hint("leave it out")));
        }
    }
    let lacks = |root: &&&roots::Draft| !root.has_orphans;
    let hint = "say which names may: orphans = \"{uuid}/**\" in the [[root]]";
    if scope.are_named {
        for root in scope.roots.iter().filter(lacks) {
            let reason = format!(
                "can never match in root {:?}, which has no orphans: nothing of it may belong to nobody",
                root.name
            );
            wrong.push((JOB, Refusal::new(reason).hint(hint)));
        }
    } else if scope.roots.iter().all(|root| lacks(&root)) {
        let reason = "can never match: no root has orphans";
        wrong.push((JOB, Refusal::new(reason).hint(hint)));
    }
    wrong
}

fn check_since(scope: &Scope) -> Option<Wrong> {
    match (scope.unit, scope.since) {
        (Unit::Job, Since::Mtime | Since::Ctime | Since::Btime) => {
            let reason = "is a timestamp of one file, and a job may own many";
            let hint = "allowed with unit = \"job\": newest, newest_mtime, created_at, completed_at, last_activity, expires_at";
            Some((SINCE, Refusal::new(reason).hint(hint)))
        }
        (Unit::File | Unit::Dir, since) if since.is_of_job() && !has_source(scope) => {
            let which = if scope.are_named {
                "none of its roots"
            } else {
                "no root"
            };
            let reason =
                format!("is a timestamp of jobs, and {which} says whose jobs own its files");
            let hint = "say it in the [[root]]: owner = \"{job}/**\" or source = \"…\"; or let the job lapse as a whole: unit = \"job\"";
            Some((SINCE, Refusal::new(reason).hint(hint)))
        }
        (Unit::File | Unit::Dir | Unit::Job, _) => None,
    }
}

/// Refuses a rule for whole jobs if it names no source and jobs own none of the roots that it
/// names.
fn check_unit(jobs: &Jobs, scope: &Scope) -> Option<Wrong> {
    let is_job = match scope.unit {
        Unit::File | Unit::Dir => false,
        Unit::Job => true,
    };
    let asks = jobs.sources.is_some() || !scope.are_named || has_source(scope);
    if !is_job || asks {
        return None;
    }
    let reason = "can never match: none of the rule's roots says whose jobs own it";
    let hint = "say it in the [[root]]: owner = \"{job}/**\" or source = \"…\"; or in the rule: source = \"…\"";
    Some((UNIT, Refusal::new(reason).hint(hint)))
}

fn check_record(jobs: &Jobs, scope: &Scope) -> Option<Wrong> {
    let statements = match jobs.record {
        Record::Keep => return None,
        Record::Mark | Record::Forget => jobs.record.as_str(),
    };
    match scope.unit {
        Unit::Job => {}
        Unit::File | Unit::Dir => {
            let reason = "needs unit = \"job\": only what a job owns as a whole can be gone";
            let hint = "write unit = \"job\", or leave record out";
            return Some((RECORD, Refusal::new(reason).hint(hint)));
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
        match jobs.record {
            Record::Keep | Record::Mark => MARK.example,
            Record::Forget => FORGET.example,
        }
    );
    Some((RECORD, Refusal::new(reason).hint(hint)))
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

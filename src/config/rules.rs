//! Rules: `[[rule]]` tables, and one for each `--watch` argument.
//!
//! **Invariant:** a rule must say when files lapse: only rules for orphans have a default for
//! `expire`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::policy::{JobFilter, Record, Rule, Schedule, Since, SkipOpen};

use super::document::Section;
use super::error::{Place, Problem, Refusal, allowed};
use super::globs::{self, Matched};
use super::reader::{Reader, Reported, Text};
use super::roots::{self, Ttl};
use super::rule_jobs::{self, Jobs, ORPHANS_EXPIRE, Scope};
use super::schema::{
    EXCLUDE, EXPIRE, GLOB, KEEP, RULE, RULE_NAME, RULE_ROOT, SCHEDULE, SINCE, SKIP_OPEN, THEN, UNIT,
};
use super::settings::IDS_MAX;
use super::sources::Sources;
use super::value;

/// Value of `ls --rule` for files that fall under no rule.
const NO_RULE: &str = "none";

/// A rule before its roots and sources have ids.
#[derive(Debug)]
pub(super) struct Draft {
    rule: Rule,
    /// Indices of its roots in the list of roots; `None`: all.
    roots: Option<Vec<usize>>,
    /// Indices of its sources in the list of sources; `None`: all.
    sources: Option<Vec<usize>>,
    /// Location of its name, for messages.
    whereabouts: String,
}

/// Reads all rules in the order in which they are tried. Those of the command line come first,
/// since it overrides the file.
pub(super) fn read(
    reader: &mut Reader,
    top: &Section,
    roots: &[roots::Draft],
    sources: &Sources,
) -> Vec<Draft> {
    let typed = roots
        .iter()
        .enumerate()
        .filter_map(|(place, root)| Some(of_argument(place, root, root.ttl.as_ref()?)));
    let mut drafts: Vec<Draft> = typed.collect();
    let sections = reader.sections(top, RULE);
    let count = drafts.len() + sections.len();
    if count > IDS_MAX {
        reader.note(Problem {
            place: sections.last().map_or(Place::Process, Section::place),
            message: format!("{count} rules, where at most {IDS_MAX} may be"),
            hint: None,
        });
        return Vec::new();
    }
    let mut taken: BTreeMap<String, String> = drafts
        .iter()
        .map(|draft| (draft.rule.name.clone(), draft.whereabouts.clone()))
        .collect();
    let known = Known {
        roots,
        places: roots.iter().map(|root| &*root.name).zip(0..).collect(),
        sources,
    };
    for (section, number) in sections.into_iter().zip(1..) {
        let named = name(reader, section, number, &mut taken);
        if let Some(draft) = of_section(reader, &named, &known) {
            drafts.push(draft);
        }
    }
    drafts
}

/// Builds the rules with the ids of their roots and sources. `roots` and `sources` hold these ids
/// by index.
pub(super) fn finish(drafts: Vec<Draft>, roots: &[RootId], sources: &[SourceId]) -> Vec<Rule> {
    drafts
        .into_iter()
        .map(|draft| Rule {
            roots: draft
                .roots
                .map(|places| places.into_iter().map(|place| roots[place]).collect()),
            sources: draft
                .sources
                .map(|places| places.into_iter().map(|place| sources[place]).collect()),
            ..draft.rule
        })
        .collect()
}

fn of_argument(place: usize, root: &roots::Draft, ttl: &Ttl) -> Draft {
    Draft {
        rule: Rule {
            name: match ttl.expire_ms {
                Some(_) => format!("{} after {}", root.name, ttl.text),
                None => format!("{} for ever", root.name),
            },
            roots: None,
            glob: None,
            exclude: None,
            keep: None,
            since: Since::Newest,
            expire_ms: ttl.expire_ms,
            unit: Unit::File,
            skip_open: SkipOpen::Always,
            schedule: Schedule::AtDeadline,
            jobs: JobFilter::Anyone,
            kinds: None,
            sources: None,
            record: Record::Keep,
        },
        roots: Some(vec![place]),
        sources: None,
        whereabouts: "--watch".into(),
    }
}

/// Reads the name of a rule. All messages about the rule use it.
fn name<'d>(
    reader: &mut Reader,
    mut section: Section<'d>,
    number: usize,
    taken: &mut BTreeMap<String, String>,
) -> Named<'d> {
    let text = reader.text(&section, &RULE_NAME);
    let given = text.as_ref().and_then(|text| reader.parse(text, rule_name));
    if let Some(name) = &given {
        section.heading = format!("[[rule]] {name:?}");
    }
    let name = given.unwrap_or_else(|| format!("rule {number}"));
    let whereabouts = text
        .as_ref()
        .map_or_else(|| section.whereabouts(), Text::whereabouts);
    match (taken.get(&name), &text) {
        (None, _) => {
            taken.insert(name.clone(), whereabouts.clone());
        }
        (Some(other), Some(text)) => reader.note(text.refuse(
            Refusal::new(format!("is taken by the rule at {other}")).hint("give it another name"),
        )),
        (Some(other), None) => reader.note(Problem {
            place: section.place(),
            message: section.entitle(&format!(
                "its name would be {name:?}, which is taken by the rule at {other}"
            )),
            hint: Some("give it a name of its own: name = \"…\"".into()),
        }),
    }
    Named {
        section,
        name,
        whereabouts,
    }
}

/// Roots and sources that rules may name.
struct Known<'a> {
    roots: &'a [roots::Draft],
    /// Index of each root in the list of roots, by name; a root whose name was refused has the
    /// empty one.
    places: BTreeMap<&'a str, usize>,
    sources: &'a Sources,
}

/// Table of a rule, with its name.
struct Named<'d> {
    section: Section<'d>,
    name: String,
    whereabouts: String,
}

fn rule_name(text: &str) -> Result<String, Refusal> {
    if text == NO_RULE {
        return Err(
            Refusal::new("is the word for files without a rule").hint("give it another name")
        );
    }
    value::name(text)
}

fn of_section(reader: &mut Reader, named: &Named, known: &Known) -> Option<Draft> {
    let section = &named.section;
    let problems = reader.count();
    reader.refuse_unknown(section);
    let chosen = chosen_roots(reader, section, &known.places);
    let unit = unit(reader, section);
    let since = since(reader, section);
    let matched = Matched::for_unit(unit);
    let glob = globs::read(reader, section, &GLOB, matched);
    let exclude = globs::read(reader, section, &EXCLUDE, matched);
    let keep = globs::read(reader, section, &KEEP, Matched::Paths);
    reader.value(section, &THEN, value::choice(&[("delete", ())]));
    let skip_open = reader
        .value(section, &SKIP_OPEN, skip_open)
        .unwrap_or(SkipOpen::Always);
    let schedule = reader
        .value(section, &SCHEDULE, value::schedule)
        .unwrap_or(Schedule::AtDeadline);
    let jobs = rule_jobs::read(reader, section, known.sources);
    let expire = expire(reader, section, &jobs).ok();
    if let (Ok(chosen), true) = (&chosen, reader.count() == problems) {
        let all = 0..known.roots.len();
        let places = chosen.clone().unwrap_or_else(|| all.collect());
        let scope = Scope {
            roots: places.into_iter().map(|at| &known.roots[at]).collect(),
            are_named: chosen.is_some(),
            sources: known.sources,
            unit,
            since,
        };
        rule_jobs::check(reader, section, &jobs, &scope);
    }
    Some(Draft {
        rule: Rule {
            name: named.name.clone(),
            roots: None,
            glob,
            exclude,
            keep,
            since,
            expire_ms: expire?.map(value::milliseconds),
            unit,
            skip_open,
            schedule,
            jobs: jobs.filter,
            kinds: jobs.kinds,
            sources: None,
            record: jobs.record,
        },
        roots: chosen.ok()?,
        sources: jobs.sources,
        whereabouts: named.whereabouts.clone(),
    })
}

fn skip_open(text: &str) -> Result<SkipOpen, Refusal> {
    match value::flag_word(text) {
        Some(true) => Ok(SkipOpen::Always),
        Some(false) => Ok(SkipOpen::Never),
        None => value::choice(&[
            ("true", SkipOpen::Always),
            ("false", SkipOpen::Never),
            ("if-known", SkipOpen::IfKnown),
        ])(text),
    }
}

fn unit(reader: &mut Reader, section: &Section) -> Unit {
    let units = value::choice(&[("file", Unit::File), ("dir", Unit::Dir), ("job", Unit::Job)]);
    reader.value(section, &UNIT, units).unwrap_or(Unit::File)
}

fn since(reader: &mut Reader, section: &Section) -> Since {
    let words = value::choice(&[
        ("newest", Since::Newest),
        ("mtime", Since::Mtime),
        ("newest_mtime", Since::NewestMtime),
        ("ctime", Since::Ctime),
        ("btime", Since::Btime),
        ("created_at", Since::CreatedAt),
        ("completed_at", Since::CompletedAt),
        ("last_activity", Since::LastActivity),
        ("expires_at", Since::ExpiresAt),
    ]);
    reader
        .value(section, &SINCE, words)
        .unwrap_or(Since::Newest)
}

fn expire(
    reader: &mut Reader,
    section: &Section,
    jobs: &Jobs,
) -> Result<Option<Duration>, Reported> {
    if !section.has(EXPIRE.name) {
        if jobs.filter == JobFilter::Nobody {
            return Ok(Some(ORPHANS_EXPIRE));
        }
        reader.note(Problem {
            place: section.place(),
            message: section.entitle("has no expire"),
            hint: Some("such as expire = \"7d\", or expire = \"never\"".into()),
        });
    }
    reader
        .value(section, &EXPIRE, value::expire)
        .ok_or(Reported)
}

/// Indices of the roots that a rule names; `None`: all. A missing name may be that of a root whose
/// name was refused, so it is not reported again.
fn chosen_roots(
    reader: &mut Reader,
    section: &Section,
    roots: &BTreeMap<&str, usize>,
) -> Result<Option<Vec<usize>>, Reported> {
    if !section.has(RULE_ROOT.name) {
        return Ok(None);
    }
    let texts = reader.texts(section, &RULE_ROOT).ok_or(Reported)?;
    let mut chosen = BTreeSet::new();
    for text in &texts {
        if let Some(&place) = roots.get(&*text.value) {
            chosen.insert(place);
        } else if !roots.contains_key("") {
            let hint = allowed(roots.keys().copied(), &text.value);
            reader.note(text.refuse(Refusal::new("is no root").hint(hint)));
        }
    }
    let are_all = texts.iter().all(|text| roots.contains_key(&*text.value));
    if are_all {
        Ok(Some(chosen.into_iter().collect()))
    } else {
        Err(Reported)
    }
}

//! Rules: `[[rule]]` tables, and one for each `--watch` argument.
//!
//! **Invariant:** a rule must say when files lapse: only rules for orphans have a default for
//! `expire`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::policy::{Disposal, JobFilter, Per, Record, Rule, Schedule, Since, SkipOpen};

use super::error::{Problem, Refusal, allowed};
use super::globs::{self, Matched};
use super::keep_last;
use super::limits;
use super::reader::{Reader, Reported};
use super::roots::{self, Ttl};
use super::rule_jobs::{self, ORPHANS_EXPIRE, Scope};
use super::schema::{self, Then};
use super::setting::Table;
use super::settings::IDS_MAX;
use super::sources::Sources;
use super::value::{self, Undo};

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
    /// Fate of what lapses; `None`: as by default.
    disposal: Option<Disposal>,
    is_enabled: bool,
    /// Location of its name, for messages.
    location: String,
}

/// Checks all rules, in the order in which they are tried. Those of the command line come first,
/// since it overrides the file.
pub(super) fn read(
    reader: &mut Reader,
    rules: &[Table<schema::Rule>],
    roots: &[roots::Draft],
    sources: &Sources,
) -> Vec<Draft> {
    let typed = roots
        .iter()
        .enumerate()
        .filter_map(|(place, root)| Some(of_argument(place, root, root.ttl.as_ref()?)));
    let mut drafts: Vec<Draft> = typed.collect();
    let count = drafts.len() + rules.len();
    if count > IDS_MAX {
        reader.note(Problem::of_process(format!(
            "{count} rules, but the limit is {IDS_MAX}"
        )));
        return Vec::new();
    }
    let mut taken: BTreeMap<String, String> = drafts
        .iter()
        .map(|draft| (draft.rule.name.clone(), draft.location.clone()))
        .collect();
    let known = Known {
        roots,
        places: roots.iter().map(|root| &*root.name).zip(0..).collect(),
        sources,
    };
    for (rule, number) in rules.iter().zip(1..) {
        let name = name(reader, rule, number, &mut taken);
        drafts.extend(of_table(reader, rule, name, &known));
    }
    check_root_limits(reader, roots, &drafts);
    drafts
}

/// Checks that each root with a limit has a rule that lets something go.
fn check_root_limits(reader: &mut Reader, roots: &[roots::Draft], drafts: &[Draft]) {
    // Rules that were refused are no rules that are missing.
    if reader.count() > 0 {
        return;
    }
    for (place, root) in roots.iter().enumerate() {
        let lets_go = |draft: &Draft| {
            let applies = draft
                .roots
                .as_ref()
                .is_none_or(|roots| roots.contains(&place));
            let is_for_orphans = draft.rule.jobs == JobFilter::Nobody;
            draft.is_enabled && applies && !is_for_orphans && draft.rule.life_ms().is_some()
        };
        if let Some(table) = root.limit_table()
            && !drafts.iter().any(lets_go)
        {
            let problem = table.problem("the limit could remove nothing");
            reader.note(problem.hint(
                "a limit removes what a rule lets lapse some day: add a [[rule]] with expire = \"…\"",
            ));
        }
    }
}

impl Draft {
    /// Name of the rule.
    pub fn name(&self) -> &str {
        &self.rule.name
    }
}

/// Rules with the ids of their roots and sources.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Rules that are tried.
    pub enabled: Vec<Rule>,
    /// Rules that are switched off.
    pub disabled: Vec<Rule>,
}

/// Builds the rules with the ids of their roots and sources. `roots` and `sources` hold these ids
/// by index; `disposal` is that of rules without one.
pub(super) fn finish(
    drafts: Vec<Draft>,
    roots: &[RootId],
    sources: &[SourceId],
    disposal: Disposal,
) -> Finished {
    let mut finished = Finished::default();
    for draft in drafts {
        let rule = Rule {
            roots: draft
                .roots
                .map(|places| places.into_iter().map(|place| roots[place]).collect()),
            sources: draft
                .sources
                .map(|places| places.into_iter().map(|place| sources[place]).collect()),
            disposal: draft.disposal.unwrap_or(disposal),
            ..draft.rule
        };
        if draft.is_enabled {
            finished.enabled.push(rule);
        } else {
            finished.disabled.push(rule);
        }
    }
    finished
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
            keep_last: None,
            unit: Unit::File,
            limit: None,
            skip_open: SkipOpen::Always,
            disposal: Disposal::default(),
            schedule: Schedule::AtDeadline,
            jobs: JobFilter::Anyone,
            kinds: None,
            sources: None,
            record: Record::Keep,
        },
        roots: Some(vec![place]),
        sources: None,
        disposal: None,
        is_enabled: true,
        location: "--watch".into(),
    }
}

/// Returns the name of a rule; reports one that is taken or reserved.
fn name(
    reader: &mut Reader,
    rule: &Table<schema::Rule>,
    number: usize,
    taken: &mut BTreeMap<String, String>,
) -> Named {
    let name = rule.name.get().map(|name| name.0.clone());
    let name = name.unwrap_or_else(|| format!("rule {number}"));
    let text = rule.name.text();
    let location = match text {
        Some(text) => reader.location(text),
        None => reader.location_of_line(rule.line).unwrap_or_default(),
    };
    let other = taken.get(&name);
    match (other, text) {
        (_, Some(text)) if name == NO_RULE => {
            let refusal = Refusal::new("is reserved for files without a rule");
            reader.note(text.refuse(refusal.hint("give it another name")));
        }
        (None, _) => {
            taken.insert(name.clone(), location.clone());
        }
        (Some(other), Some(text)) => {
            let refusal = Refusal::new(format!("is taken by the rule at {other}"));
            reader.note(text.refuse(refusal.hint("give it another name")));
        }
        (Some(other), None) => {
            let message =
                format!("its name would be {name:?}, which is taken by the rule at {other}");
            let hint = "give it a name of its own: name = \"…\"";
            reader.note(rule.problem(&message).hint(hint));
        }
    }
    Named { name, location }
}

/// Roots and sources that rules may name.
struct Known<'a> {
    roots: &'a [roots::Draft<'a>],
    /// Index of each root in the list of roots, by name; a root whose name was refused has the
    /// empty one.
    places: BTreeMap<&'a str, usize>,
    sources: &'a Sources,
}

/// Name of a rule, with its location.
struct Named {
    name: String,
    location: String,
}

fn of_table(
    reader: &mut Reader,
    rule: &Table<schema::Rule>,
    named: Named,
    known: &Known,
) -> Option<Draft> {
    let problems = reader.count();
    let chosen = chosen_roots(reader, rule, &known.places);
    let unit = rule.unit.get().copied();
    let matched = Matched::for_unit(unit.unwrap_or(Unit::File));
    let glob = globs::read(reader, &rule.glob, matched);
    let exclude = globs::read(reader, &rule.exclude, matched);
    let keep = globs::read(reader, &rule.keep, Matched::Paths);
    let jobs = rule_jobs::read(reader, rule, known.sources);
    let expire = expire(reader, rule, &jobs.filter);
    let since = rule.since.get().copied();
    let limit = limits::read(reader, &rule.limit);
    let keep_last = keep_last::read(reader, rule, unit.unwrap_or(Unit::File), &jobs.filter);
    // The combinations are checked if each key is valid on its own.
    if let (Ok(chosen), Some(unit), Some(since), true) =
        (&chosen, unit, since, reader.count() == problems)
    {
        let scope = Scope {
            roots: match chosen {
                Some(places) => places.iter().map(|&place| &known.roots[place]).collect(),
                None => known.roots.iter().collect(),
            },
            are_named: chosen.is_some(),
            sources: known.sources,
            unit,
            since,
        };
        rule_jobs::check(reader, rule, &jobs, &scope);
        check_limit(reader, rule, &jobs.filter, &scope);
    }
    let disposal = disposal(reader, rule);
    Some(Draft {
        rule: Rule {
            name: named.name,
            roots: None,
            glob,
            exclude,
            keep,
            since: since?,
            expire_ms: expire.ok()?.map(value::milliseconds),
            unit: unit?,
            limit,
            keep_last: keep_last.ok()?,
            skip_open: rule.skip_open.get().copied()?,
            disposal: Disposal::default(),
            schedule: match rule.schedule.get() {
                Some(schedule) => schedule.clone(),
                None => Schedule::AtDeadline,
            },
            jobs: jobs.filter,
            kinds: jobs.kinds,
            sources: None,
            record: jobs.record,
        },
        roots: chosen.ok()?,
        sources: jobs.sources,
        disposal: disposal.ok()?,
        is_enabled: *rule.enabled.get()?,
        location: named.location,
    })
}

/// Returns the fate of what lapses under a rule: `undo` alone means the trash, and an explicit
/// `then = "delete"` wins. `None`: as by default.
fn disposal(reader: &mut Reader, rule: &schema::Rule) -> Result<Option<Disposal>, Reported> {
    let undo = match rule.undo.text() {
        Some(text) => Some((text, rule.undo.get().ok_or(Reported)?.disposal())),
        None => None,
    };
    let then = match rule.then.text() {
        Some(_) => *rule.then.get().ok_or(Reported)?,
        None => return Ok(undo.map(|(_, disposal)| disposal)),
    };
    match (then, undo) {
        (Then::Delete, _) => Ok(Some(Disposal::Delete)),
        (Then::Trash, None) => Ok(Some(Undo::DEFAULT.disposal())),
        (Then::Trash, Some((text, Disposal::Delete))) => {
            let refusal = Refusal::new("contradicts then = \"trash\": nothing could be restored");
            Err(reader.fail(text.refuse(refusal.hint("give a time, or leave out then"))))
        }
        (Then::Trash, Some((_, disposal))) => Ok(Some(disposal)),
    }
}

/// Checks that the limit of a rule fits the rule and its roots.
fn check_limit(reader: &mut Reader, rule: &Table<schema::Rule>, filter: &JobFilter, scope: &Scope) {
    if rule.limit.given.is_empty() {
        return;
    }
    if *filter == JobFilter::Nobody {
        let problem = rule.limit.problem("a rule for orphans cannot have a limit");
        reader.note(problem.hint(
            "their age tells them from files whose job is not known yet; give the root a limit",
        ));
    }
    let lacks = |root: &&&roots::Draft| !root.has_owner();
    if rule.limit.per.get() == Some(&Per::Owner)
        && let Some(root) = scope.roots.iter().find(lacks)
        && let Some(text) = rule.limit.per.text()
    {
        let refusal = Refusal::new(format!(
            "needs an owner template, which root {:?} lacks",
            root.name
        ));
        reader.note(text.refuse(refusal.hint("add owner = \"{job}/**\" to the [[root]]")));
    }
}

fn expire(
    reader: &mut Reader,
    rule: &Table<schema::Rule>,
    filter: &JobFilter,
) -> Result<Option<Duration>, Reported> {
    if rule.expire.is_present() {
        return rule.expire.get().map(|expire| expire.0).ok_or(Reported);
    }
    if *filter == JobFilter::Nobody {
        return Ok(Some(ORPHANS_EXPIRE));
    }
    let problem = rule.problem("expire is missing");
    Err(reader.fail(problem.hint("such as expire = \"7d\", or expire = \"never\"")))
}

/// Indices of the roots that a rule names; `None`: all. A missing name may be that of a root whose
/// name was refused, so it is not reported again.
fn chosen_roots(
    reader: &mut Reader,
    rule: &schema::Rule,
    roots: &BTreeMap<&str, usize>,
) -> Result<Option<Vec<usize>>, Reported> {
    if !rule.root.is_present() {
        return Ok(None);
    }
    let names = rule.root.all().ok_or(Reported)?;
    let mut chosen = BTreeSet::new();
    for (text, name) in &names {
        if let Some(&place) = roots.get(name.as_str()) {
            chosen.insert(place);
        } else if !roots.contains_key("") {
            let hint = allowed(roots.keys().copied(), name);
            reader.note(text.refuse(Refusal::new("is an unknown root").hint(hint)));
        }
    }
    let are_all = names
        .iter()
        .all(|(_, name)| roots.contains_key(name.as_str()));
    if are_all {
        Ok(Some(chosen.into_iter().collect()))
    } else {
        Err(Reported)
    }
}

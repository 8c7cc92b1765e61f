//! Schedules: `[[schedule]]` tables.
//!
//! **Invariant:** a schedule has instants, and the rules that it names exist. Rules that are
//! switched off are left out, and never stand for all.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::core::policy::{NamedSchedule, Policy, ScheduleAction};
use crate::core::recurrence::{Recurrence, RecurrenceError};

use super::error::{Refusal, allowed};
use super::queries::Zone;
use super::reader::{Reader, Reported};
use super::schema;
use super::setting::{Setting, Table, Text};
use super::value;

/// Times in the fields of cron; `None`: an empty text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Times(pub Option<Recurrence>);

/// An interval; `None`: an empty text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Every(Option<Recurrence>);

impl Setting for Times {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let hint = "such as \"0 2 * * *\", \"@daily\", or every = \"6h\"";
        if text.trim_start().starts_with("every ") {
            return Err(Refusal::new("is an interval").hint(hint));
        }
        recurrence(text, text, hint).map(Self)
    }
}

impl Setting for Every {
    fn parse(text: &str) -> Result<Self, Refusal> {
        recurrence(text, &format!("every {text}"), "such as 15m, 6h or 24h").map(Self)
    }
}

fn recurrence(text: &str, meant: &str, hint: &str) -> Result<Option<Recurrence>, Refusal> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let found = meant.parse();
    let found = found.map_err(|error: RecurrenceError| {
        let reason = match error {
            RecurrenceError::Every => "is an invalid duration".to_owned(),
            error => error.to_string(),
        };
        Refusal::new(reason).hint(hint)
    });
    found.map(Some)
}

/// A schedule before its rules have ids.
#[derive(Debug)]
pub(super) struct Draft {
    schedule: NamedSchedule,
    /// Names of its rules; `None`: all that need not be named.
    rules: Option<Vec<String>>,
    /// The command that it runs instead, with its parameters.
    command: Option<(String, Vec<(String, String)>)>,
}

/// Names of the rules, to check those that schedules name.
pub(super) struct Known<'a> {
    pub rules: Vec<&'a str>,
    /// True if no rule was refused.
    pub is_complete: bool,
}

/// Checks all schedules.
pub(super) fn read(
    reader: &mut Reader,
    tables: &[Table<schema::Schedule>],
    known: &Known<'_>,
) -> Vec<Draft> {
    let mut taken = BTreeMap::new();
    let mut drafts = Vec::new();
    for table in tables {
        drafts.extend(draft(reader, table, known, &mut taken));
    }
    drafts
}

fn draft(
    reader: &mut Reader,
    table: &Table<schema::Schedule>,
    known: &Known<'_>,
    taken: &mut BTreeMap<String, String>,
) -> Option<Draft> {
    let (text, name) = table.name.both()?;
    let location = reader.location(text);
    if let Some(other) = taken.insert(name.0.clone(), location) {
        let refusal = Refusal::new(format!("is taken by the schedule at {other}"));
        reader.note(text.refuse(refusal.hint("give it another name")));
    }
    let rules = rules(reader, table, known);
    let zone = table.timezone.get()?;
    let (at, every) = (
        value_of(table.at.text(), table.at.get().map(|times| &times.0)).ok()?,
        value_of(table.every.text(), table.every.get().map(|every| &every.0)).ok()?,
    );
    let on_start = *table.on_start.get()?;
    let times = match (at, every) {
        (Some(_), Some(_)) => {
            let problem = table.problem("has both at and every");
            reader.note(problem.hint("leave out one of them"));
            return None;
        }
        (None, None) if !on_start => {
            let problem = table.problem("has no times");
            let hint = "write at = \"0 2 * * *\", every = \"24h\", or on_start = true";
            reader.note(problem.hint(hint));
            return None;
        }
        (at, every) => at.or(every).cloned(),
    };
    Some(Draft {
        schedule: NamedSchedule {
            name: name.0.clone(),
            times: match zone_of(zone) {
                None => times,
                Some(zone) => times.map(|times| times.in_zone(zone)),
            },
            on_start,
            jitter_ms: value::milliseconds(table.jitter.get()?.0),
            catch_up: *table.catch_up.get()?,
            is_enabled: *table.enabled.get()?,
            action: ScheduleAction::Clean(None),
        },
        rules: rules.ok()?,
        command: table.command.get().map(|name| {
            let params = table.params.iter();
            let params = params.map(|(name, _, value)| (name.to_owned(), value.0.clone()));
            (name.0.clone(), params.collect())
        }),
    })
}

/// The value of a key, if it is not empty.
fn value_of<'t>(
    text: Option<&Text>,
    value: Option<&'t Option<Recurrence>>,
) -> Result<Option<&'t Recurrence>, Reported> {
    match (text, value) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(Reported),
        (Some(_), Some(value)) => Ok(value.as_ref()),
    }
}

/// Names of the rules of a schedule; `None`: all that need not be named.
fn rules(
    reader: &mut Reader,
    table: &schema::Schedule,
    known: &Known<'_>,
) -> Result<Option<Vec<String>>, Reported> {
    if !table.rules.is_present() {
        return Ok(None);
    }
    let mut checked = Ok(());
    let names = table.rules.all().ok_or(Reported)?;
    for (text, name) in &names {
        if known.is_complete && !known.rules.contains(&name.as_str()) {
            let hint = allowed(known.rules.iter().copied(), name);
            let problem = text.refuse(Refusal::new("is an unknown rule").hint(hint));
            checked = Err(reader.fail(problem));
        }
    }
    checked?;
    let names = names.into_iter().map(|(_, name)| name.clone());
    Ok(Some(names.collect()))
}

pub(super) fn zone_of(Zone(zone): &Zone) -> Option<TimeZone> {
    match zone.as_str() {
        "local" => None,
        zone => TimeZone::get(zone).ok(),
    }
}

/// Builds the schedules with the ids of their rules. Without `automatic` none is enabled.
pub(super) fn finish(drafts: Vec<Draft>, policy: &Policy, automatic: bool) -> Vec<NamedSchedule> {
    let finished = drafts.into_iter().map(|draft| {
        let rules = draft.rules.map(|names| {
            let ids = names.iter().filter_map(|name| policy.rule_named(name));
            ids.collect()
        });
        NamedSchedule {
            is_enabled: draft.schedule.is_enabled && automatic,
            action: match draft.command {
                Some((name, params)) => ScheduleAction::Command { name, params },
                None => ScheduleAction::Clean(rules),
            },
            ..draft.schedule
        }
    });
    finished.collect()
}

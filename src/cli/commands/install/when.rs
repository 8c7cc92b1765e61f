//! Instants of an installed command: fields of cron, which a timer of systemd takes as well once
//! they are rewritten, or systemd's own `OnCalendar`.

use std::process::{Command, Stdio};

use thiserror::Error;

use crate::core::recurrence::{Recurrence, RecurrenceError};

/// Names of cron for days, Sunday first.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// Names of cron for months.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Instants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// Five fields of cron: minute, hour, day of the month, month, day of the week.
    Cron([String; 5]),
    /// systemd's `OnCalendar`.
    Calendar(String),
}

/// The mistake in a text that stands for no instants.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(super) enum WhenError {
    /// Five fields that cron does not take.
    #[error("--at \"{0}\" {1}")]
    Invalid(String, RecurrenceError),
    /// A field that only other programs than cron understand.
    #[error("--at \"{0}\": neither cron nor systemd understands \"{1}\"")]
    Extended(String, String),
    /// systemd's own form, for cron.
    #[error(
        "--at \"{0}\" has no five fields of cron\n  such as \"0 2 * * *\"; OnCalendar is for --method systemd"
    )]
    NotCron(String),
    /// systemd refuses it.
    #[error("--at \"{0}\" is neither five fields of cron nor OnCalendar of systemd: {1}")]
    NotCalendar(String, String),
}

impl When {
    /// Parses five fields of cron, or anything else of one line, which may be `OnCalendar`.
    pub(super) fn parse(text: &str) -> Result<Self, WhenError> {
        let fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let Ok(fields) = <[String; 5]>::try_from(fields) else {
            return Ok(Self::Calendar(text.to_owned()));
        };
        let parsed = text.parse::<Recurrence>();
        parsed.map_err(|error| WhenError::Invalid(text.to_owned(), error))?;
        let names: [&[&str]; 5] = [&[], &[], &[], &MONTHS, &DAYS];
        for (field, names) in fields.iter().zip(names) {
            if !is_plain(field, names) {
                return Err(WhenError::Extended(text.to_owned(), field.clone()));
            }
        }
        Ok(Self::Cron(fields))
    }

    /// The fields, as a crontab has them.
    pub(super) fn cron(&self) -> Result<String, WhenError> {
        match self {
            Self::Cron(fields) => Ok(fields.join(" ")),
            Self::Calendar(text) => Err(WhenError::NotCron(text.clone())),
        }
    }

    /// The values of `OnCalendar`, each of which adds instants. systemd itself is asked about its
    /// own form, where it is there.
    pub(super) fn calendars(&self) -> Result<Vec<String>, WhenError> {
        let fields = match self {
            Self::Cron(fields) => fields,
            Self::Calendar(text) => {
                check_calendar(text)?;
                return Ok(vec![text.clone()]);
            }
        };
        let [minute, hour, day, month, weekday] = fields;
        let time = format!("{}:{}:00", numbers(hour, 0, &[]), numbers(minute, 0, &[]));
        let month = numbers(month, 1, &MONTHS);
        let on = |day: &str, weekdays: &str| format!("{weekdays}*-{month}-{day} {time}");
        let days = numbers(day, 1, &[]);
        let weekdays = weekdays(weekday);
        // crontab(5): where both are given, either is enough.
        if day.starts_with('*') || weekday.starts_with('*') {
            return Ok(vec![on(&days, &weekdays)]);
        }
        Ok(vec![on(&days, ""), on("*", &weekdays)])
    }
}

/// Returns true for what crontab(5) names: numbers, names, lists, ranges and steps.
fn is_plain(field: &str, names: &[&str]) -> bool {
    field.split([',', '-', '/']).all(|word| {
        let is_name = names.iter().any(|name| name.eq_ignore_ascii_case(word));
        is_name || word == "*" || (!word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// A field as systemd has it: ranges have two dots, and a step has a first number.
fn numbers(field: &str, first: usize, names: &[&str]) -> String {
    let number = |word: &str| match position(names, word) {
        Some(at) => (at + first).to_string(),
        None => word.to_owned(),
    };
    let item = |item: &str| {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, format!("/{step}")),
            None => (item, String::new()),
        };
        let range = match range.split_once('-') {
            Some((from, to)) => format!("{}..{}", number(from), number(to)),
            None if range == "*" && !step.is_empty() => first.to_string(),
            None => number(range),
        };
        format!("{range}{step}")
    };
    field.split(',').map(item).collect::<Vec<_>>().join(",")
}

/// Days of the week as a list, with a space behind it; nothing for all of them.
fn weekdays(field: &str) -> String {
    let mut wanted = [false; 7];
    let number = |word: &str| position(&DAYS, word).or_else(|| word.parse().ok());
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from), number(to)),
            None if range == "*" => (Some(0), Some(6)),
            None => (number(range), number(range)),
        };
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        for day in (from..=to).step_by(step.parse().unwrap_or(1).max(1)) {
            // Seven is Sunday, too.
            wanted[day % 7] = true;
        }
    }
    if wanted == [true; 7] {
        return String::new();
    }
    let days = DAYS.iter().zip(wanted).filter(|(_, is_wanted)| *is_wanted);
    let days: Vec<&str> = days.map(|(day, _)| *day).collect();
    format!("{} ", days.join(","))
}

fn position(names: &[&str], word: &str) -> Option<usize> {
    names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(word))
}

fn check_calendar(text: &str) -> Result<(), WhenError> {
    let refused = |why: &str| WhenError::NotCalendar(text.to_owned(), why.to_owned());
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(refused("it is empty or has more than one line"));
    }
    let asked = Command::new("systemd-analyze")
        .args(["calendar", "--", text])
        .stdin(Stdio::null())
        .output();
    match asked {
        Ok(answer) if !answer.status.success() => {
            Err(refused(String::from_utf8_lossy(&answer.stderr).trim()))
        }
        // Without the program, systemctl says so.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_cron_become_instants_of_systemd() {
        for (cron, wanted) in [
            ("0 2 * * *", &["*-*-* 2:0:00"][..]),
            ("*/15 * * * *", &["*-*-* *:0/15:00"]),
            (
                "5,35 8-18/2 * * 1-5",
                &["Mon,Tue,Wed,Thu,Fri *-*-* 8..18/2:5,35:00"],
            ),
            ("0 0 1 jan,7 *", &["*-1,7-1 0:0:00"]),
            ("0 0 */2 * *", &["*-*-1/2 0:0:00"]),
            ("0 3 1 * sun", &["*-*-1 3:0:00", "Sun *-*-* 3:0:00"]),
            ("0 3 * * 5-7", &["Sun,Fri,Sat *-*-* 3:0:00"]),
            ("0 3 * * 0-7", &["*-*-* 3:0:00"]),
        ] {
            let when = When::parse(cron).unwrap();
            assert_eq!(when.calendars().unwrap(), wanted, "{cron}");
            assert_eq!(when.cron().unwrap(), cron);
        }
    }

    #[test]
    fn what_stands_for_no_instants_is_refused() {
        for text in ["61 2 * * *", "0 0 31 2 *", "0 0 L * *", "0 0 * * 5#2"] {
            let error = When::parse(text).unwrap_err();
            assert!(
                matches!(error, WhenError::Invalid(..) | WhenError::Extended(..)),
                "{text}: {error}"
            );
        }
        let daily = When::parse("daily").unwrap();
        assert_eq!(daily.calendars().unwrap(), ["daily"]);
        assert!(matches!(daily.cron(), Err(WhenError::NotCron(_))));
        let lines = When::parse("daily\nUser=root").unwrap();
        assert!(matches!(lines.calendars(), Err(WhenError::NotCalendar(..))));
    }
}

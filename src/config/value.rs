//! Text from the user → typed values, each with its limits.
//!
//! **Invariant:** the same text is always accepted or refused alike, in the file, in a variable and
//! on the command line.
//! **Invariant:** functions here are pure, except [`group`], which asks the system whether the
//! group exists.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Refusal, allowed};
use super::settings::{Keep, LogLevel};
use crate::core::policy::Schedule;
use crate::core::span;
use crate::core::timetable::TimetableError;

/// Longest duration. Nothing temporary lives longer, and the arithmetic of deadlines never
/// overflows.
const DURATION_MAX: Duration = Duration::from_hours(DURATION_MAX_YEARS * 8766);
/// Years of 365.25 days, as in `humantime`.
const DURATION_MAX_YEARS: u64 = 1000;
/// Longest text of a duration, in bytes: no sensible one is longer.
const DURATION_BYTES_MAX: usize = 64;
/// Most digits in a row: 15 digits of seconds are 31 million years. With the limit on the length,
/// all sums fit into 64 bits.
const DURATION_DIGITS_MAX: usize = 15;
const DURATION_EXAMPLES: &str = "examples: 90s, 15m, 12h, 7d, 1h30m";
const FLAG_WORDS: &str = "allowed: true, yes, on, 1; false, no, off, 0";
const SCHEDULES: &str = "allowed: manual; five fields (minute, hour, day, month, day of the week) such as \"0 3 * * *\"; @hourly, @daily, \
     @weekly, @monthly, @yearly; or such as \"every 6h\"";
/// Longest name, in bytes. Names appear in tables, URLs and the ledger.
const NAME_BYTES_MAX: usize = 200;
/// The smallest segment has this size: less would keep none.
const KEEP_BYTES_MIN: u64 = 64 << 10;
const KEEP_BYTES_MAX: u64 = 1 << 50;
/// The smallest age of a segment.
const KEEP_AGE_MIN: Duration = Duration::from_mins(1);
const SIZE_EXAMPLES: &str = "examples: 16MiB, 1GiB, 500MB, or a number of bytes";

/// Parses a duration of at most 1000 years.
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let refuse = |reason: String| Err(Refusal::new(reason).hint(DURATION_EXAMPLES));
    let trimmed = text.trim();
    let number = trimmed.strip_prefix(['-', '+', '−']).unwrap_or(trimmed);
    let too_long = format!("is longer than the limit of {DURATION_MAX_YEARS} years");
    if trimmed.is_empty() {
        return refuse("is empty, where a duration should be".into());
    }
    if trimmed.starts_with(['-', '−']) {
        return refuse("is negative".into());
    }
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return refuse("is a number without a unit".into());
    }
    if trimmed.len() > DURATION_BYTES_MAX || digits_in_a_row(trimmed) > DURATION_DIGITS_MAX {
        return refuse(too_long);
    }
    match span::parse(trimmed) {
        Ok(duration) if duration > DURATION_MAX => refuse(too_long),
        Ok(duration) => Ok(duration),
        Err(humantime::DurationError::UnknownUnit { unit, value, .. }) if unit.is_empty() => {
            refuse(format!("has a number without a unit: {value}"))
        }
        Err(humantime::DurationError::UnknownUnit { unit, .. }) => {
            refuse(format!("has an unknown unit: \"{unit}\""))
        }
        Err(humantime::DurationError::NumberOverflow) => refuse(too_long),
        Err(
            humantime::DurationError::Empty
            | humantime::DurationError::InvalidCharacter(_)
            | humantime::DurationError::NumberExpected(_),
        ) => refuse("is no duration".into()),
    }
}

/// Parses a duration of at least `min`.
pub(super) fn duration_from(min: Duration) -> impl Fn(&str) -> Result<Duration, Refusal> {
    move |text| match duration(text)? {
        duration if duration < min => Err(Refusal::new(format!(
            "is shorter than the limit of {}",
            humantime::format_duration(min)
        ))),
        duration => Ok(duration),
    }
}

/// Parses a duration, or "never" as `None`.
pub(super) fn expire(text: &str) -> Result<Option<Duration>, Refusal> {
    if text.trim() == "never" {
        return Ok(None);
    }
    duration(text)
        .map(Some)
        .map_err(|refusal| refusal.hint(format!("{DURATION_EXAMPLES}, never")))
}

/// Converts `duration` to milliseconds, rounded up: late is safe.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000))
        .expect("invariant: durations are at most 1000 years long")
}

/// Parses a non-negative whole number.
pub(super) fn count(text: &str) -> Result<u64, Refusal> {
    text.trim()
        .parse()
        .map_err(|_| Refusal::new("is no whole number").hint("allowed: 0 and up, such as 1000"))
}

/// Parses a whole number of at least `min`.
pub(super) fn count_from(min: u64) -> impl Fn(&str) -> Result<u64, Refusal> {
    move |text| match count(text)? {
        count if count < min => Err(Refusal::new(format!("is less than {min}"))),
        count => Ok(count),
    }
}

/// Parses a share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, Refusal> {
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => {
            Err(Refusal::new("is no share of a whole").hint("allowed: 0 to 1, such as 0.5"))
        }
    }
}

/// Parses yes or no, in the words of `.env` files; case does not matter.
pub(super) fn flag(text: &str) -> Result<bool, Refusal> {
    let found = flag_word(text);
    found.ok_or_else(|| Refusal::new("is neither yes nor no").hint(FLAG_WORDS))
}

/// Parses yes or no; `None` for other words, which may have another meaning.
pub(super) fn flag_word(text: &str) -> Option<bool> {
    match &*text.trim().to_ascii_lowercase() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Parses a log level, in the words of Rust and of Python; case does not matter.
pub(super) fn log_level(text: &str) -> Result<LogLevel, Refusal> {
    let words = choice(&[
        ("error", LogLevel::Error),
        ("critical", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("warning", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ]);
    words(&text.to_ascii_lowercase())
}

/// Parses the schedule of a rule.
pub(super) fn schedule(text: &str) -> Result<Schedule, Refusal> {
    if text.trim() == "manual" {
        return Ok(Schedule::Manual);
    }
    text.parse()
        .map(Schedule::At)
        .map_err(|error: TimetableError| Refusal::new(error.to_string()).hint(SCHEDULES))
}

/// Parses one of the given words.
pub(super) fn choice<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Refusal> {
    move |text| {
        let text = text.trim();
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|&(_, value)| value).ok_or_else(|| {
            Refusal::new("is unknown").hint(allowed(words.iter().map(|&(word, _)| word), text))
        })
    }
}

/// Parses permission bits, in octal.
pub(super) fn permissions(text: &str) -> Result<u32, Refusal> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0o").unwrap_or(digits);
    let octal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if octal && mode <= 0o777 => Ok(mode),
        Ok(_) | Err(_) => Err(Refusal::new("is no set of permission bits")
            .hint("allowed: octal from 0000 to 0777, such as 0660")),
    }
}

/// Parses a number of bytes within `limits`, with or without a unit.
pub(super) fn size(limits: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Refusal> {
    move |text| {
        let text = text.trim();
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '_'))
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let factor = match unit.trim() {
            "" | "B" => Some(1),
            "kB" | "KB" => Some(1000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "TB" => Some(1_000_000_000_000),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            _ => None,
        };
        let number = digits.replace('_', "");
        let sound = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let (true, Some(factor)) = (sound, factor) else {
            return Err(Refusal::new("is no size").hint(SIZE_EXAMPLES));
        };
        let bytes = number.parse::<u64>().ok();
        match bytes.and_then(|number| number.checked_mul(factor)) {
            Some(bytes) if limits.contains(&bytes) => Ok(bytes),
            Some(_) | None => Err(Refusal::new(format!(
                "is not within the limits of {} to {} bytes",
                limits.start(),
                limits.end()
            ))),
        }
    }
}

/// Parses a number of bytes within `limits`, or "none" as `None`.
pub(super) fn size_or_none(
    limits: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Option<u64>, Refusal> {
    let size = size(limits);
    move |text| match text.trim() {
        "none" => Ok(None),
        text => size(text).map(Some).map_err(|refusal| match refusal.hint {
            Some(hint) => Refusal::new(refusal.reason).hint(format!("{hint}; or none")),
            None => refusal,
        }),
    }
}

/// Parses the retention of the ledger: an age, a size, or both, separated by a comma. "none" keeps
/// all of it.
pub(super) fn keep(text: &str) -> Result<Keep, Refusal> {
    const EXAMPLES: &str = "examples: 400d; 1GiB; 400d, 1GiB; none";
    let mut keep = Keep::default();
    if text.trim() == "none" {
        return Ok(keep);
    }
    for part in text.split(',').map(str::trim) {
        let is_first = if part.ends_with('B') {
            keep.bytes
                .replace(size(KEEP_BYTES_MIN..=KEEP_BYTES_MAX)(part)?)
                .is_none()
        } else {
            let age = duration_from(KEEP_AGE_MIN)(part);
            let age = age.map_err(|refusal| Refusal::new(refusal.reason).hint(EXAMPLES))?;
            keep.age.replace(age).is_none()
        };
        if !is_first {
            return Err(Refusal::new("names two ages or two sizes").hint(EXAMPLES));
        }
    }
    Ok(keep)
}

/// Parses the name of a root, rule or source, or of a kind of jobs.
pub(super) fn name(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new("is empty, where a name should be"));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::new("has a control character in it"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(Refusal::new(format!(
            "is {} bytes long, a name may have at most {NAME_BYTES_MAX}",
            text.len()
        )));
    }
    Ok(text.to_owned())
}

/// Parses a path as it is written: absolute, or relative to a base that the caller knows.
pub(super) fn path(text: &str) -> Result<PathBuf, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("is empty, where a path should be"));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(
            Refusal::new("begins with \"~\", which only a shell understands").hint(
                "write ${HOME} in the file, $HOME on the command line, or ./~ if that is its name",
            ),
        );
    }
    Ok(PathBuf::from(text))
}

/// Parses the name of a group, which must exist.
pub(super) fn group(text: &str) -> Result<String, Refusal> {
    match nix::unistd::Group::from_name(text) {
        Ok(Some(_)) => Ok(text.to_owned()),
        Ok(None) => Err(Refusal::new("is no group of this host")
            .hint("create it (groupadd), or name one that `getent group` lists")),
        Err(error) => Err(Refusal::new(format!(
            "cannot be looked up: {}",
            error.desc()
        ))),
    }
}

fn digits_in_a_row(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;

//! Types of values: text from the user → typed values, each with its limits.
//!
//! **Invariant:** the same text is always accepted or refused alike, in the file, in a variable and
//! on the command line.
//! **Invariant:** parsers are pure, except that of [`Group`], which asks the system whether the
//! group exists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Refusal;
use super::setting::Setting;
use super::settings::Keep;
use crate::core::role::Role;
use crate::core::size::{self, SizeError};
use crate::core::span;

mod adapter;
mod choice;
mod free;
mod pattern;
mod undo;

pub(super) use adapter::{Code, HttpStatus, Scalar};
pub(super) use free::{FreeInodes, FreeSpace};
pub(super) use undo::Undo;

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
/// Longest name, in bytes. Names appear in tables, URLs and the ledger.
const NAME_BYTES_MAX: usize = 200;
/// Longest name of a channel, in bytes: the server truncates longer ones.
pub(super) const CHANNEL_BYTES_MAX: usize = 63;
/// The smallest segment of the ledger has this size: less would keep none.
const KEEP_BYTES_MIN: u64 = 64 << 10;
/// The smallest age of a segment.
const KEEP_AGE_MIN: Duration = Duration::from_mins(1);
const SIZE_EXAMPLES: &str = "examples: 16MiB, 1GiB, 500MB, or a number of bytes";
/// 1 PiB: more than any sensible size, and sums stay far below the limit of 64 bits.
const BYTES_MAX: u64 = 1 << 50;

/// Non-empty name without control characters: of a root, rule or source, or of a kind of jobs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Name(pub String);

/// Name of a channel of PostgreSQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Channel(pub String);

/// Duration of at least so many seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period<const SECONDS: u64>(pub Duration);

/// Duration; `None`: "never".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Expire(pub Option<Duration>);

/// Number of bytes, at least so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size<const MIN: u64>(pub u64);

/// Number of bytes; `None`: "none".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SizeOrNone(pub Option<u64>);

/// Whole number of at least `MIN`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Count<const MIN: u64>(pub u64);

/// Share of a whole, from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Share(pub f64);

/// Permission bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Permissions(pub u32);

/// Name of a group that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group(pub String);

/// Role of requests without credentials; `None`: they are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Anonymous(pub Option<Role>);

/// True if the metrics take no credentials on loopback addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Metrics(pub bool);

/// True if only the endpoints of the file are offered over TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Served(pub bool);

/// Path of a Unix socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SocketPath(PathBuf);

/// Port of a server; `None`: an empty text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Port(pub Option<u16>);

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(text.to_owned())
    }
}

impl Setting for bool {
    const TYPES: &'static [&'static str] = &["boolean", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        flag_word(text).ok_or_else(|| Refusal::new("is an invalid boolean").hint(FLAG_WORDS))
    }
}

impl Setting for u64 {
    const TYPES: &'static [&'static str] = &["integer", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        let found = text.trim().parse();
        found.map_err(|_| {
            Refusal::new("is not a whole number").hint("allowed: 0 and up, such as 1000")
        })
    }
}

impl Setting for Port {
    const TYPES: &'static [&'static str] = u64::TYPES;

    fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(port) if port > 0 => Ok(Self(Some(port))),
            Ok(_) | Err(_) => {
                Err(Refusal::new("is an invalid port").hint("allowed: 1 to 65535, such as 5432"))
            }
        }
    }
}

impl<const MIN: u64> Setting for Count<MIN> {
    const TYPES: &'static [&'static str] = u64::TYPES;

    fn parse(text: &str) -> Result<Self, Refusal> {
        match u64::parse(text)? {
            count if count < MIN => Err(Refusal::new(format!("is less than {MIN}"))),
            count => Ok(Self(count)),
        }
    }
}

impl Setting for Share {
    const TYPES: &'static [&'static str] = &["number", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.trim().parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            Ok(_) | Err(_) => {
                Err(Refusal::new("is an invalid share").hint("allowed: 0 to 1, such as 0.5"))
            }
        }
    }
}

impl Setting for Permissions {
    /// Octal digits.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0o").unwrap_or(digits);
        let octal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if octal && mode <= 0o777 => Ok(Self(mode)),
            Ok(_) | Err(_) => Err(Refusal::new("is an invalid mode")
                .hint("allowed: octal from 0000 to 0777, such as 0660")),
        }
    }
}

impl<const SECONDS: u64> Setting for Period<SECONDS> {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let min = Duration::from_secs(SECONDS);
        match duration(text)? {
            duration if duration < min => Err(Refusal::new(format!(
                "is shorter than the limit of {}",
                humantime::format_duration(min)
            ))),
            duration => Ok(Self(duration)),
        }
    }
}

impl Setting for Expire {
    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.trim() == "never" {
            return Ok(Self(None));
        }
        duration(text)
            .map(|duration| Self(Some(duration)))
            .map_err(|refusal| refusal.hint(format!("{DURATION_EXAMPLES}, never")))
    }
}

impl<const MIN: u64> Setting for Size<MIN> {
    const TYPES: &'static [&'static str] = &["integer", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        match size(text)? {
            Some(bytes) if (MIN..=BYTES_MAX).contains(&bytes) => Ok(Self(bytes)),
            Some(_) | None => Err(Refusal::new(format!(
                "is not within the limits of {MIN} to {BYTES_MAX} bytes"
            ))),
        }
    }
}

impl Setting for SizeOrNone {
    const TYPES: &'static [&'static str] = &["integer", "string"];

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.trim() {
            "none" => Ok(Self(None)),
            text => Size::<0>::parse(text)
                .map(|Size(bytes)| Self(Some(bytes)))
                .map_err(|refusal| match refusal.hint {
                    Some(hint) => Refusal::new(refusal.reason).hint(format!("{hint}; or none")),
                    None => refusal,
                }),
        }
    }
}

impl Setting for Keep {
    /// An age, a size, or both, separated by a comma; "none" keeps everything.
    fn parse(text: &str) -> Result<Self, Refusal> {
        const EXAMPLES: &str = "examples: 400d; 1GiB; 400d, 1GiB; none";
        let mut keep = Self::default();
        if text.trim() == "none" {
            return Ok(keep);
        }
        for part in text.split(',').map(str::trim) {
            let is_first = if part.ends_with('B') {
                let Size(bytes) = Size::<KEEP_BYTES_MIN>::parse(part)?;
                keep.bytes.replace(bytes).is_none()
            } else {
                let age = Period::<{ KEEP_AGE_MIN.as_secs() }>::parse(part);
                let age = age.map_err(|refusal| Refusal::new(refusal.reason).hint(EXAMPLES))?;
                keep.age.replace(age.0).is_none()
            };
            if !is_first {
                return Err(Refusal::new("names two ages or two sizes").hint(EXAMPLES));
            }
        }
        Ok(keep)
    }
}

impl Setting for Name {
    fn parse(text: &str) -> Result<Self, Refusal> {
        name(text).map(|()| Self(text.to_owned()))
    }
}

impl Setting for Channel {
    fn parse(text: &str) -> Result<Self, Refusal> {
        name(text)?;
        if text.len() > CHANNEL_BYTES_MAX {
            return Err(Refusal::new(format!(
                "is {} bytes long, the name of a channel may have at most {CHANNEL_BYTES_MAX}",
                text.len()
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Setting for PathBuf {
    /// A path as it is written: absolute, or relative to a base that the caller knows.
    fn parse(text: &str) -> Result<Self, Refusal> {
        without_nul(text)?;
        if text.is_empty() {
            return Err(Refusal::new("is empty, but must be a path"));
        }
        if text == "~" || text.starts_with("~/") {
            return Err(
                Refusal::new("begins with \"~\", which only a shell understands").hint(
                    "write ${HOME} in the file, $HOME on the command line, or ./~ if that is its name",
                ),
            );
        }
        Ok(Self::from(text))
    }
}

impl Setting for SocketPath {
    /// A path; a network address would name a file in the working directory.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let is_port =
            |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let names_port = text.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
        if text.contains('/') || !names_port {
            return PathBuf::parse(text).map(Self);
        }
        let refusal = Refusal::new("is a network address, and this is the path of a Unix socket");
        Err(refusal.hint(format!(
            "to listen on TCP, too: [http] listen = {text:?}, LAPSED_HTTP_LISTEN, or serve --http {text}; ./{text} is a socket of that name"
        )))
    }
}

impl Setting for Group {
    fn parse(text: &str) -> Result<Self, Refusal> {
        match nix::unistd::Group::from_name(text) {
            Ok(Some(_)) => Ok(Self(text.to_owned())),
            Ok(None) => Err(Refusal::new("is an unknown group")
                .hint("create it (groupadd), or name one that `getent group` lists")),
            Err(error) => Err(Refusal::new(format!(
                "cannot be looked up: {}",
                error.desc()
            ))),
        }
    }
}

/// Parses a duration of at most 1000 years.
fn duration(text: &str) -> Result<Duration, Refusal> {
    let refuse = |reason: String| Err(Refusal::new(reason).hint(DURATION_EXAMPLES));
    let trimmed = text.trim();
    let number = trimmed.strip_prefix(['-', '+', '−']).unwrap_or(trimmed);
    let too_long = format!("is longer than the limit of {DURATION_MAX_YEARS} years");
    if trimmed.is_empty() {
        return refuse("is empty, but must be a duration".into());
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
        ) => refuse("is an invalid duration".into()),
    }
}

/// Converts `duration` to milliseconds, rounded up: late is safe.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000))
        .expect("invariant: durations are at most 1000 years long")
}

/// Parses yes or no, in the words of `.env` files; case does not matter. `None` for other words,
/// which may have another meaning.
pub(super) fn flag_word(text: &str) -> Option<bool> {
    match &*text.trim().to_ascii_lowercase() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Parses a number of bytes; `None` if it is too large.
fn size(text: &str) -> Result<Option<u64>, Refusal> {
    match size::parse(text) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(SizeError::TooLarge) => Ok(None),
        Err(SizeError::Invalid) => Err(Refusal::new("is an invalid size").hint(SIZE_EXAMPLES)),
    }
}

/// Refuses texts that are no name.
pub(super) fn name(text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new("is empty, but must be a name"));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::new("contains a control character"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(Refusal::new(format!(
            "is {} bytes long, a name may have at most {NAME_BYTES_MAX}",
            text.len()
        )));
    }
    Ok(())
}

/// Refuses NUL: it is invalid in paths, names and patterns.
pub(super) fn without_nul(text: &str) -> Result<(), Refusal> {
    if text.contains('\0') {
        return Err(Refusal::new("contains a NUL byte"));
    }
    Ok(())
}

fn digits_in_a_row(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;

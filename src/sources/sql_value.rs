//! One value of a row, whatever database it comes from.
//!
//! **Invariant:** a value is what the database says it is: a number is no text that looks like one.

use serde_json::Value as Json;

/// Microseconds in a millisecond.
const US_PER_MS: i64 = 1000;

/// A value of a row.
#[derive(Clone, Copy, PartialEq, Debug)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "values of PostgreSQL")
)]
pub(super) enum SqlValue<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text; not always UTF-8.
    Text(&'a [u8]),
    /// Bytes that mean nothing to us.
    Bytes(&'a [u8]),
    /// A text of JSON.
    Json(&'a [u8]),
    /// An instant, in microseconds since 1970 in UTC.
    Instant(i64),
    /// Time that a clock shows, as the microseconds since 1970 that it would be in UTC.
    Shown(i64),
    /// An instant that never comes, or was always over.
    Infinite {
        /// True for the past one.
        is_past: bool,
    },
}

impl SqlValue<'_> {
    /// The text of an id, if it is one.
    pub(super) fn id(self) -> Option<String> {
        match self {
            Self::Integer(number) => Some(number.to_string()),
            Self::Text(text) if !text.is_empty() => {
                std::str::from_utf8(text).ok().map(str::to_owned)
            }
            Self::Null
            | Self::Bool(_)
            | Self::Real(_)
            | Self::Text(_)
            | Self::Bytes(_)
            | Self::Json(_)
            | Self::Instant(_)
            | Self::Shown(_)
            | Self::Infinite { .. } => None,
        }
    }

    /// As text for people, and for words that mean something.
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(is_true) => Some(is_true.to_string()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Text(text) | Self::Bytes(text) | Self::Json(text) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            Self::Instant(us) => Some(iso(us, "Z")),
            Self::Shown(us) => Some(iso(us, "")),
            Self::Infinite { is_past } => Some(infinity(is_past).to_owned()),
        }
    }

    /// The names that it holds: one, or a JSON array of them. `None`: it cannot be read.
    pub(super) fn files(self) -> Option<Vec<String>> {
        let text = match self {
            Self::Null => return Some(Vec::new()),
            Self::Json(json) => return files_of_json(json),
            Self::Text(text) => std::str::from_utf8(text).ok()?,
            Self::Bool(_)
            | Self::Integer(_)
            | Self::Real(_)
            | Self::Bytes(_)
            | Self::Instant(_)
            | Self::Shown(_)
            | Self::Infinite { .. } => return None,
        };
        if text.is_empty() {
            return Some(Vec::new());
        }
        if !text.trim_start().starts_with('[') {
            return Some(vec![text.to_owned()]);
        }
        match serde_json::from_str::<Json>(text) {
            // A name may begin so, too.
            Err(_) => Some(vec![text.to_owned()]),
            Ok(array) => names_of(array),
        }
    }

    /// As a value of JSON.
    pub(super) fn json(self) -> Json {
        match self {
            Self::Null | Self::Bytes(_) => Json::Null,
            Self::Bool(is_true) => Json::from(is_true),
            Self::Integer(number) => Json::from(number),
            Self::Real(number) => Json::from(number),
            Self::Json(json) => serde_json::from_slice(json)
                .unwrap_or_else(|_| Json::from(String::from_utf8_lossy(json))),
            Self::Text(_) | Self::Instant(_) | Self::Shown(_) | Self::Infinite { .. } => {
                self.text().map_or(Json::Null, Json::from)
            }
        }
    }
}

/// The names in a column of JSON: a list of them, or one. Of an array some may be nothing, which
/// names none.
fn files_of_json(json: &[u8]) -> Option<Vec<String>> {
    match serde_json::from_slice(json).ok()? {
        Json::Null => Some(Vec::new()),
        Json::String(name) => names_of(Json::Array(vec![Json::String(name)])),
        Json::Array(mut names) => {
            names.retain(|name| !name.is_null());
            names_of(Json::Array(names))
        }
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
    }
}

fn names_of(array: Json) -> Option<Vec<String>> {
    let mut names: Vec<String> = serde_json::from_value(array).ok()?;
    names.retain(|name| !name.is_empty());
    Some(names)
}

/// Milliseconds of microseconds, rounded up: late is safe.
pub(super) fn ms_of_us(us: i64) -> i64 {
    us.div_euclid(US_PER_MS) + i64::from(us.rem_euclid(US_PER_MS) != 0)
}

fn iso(us: i64, zone: &str) -> String {
    match jiff::Timestamp::from_microsecond(us) {
        Ok(at) => {
            let shown = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
            format!("{shown}{zone}")
        }
        Err(_) => format!("{us} microseconds since 1970"),
    }
}

fn infinity(is_past: bool) -> &'static str {
    if is_past { "-infinity" } else { "infinity" }
}

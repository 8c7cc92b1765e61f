//! Instants in templates: numbers of seconds since 1970, and dates that are made of them.

use std::fmt;
use std::sync::Arc;

use jiff::Zoned;
use jiff::tz::TimeZone;
use minijinja::value::{Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};

/// A date and a time of day in a zone.
#[derive(Debug)]
pub(super) struct Date(Zoned);

impl Object for Date {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.datetime())
    }
}

/// Seconds of `text`, an instant in RFC 3339; `None` for anything else.
pub(super) fn seconds(text: &str) -> Option<Value> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(of_timestamp(at))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds are exact for 285 years"
)]
pub(super) fn of_timestamp(at: jiff::Timestamp) -> Value {
    let us = at.as_microsecond();
    if us % 1_000_000 == 0 {
        Value::from(us / 1_000_000)
    } else {
        Value::from(us as f64 / 1e6)
    }
}

/// Returns `value`, an instant, in `zone`; none stays none.
pub(super) fn in_zone(value: &Value, zone: &TimeZone) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(Value::from(()));
    }
    Ok(Value::from_object(Date(date(value, zone)?)))
}

/// Formats as `strftime` does.
pub(super) fn strftime(value: &Value, format: &str, zone: &TimeZone) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(Value::from(()));
    }
    let text = jiff::fmt::strtime::format(format, &date(value, zone)?);
    let text = text.map_err(|error| wrong(error.to_string()))?;
    Ok(Value::from(text))
}

/// Formats as `datetime.isoformat()` of Python does for a time without a zone.
pub(super) fn isoformat(value: &Value, zone: &TimeZone) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(Value::from(()));
    }
    let date = date(value, zone)?;
    let micros = date.subsec_nanosecond() / 1000;
    let text = date.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    Ok(Value::from(if micros == 0 {
        text
    } else {
        format!("{text}.{micros:06}")
    }))
}

/// The date that `value` is, or, of a number, the one that it is in `zone`.
fn date(value: &Value, zone: &TimeZone) -> Result<Zoned, Error> {
    if let Some(date) = value.downcast_object_ref::<Date>() {
        return Ok(date.0.clone());
    }
    let seconds = f64::try_from(value.clone()).map_err(|_| {
        wrong(format!(
            "{value} is no instant: it takes a number of seconds"
        ))
    })?;
    let at = jiff::SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|duration| jiff::Timestamp::from_duration(duration).ok())
        .and_then(|at| at.round(jiff::Unit::Microsecond).ok())
        .ok_or_else(|| wrong(format!("{seconds} is no instant")))?;
    Ok(at.to_zoned(zone.clone()))
}

fn wrong(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// Converts what serde can write.
pub(super) fn value_of(value: impl serde::Serialize) -> Value {
    Value::from(minijinja::value::Serde(value))
}

//! Filters and limits of the templates.

use std::path::Path;

use jiff::tz::TimeZone;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::instant;

/// Adds the filters to `environment`, whose instants are in `zone`, and forbids what a template
/// must not do.
pub(super) fn prepare(environment: &mut Environment<'static>, zone: &TimeZone) {
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.remove_filter("safe");
    environment.remove_filter("escape");
    environment.remove_filter("e");
    environment.remove_filter("tojson");
    environment.remove_global("debug");
    environment.add_filter("json", |value: &Value| {
        serde_json::to_string(value).map_err(|error| wrong(error.to_string()))
    });
    environment.add_filter("mb", |bytes: f64| bytes / f64::from(1 << 20));
    environment.add_filter("gb", |bytes: f64| bytes / f64::from(1 << 30));
    environment.add_filter("days", |seconds: &Value| parts(seconds, 86_400));
    environment.add_filter("hours", |seconds: &Value| parts(seconds, 3600));
    environment.add_filter("basename", |path: String| {
        let name = Path::new(&path).file_name();
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    });
    environment.add_filter("relative", |path: String, base: String| {
        let below = Path::new(&path).strip_prefix(&base);
        below.map_or(path.clone(), |below| below.to_string_lossy().into_owned())
    });
    environment.add_filter("at", |key: &Value, map: &Value| map.get_item(key));
    environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
    let local = zone.clone();
    environment.add_filter("local", move |at: &Value| instant::in_zone(at, &local));
    environment.add_filter("utc", |at: &Value| instant::in_zone(at, &TimeZone::UTC));
    let local = zone.clone();
    environment.add_filter("isoformat", move |at: &Value| {
        instant::isoformat(at, &local)
    });
    let local = zone.clone();
    environment.add_filter("strftime", move |at: &Value, format: &str| {
        instant::strftime(at, format, &local)
    });
}

/// Parts of this many seconds; a whole number where there is no rest. None stays none: never.
fn parts(seconds: &Value, of: i64) -> Result<Value, Error> {
    if seconds.is_none() {
        return Ok(Value::from(()));
    }
    if let Ok(whole) = i64::try_from(seconds.clone())
        && whole % of == 0
    {
        return Ok(Value::from(whole / of));
    }
    let seconds = f64::try_from(seconds.clone())
        .map_err(|_| wrong(format!("{seconds} is no number of seconds")))?;
    #[expect(clippy::cast_precision_loss, reason = "3,600 or 86,400")]
    Ok(Value::from(seconds / of as f64))
}

fn wrong(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

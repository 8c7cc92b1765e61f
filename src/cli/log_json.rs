//! Log for programs: one JSON object per line, with time, level, message and the event's fields.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock;
use crate::config::LogFormat;

/// True while the log is JSON. Logging begins before the configuration is read.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the form of all further events.
pub(super) fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Formatter of events: as JSON, or as the inner formatter does.
pub(super) struct Events<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Events<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !IS_JSON.load(Ordering::Relaxed) {
            return self.0.format_event(context, writer, event);
        }
        writeln!(writer, "{}", Value::Object(object(event)))
    }
}

fn object(event: &Event<'_>) -> Map<String, Value> {
    let mut object = Object::default();
    event.record(&mut object);
    let level = event.metadata().level().as_str().to_lowercase();
    object.0.insert("level".to_owned(), level.into());
    let time = clock::now().wall.to_string();
    object.0.insert("time".to_owned(), time.into());
    object.0
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn insert(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Object {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.insert(field, format!("{value:?}").into());
    }
}

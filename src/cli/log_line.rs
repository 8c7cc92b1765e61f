//! Lines of the log for people: a time, a level, a message, and the fields that the message does
//! not name already.
//!
//! **Invariant:** nothing that a file or a row is called begins a line or speaks to a terminal:
//! control characters are spelled out, and further lines of a message are indented.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::human;
use crate::clock;

/// Fields that messages name in their text, for whoever sees only that, as in the journal.
const NAMED: [&str; 5] = ["path", "root", "rule", "job", "source"];

/// The wall clock, in UTC with milliseconds.
pub(super) struct WallClock;

impl FormatTime for WallClock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", clock::now().wall)
    }
}

/// Writes a message and its fields.
pub(super) struct LineFields;

impl<'writer> FormatFields<'writer> for LineFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            message: String::new(),
            is_empty: true,
            written: Ok(()),
        };
        fields.record(&mut line);
        line.written
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    message: String,
    is_empty: bool,
    written: fmt::Result,
}

impl Line<'_> {
    fn write_message(&mut self, text: &str) -> fmt::Result {
        for (number, line) in text.split('\n').enumerate() {
            let start = if number == 0 { "" } else { "\n    " };
            write!(self.writer, "{start}{}", human::safe(line))?;
        }
        text.clone_into(&mut self.message);
        Ok(())
    }

    /// Writes `name=text`; `told` is the value as a message would name it.
    fn write_field(&mut self, name: &str, text: &str, told: &str) -> fmt::Result {
        if NAMED.contains(&name) && self.message.contains(told) {
            return Ok(());
        }
        let gap = if self.is_empty { "" } else { " " };
        let text = human::safe(text);
        if self.writer.has_ansi_escapes() {
            write!(
                self.writer,
                "{gap}\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{text}"
            )
        } else {
            write!(self.writer, "{gap}{name}={text}")
        }
    }

    fn push(&mut self, field: &Field, text: &str, told: &str) {
        if self.written.is_err() {
            return;
        }
        self.written = match field.name() {
            "message" => self.write_message(told),
            name => self.write_field(name, text, told),
        };
        self.is_empty = false;
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, &format!("{value:?}"), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.push(field, &text, &text);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Output of `log`, without time and level.
    fn written(log: impl FnOnce()) -> String {
        let to = Written::default();
        let writer = to.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(LineFields)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .with_level(false)
            .without_time();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(to.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_a_message_names_is_not_repeated() {
        let line = written(
            || tracing::info!(path = %"/srv/a", rule = "old", files = 2, "lapsed \"/srv/a\""),
        );
        assert_eq!(line, "lapsed \"/srv/a\" rule=\"old\" files=2\n");
    }

    #[test]
    fn no_name_begins_a_line_or_speaks_to_a_terminal() {
        let name = "a\n2026-11-28T10:00:00.000Z  INFO lapsed\u{1b}[2J\u{9b}";
        let line =
            written(|| tracing::warn!(path = %name, kept = name, "cannot open {name}\nhint"));
        assert_eq!(
            line,
            "cannot open a\n    2026-11-28T10:00:00.000Z  INFO lapsed\\u{1b}[2J\\u{9b}\n    hint \
             kept=\"a\\n2026-11-28T10:00:00.000Z  INFO lapsed\\u{1b}[2J\\u{9b}\"\n"
        );
        let line = written(|| tracing::warn!(store = %name, "damaged"));
        assert_eq!(
            line,
            "damaged store=a\\n2026-11-28T10:00:00.000Z  INFO lapsed\\u{1b}[2J\\u{9b}\n"
        );
    }
}

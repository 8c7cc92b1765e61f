//! Errors of the log, for whoever tells people of them.
//!
//! **Invariant:** logging never waits: an error for which the queue has no room is in the log
//! alone.

use std::sync::OnceLock;

use tokio::sync::mpsc;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock;
use crate::core::time::Timestamp;

/// Errors of the log that wait to be told; more at once are left to the log.
const ERRORS_MAX: usize = 64;

static ERRORS: OnceLock<mpsc::Sender<LoggedError>> = OnceLock::new();

/// Layer of the log that has errors told.
pub struct ErrorTap;

/// An error of the log.
pub(super) struct LoggedError {
    pub(super) at: Timestamp,
    pub(super) place: Identifier,
    pub(super) message: String,
}

impl<S: Subscriber> Layer<S> for ErrorTap {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // An error of telling is not told: it would have no end.
        let is_ours = metadata.target().contains("::notifications");
        let Some(errors) = ERRORS.get().filter(|_| *metadata.level() == Level::ERROR) else {
            return;
        };
        if is_ours {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        // A full queue: the log has it.
        let _ = errors.try_send(LoggedError {
            at: clock::now().wall,
            place: metadata.callsite(),
            message: message.0,
        });
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Errors from now on. Of a second call nobody hears.
pub(super) fn errors() -> mpsc::Receiver<LoggedError> {
    let (sender, errors) = mpsc::channel(ERRORS_MAX);
    let _ = ERRORS.set(sender);
    errors
}

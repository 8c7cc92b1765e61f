//! Where the log goes: lines for people on standard error, or structured records in the journal.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogLevel;

/// The variable that overrides how much is logged, in the syntax of `tracing-subscriber`'s `EnvFilter`.
pub const LOG_VARIABLE: &str = "LAPSED_LOG";

/// What decides how much is logged, where the configuration may: nobody else has said how much.
static ADJUSTABLE: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging: at `level` (how many `-v` minus how many `-q`) above what the command logs by itself. Called once; a second
/// call changes nothing.
pub fn start(usual: Level, more: i8) {
    let told = std::env::var(LOG_VARIABLE)
        .ok()
        .filter(|text| !text.is_empty())
        .and_then(|text| EnvFilter::try_new(text).ok());
    let is_told = told.is_some() || more != 0;
    let filter = told.unwrap_or_else(|| EnvFilter::new(directives(usual, more)));
    let (filter, handle) = reload::Layer::new(filter);
    if !is_told {
        // A second call changes nothing.
        let _ = ADJUSTABLE.set(handle);
    }
    let registry = tracing_subscriber::registry().with(filter);
    if is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref())
        && let Ok(journal) = tracing_journald::layer()
    {
        let _ = registry.with(journal).try_init();
        return;
    }
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .with_target(false)
        .without_time();
    let _ = registry.with(lines).try_init();
}

/// Has a daemon log as much as its configuration says, where neither the command line nor [`LOG_VARIABLE`] says anything.
pub fn follow(level: Option<LogLevel>) {
    let Some(handle) = ADJUSTABLE.get() else {
        return;
    };
    let more = match level {
        Some(LogLevel::Error) => -2,
        Some(LogLevel::Warn) => -1,
        Some(LogLevel::Info) | None => 0,
        Some(LogLevel::Debug) => 1,
        Some(LogLevel::Trace) => 2,
    };
    let filter = EnvFilter::new(directives(Level::Info, more));
    if let Err(error) = handle.reload(filter) {
        tracing::warn!("cannot change how much is logged: {error}");
    }
}

/// What a command logs when it is not told otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// A daemon tells what it does.
    Info,
    /// A client speaks through its output.
    Warn,
    /// It says all that is to be warned of itself.
    Error,
}

fn directives(usual: Level, more: i8) -> &'static str {
    let usual: i8 = match usual {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Info => 2,
    };
    match usual.saturating_add(more) {
        ..=-1 => "off",
        0 => "error",
        1 => "warn",
        2 => "info",
        // Libraries' inner workings help nobody below the last step.
        3 => "info,lapsed=debug",
        4 => "info,lapsed=trace",
        5.. => "trace",
    }
}

/// Whether standard error is the journal: `JOURNAL_STREAM` holds its device and inode (systemd.exec(5)).
fn is_journal(stream: Option<&str>) -> bool {
    let Some((dev, ino)) = stream.and_then(|stream| stream.split_once(':')) else {
        return false;
    };
    let stat = rustix::fs::fstat(std::io::stderr().as_fd());
    stat.is_ok_and(|stat| dev.parse() == Ok(stat.st_dev) && ino.parse() == Ok(stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_moves_the_level() {
        assert_eq!(directives(Level::Info, 0), "info");
        assert_eq!(directives(Level::Info, -1), "warn");
        assert_eq!(directives(Level::Info, 1), "info,lapsed=debug");
        assert_eq!(directives(Level::Warn, -9), "off");
        assert_eq!(directives(Level::Warn, 100), "trace");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let stat = rustix::fs::fstat(std::io::stderr().as_fd()).unwrap();
        assert!(is_journal(Some(&format!(
            "{}:{}",
            stat.st_dev, stat.st_ino
        ))));
        assert!(!is_journal(Some(&format!(
            "{}:{}",
            stat.st_dev,
            stat.st_ino + 1
        ))));
        assert!(!is_journal(Some("nonsense")) && !is_journal(None));
    }
}

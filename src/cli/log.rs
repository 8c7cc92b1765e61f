//! Destination of the log: lines on standard error, or structured records in the journal.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_json::{self, Events};
use super::log_line::{LineFields, WallClock};
use super::output::wants_color;
use crate::config::{LogFormat, LogLevel};
use crate::daemon::ErrorTap;

/// The variable that overrides how much is logged, in the syntax of `tracing-subscriber`'s
/// `EnvFilter`.
pub const LOG_VARIABLE: &str = "LAPSED_LOG";

/// Filter that the configuration may set, because the user has not.
static ADJUSTABLE: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging: at `level` (how many `-v` minus how many `-q`) above what the command logs by
/// itself. Called once; a second call changes nothing.
///
/// # Errors
/// When [`LOG_VARIABLE`] cannot be understood.
pub fn start(usual: Level, more: i8) -> anyhow::Result<()> {
    let told = std::env::var_os(LOG_VARIABLE).filter(|text| !text.is_empty());
    let told = told
        .map(|text| filter_of(&text.to_string_lossy()))
        .transpose()?;
    let is_told = told.is_some() || more != 0;
    let filter = told.unwrap_or_else(|| EnvFilter::new(directives(usual, more)));
    let (filter, handle) = reload::Layer::new(filter);
    if !is_told {
        // A second call changes nothing.
        let _ = ADJUSTABLE.set(handle);
    }
    let registry = tracing_subscriber::registry().with(filter).with(ErrorTap);
    if is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref())
        && let Ok(journal) = tracing_journald::layer()
    {
        let _ = registry.with(journal).try_init();
        return Ok(());
    }
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(LineFields)
        .with_writer(std::io::stderr)
        .with_ansi(wants_color(std::io::stderr().is_terminal()))
        .with_target(false);
    let _ = match usual {
        Level::Info => {
            let lines = lines.with_timer(WallClock);
            registry.with(lines.map_event_format(Events)).try_init()
        }
        Level::Warn | Level::Error => registry.with(lines.without_time()).try_init(),
    };
    Ok(())
}

/// The filter that [`LOG_VARIABLE`] asks for.
fn filter_of(text: &str) -> anyhow::Result<EnvFilter> {
    /// A word alone that is no level would be taken for a library's name, and nothing would be
    /// logged.
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let hint = "give a level (off, error, warn, info, debug, trace), or such as info,lapsed=debug";
    let is_known = |word: &str| {
        let word = word.trim().to_lowercase();
        word.contains('=') || word.contains('[') || LEVELS.contains(&&*word)
    };
    anyhow::ensure!(
        text.split(',').all(is_known),
        "{LOG_VARIABLE} cannot be \"{text}\"\n  {hint}"
    );
    EnvFilter::try_new(text)
        .map_err(|error| anyhow::anyhow!("{LOG_VARIABLE} cannot be \"{text}\": {error}\n  {hint}"))
}

/// Has a daemon log in the form and as much as its configuration says; the latter where neither the
/// command line nor [`LOG_VARIABLE`] says anything.
pub fn follow(level: LogLevel, format: LogFormat) {
    log_json::set_format(format);
    let Some(handle) = ADJUSTABLE.get() else {
        return;
    };
    let more = match level {
        LogLevel::Error => -2,
        LogLevel::Warn => -1,
        LogLevel::Info => 0,
        LogLevel::Debug => 1,
        LogLevel::Trace => 2,
    };
    let filter = EnvFilter::new(directives(Level::Info, more));
    if let Err(error) = handle.reload(filter) {
        tracing::warn!("cannot change how much is logged: {error}");
    }
}

/// Level of the log unless the user asks for another one.
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

/// Returns true if standard error is the journal, whose device and inode `JOURNAL_STREAM` has
/// (systemd.exec(5)).
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
    fn a_filter_that_would_log_nothing_is_refused() {
        for text in ["debug", "INFO", "info,lapsed=trace", "lapsed=debug"] {
            assert!(filter_of(text).is_ok(), "{text}");
        }
        for text in ["verbose", "lapsed=loud", "info,"] {
            let error = filter_of(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("LAPSED_LOG cannot be \"{text}\"")),
                "{error}"
            );
        }
    }

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

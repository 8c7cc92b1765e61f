//! First log lines of the daemon: its places, its roots and, at debug level, its rules.

use crate::config::Settings;
use crate::core::report::Mode;

/// Tells of what was started.
pub(super) fn log_startup(settings: &Settings) {
    let mode = match settings.mode {
        Mode::Live | Mode::OnRequest => "",
        Mode::DryRun if settings.shadow => {
            " (shadow: nothing is removed; `lapsed shadow` compares)"
        }
        Mode::DryRun => " (dry run: nothing is removed)",
    };
    tracing::info!(
        socket = %settings.socket.display(),
        state = %settings.state_dir.display(),
        "lapsed {}{mode}",
        env!("CARGO_PKG_VERSION")
    );
    for root in settings.policy.roots.values() {
        let path = root.path.display().to_string();
        tracing::info!(
            root = root.name,
            path,
            "watching root {:?} at {path:?}",
            root.name
        );
    }
    log_variables(settings);
    for rule in &settings.policy.rules {
        tracing::debug!(
            rule = rule.name,
            unit = rule.unit.as_str(),
            since = rule.since.as_str(),
            expire_ms = rule.expire_ms,
            "rule"
        );
    }
}

/// Tells of the files of variables, and of likely mistakes in them.
pub(super) fn log_variables(settings: &Settings) {
    for file in &settings.variables {
        tracing::info!(
            file = %file.path.display(),
            names = file.names,
            used = file.used.len(),
            "variables"
        );
    }
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
}

//! Removal of one file from the quarantine.

use std::sync::Arc;

use super::judge::{OpenState, ask, ask_after_crash};
use super::pending::Sweep;
use crate::core::facts::Facts;
use crate::core::hold::Hold;
use crate::fs::Dir;
use crate::fs::lease::{Lease, WhenBusy};

/// Result of the removal of one file.
pub(super) enum Fate {
    Gone,
    /// It is another file by now, or open.
    Changed,
    /// The file system refuses.
    Failed(String),
}

/// Removes one file if it is still what was seen, and closed. Its change time may be another one:
/// the removal of another of its names moves it.
pub(super) fn remove_file(sweep: &Sweep, dir: &Dir, name: &[u8], facts: &Facts) -> Fate {
    match check_closed(sweep, dir, name, facts) {
        // Other processes must not open it until it is removed.
        Ok(lease) if lease.as_ref().is_none_or(|lease| lease.holds()) => unlink(dir, name),
        Ok(_) => Fate::Changed,
        Err(fate) => fate,
    }
}

/// Removes the name of a file.
pub(super) fn unlink(dir: &Dir, name: &[u8]) -> Fate {
    match dir.remove_file(name) {
        Ok(()) => Fate::Gone,
        Err(error) if error.is_absence() => Fate::Gone,
        Err(error) => Fate::Failed(error.to_string()),
    }
}

/// Checks that a file is what was seen, and was closed. Returns the lease on it: while that holds,
/// it is closed still.
pub(super) fn check_closed(
    sweep: &Sweep,
    dir: &Dir,
    name: &[u8],
    facts: &Facts,
) -> Result<Option<Arc<Lease>>, Fate> {
    let kept = sweep.leases.lock().remove(&facts.key);
    if kept.is_some() {
        // Another file may have been moved to the name before.
        return check_same(dir, name, facts).map(|()| kept);
    }
    let asked = if sweep.after_crash {
        ask_after_crash(sweep.skip_open, dir, name, facts)
    } else {
        ask(sweep.skip_open, dir, name, facts, WhenBusy::Wait)
    };
    match asked {
        // Looked at when it was opened for the lease.
        OpenState::Closed(Some(lease)) => Ok(Some(Arc::new(lease))),
        OpenState::Closed(None) => check_same(dir, name, facts).map(|()| None),
        OpenState::Replaced => Err(check_same(dir, name, facts).err().unwrap_or(Fate::Changed)),
        OpenState::Held(hold @ Hold::OpenUnknown { .. }) => Err(Fate::Failed(hold.to_string())),
        OpenState::Held(_) | OpenState::Busy => Err(Fate::Changed),
    }
}

/// Checks that a name is still that of the file that was seen.
pub(super) fn check_same(dir: &Dir, name: &[u8], facts: &Facts) -> Result<(), Fate> {
    match dir.look(name) {
        Ok(Some(now)) if now.is_same_content(facts) => Ok(()),
        Ok(Some(_)) => Err(Fate::Changed),
        Ok(None) => Err(Fate::Gone),
        Err(error) => Err(Fate::Failed(error.to_string())),
    }
}

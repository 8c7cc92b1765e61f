//! Stalls of roots: a hold that one removal ran into, and every other one would.

use crate::core::facts::FileKey;
use crate::core::hold::Hold;
use crate::core::time::Timestamp;

/// Stall of one root, if there is one.
#[derive(Debug, Default)]
pub(super) struct Stall(Option<Stalled>);

/// A hold that one removal ran into and all others would.
#[derive(Debug)]
struct Stalled {
    hold: Hold,
    retry_at: Timestamp,
    tries: u32,
    /// It is being tried again: removals go on, and the next refusal counts as one more try.
    trying: bool,
}

/// Action at the end of a stall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retry {
    /// Its time has not come.
    Nothing,
    /// Removals show whether the reason is over.
    Removals,
    /// The reaper is to put the quarantine of this directory in order; the stall lasts until it
    /// has.
    Quarantine(FileKey),
}

impl Stall {
    /// Returns the hold, unless it is being tried again.
    pub(super) fn hold(&self) -> Option<&Hold> {
        let stalled = self.0.as_ref().filter(|stalled| !stalled.trying);
        stalled.map(|stalled| &stalled.hold)
    }

    /// Begins a stall, or holds on to one whose try has failed. Returns when it is tried again, and
    /// true if that is to be reported; `None`: it is stalled already, and claims that were under
    /// way then say nothing new.
    pub(super) fn begin(&mut self, hold: &Hold, now: Timestamp) -> Option<(Timestamp, bool)> {
        let (tries, is_known) = match &self.0 {
            Some(stalled) if !stalled.trying => return None,
            Some(stalled) => (stalled.tries + 1, stalled.hold.code() == hold.code()),
            None => (0, false),
        };
        let retry_at = now.plus_ms(hold.retry_after_ms(tries));
        self.0 = Some(Stalled {
            hold: hold.clone(),
            retry_at,
            tries,
            trying: false,
        });
        Some((retry_at, !is_known))
    }

    /// Has a stall of the directory `key` tried again whose time has come, and returns what to try.
    pub(super) fn retry(&mut self, key: Option<FileKey>, now: Timestamp) -> Retry {
        match (&mut self.0, key) {
            (Some(stalled), Some(key)) if !stalled.trying && stalled.retry_at <= now => {
                if stalled.hold.is_of_quarantine() {
                    return Retry::Quarantine(key);
                }
                stalled.trying = true;
                Retry::Removals
            }
            _ => Retry::Nothing,
        }
    }

    /// Lets removals try again what the quarantine stalled; returns whether it did stall them.
    pub(super) fn retry_quarantine(&mut self) -> bool {
        let stalled = self.0.as_mut();
        let stalled = stalled.filter(|of| of.hold.is_of_quarantine() && !of.trying);
        stalled.map(|stalled| stalled.trying = true).is_some()
    }

    /// A removal went through: the reason is over.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

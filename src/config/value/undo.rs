//! Undo windows.

use std::time::Duration;

use super::super::error::Refusal;
use super::super::setting::Setting;
use super::{duration, milliseconds};
use crate::core::policy::Disposal;

/// Shortest undo window: time for a slip of the hand.
const UNDO_MIN: Duration = Duration::from_secs(1);
/// Longest undo window: what is to be kept longer should not lapse.
const UNDO_MAX: Duration = Duration::from_hours(365 * 24);

/// Undo window, from [`UNDO_MIN`] to [`UNDO_MAX`], or zero: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct Undo(pub Duration);

impl Undo {
    /// Window of `then = "trash"` without one.
    pub(in crate::config) const DEFAULT: Self = Self(Duration::from_hours(24));

    /// Fate of what lapses.
    pub(in crate::config) fn disposal(self) -> Disposal {
        match milliseconds(self.0) {
            0 => Disposal::Delete,
            undo_ms => Disposal::Trash { undo_ms },
        }
    }
}

impl Setting for Undo {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let window = duration(text)?;
        if window.is_zero() || (UNDO_MIN..=UNDO_MAX).contains(&window) {
            return Ok(Self(window));
        }
        Err(Refusal::new(format!(
            "is neither 0s (no undo) nor within the limits of {} to {}d",
            humantime::format_duration(UNDO_MIN),
            UNDO_MAX.as_secs() / 86_400
        )))
    }
}

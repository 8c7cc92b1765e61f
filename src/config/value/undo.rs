//! Undo windows.

use std::time::Duration;

use super::super::error::Refusal;
use super::super::setting::Setting;
use super::duration;

/// Shortest undo window: time for a slip of the hand.
const UNDO_MIN: Duration = Duration::from_secs(1);
/// Longest undo window: what is to be kept longer should not lapse.
const UNDO_MAX: Duration = Duration::from_hours(365 * 24);

/// Undo window, from [`UNDO_MIN`] to [`UNDO_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct Undo(pub Duration);

impl Setting for Undo {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let window = duration(text)?;
        if (UNDO_MIN..=UNDO_MAX).contains(&window) {
            return Ok(Self(window));
        }
        Err(Refusal::new(format!(
            "is not within the limits of {} to {}d",
            humantime::format_duration(UNDO_MIN),
            UNDO_MAX.as_secs() / 86_400
        )))
    }
}

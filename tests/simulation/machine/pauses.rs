//! Pauses, which outlive the process and end by themselves.

use std::time::Duration;

use lapsed::core::engine::Input;
use lapsed::core::pauses::Pause;

use super::Machine;
use crate::checks::CLOCK_TOLERANCE_MS;

impl Machine {
    /// Somebody pauses all removals for some seconds.
    pub(super) fn pause_now_and_then(&mut self) {
        if self.random.u32(..8) > 0 {
            return;
        }
        let ms = self.random.u32(1_000..30_000);
        let now = self.world.now();
        let pause = Pause {
            root: None,
            who: "operator".to_owned(),
            why: "a backup".to_owned(),
            since: now.wall,
            until: now.wall.plus_ms(ms.into()),
        };
        self.paused_until = Some(now.boot + Duration::from_millis(ms.into()));
        self.engine.pause(vec![pause], now);
        self.input(Input::Tick);
    }

    /// Nothing goes before the pause is really over.
    pub(super) fn check_not_paused(&self) {
        let tolerance = Duration::from_millis(CLOCK_TOLERANCE_MS.unsigned_abs());
        if let Some(until) = self.paused_until {
            assert!(
                self.world.boot + tolerance >= until,
                "something is removed {:?} before the end of a pause",
                until - self.world.boot
            );
        }
    }
}

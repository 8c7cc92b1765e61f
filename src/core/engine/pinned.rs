//! Pins that are set, and end.

use super::state::Engine;
use super::timers::Timer;
use crate::core::pins::Pin;
use crate::core::time::Now;

impl Engine {
    /// Holds what `pin` says from now on; a pin with this number is changed.
    pub fn pin(&mut self, pin: Pin, now: Now) {
        self.pins.set(pin);
        self.arm_pins(now);
    }

    /// Lets go what the pin holds.
    pub fn unpin(&mut self, id: u64, now: Now) -> Option<Pin> {
        let pin = self.pins.remove(id);
        self.end_pins(now);
        pin
    }

    /// Arms the end of the next pin.
    pub(super) fn arm_pins(&mut self, now: Now) {
        if let Some(at) = self.pins.next_end(now.wall) {
            self.timers.arm(Timer::Pins, at);
        }
    }

    /// A pin has ended: what it held is looked at again.
    pub(super) fn end_pins(&mut self, now: Now) {
        self.arm_pins(now);
        self.arm_all(now);
        self.arm_held_jobs(|_| true, now);
    }
}

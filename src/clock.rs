//! The only reader of OS time.
//!
//! **Invariant:** nothing else in the crate asks the operating system what time it is; time arrives as an argument.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::core::time::{Now, Timestamp};

/// Both clocks count as read at once when the readings around the wall clock's are no farther apart than this.
const SANDWICH_MAX: Duration = Duration::from_millis(1);

/// After so many interrupted readings the last one is good enough: the guard's tolerance is a thousand times larger.
const READINGS_MAX: usize = 8;

/// Reads both clocks, as near to one another as the scheduler allows.
#[must_use]
pub fn now() -> Now {
    let mut reading = read();
    for _ in 1..READINGS_MAX {
        if reading.1 <= SANDWICH_MAX {
            break;
        }
        reading = read();
    }
    reading.0
}

fn read() -> (Now, Duration) {
    let before = boot();
    let wall = clock_gettime(ClockId::Realtime);
    let boot = boot();
    let ms = wall
        .tv_sec
        .saturating_mul(1000)
        .saturating_add(wall.tv_nsec / 1_000_000);
    (
        Now {
            wall: Timestamp::from_unix_ms(ms),
            boot,
        },
        boot.saturating_sub(before),
    )
}

/// The zone that the host's clocks show, or that `TZ` names; UTC when it cannot be known.
#[must_use]
pub fn zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

/// Processor time that the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// Names the machine's run: another one after it was started again; `None` where the system does not tell.
#[must_use]
pub fn machine_run() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // In a time namespace of its own the clock that nobody can set begins elsewhere (`time_namespaces(7)`).
    let space = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    Some(format!("{} {}", id.trim(), space.display()))
}

fn boot() -> Duration {
    duration(clock_gettime(ClockId::Boottime))
}

fn duration(Timespec { tv_sec, tv_nsec }: Timespec) -> Duration {
    Duration::new(
        u64::try_from(tv_sec).unwrap_or_default(),
        u32::try_from(tv_nsec).unwrap_or_default(),
    )
}

/// Rings at an instant of the wall clock, also after the machine was suspended, and whenever the clock is set.
///
/// An absolute `CLOCK_REALTIME` timer with `TFD_TIMER_CANCEL_ON_SET` (`timerfd_create(2)`): nothing wakes before its time.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    stopped: AtomicBool,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?;
        Ok(Self {
            timer,
            stopped: AtomicBool::new(false),
        })
    }

    /// Sets it to ring at `at` (at once when that has passed), or not at all.
    ///
    /// # Panics
    /// Never: every instant is a valid setting.
    pub fn set(&self, at: Option<Timestamp>) {
        self.arm(at);
        // Set at the same time as stopped: stopping wins, or whoever waits would wait for ever.
        if self.stopped.load(Ordering::SeqCst) {
            self.arm(Some(Timestamp::MIN));
        }
    }

    fn arm(&self, at: Option<Timestamp>) {
        // All zero would disarm; an instant before the epoch has passed anyway.
        let value = at.map_or(
            Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            |at| {
                let ms = at.unix_ms().max(1);
                Timespec {
                    tv_sec: ms / 1000,
                    tv_nsec: ms % 1000 * 1_000_000,
                }
            },
        );
        let interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        let setting = Itimerspec {
            it_interval: interval,
            it_value: value,
        };
        timerfd_settime(&self.timer, flags, &setting)
            .expect("invariant: a valid instant on a timer of ours");
    }

    /// Waits until it rings, or the clock was set. Says `false` when it was stopped.
    pub fn wait(&self) -> bool {
        let mut count = [0u8; 8];
        loop {
            let read = rustix::io::read(&self.timer, &mut count);
            if self.stopped.load(Ordering::SeqCst) {
                return false;
            }
            match read {
                // ECANCELED: the clock was set. Whoever waits looks at the time and sets the alarm again.
                Ok(_) | Err(Errno::CANCELED) => return true,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => {
                    tracing::error!("cannot wait for the timer: {errno}");
                    return false;
                }
            }
        }
    }

    /// Ends [`Alarm::wait`] for good.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.arm(Some(Timestamp::MIN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_never_rings_early_and_can_be_stopped() {
        let alarm = Alarm::new().unwrap();
        let at = now().wall.plus_ms(20);
        alarm.set(Some(at));
        assert!(alarm.wait());
        assert!(now().wall >= at, "rang before its time");
        alarm.set(None);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| alarm.wait());
            alarm.stop();
            // Whoever sets it now must not make it forget that it was stopped.
            alarm.set(None);
            assert!(!waiting.join().unwrap());
        });
    }

    #[test]
    fn what_is_set_after_the_end_does_not_silence_it() {
        let alarm = Alarm::new().unwrap();
        alarm.stop();
        // The engine's last step comes after the stop.
        alarm.set(None);
        assert!(!alarm.wait());
        alarm.set(Some(now().wall.plus_ms(3_600_000)));
        assert!(!alarm.wait());
    }
}

//! Clocks of the operating system, and the alarm.
//!
//! **Invariant:** no other part of the crate may read a clock of the operating system: time arrives
//! as an argument.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::core::time::{Now, Timestamp};

/// Maximum distance of two readings of one clock for the reading of the other clock between them to
/// count as simultaneous.
const SANDWICH_MAX: Duration = Duration::from_millis(1);

/// Maximum number of readings. The last one is good enough: the clock guard's tolerance is a
/// thousand times larger.
const READINGS_MAX: usize = 8;

/// Reads both clocks, as close to each other as the scheduler allows.
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

/// Returns the time zone of the host, or the one that `TZ` names; UTC if it cannot be determined.
#[must_use]
pub fn zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

/// Returns the processor time that all threads have used since the start.
#[must_use]
pub fn process_cpu() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// Returns the processor time that the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// Returns the machine's boot id, which each boot changes; `None` if the system has none.
#[must_use]
pub fn machine_run() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // In a time namespace the boot clock has another offset (`time_namespaces(7)`).
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

/// Alarm at an instant of the wall clock. It also goes off whenever the clock is set, and works
/// across suspension.
///
/// It is an absolute `CLOCK_REALTIME` timer with `TFD_TIMER_CANCEL_ON_SET` (`timerfd_create(2)`),
/// so nothing wakes before it is due.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    setting: Mutex<Setting>,
    stopped: AtomicBool,
}

/// Setting of the kernel's timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Setting {
    At(Option<Timestamp>),
    /// It went off, so the kernel may have disarmed it.
    Unknown,
}

impl Alarm {
    /// Creates an alarm that is not set.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Realtime,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        Ok(Self {
            timer,
            setting: Mutex::new(Setting::At(None)),
            stopped: AtomicBool::new(false),
        })
    }

    /// Sets it to go off at `at` (at once if that has passed), or not at all. An unchanged setting
    /// costs no system call. After [`Alarm::wait`] has returned it must be set again.
    ///
    /// # Panics
    /// Never: every instant is a valid setting.
    pub fn set(&self, at: Option<Timestamp>) {
        let setting = Setting::At(at);
        if std::mem::replace(&mut *self.setting.lock(), setting) == setting {
            return;
        }
        self.arm(at);
        // If it is set and stopped at the same time, the stop must win, or the waiting thread would
        // wait for ever.
        if self.stopped.load(Ordering::SeqCst) {
            self.arm(Some(Timestamp::MIN));
        }
    }

    fn arm(&self, at: Option<Timestamp>) {
        // All zeros would disarm the timer; an instant before the epoch has passed anyway.
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

    /// Waits until it goes off, or the clock is set. Returns false if it was stopped.
    pub fn wait(&self) -> bool {
        loop {
            let mut timer = [PollFd::new(&self.timer, PollFlags::IN)];
            let polled = poll(&mut timer, None);
            if self.stopped.load(Ordering::SeqCst) {
                return false;
            }
            match polled {
                Ok(_) if self.acknowledge() => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!("cannot wait for the timer: {errno}");
                    return false;
                }
            }
        }
    }

    /// Takes in that it went off, or that the clock was set, if either has happened. The caller
    /// must read the time and set it again then.
    pub fn acknowledge(&self) -> bool {
        let mut count = [0u8; 8];
        match rustix::io::read(&self.timer, &mut count) {
            // ECANCELED: the clock was set.
            Ok(_) | Err(Errno::CANCELED) => {
                *self.setting.lock() = Setting::Unknown;
                true
            }
            Err(_) => false,
        }
    }

    /// Ends [`Alarm::wait`], now and in the future.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.arm(Some(Timestamp::MIN));
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
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
            // A thread that sets it now must not undo the stop.
            alarm.set(None);
            assert!(!waiting.join().unwrap());
        });
    }

    #[test]
    fn what_is_set_after_the_end_does_not_silence_it() {
        let alarm = Alarm::new().unwrap();
        alarm.stop();
        // The last step of the engine comes after the stop.
        alarm.set(None);
        assert!(!alarm.wait());
        alarm.set(Some(now().wall.plus_ms(3_600_000)));
        assert!(!alarm.wait());
    }
}

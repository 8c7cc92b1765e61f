//! Instants and file times: the two precisions in which `lapsed` knows time.
//!
//! **Invariant:** a file time is rounded *up* to a [`Timestamp`], so that a deadline computed from
//! it is never early. Late is safe; early loses data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant of the wall clock, in milliseconds since the Unix epoch. Arithmetic saturates.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that can be expressed.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant that can be expressed: "never" in comparisons.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `ms` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This instant, `by` later. Saturates at [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(duration_ms(by)))
    }

    /// This instant, `ms` milliseconds later (earlier when negative). Saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This instant, `by` earlier. Saturates at [`Timestamp::MIN`].
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(duration_ms(by)))
    }

    /// The day of this instant in UTC, as `2026-11-28`.
    #[must_use]
    pub fn day(self) -> String {
        let mut day = self.to_string();
        day.truncate(day.find('T').unwrap_or(day.len()));
        day
    }

    /// Milliseconds from `earlier` to this instant; negative when this instant is the earlier one.
    /// Saturates.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// `by` in whole milliseconds, rounded up, at most [`i64::MAX`].
fn duration_ms(by: Duration) -> i64 {
    i64::try_from(by.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds; instants outside of the years 1 to 9999 are shown as the
    /// nearest of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIRST: i64 = -62_135_596_800_000; // 0001-01-01T00:00:00Z
        const LAST: i64 = 253_402_207_200_000 - 1; // jiff's latest instant, in milliseconds
        let ms = self.0.clamp(FIRST, LAST);
        match jiff::Timestamp::from_millisecond(ms) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{ms} ms"),
        }
    }
}

/// A timestamp as a file system keeps it: seconds since the Unix epoch and nanoseconds within the
/// second. Compared exactly when the question is "is this still the same file?".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct FileTime {
    /// Whole seconds since the Unix epoch, rounded towards the past.
    pub secs: i64,
    /// Nanoseconds after `secs`, below 1,000,000,000.
    pub nanos: u32,
}

impl FileTime {
    /// The last instant that a file system may have kept as this, where it keeps `ctime` of the
    /// same file. The kernel sets that, so one without nanoseconds tells that whole seconds are
    /// kept, of which FAT keeps even ones only: what is left of the span was cut off.
    #[must_use]
    pub const fn at_latest(self, ctime: Self) -> Self {
        if ctime.nanos != 0 || self.nanos != 0 {
            return self;
        }
        Self {
            secs: self.secs | 1,
            nanos: 999_999_999,
        }
    }

    /// The first millisecond that is not before this file time.
    #[must_use]
    pub fn ceil(self) -> Timestamp {
        Timestamp(
            self.secs
                .saturating_mul(1000)
                .saturating_add(i64::from(self.nanos.div_ceil(1_000_000))),
        )
    }
}

impl From<Timestamp> for FileTime {
    fn from(at: Timestamp) -> Self {
        Self {
            secs: at.0.div_euclid(1000),
            nanos: u32::try_from(at.0.rem_euclid(1000)).expect("invariant: a remainder of 1000")
                * 1_000_000,
        }
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Now {
    /// The wall clock: what file times and deadlines are measured in.
    pub wall: Timestamp,
    /// Time since the machine started, suspension included: it cannot be set, so it tells when
    /// `wall` jumps.
    pub boot: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_times_round_up_so_that_no_deadline_is_early() {
        let time = FileTime { secs: 1, nanos: 1 };
        assert_eq!(time.ceil(), Timestamp::from_unix_ms(1001));
        let exact = FileTime {
            secs: 1,
            nanos: 5_000_000,
        };
        assert_eq!(exact.ceil(), Timestamp::from_unix_ms(1005));
    }

    #[test]
    fn what_is_kept_in_whole_seconds_counts_from_their_end() {
        let time = |secs, nanos| FileTime { secs, nanos };
        for (whole, end) in [(8, 10_000), (9, 10_000), (-2, 0)] {
            let latest = time(whole, 0).at_latest(time(7, 0));
            assert_eq!(latest.ceil(), Timestamp::from_unix_ms(end));
        }
        // It was set to a whole second where nanoseconds are kept.
        assert_eq!(time(8, 0).at_latest(time(9, 1)), time(8, 0));
        assert_eq!(time(8, 5).at_latest(time(9, 0)), time(8, 5));
    }

    #[test]
    fn times_before_the_epoch_keep_their_order() {
        let early = Timestamp::from_unix_ms(-1);
        assert_eq!(
            FileTime::from(early),
            FileTime {
                secs: -1,
                nanos: 999_000_000
            }
        );
        assert_eq!(FileTime::from(early).ceil(), early);
    }

    #[test]
    fn display_is_rfc_3339_and_never_fails() {
        assert_eq!(
            Timestamp::from_unix_ms(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert!(Timestamp::MAX.to_string().starts_with("9999-"));
        assert!(Timestamp::MIN.to_string().starts_with("0001-"));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.after(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(
            Timestamp::from_unix_ms(5).after(Duration::MAX),
            Timestamp::MAX
        );
    }
}

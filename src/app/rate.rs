//! Rate of removals over the last minute.
//!
//! **Invariant:** at most a number for each second of that minute is kept.

use std::collections::VecDeque;
use std::time::Duration;

/// The rate is that of so many seconds.
const SPAN_S: u64 = 60;

/// Without a removal for longer than this many seconds, the next one begins another burst, with a
/// rate of its own.
const PAUSE_S: u64 = 10;

/// Removed files by second, on the boot clock.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    seconds: VecDeque<(u64, u64)>,
}

impl Rate {
    /// Counts `files`, which are removed now.
    pub(crate) fn record(&mut self, now: Duration, files: u64) {
        let now = now.as_secs();
        self.forget(now);
        match self.seconds.back_mut() {
            Some((second, count)) if *second == now => *count += files,
            Some(_) | None => self.seconds.push_back((now, files)),
        }
    }

    /// Files a second, over the last minute or since the burst began; zero when nothing is being
    /// removed.
    pub(crate) fn per_second(&mut self, now: Duration) -> f64 {
        let now = now.as_secs();
        self.forget(now);
        let Some(&(first, _)) = self.seconds.front() else {
            return 0.0;
        };
        let files: u64 = self.seconds.iter().map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = files as f64 / (now - first + 1) as f64;
        rate
    }

    fn forget(&mut self, now: u64) {
        let last = self.seconds.back();
        if last.is_some_and(|&(last, _)| now.saturating_sub(last) > PAUSE_S) {
            self.seconds.clear();
        }
        while let Some(&(first, _)) = self.seconds.front()
            && now.saturating_sub(first) >= SPAN_S
        {
            self.seconds.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_millis(second * 1000 + 500)
    }

    #[track_caller]
    fn assert_rate(rate: &mut Rate, second: u64, wanted: f64) {
        let found = rate.per_second(at(second));
        assert!((found - wanted).abs() < 0.001, "{found} at {second}");
    }

    #[test]
    fn it_is_that_of_the_burst_and_of_its_last_minute() {
        let mut rate = Rate::default();
        assert_rate(&mut rate, 5, 0.0);
        rate.record(at(10), 3);
        rate.record(at(10), 1);
        assert_rate(&mut rate, 10, 4.0);
        assert_rate(&mut rate, 11, 2.0);
        for second in 12..200 {
            rate.record(at(second), 100);
        }
        assert_rate(&mut rate, 199, 100.0);
        assert_eq!(rate.seconds.len(), 60);
        assert_rate(&mut rate, 209, 5000.0 / 60.0);
        assert_rate(&mut rate, 211, 0.0);
        rate.record(at(300), 7);
        assert_rate(&mut rate, 300, 7.0);
    }
}

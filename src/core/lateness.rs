//! Lateness of removals: a histogram of fixed size.
//!
//! Buckets are exact up to 63 ms and 1/64 of a power of two wide above (the layout of
//! `HdrHistogram`, Gil Tene): percentiles are within 2 % of the truth.
//!
//! **Invariant:** memory does not grow with what is recorded.

/// Values below this have a bucket each; above, every power of two has this many.
const STEPS: u64 = 64;
/// Powers of two from `STEPS` up to 2^40 ms, which is 34 years; anything later counts there.
const POWERS: usize = 34;

/// Upper edges of the buckets of [`Lateness`], in milliseconds: from what the machine needs, over
/// what a user notices, to an hour.
pub const EDGES_MS: [i64; 15] = [
    1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000, 600_000, 3_600_000,
];

/// Lateness of removals since the start: from the deadline (or the end of the last hold) to the
/// instant at which the name was gone from its place. Milliseconds; percentiles and buckets are
/// exact to 2 %.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lateness {
    /// Number of removals.
    pub count: u64,
    /// The earliest.
    pub min_ms: i64,
    /// Half were no later.
    pub p50_ms: i64,
    /// 99 of 100 were no later.
    pub p99_ms: i64,
    /// The latest.
    pub max_ms: i64,
    /// Sum over all removals.
    pub sum_ms: i64,
    /// Number of removals that were no later than each of [`EDGES_MS`].
    pub buckets: [u64; EDGES_MS.len()],
}

/// The lateness of every removal since the start, in milliseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    min_ms: i64,
    max_ms: i64,
    sum_ms: i64,
}

impl Default for Histogram {
    fn default() -> Self {
        let size = usize::try_from(STEPS).expect("invariant: 64 fits") * (POWERS + 1);
        Self {
            buckets: vec![0; size],
            count: 0,
            min_ms: i64::MAX,
            max_ms: i64::MIN,
            sum_ms: 0,
        }
    }
}

impl Histogram {
    /// Counts one removal.
    pub fn record(&mut self, late_ms: i64) {
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(late_ms);
        self.min_ms = self.min_ms.min(late_ms);
        self.max_ms = self.max_ms.max(late_ms);
        let bucket = bucket_of(u64::try_from(late_ms).unwrap_or(0)).min(self.buckets.len() - 1);
        self.buckets[bucket] += 1;
    }

    /// The figures so far; all zero when nothing was removed.
    #[must_use]
    pub fn figures(&self) -> Lateness {
        if self.count == 0 {
            return Lateness::default();
        }
        Lateness {
            count: self.count,
            min_ms: self.min_ms,
            p50_ms: self.percentile(50),
            p99_ms: self.percentile(99),
            max_ms: self.max_ms,
            sum_ms: self.sum_ms,
            buckets: self.cumulated(),
        }
    }

    /// Number of removals that were no later than each of [`EDGES_MS`].
    fn cumulated(&self) -> [u64; EDGES_MS.len()] {
        let mut counts = self.buckets.iter().enumerate().peekable();
        let mut seen = 0;
        EDGES_MS.map(|edge| {
            while let Some((_, count)) = counts.next_if(|(bucket, _)| upper_edge(*bucket) <= edge) {
                seen += count;
            }
            seen
        })
    }

    fn percentile(&self, percent: u64) -> i64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_edge(bucket).clamp(self.min_ms, self.max_ms);
            }
        }
        self.max_ms
    }
}

fn bucket_of(ms: u64) -> usize {
    let bucket = if ms < STEPS {
        ms
    } else {
        // 64..=127 is power 0 above the exact ones, 128..=255 power 1, and so on.
        let power = u64::from(ms.ilog2() - STEPS.ilog2());
        STEPS + power * STEPS + ((ms >> power) - STEPS)
    };
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The largest value that falls into `bucket`.
fn upper_edge(bucket: usize) -> i64 {
    let bucket = bucket as u64;
    let edge = if bucket < STEPS {
        bucket
    } else {
        let power = bucket / STEPS - 1;
        ((bucket % STEPS + STEPS + 1) << power) - 1
    };
    i64::try_from(edge).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_recorded_is_all_zero() {
        assert_eq!(Histogram::default().figures(), Lateness::default());
    }

    #[test]
    fn an_early_removal_would_show_as_a_negative_minimum() {
        let mut histogram = Histogram::default();
        histogram.record(-3);
        histogram.record(5);
        let figures = histogram.figures();
        assert_eq!((figures.min_ms, figures.max_ms, figures.count), (-3, 5, 2));
    }

    proptest! {
        #[test]
        fn percentiles_are_within_two_percent_of_a_sorted_list(mut late in prop::collection::vec(0i64..100_000_000, 1..300)) {
            let mut histogram = Histogram::default();
            for &ms in &late {
                histogram.record(ms);
            }
            late.sort_unstable();
            let figures = histogram.figures();
            for (percent, found) in [(50, figures.p50_ms), (99, figures.p99_ms)] {
                let exact = late[(late.len() * percent).div_ceil(100) - 1];
                prop_assert!(found >= exact && found - exact <= exact / 50 + 1, "{percent}: {found} for {exact}");
            }
            prop_assert_eq!(figures.max_ms, *late.last().unwrap());
            prop_assert_eq!(figures.sum_ms, late.iter().sum::<i64>());
            for (edge, found) in EDGES_MS.into_iter().zip(figures.buckets) {
                let until = |edge: i64| late.partition_point(|&ms| ms <= edge) as u64;
                // What is late by nearly as much as the edge may count as later.
                prop_assert!((until(edge - edge / 50)..=until(edge)).contains(&found), "{edge}: {found}");
            }
        }
    }
}

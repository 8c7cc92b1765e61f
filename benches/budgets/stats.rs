//! Percentiles, and figures as people read them.

use std::time::Duration;

/// Samples in order.
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn new(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The sample that `part` of all (0 to 1) do not exceed; NaN where there is none.
    pub fn at(&self, part: f64) -> f64 {
        let rank = (part * self.0.len() as f64).ceil() as usize;
        self.0
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or(f64::NAN)
    }

    pub fn p50(&self) -> f64 {
        self.at(0.5)
    }

    pub fn p99(&self) -> f64 {
        self.at(0.99)
    }

    pub fn min(&self) -> f64 {
        self.at(0.0)
    }

    pub fn max(&self) -> f64 {
        self.at(1.0)
    }
}

pub fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Milliseconds with three digits that mean something.
pub fn show_ms(ms: f64) -> String {
    if ms.abs() >= 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms.abs() >= 100.0 {
        format!("{ms:.0} ms")
    } else if ms.abs() >= 10.0 {
        format!("{ms:.1} ms")
    } else if ms.abs() >= 1.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{ms:.3} ms")
    }
}

pub fn show(span: Duration) -> String {
    show_ms(ms(span))
}

/// `200k`, `1M`.
pub fn show_count(count: u64) -> String {
    if count >= 1_000_000 && count.is_multiple_of(1_000_000) {
        format!("{}M", count / 1_000_000)
    } else if count >= 1000 && count.is_multiple_of(1000) {
        format!("{}k", count / 1000)
    } else {
        count.to_string()
    }
}

/// `23.4 k/s`.
pub fn show_rate(count: u64, span: Duration) -> String {
    format!("{:.1} k/s", rate(count, span) / 1000.0)
}

pub fn rate(count: u64, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64().max(1e-9)
}

//! Latencies, counted from when something should have begun: a system that stalls is charged for all
//! that had to wait, not only for what it was sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest that is told apart, µs; longer ones count as this.
const LATENCY_US_MAX: u64 = 300_000_000;

/// Many latencies.
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constants that fit"))
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, span: Duration) {
        self.record_us(u64::try_from(span.as_micros()).unwrap_or(LATENCY_US_MAX));
    }

    /// Counts one, µs.
    pub fn record_us(&mut self, us: u64) {
        self.0.saturating_record(us.max(1));
    }

    /// In numbers.
    pub fn quantiles(&self) -> Quantiles {
        let ms = |us: u64| us as f64 / 1000.0;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Quantiles { count: self.0.len(), p50: at(0.50), p99: at(0.99), p999: at(0.999), max: ms(self.0.max()) }
    }
}

/// A latency in numbers, ms; as `quizstream load` tells it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were counted.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// What can be said of several processes' latencies together without their histograms: the
    /// quantiles of whoever has the worst, so that nothing is made better than it was.
    pub fn worst(all: impl IntoIterator<Item = Quantiles>) -> Quantiles {
        all.into_iter().fold(Quantiles::default(), |a, b| Quantiles {
            count: a.count + b.count,
            p50: a.p50.max(b.p50),
            p99: a.p99.max(b.p99),
            p999: a.p999.max(b.p999),
            max: a.max.max(b.max),
        })
    }
}

/// The wall clock, µs since 1970: what processes of one machine share.
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The middle of some numbers by size: its index among them. The lower of the two middles when their
/// number is even; none when there are none.
pub fn middle(numbers: &[f64]) -> Option<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    order.get(numbers.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_ms() {
        let mut latency = Latency::default();
        (1..=1_000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        let told = latency.quantiles();
        assert_eq!(told.count, 1_000);
        assert!((499.0..502.0).contains(&told.p50) && (989.0..992.0).contains(&told.p99), "{told:?}");
    }

    #[test]
    fn the_worst_of_several_is_no_better_than_any() {
        let told = |count, p50, p99| Quantiles { count, p50, p99, p999: p99, max: p99 };
        let worst = Quantiles::worst([told(10, 1.0, 9.0), told(20, 2.0, 5.0)]);
        assert_eq!((worst.count, worst.p50, worst.p99), (30, 2.0, 9.0));
    }

    #[test]
    fn the_middle_is_one_of_them() {
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[3.0]), Some(0));
        assert_eq!(middle(&[9.0, 1.0, 5.0]), Some(2));
        assert_eq!(middle(&[9.0, 1.0, 5.0, 2.0]), Some(3));
        assert_eq!(middle(&[1.0, f64::NAN, 2.0]), Some(2));
    }
}

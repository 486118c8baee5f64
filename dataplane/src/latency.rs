//! How long things take, for `/metrics`.

use std::time::Duration;

use hdrhistogram::Histogram;
use proto::message::{TIME_BOUNDS, Times};

/// Longest time that is told from longer ones, in microseconds.
const LONGEST: u64 = 60_000_000;

/// Times to two figures.
pub struct Latency {
    /// Microseconds. There is one: the bounds are constants that fit.
    histogram: Option<Histogram<u64>>,
    seconds: f64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { histogram: Histogram::new_with_bounds(1, LONGEST, 2).ok(), seconds: 0.0 }
    }
}

impl Latency {
    pub fn record(&mut self, took: Duration) {
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(took.as_micros() as u64);
            self.seconds += took.as_secs_f64();
        }
    }

    pub fn times(&self) -> Times {
        let mut times = Times { up_to: vec![0; TIME_BOUNDS.len()], count: 0, seconds: self.seconds };
        for step in self.histogram.iter().flat_map(|histogram| histogram.iter_recorded()) {
            let (seconds, count) = (step.value_iterated_to() as f64 / 1e6, step.count_at_value());
            times.count += count;
            for (sum, bound) in times.up_to.iter_mut().zip(TIME_BOUNDS) {
                *sum += if seconds <= bound { count } else { 0 };
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_below_each_bound() {
        let mut latency = Latency::default();
        for took in [Duration::from_nanos(1), Duration::from_millis(2), Duration::from_secs(600)] {
            latency.record(took);
        }
        let times = latency.times();
        let at = |bound: f64| times.up_to[TIME_BOUNDS.iter().position(|other| *other == bound).unwrap()];
        assert_eq!((at(0.0001), at(0.001), at(0.0025), at(10.0), times.count), (1, 1, 2, 2, 3));
        assert!((times.seconds - 600.002).abs() < 1e-6);
    }
}

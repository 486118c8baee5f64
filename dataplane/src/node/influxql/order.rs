//! Functions over the ordered values: median, mode, percentile, and stddev, which goes over the values twice.

use std::cmp::Ordering;

use super::{Sample, Type, accumulate::compare};
use crate::value::Value;

/// Order of floats, NaNs behind all others: sorting needs an order that is total.
fn of_floats(one: f64, other: f64) -> Ordering {
    one.partial_cmp(&other).unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
}

/// Sorted by value; equal values (and NaNs) in order of arrival.
pub fn sorted(samples: &[Sample]) -> Vec<&Sample> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|one, other| match (&one.value, &other.value) {
        (Value::Float(one), Value::Float(other)) => of_floats(*one, *other),
        (one, other) => compare(one, other).unwrap_or(Ordering::Equal),
    });
    sorted
}

pub fn median(samples: &[Sample], kind: Type) -> Option<Value> {
    let sorted = sorted(samples);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return Some(Value::Float(sorted.get(middle)?.float()));
    }
    let (low, high) = (sorted.get(middle.checked_sub(1)?)?, sorted.get(middle)?);
    Some(Value::Float(match kind {
        Type::Int => low.int() as f64 + high.int().wrapping_sub(low.int()) as f64 / 2.0,
        _ => low.float() + (high.float() - low.float()) / 2.0,
    }))
}

/// The most frequent value by the original's walk over runs of equal values (reference: nodes-stream §10.5): a run's first
/// value is not compared, and of runs of one length a later run counts unless it began behind the best's last point.
pub fn mode(samples: &[Sample]) -> Option<Value> {
    let sorted = sorted(samples);
    let first = sorted.first()?;
    let (mut best, mut best_count, mut best_time) = (*first, 0, first.time);
    let (mut run, mut count, mut run_time) = (*first, 0, first.time);
    for sample in &sorted {
        if compare(&sample.value, &run.value) != Some(Ordering::Equal) {
            (run, count, run_time) = (sample, 1, sample.time);
            continue;
        }
        count += 1;
        if best_count > count || best_count == count && run_time > best_time {
            continue;
        }
        (best, best_count, best_time) = (sample, count, sample.time);
    }
    Some(best.value.clone())
}

/// The point at a percentile by nearest rank; `None` outside of the ranks.
pub fn percentile(samples: &[Sample], percent: f64) -> Option<&Sample> {
    sorted(samples).get(rank(samples.len(), percent)?).copied()
}

/// The same of floats: the place of the one at the percentile. `keys` is room to work in.
pub fn percentile_of_floats(floats: &[f64], percent: f64, keys: &mut Vec<u64>) -> Option<usize> {
    let rank = rank(floats.len(), percent)?;
    keys.clear();
    keys.extend(floats.iter().map(|x| key(*x)));
    let chosen = *keys.select_nth_unstable(rank).1;
    // Of equal values the one whose turn it is in order of arrival.
    let less = floats.iter().filter(|x| key(**x) < chosen).count();
    let mut equal = floats.iter().enumerate().filter(|(_, x)| key(**x) == chosen).map(|(place, _)| place);
    equal.nth(rank - less)
}

/// An integer that orders like [`of_floats`]: equal for both zeros, and for all NaNs, behind all others.
fn key(x: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    if x.is_nan() {
        return u64::MAX;
    }
    // Adding zero makes one zero of the two.
    let bits = (x + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn rank(count: usize, percent: f64) -> Option<usize> {
    let rank = (count as f64 * percent / 100.0 + 0.5).floor() - 1.0;
    (0.0..count as f64).contains(&rank).then_some(rank as usize)
}

/// Sample standard deviation by a running mean; 0 of one value.
pub fn stddev(samples: &[Sample]) -> Option<Value> {
    if samples.is_empty() {
        return None;
    }
    let mut mean = 0.0;
    for (index, sample) in samples.iter().enumerate() {
        mean += (sample.float() - mean) / (index + 1) as f64;
    }
    if samples.len() == 1 {
        return Some(Value::Float(0.0));
    }
    let squares: f64 = samples.iter().map(|sample| (sample.float() - mean).powi(2)).sum();
    Some(Value::Float((squares / (samples.len() - 1) as f64).sqrt()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentile_of_floats_is_that_of_samples(
            values in proptest::collection::vec(prop_oneof![
                (-3..3_i32).prop_map(f64::from), Just(-0.0), Just(f64::NAN), any::<f64>()
            ], 0..70),
            percent in prop_oneof![0.0..101.0_f64, Just(50.0), Just(100.0)],
        ) {
            let sample = |(row, value): (usize, &f64)| Sample { time: row as i64, value: Value::Float(*value), row };
            let samples: Vec<Sample> = values.iter().enumerate().map(sample).collect();
            let expected = percentile(&samples, percent).map(|sample| sample.row);
            prop_assert_eq!(percentile_of_floats(&values, percent, &mut Vec::new()), expected);
        }
    }
}

//! Holt-Winters forecasts with a damped trend (reference: nodes-stream §10.6).

use super::{Sample, nelder_mead::minimise};

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Values to forecast.
    pub forecasts: i64,
    /// Length of a season in intervals; 0 or 1 for none.
    pub season: i64,
    /// Nanoseconds.
    pub interval: i64,
    /// The fitted values, too.
    pub with_fit: bool,
}

/// Intervals that a series may have, those without points in gaps included, and values that may be forecast. The fit takes
/// 0.1 ms an interval, and nothing else runs on the shard meanwhile.
pub const INTERVALS_MAX: usize = 100_000;

/// Intervals that a season may have: the fit keeps as many sets of as many factors.
pub const SEASON_MAX: usize = 2_000;

/// A series has more than [`INTERVALS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a series has {INTERVALS_MAX} intervals at most, those without points included")]
pub struct TooLong;

/// Times and values; empty where the values do not suffice.
pub fn forecast(samples: &[Sample], settings: Settings) -> Result<Vec<(i64, f64)>, TooLong> {
    let Settings { forecasts, season, interval, with_fit } = settings;
    let season = if season < 2 { 0 } else { season as usize };
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(Vec::new()) };
    let y = buckets(samples, interval)?;
    let forecasts = usize::try_from(forecasts).unwrap_or(0).min(INTERVALS_MAX);
    if samples.len() < 2 || samples.len() < season || forecasts == 0 || y.len() < 2 {
        return Ok(Vec::new());
    }
    let fit = Fit { y: &y, season };
    let start = fit.start();
    let mut least: Option<(f64, Vec<f64>)> = None;
    for guess in 0..16 {
        let pick = |bit: u32| if guess >> bit & 1 == 0 { 0.3 } else { 0.7 };
        let mut parameters = vec![pick(3), pick(2), pick(1), pick(0)];
        parameters.extend_from_slice(&start);
        let found = minimise(&parameters, |parameters| fit.error(parameters));
        if least.as_ref().is_none_or(|(value, _)| found.0 < *value) {
            least = Some(found);
        }
    }
    let Some((_, mut parameters)) = least else { return Ok(Vec::new()) };
    let values = fit.run(&mut parameters, forecasts);
    let skipped = if with_fit { 0 } else { y.len() };
    let time = |index: usize| match with_fit {
        true => first.time.saturating_add((index as i64).saturating_mul(interval)),
        false => last.time.saturating_add((index as i64 + 1).saturating_mul(interval)),
    };
    let shown = values.into_iter().skip(skipped).enumerate();
    Ok(shown.filter(|(_, value)| !value.is_nan()).map(|(index, value)| (time(index), value)).collect())
}

/// The values by interval; gaps are NaN.
fn buckets(samples: &[Sample], interval: i64) -> Result<Vec<f64>, TooLong> {
    let bucket = |time: i64| {
        let beyond = time % interval;
        if beyond > interval / 2 { (time - beyond).saturating_add(interval) } else { time - beyond }
    };
    let mut y = Vec::new();
    let mut at = None;
    for sample in samples {
        let bucket = bucket(sample.time);
        if let Some(last) = at {
            if bucket <= last {
                continue;
            }
            let gaps = usize::try_from(bucket.saturating_sub(last) / interval - 1).map_err(|_| TooLong)?;
            if y.len().saturating_add(gaps) >= INTERVALS_MAX {
                return Err(TooLong);
            }
            y.extend(std::iter::repeat_n(f64::NAN, gaps));
        }
        at = Some(bucket);
        y.push(sample.float());
    }
    Ok(y)
}

/// A series to fit. Parameters: α, β, γ, φ, level, trend, seasonal factors.
struct Fit<'a> {
    y: &'a [f64],
    season: usize,
}

impl Fit<'_> {
    /// Level, trend and seasonal factors to begin with.
    fn start(&self) -> Vec<f64> {
        let m = self.season;
        if m == 0 {
            let trend = if self.y[1].is_nan() { 0.0 } else { 0.5 * (self.y[1] - self.y[0]) };
            return vec![0.5 * self.y[0], trend];
        }
        let some = |index: usize| self.y.get(index).copied().filter(|value| !value.is_nan());
        let length = m as f64;
        let mut level = 0.0;
        let mut trend = 0.0;
        for i in 0..m {
            level += some(i).map_or(0.0, |value| 1.0 / length * value);
            if let (Some(now), Some(later)) = (some(i), some(m + i)) {
                trend += 1.0 / (length * length) * (later - now);
            }
        }
        let mut start = vec![level, trend];
        start.extend((0..m).map(|i| some(i).map_or(0.0, |value| value / level)));
        start
    }

    /// Squared error of the fitted values.
    fn error(&self, parameters: &mut [f64]) -> f64 {
        let fitted = self.run(parameters, 0);
        let mut sum = 0.0;
        for (value, forecast) in self.y.iter().zip(fitted) {
            if value.is_nan() {
                continue;
            }
            if forecast.is_nan() {
                return f64::INFINITY;
            }
            sum += (forecast - value).powi(2);
        }
        sum
    }

    /// The fitted values and `forecasts` more. Clamps the parameters and turns the ring of factors in place.
    fn run(&self, parameters: &mut [f64], forecasts: usize) -> Vec<f64> {
        parameters.iter_mut().take(4).for_each(|parameter| *parameter = parameter.clamp(0.0, 1.0));
        let (factors, seasonal) = parameters.split_at_mut(6);
        let [alpha, beta, gamma, phi, mut level, mut trend] = *factors else { return Vec::new() };
        let m = self.season;
        let mut y = self.y[0];
        let mut damping = phi;
        let mut ring_start = m.saturating_sub(1);
        let mut out = Vec::with_capacity(self.y.len() + forecasts);
        out.push(y);
        for t in 1..self.y.len() + forecasts {
            let (mut now, mut ahead) = (1.0, 1.0);
            if m > 0 {
                now = seasonal[(t + ring_start) % m];
                ahead = seasonal[(t + t % m + ring_start) % m];
            }
            let next_level = alpha * (y / now) + (1.0 - alpha) * (level + phi * trend);
            let next_trend = beta * (next_level - level) + (1.0 - beta) * phi * trend;
            let factor = gamma * (y / (level + phi * trend)) + (1.0 - gamma) * now;
            y = (next_level + damping * next_trend) * ahead;
            damping += phi.powi(t as i32);
            if m > 0 {
                seasonal[(t + ring_start) % m] = factor;
                ring_start += 1;
            }
            (level, trend) = (next_level, next_trend);
            out.push(y);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    const SETTINGS: Settings = Settings { forecasts: 2, season: 0, interval: 10, with_fit: false };

    fn samples(times: &[i64]) -> Vec<Sample> {
        let sample = |(row, time): (usize, &i64)| Sample { time: *time, value: Value::Float(row as f64 + 1.0), row };
        times.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn gaps_count_and_a_series_that_is_too_long_is_none() {
        let times = |times: &[i64]| {
            forecast(&samples(times), SETTINGS).map(|values| values.iter().map(|(time, _)| *time).collect::<Vec<_>>())
        };
        assert_eq!(times(&[0, 10, 20, 50]), Ok(vec![60, 70]));
        assert_eq!(times(&[0, 10 * INTERVALS_MAX as i64]), Err(TooLong));
        assert_eq!(times(&[0, 10, i64::MAX]), Err(TooLong));
        assert_eq!(times(&[i64::MIN, i64::MAX]), Err(TooLong));
        assert_eq!(times(&[5]), Ok(vec![]));
    }

    #[test]
    fn the_longest_interval_is_no_overflow() {
        let settings = Settings { interval: 5_000_000_000_000_000_000, ..SETTINGS };
        assert!(forecast(&samples(&[0, 9_100_000_000_000_000_000]), settings).is_ok());
    }
}

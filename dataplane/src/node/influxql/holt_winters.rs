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

/// Longest list of buckets: a gap between two points counts bucket by bucket.
const BUCKETS_MAX: usize = 1_000_000;

/// Times and values; empty where the values do not suffice.
pub fn forecast(samples: &[Sample], settings: Settings) -> Vec<(i64, f64)> {
    let Settings { forecasts, season, interval, with_fit } = settings;
    let season = if season < 2 { 0 } else { season as usize };
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let Some(y) = buckets(samples, interval) else { return Vec::new() };
    let forecasts = usize::try_from(forecasts).unwrap_or(0);
    if samples.len() < 2 || samples.len() < season || forecasts == 0 || forecasts > BUCKETS_MAX || y.len() < 2 {
        return Vec::new();
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
    let Some((_, mut parameters)) = least else { return Vec::new() };
    let values = fit.run(&mut parameters, forecasts);
    let skipped = if with_fit { 0 } else { y.len() };
    let time = |index: usize| match with_fit {
        true => first.time.saturating_add((index as i64).saturating_mul(interval)),
        false => last.time.saturating_add((index as i64 + 1).saturating_mul(interval)),
    };
    let shown = values.into_iter().skip(skipped).enumerate();
    shown.filter(|(_, value)| !value.is_nan()).map(|(index, value)| (time(index), value)).collect()
}

/// The values by interval; gaps are NaN. `None` if there would be too many.
fn buckets(samples: &[Sample], interval: i64) -> Option<Vec<f64>> {
    let bucket = |time: i64| {
        let beyond = time % interval;
        if beyond > interval / 2 { time - beyond + interval } else { time - beyond }
    };
    let mut y = Vec::new();
    let mut at = None;
    for sample in samples {
        let bucket = bucket(sample.time);
        if let Some(last) = at {
            if bucket <= last {
                continue;
            }
            let gaps = usize::try_from((bucket - last) / interval - 1).ok()?;
            if y.len() + gaps > BUCKETS_MAX {
                return None;
            }
            y.extend(std::iter::repeat_n(f64::NAN, gaps));
        }
        at = Some(bucket);
        y.push(sample.float());
    }
    Some(y)
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
